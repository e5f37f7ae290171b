//! The monotonic clock of control's threads, in the words of the pure modules below.

use crate::base::time::Instant;

/// A clock that starts when it is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: std::time::Instant,
    /// What it said then.
    first: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock::of(Instant::START)
    }

    /// A clock that says this now: that of the shards, which count from elsewhere.
    pub(super) fn of(now: Instant) -> Self {
        Clock { began: std::time::Instant::now(), first: now }
    }

    pub(super) fn now(&self) -> Instant {
        self.first + self.began.elapsed()
    }
}
