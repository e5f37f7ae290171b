//! The monotonic clock of control's threads, in the words of the pure modules below.

use crate::base::time::Instant;

/// A clock that starts when it is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(std::time::Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Clock(std::time::Instant::now())
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
