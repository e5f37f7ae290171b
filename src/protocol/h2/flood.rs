//! Limits on what costs a peer little and us more: leaking counters over `now`.
//!
//! Each rule allows a burst at once and then one event per interval. What honest peers do in
//! proportion to our own traffic (echo PINGs, small window updates, resets) is forgiven as that
//! traffic flows, so that only what stands in no proportion to it adds up.

use std::time::Duration;

use crate::base::time::Instant;

/// Which limit a peer broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flood {
    /// Streams that the peer opened and reset (CVE-2023-44487).
    Resets,
    /// Streams that we had to reset for the peer's faults (CVE-2025-8671).
    Faults,
    /// PING (CVE-2019-9512).
    Pings,
    /// SETTINGS (CVE-2019-9515).
    Settings,
    /// Frames that carry nothing: empty DATA, interim responses (CVE-2019-9518).
    Empties,
    /// PRIORITY and unknown frames (CVE-2019-9513).
    Odd,
    /// `WINDOW_UPDATE` with a small increment (CVE-2019-9511).
    SmallWindows,
    /// Frames for streams that have ended.
    Late,
    /// CONTINUATION frames of one block (CVE-2024-27316).
    Continuations,
    /// Bytes of one header block.
    BlockBytes,
    /// Replies that the peer does not read.
    Replies,
}

/// A burst at once, and one more per interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Events at once.
    pub burst: u32,
    /// Then one more in each such time, in nanoseconds. Zero: no limit.
    pub interval_nanos: u32,
}

impl Rule {
    /// No limit.
    pub const NONE: Rule = Rule { burst: 0, interval_nanos: 0 };

    /// `burst` at once, and `per_second` on average.
    #[must_use]
    pub const fn new(burst: u32, per_second: u32) -> Rule {
        let per_second = if per_second == 0 { 1 } else { per_second };
        Rule { burst, interval_nanos: 1_000_000_000 / per_second }
    }

    /// The time that `times` events use up.
    fn time(self, times: u32) -> Duration {
        Duration::from_nanos(u64::from(self.interval_nanos) * u64::from(times))
    }
}

/// The rules of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// For [`Flood::Resets`].
    pub resets: Rule,
    /// For [`Flood::Faults`].
    pub faults: Rule,
    /// For [`Flood::Pings`].
    pub pings: Rule,
    /// For [`Flood::Settings`].
    pub settings: Rule,
    /// For [`Flood::Empties`].
    pub empties: Rule,
    /// For [`Flood::Odd`].
    pub odd: Rule,
    /// For [`Flood::SmallWindows`].
    pub small_windows: Rule,
    /// For [`Flood::Late`].
    pub late: Rule,
}

impl Rules {
    /// Against anybody on the Internet.
    #[must_use]
    pub const fn server() -> Rules {
        Rules {
            // A browser that leaves a page resets some hundred streams at once.
            resets: Rule::new(400, 100),
            faults: Rule::new(200, 50),
            pings: Rule::new(1000, 1000),
            settings: Rule::new(100, 10),
            empties: Rule::new(200, 50),
            odd: Rule::new(1000, 200),
            small_windows: Rule::new(1000, 200),
            // A window of 1 MiB that was under way in frames of 1 KiB, four times.
            late: Rule::new(4096, 1000),
        }
    }

    /// Against an endpoint that an operator configured: only what would hurt us. Its resets are as
    /// many as the streams that we open; its PINGs may be as many as our DATA frames (gRPC measures
    /// with them).
    #[must_use]
    pub const fn client() -> Rules {
        Rules {
            resets: Rule::NONE,
            faults: Rule::new(1000, 500),
            pings: Rule::new(10_000, 10_000),
            settings: Rule::new(1000, 100),
            empties: Rule::new(1000, 1000),
            odd: Rule::new(1000, 1000),
            small_windows: Rule::new(10_000, 10_000),
            late: Rule::new(20_000, 10_000),
        }
    }
}

/// How much of one rule is used up: the moment at which nothing would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    empty_at: Instant,
}

impl Counter {
    /// Counts one event. False if it is one too many.
    #[must_use]
    pub fn hit(&mut self, rule: Rule, now: Instant) -> bool {
        if rule.interval_nanos == 0 {
            return true;
        }
        self.empty_at = self.empty_at.max(now) + rule.time(1);
        self.empty_at <= now + rule.time(rule.burst)
    }

    /// Takes `times` events back.
    pub fn forgive(&mut self, rule: Rule, times: u32) {
        let back = self.empty_at.since(Instant::START).saturating_sub(rule.time(times));
        self.empty_at = Instant::START + back;
    }
}

/// The counters of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// For [`Flood::Resets`].
    pub resets: Counter,
    /// For [`Flood::Faults`].
    pub faults: Counter,
    /// For [`Flood::Pings`].
    pub pings: Counter,
    /// For [`Flood::Settings`].
    pub settings: Counter,
    /// For [`Flood::Empties`].
    pub empties: Counter,
    /// For [`Flood::Odd`].
    pub odd: Counter,
    /// For [`Flood::SmallWindows`].
    pub small_windows: Counter,
    /// For [`Flood::Late`].
    pub late: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { burst: 3, interval_nanos: 10_000_000 };

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let now = Instant::START + Duration::from_secs(1);
        let mut counter = Counter::default();
        let hits: Vec<bool> = (0..4).map(|_| counter.hit(RULE, now)).collect();
        assert_eq!(hits, [true, true, true, false]);
        assert!(counter.hit(RULE, now + Duration::from_millis(20)));
        assert!(!counter.hit(RULE, now + Duration::from_millis(20)));
    }

    #[test]
    fn what_is_forgiven_may_happen_again() {
        let now = Instant::START + Duration::from_secs(1);
        let mut counter = Counter::default();
        for _ in 0..1000 {
            assert!(counter.hit(RULE, now));
            counter.forgive(RULE, 1);
        }
        assert!(Counter::default().hit(Rule::NONE, now));
    }
}
