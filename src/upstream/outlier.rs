//! Endpoints that fail requests are set aside for a while; one shard judges by its own requests.

use std::time::Duration;

use crate::base::time::Instant;

/// When an endpoint is set aside, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutlierRule {
    /// So many failures in a row; zero: never.
    pub failures: u32,
    /// For so long the first time, twice as long the second, and so on ...
    pub ejection: Duration,
    /// ... but for so long at most.
    pub ejection_max: Duration,
}

impl Default for OutlierRule {
    fn default() -> Self {
        OutlierRule {
            failures: 5,
            ejection: Duration::from_secs(10),
            ejection_max: Duration::from_mins(5),
        }
    }
}

/// What is known of one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outlier {
    /// Failures since the last success.
    failures: u32,
    /// Until when it is set aside; in the past: it is not.
    until: Instant,
    /// How often it was set aside since it last did well for long.
    times: u32,
}

impl Outlier {
    /// Whether it is set aside.
    #[must_use]
    pub fn is_ejected(&self, now: Instant) -> bool {
        now < self.until
    }

    /// A request did well. After as long without being set aside as it was set aside the last
    /// time, the next time is shorter again.
    pub fn succeeded(&mut self, rule: &OutlierRule, now: Instant) {
        self.failures = 0;
        if self.times > 0 && self.until + ejection(rule, self.times) <= now {
            self.times -= 1;
            self.until = now;
        }
    }

    /// A request failed by a fault of the endpoint. True if it is to be set aside now; the caller
    /// says so with [`Outlier::eject`] unless too many others are set aside already.
    #[must_use]
    pub fn failed(&mut self, rule: &OutlierRule, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        // Once it was set aside, the first request after that decides.
        let enough = if self.times == 0 { rule.failures } else { 1 };
        rule.failures > 0 && self.failures >= enough && !self.is_ejected(now)
    }

    /// Sets it aside.
    pub fn eject(&mut self, rule: &OutlierRule, now: Instant) {
        self.failures = 0;
        self.times = self.times.saturating_add(1);
        self.until = now + ejection(rule, self.times);
    }
}

/// How long an endpoint is set aside the `times`th time: doubled each time, up to the most.
fn ejection(rule: &OutlierRule, times: u32) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
    rule.ejection.saturating_mul(factor).min(rule.ejection_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: OutlierRule = OutlierRule {
        failures: 3,
        ejection: Duration::from_secs(10),
        ejection_max: Duration::from_secs(30),
    };

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn failures_in_a_row_set_an_endpoint_aside_and_a_success_between_does_not() {
        let mut outlier = Outlier::default();
        assert!(!outlier.failed(&RULE, at(0)) && !outlier.failed(&RULE, at(0)));
        outlier.succeeded(&RULE, at(0));
        assert!(!outlier.failed(&RULE, at(1)) && !outlier.failed(&RULE, at(1)));
        assert!(outlier.failed(&RULE, at(1)));
        outlier.eject(&RULE, at(1));
        assert!(outlier.is_ejected(at(10)) && !outlier.is_ejected(at(11)));
    }

    #[test]
    fn the_first_failure_after_that_sets_it_aside_for_longer() {
        let mut outlier = Outlier::default();
        outlier.eject(&RULE, at(0));
        assert!(!outlier.failed(&RULE, at(5)), "it is set aside already");
        assert!(outlier.failed(&RULE, at(10)));
        outlier.eject(&RULE, at(10));
        assert!(outlier.is_ejected(at(29)) && !outlier.is_ejected(at(30)));
        for _ in 0..40 {
            outlier.eject(&RULE, at(30));
        }
        assert!(outlier.is_ejected(at(59)) && !outlier.is_ejected(at(60)));
    }

    #[test]
    fn who_does_well_for_long_is_forgiven() {
        let mut outlier = Outlier::default();
        outlier.eject(&RULE, at(0));
        outlier.succeeded(&RULE, at(15));
        assert!(outlier.failed(&RULE, at(16)), "not yet");
        outlier.succeeded(&RULE, at(20));
        assert!(!outlier.failed(&RULE, at(21)));
    }

    #[test]
    fn a_rule_without_failures_never_sets_aside() {
        let rule = OutlierRule { failures: 0, ..RULE };
        let mut outlier = Outlier::default();
        assert!((0..100).all(|_| !outlier.failed(&rule, at(0))));
    }
}
