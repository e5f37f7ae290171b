//! What a connection allows and asks for.

use std::time::Duration;

use crate::base::size::KIB;
use crate::protocol::h2::flood::Rules;
use crate::protocol::h2::frame::FRAME_BYTES_DEFAULT;

/// Which side we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We open streams: towards an endpoint.
    Client,
    /// The peer opens streams: towards a client.
    Server,
}

/// Rules of one connection. Sizes are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Our receive window for each stream.
    pub initial_window: u32,
    /// Our receive window for the whole connection.
    pub connection_window: u32,
    /// The largest frame payload that we take, from 2¹⁴ to 2²⁴ - 1.
    pub frame_max: u32,
    /// The dynamic table that the peer's encoder may use.
    pub header_table: u32,
    /// The largest header list that we take, as RFC 9113 §6.5.2 counts it.
    pub header_list_max: u32,
    /// Streams that the peer may have open at once. A client allows none: no push.
    pub streams_max: u32,
    /// Streams that we open at once before the peer has said how many it allows.
    pub streams_assumed: u32,
    /// Whether a server offers extended CONNECT (RFC 8441).
    pub connect_protocol: bool,
    /// PING when nothing was received for `.0`, and dead when nothing was received for `.1` after
    /// that.
    pub keep_alive: Option<(Duration, Duration)>,
    /// Whether PINGs are sent while no stream is open. Many gRPC servers close on those.
    pub keep_alive_idle: bool,
    /// The longest time between two PINGs of a connection whose peer answers nothing else. After
    /// each such answer the interval is tripled up to this: gRPC servers count PINGs without data,
    /// and close at the third within five minutes.
    pub keep_alive_max: Duration,
    /// CONTINUATION frames of one header block.
    pub continuations_max: u32,
    /// Bytes of replies (acknowledgements, resets, window updates) that the peer may leave unread.
    pub replies_max: usize,
    /// What the peer may do how often.
    pub floods: Rules,
}

impl Config {
    /// Towards a gRPC endpoint: no push, windows for answers of some MiB. Endpoints say the same
    /// few fields with each answer: the table makes one byte of each.
    #[must_use]
    pub fn client() -> Config {
        Config {
            initial_window: 256 * 1024,
            connection_window: 1024 * 1024,
            frame_max: FRAME_BYTES_DEFAULT,
            header_table: 4096,
            header_list_max: 64 * 1024,
            streams_max: 0,
            streams_assumed: 100,
            connect_protocol: false,
            keep_alive: Some((Duration::from_secs(30), Duration::from_secs(10))),
            keep_alive_idle: false,
            keep_alive_max: Duration::from_mins(5),
            continuations_max: 32,
            replies_max: REPLIES_MAX,
            floods: Rules::client(),
        }
    }

    /// Towards any client: at most 100 streams, bounded windows, every limit of [`Rules::server`].
    #[must_use]
    pub fn server() -> Config {
        Config {
            initial_window: 256 * 1024,
            connection_window: 1024 * 1024,
            frame_max: FRAME_BYTES_DEFAULT,
            header_table: 4096,
            header_list_max: 64 * 1024,
            streams_max: 100,
            streams_assumed: 0,
            connect_protocol: false,
            keep_alive: None,
            keep_alive_idle: true,
            keep_alive_max: Duration::from_mins(5),
            continuations_max: 32,
            replies_max: REPLIES_MAX,
            floods: Rules::server(),
        }
    }

    /// The most bytes that one header block may have: more than any list within bounds needs.
    pub(super) fn block_max(&self) -> u32 {
        self.header_list_max.saturating_add(FRAME_BYTES_DEFAULT)
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "64 KiB")]
const REPLIES_MAX: usize = 64 * KIB as usize;
