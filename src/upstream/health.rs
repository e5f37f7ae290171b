//! Active checks of one endpoint: when the next is due, and what its result means.
//!
//! Runs once for the whole process; shards are told what changed.

use std::time::Duration;

use crate::base::prng::Prng;
use crate::base::time::Instant;

/// How an endpoint is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthRule {
    /// From the start of one check to the start of the next; a tenth is left to chance.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Checks in a row that must do well before an endpoint that was down is used again.
    pub rise: u32,
    /// Checks in a row that must fail before an endpoint that was up is left alone.
    pub fall: u32,
}

impl Default for HealthRule {
    fn default() -> Self {
        HealthRule {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        }
    }
}

/// Whether an endpoint is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// No check has ended yet. It is used, so that a start does not wait for checks.
    #[default]
    Unknown,
    /// It is used.
    Up,
    /// It is not used.
    Down,
}

impl Health {
    /// Whether requests go to it.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self, Health::Down)
    }
}

/// The checks of one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checks {
    health: Health,
    /// Results in a row that speak against the present state.
    against: u32,
    /// When the next check begins; [`Instant::NEVER`] while one runs.
    due: Instant,
    /// When the last check began.
    begun: Instant,
}

impl Checks {
    /// The first check begins within an interval, so that all endpoints are not checked at once.
    #[must_use]
    pub fn new(rule: &HealthRule, now: Instant, prng: &mut Prng) -> Self {
        let due = now + part_of(rule.interval, 1, prng);
        Checks { health: Health::Unknown, against: 0, due, begun: now }
    }

    /// What is known.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// When the next check begins; [`Instant::NEVER`] while one runs.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Begins a check if it is due; gives the moment by which it must have ended.
    pub fn begin(&mut self, rule: &HealthRule, now: Instant) -> Option<Instant> {
        if now < self.due {
            return None;
        }
        self.begun = now;
        self.due = Instant::NEVER;
        Some(now + rule.timeout)
    }

    /// The endpoint was not asked, for a reason of our own: that says nothing of it.
    pub fn unasked(&mut self, rule: &HealthRule, now: Instant, prng: &mut Prng) {
        let next = self.begun + rule.interval.saturating_sub(rule.interval / 10);
        self.due = next.max(now) + part_of(rule.interval, 10, prng);
    }

    /// The check ended, well or not. Gives the new state if it changed.
    pub fn ended(
        &mut self,
        rule: &HealthRule,
        is_well: bool,
        now: Instant,
        prng: &mut Prng,
    ) -> Option<Health> {
        self.unasked(rule, now, prng);
        let result = if is_well { Health::Up } else { Health::Down };
        if self.health == result {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let enough = match (self.health, result) {
            // What was never known is known after one check.
            (Health::Unknown, _) => 1,
            (_, Health::Up) => rule.rise,
            _ => rule.fall,
        };
        if self.against < enough {
            return None;
        }
        self.health = result;
        self.against = 0;
        Some(result)
    }
}

/// Any time below a part of another one.
fn part_of(whole: Duration, part: u32, prng: &mut Prng) -> Duration {
    let nanos = u64::try_from((whole / part).as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(prng.below(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: HealthRule = HealthRule {
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
    };

    /// Runs checks with these results, and gives the changes.
    fn run(results: &[bool]) -> Vec<Option<Health>> {
        let mut prng = Prng::new(4);
        let mut now = Instant::from_nanos(5);
        let mut checks = Checks::new(&RULE, now, &mut prng);
        let mut changes = Vec::new();
        for result in results {
            assert_eq!(checks.begin(&RULE, now), None, "it is not due yet");
            let begun = checks.due();
            assert!(begun - now <= RULE.interval, "{:?}", begun - now);
            now = begun;
            assert_eq!(checks.begin(&RULE, now), Some(now + RULE.timeout));
            assert_eq!(checks.begin(&RULE, now), None, "one runs already");
            now = now + Duration::from_secs(1);
            changes.push(checks.ended(&RULE, *result, now, &mut prng));
            let apart = checks.due() - begun;
            assert!((9..=10).contains(&apart.as_secs()), "{apart:?}");
        }
        changes
    }

    #[test]
    fn the_first_result_decides() {
        assert_eq!(run(&[true]), [Some(Health::Up)]);
        assert_eq!(run(&[false]), [Some(Health::Down)]);
        assert!(Health::Unknown.is_usable() && !Health::Down.is_usable());
    }

    #[test]
    fn an_endpoint_goes_down_and_up_after_results_in_a_row() {
        let up = Some(Health::Up);
        let down = Some(Health::Down);
        let got = run(&[true, false, false, true, false, false, false, true, false, true, true]);
        let want = [up, None, None, None, None, None, down, None, None, None, up];
        assert_eq!(got, want);
    }

    #[test]
    fn a_check_that_takes_long_is_not_followed_by_a_burst() {
        let mut prng = Prng::new(4);
        let mut checks = Checks::new(&RULE, Instant::START, &mut prng);
        let begun = checks.due();
        checks.begin(&RULE, begun);
        let late = begun + Duration::from_secs(100);
        checks.ended(&RULE, false, late, &mut prng);
        assert!(late <= checks.due() && checks.due() - late <= Duration::from_secs(1));
    }
}
