//! How long the gateway waits for clients. No body has a total timeout.

use std::time::Duration;

use crate::base::limits;

/// How long the gateway waits for clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// From the first byte of a head to its end.
    pub head: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// Between two reads of a body that is expected.
    pub body_idle: Duration,
    /// Without progress of a response that the client does not take.
    pub write: Duration,
    /// A body must bring so many bytes ...
    pub body_rate_bytes: u64,
    /// ... in each such time.
    pub body_rate_window: Duration,
    /// For so long the rest of a request is thrown away after an early answer.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            head: limits::HEAD_TIMEOUT,
            idle: limits::IDLE_TIMEOUT,
            body_idle: limits::BODY_IDLE_TIMEOUT,
            write: limits::WRITE_TIMEOUT,
            body_rate_bytes: limits::BODY_RATE_BYTES,
            body_rate_window: limits::BODY_RATE_WINDOW,
            linger: limits::LINGER_TIMEOUT,
        }
    }
}
