//! How long an endpoint may take.

use std::time::Duration;

use crate::base::time::Instant;
use crate::snapshot::route::RouteTimeouts;

/// The time-outs of a route, from the moment that an exchange began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    /// The end of everything.
    end: Instant,
}

impl Patience {
    pub(super) fn new(timeouts: &RouteTimeouts, begun: Instant) -> Self {
        let RouteTimeouts { connect, first_byte, idle, total } = *timeouts;
        let end = total.map_or(Instant::NEVER, |total| begun + total);
        Patience { connect, first_byte, idle, end }
    }

    /// By when a connection has to stand.
    pub(super) fn connect(&self, now: Instant) -> Instant {
        self.end.min(now + self.connect)
    }

    /// By when the head of the answer has to be there, for a request that left now.
    pub(super) fn first_byte(&self, now: Instant) -> Instant {
        self.end.min(now + self.first_byte)
    }

    /// By when a body has to have moved.
    pub(super) fn progress(&self, now: Instant) -> Instant {
        self.end.min(now + self.idle)
    }

    /// By when a tunnel has to have moved: it may live for as long as it does.
    pub(super) fn tunnel(&self, now: Instant) -> Instant {
        now + self.idle
    }

    /// The end of everything.
    pub(super) fn end(&self) -> Instant {
        self.end
    }
}
