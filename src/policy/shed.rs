//! Load shedding: a shard that runs late refuses new requests before it runs later still.
//!
//! A task of the shard wakes every few milliseconds and sees how late it was woken: so long would
//! any request have waited too. Being late once is a burst, which passes; being late all the time
//! is a queue that does not get shorter. So the *least* lateness of a span decides, as `CoDel` does
//! it for packets: if even the best moment of the last span was later than the target, new requests
//! of routes that may be refused are, until one moment is not.

use std::time::Duration;

use crate::base::time::Instant;

/// Between two looks.
pub const PERIOD: Duration = Duration::from_millis(10);
/// The least lateness of so long decides.
const SPAN: Duration = Duration::from_millis(100);

/// How late one shard runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    /// The least of the span under way.
    least: Option<Duration>,
    /// When it began.
    since: Instant,
    /// The least of the span before it.
    settled: Duration,
}

impl Lateness {
    /// The shard was to wake at `due` and woke at `now`.
    pub fn woke(&mut self, due: Instant, now: Instant) {
        let late = now - due;
        let least = self.least.map_or(late, |least| least.min(late));
        self.least = Some(least);
        // Better than what is known: known at once, so that nobody is refused any longer.
        self.settled = self.settled.min(late);
        if now - self.since >= SPAN {
            *self = Lateness { least: None, since: now, settled: least };
        }
    }

    /// By how much it runs late.
    #[must_use]
    pub fn standing(&self) -> Duration {
        self.settled
    }

    /// Whether requests that may be refused are to be.
    #[must_use]
    pub fn is_over(&self, target: Duration) -> bool {
        self.settled > target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    /// Looks of which each was late by so many milliseconds, one after the other.
    fn after(lates: &[u64]) -> Lateness {
        let mut lateness = Lateness::default();
        let mut now = Instant::START + Duration::from_secs(100);
        for late in lates {
            let due = now + PERIOD;
            now = due + Duration::from_millis(*late);
            lateness.woke(due, now);
        }
        lateness
    }

    #[test]
    fn one_late_moment_is_no_overload() {
        assert!(!after(&[0, 0, 500, 0, 0]).is_over(TARGET));
        assert!(!after(&[1; 100]).is_over(TARGET));
    }

    #[test]
    fn being_late_all_the_time_is() {
        let lateness = after(&[80; 10]);
        assert!(lateness.is_over(TARGET));
        assert_eq!(lateness.standing(), Duration::from_millis(80));
    }

    #[test]
    fn one_moment_in_time_ends_it() {
        assert!(!after(&[80, 80, 80, 80, 80, 80, 3]).is_over(TARGET));
    }
}
