//! A token bucket in one atomic word.
//!
//! The word is the moment at which the bucket will be full again (the "theoretical arrival time"
//! of the generic cell rate algorithm). A request moves it by one interval; it may lie at most
//! `span` in the future. A word in the past, zero among them, is a full bucket: so a bucket needs
//! no upkeep, and one that is full holds no information.

use std::sync::atomic::{AtomicU64, Ordering};

use super::rate::Quota;

/// What became of a question for tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// How many were given.
    pub count: u64,
    /// Nanoseconds until the bucket is full again, now that they are gone.
    pub debt: u64,
}

impl Quota {
    /// Tokens of a bucket with this debt.
    #[must_use]
    pub const fn left(&self, debt: u64) -> u64 {
        self.span.saturating_sub(debt) / self.interval
    }

    /// Nanoseconds until a bucket with this debt has a token; zero if it has one.
    #[must_use]
    pub const fn wait(&self, debt: u64) -> u64 {
        debt.saturating_add(self.interval).saturating_sub(self.span)
    }
}

/// A bucket may owe twice its span, because machines that share it may take more than there is
/// before they hear of each other; and clocks of shards differ by less than a second.
fn debt_max(quota: &Quota) -> u64 {
    quota.span.saturating_mul(2).saturating_add(1_000_000_000)
}

/// What is owed at `now`. More than can be owed was written before the clock went back.
fn debt(word: u64, quota: &Quota, now: u64) -> Option<u64> {
    let owed = word.saturating_sub(now);
    // Nearly always within the span, which is less than the most.
    (owed <= quota.span || owed <= debt_max(quota)).then_some(owed)
}

/// The debt of a bucket.
#[must_use]
pub fn peek(word: &AtomicU64, quota: &Quota, now: u64) -> u64 {
    debt(word.load(Ordering::Relaxed), quota, now).unwrap_or(quota.span)
}

/// Takes as many tokens as `wanted` says of those that there are. Writes nothing if none are
/// taken, so that refusals never contend.
pub fn take(word: &AtomicU64, quota: &Quota, now: u64, wanted: impl Fn(u64) -> u64) -> Taken {
    let mut old = word.load(Ordering::Acquire);
    loop {
        let Some(owed) = debt(old, quota, now) else {
            // An empty bucket, from now on: so it is full again after `span`, not after the clock
            // has come to where it was.
            let empty = now.saturating_add(quota.span);
            let _ = word.compare_exchange(old, empty, Ordering::AcqRel, Ordering::Relaxed);
            return Taken { count: 0, debt: quota.span };
        };
        let left = quota.left(owed);
        let count = wanted(left).min(left);
        if count == 0 {
            return Taken { count, debt: owed };
        }
        // At most `span`, by the definition of `left`.
        let debt = owed + count * quota.interval;
        let new = now.saturating_add(debt);
        match word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Taken { count, debt },
            Err(seen) => old = seen,
        }
    }
}

/// Puts tokens back that were taken and not used.
pub fn put_back(word: &AtomicU64, quota: &Quota, count: u64) {
    let back = quota.interval.saturating_mul(count);
    let less = |old: u64| Some(old.saturating_sub(back));
    let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
}

/// What others have taken elsewhere: the bucket owes at least so much.
pub fn owe_at_least(word: &AtomicU64, quota: &Quota, now: u64, debt: u64) {
    let debt = debt.min(quota.span.saturating_mul(2));
    word.fetch_max(now.saturating_add(debt), Ordering::AcqRel);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::limit::rate::Rate;

    fn quota(rate: &str, burst: u32) -> Quota {
        Quota::new(rate.parse::<Rate>().unwrap(), burst).unwrap()
    }

    fn one(word: &AtomicU64, quota: &Quota, now: u64) -> bool {
        take(word, quota, now, |_| 1).count == 1
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (word, quota) = (AtomicU64::new(0), quota("10/s", 5));
        let start = 7 * SECOND;
        assert_eq!((0..9).filter(|_| one(&word, &quota, start)).count(), 5);
        assert_eq!(quota.wait(peek(&word, &quota, start)), SECOND / 10);
        let count = (1..=1000).filter(|n| one(&word, &quota, start + n * SECOND / 100)).count();
        assert_eq!(count, 100, "ten seconds at ten a second");
    }

    #[test]
    fn fractions_of_requests_a_second_are_exact() {
        let (word, quota) = (AtomicU64::new(0), quota("0.3/s", 2));
        let count = (0..10_000).filter(|n| one(&word, &quota, n * SECOND / 10)).count();
        assert!((300..=302).contains(&count), "{count}");
    }

    #[test]
    fn a_clock_that_goes_back_costs_no_more_than_an_empty_bucket() {
        let (word, quota) = (AtomicU64::new(0), quota("10/s", 5));
        assert!(one(&word, &quota, u64::MAX / 2));
        assert!(!one(&word, &quota, SECOND), "an empty bucket");
        assert_eq!(peek(&word, &quota, SECOND), quota.span);
        let count = (0..10).filter(|_| one(&word, &quota, SECOND * 3 / 2)).count();
        assert_eq!(count, 5, "it filled up again");
    }

    #[test]
    fn the_ends_of_the_clock_do_not_overflow() {
        let (word, quota) = (AtomicU64::new(u64::MAX), quota("1/d", 20_000));
        assert!(!one(&word, &quota, 0));
        word.store(0, Ordering::Relaxed);
        for _ in 0..10 {
            let _ = one(&word, &quota, u64::MAX - 1);
        }
        put_back(&word, &quota, u64::MAX);
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let (word, quota) = (AtomicU64::new(0), quota("10/s", 8));
        let taken = take(&word, &quota, SECOND, |left| left / 2);
        assert_eq!((taken.count, quota.left(taken.debt)), (4, 4));
        put_back(&word, &quota, 3);
        assert_eq!(quota.left(peek(&word, &quota, SECOND)), 7);
    }
}
