//! When a call may be tried again: never more often than the budget allows.

use std::cell::Cell;
use std::time::Duration;

use crate::base::prng::Prng;
use crate::snapshot::upstream::Retry;

/// Retries that may still be made, in thousandths. Every call adds its share, every retry takes a
/// whole one, so that retries stay a fraction of the calls however many fail.
#[derive(Debug)]
pub struct Budget {
    thousandths: Cell<u32>,
}

/// Retries that an upstream without history may make at once.
const BURST: u32 = 10;

impl Default for Budget {
    fn default() -> Self {
        Budget { thousandths: Cell::new(BURST * 1000) }
    }
}

impl Budget {
    /// A call begins.
    pub fn earn(&self, rule: &Retry) {
        let share = (rule.budget_ratio.clamp(0.0, 1.0) * 1000.0).round();
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 0 and 1000"
        )]
        let share = share as u32;
        self.thousandths.set((self.thousandths.get() + share).min(BURST * 1000));
    }

    /// Takes one retry, if there is one.
    pub fn spend(&self) -> bool {
        match self.thousandths.get().checked_sub(1000) {
            Some(left) => {
                self.thousandths.set(left);
                true
            }
            None => false,
        }
    }
}

/// How long to wait before attempt number `attempt` (the second is 2): doubled each time, and half
/// of it by chance, so that clients that failed together do not return together.
pub fn backoff(rule: &Retry, attempt: u32, prng: &mut Prng) -> Duration {
    let doublings = attempt.saturating_sub(2).min(16);
    let full = rule.backoff_min.saturating_mul(1 << doublings).min(rule.backoff_max);
    let nanos = u64::try_from(full.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos / 2 + prng.below(nanos / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_a_fraction_of_the_calls() {
        let rule = Retry { budget_ratio: 0.2, ..Retry::default() };
        let budget = Budget::default();
        let mut retries = 0;
        for _ in 0..1000 {
            budget.earn(&rule);
            retries += u32::from(budget.spend());
        }
        assert!((200..=210).contains(&retries), "{retries}");
    }

    #[test]
    fn backoff_grows_to_its_maximum() {
        let rule = Retry::default();
        let mut prng = Prng::new(1);
        for attempt in 2..40 {
            let wait = backoff(&rule, attempt, &mut prng);
            assert!(wait <= rule.backoff_max, "{attempt}: {wait:?}");
            assert!(wait >= rule.backoff_min / 2, "{attempt}: {wait:?}");
        }
    }
}
