//! `[master]`: the master that runs in this process, or alone as `otus master`.

use super::key::{Key, Kind, between, open, restart};

/// All of them.
pub const KEYS: &[Key] = &[
    restart(
        "master.listen",
        Kind::AddressOrOff,
        "127.0.0.1:5300",
        "where `otus master` listens; the embedded one takes any free port of loopback",
    ),
    restart(
        "master.store",
        Kind::Choice(&["redb", "etcd", "memory"]),
        "redb",
        "where rows and epochs are kept: in a file, in etcd for several masters, or until the end",
    ),
    open(
        "master.path",
        Kind::Text,
        "file of the store `redb`; without it, `master.redb` in `server.sysdir` or `/var/gufo`",
    ),
    restart(
        "master.etcd",
        Kind::Texts("URLs such as `\"http://127.0.0.1:2379\"`"),
        "",
        "members of etcd, asked in this order",
    ),
    restart("master.etcd_prefix", Kind::Text, "/otus/master/", "what all keys in etcd begin with"),
    open(
        "master.ttl",
        between(1000, 86_400),
        "how long a row holds without a sign of life; without it, three times `server.heartbeat`",
    ),
    restart(
        "master.lease",
        Kind::Choice(&["all", "heartbeat"]),
        "all",
        "which rows end so: all, or those alone that ever sent a heartbeat",
    ),
    restart(
        "master.forget",
        between(1000, 31_536_000),
        "1h",
        "a row that has ended is removed after so long",
    ),
    restart("master.rows", Kind::Integer(1, 65_536), "4096", "rows at most"),
    restart("master.groups", Kind::Texts("names"), "", "groups that rows may have; none said: any"),
];
