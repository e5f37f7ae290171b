//! How the shards run, and which of them gets a connection.

use std::time::Duration;

use super::key::{Key, Kind, Span, restart};

/// Beyond a few waits for a wake-up looking gains nothing; it costs the core.
const LOOK: Kind = Kind::Duration(Span {
    min: Duration::from_micros(1),
    max: Duration::from_millis(10),
    bare_seconds: false,
    off: true,
});

/// `[server]`
pub const SERVER: &[Key] = &[
    restart(
        "server.workers",
        Kind::Workers,
        "auto",
        "shards: `auto`, a number, or a list of cores",
    ),
    restart(
        "server.io",
        Kind::Choice(&["auto", "io_uring", "epoll"]),
        "auto",
        "driver of the shards",
    ),
    restart(
        "server.busy_poll",
        LOOK,
        "off",
        "how long a shard looks for what happens before it sleeps, while that is worth it: latency \
         for CPU",
    ),
    restart(
        "server.steering",
        Kind::Choice(&["hash", "core"]),
        "hash",
        "the shard of a new connection: by a hash of the addresses, or the one on the core that \
         takes its packets",
    ),
];
