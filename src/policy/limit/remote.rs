//! One limit on several machines.
//!
//! Each machine counts for itself, and spends at once. What it has spent it reports to a store,
//! which answers what the bucket owes by the reports of all; so nobody waits for the store as long
//! as a machine has no more than a *lease* of requests that it has not heard an answer for. All
//! machines together admit at most a lease each more than the rule allows, once, not in every span
//! of time: what was admitted too much is owed, and nobody is admitted until that time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::bucket;
use super::limiter::Limiter;
use super::table::Spot;

/// What is done with requests when the store does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OnFailure {
    /// Each machine holds the limit for itself.
    #[default]
    Local,
    /// All are admitted.
    Open,
    /// All are refused.
    Closed,
}

impl OnFailure {
    /// The one with this name in a configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "local" => OnFailure::Local,
            "open" => OnFailure::Open,
            "closed" => OnFailure::Closed,
            _ => return None,
        })
    }
}

/// How a rule is shared with other machines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sharing {
    /// Requests that are admitted before the store has answered for those before them.
    pub lease: u32,
    /// What is done when it does not answer.
    pub on_failure: OnFailure,
}

/// Where reports wait for the thread that brings them to the store. Shared by all.
#[derive(Debug)]
pub struct Outbox {
    reports: ArrayQueue<Report>,
    is_down: AtomicBool,
    /// How long a request may wait for the store.
    patience: Duration,
}

/// A key that has something to report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of which limiter.
    pub limiter: Arc<Limiter>,
    /// The key here.
    pub key: u64,
    /// The number of its place.
    pub place: usize,
    /// The key on all machines.
    pub name: [u8; 16],
    /// When it was left, by the clock of the shards.
    pub at: u64,
}

impl Outbox {
    /// Reports that wait: as many keys as are asked for anew between two looks of the thread, or
    /// else they come with the next request.
    const REPORTS_MAX: usize = 8192;

    /// Nothing to report.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        let reports = ArrayQueue::new(Self::REPORTS_MAX);
        Outbox { reports, is_down: AtomicBool::new(false), patience }
    }

    /// How long a request may wait for the store.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether the store did not answer the last time.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Whether it answered.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// The next report.
    #[must_use]
    pub fn take(&self) -> Option<Report> {
        self.reports.pop()
    }
}

/// What is not settled yet, for each place of a table: in the low bits what was spent since the
/// last report, above it what the report under way says, and on top whether there is a report.
#[derive(Debug)]
pub struct Ledger {
    sharing: Sharing,
    outbox: Arc<Outbox>,
    entries: Box<[AtomicU64]>,
}

const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const IS_QUEUED: u64 = 1 << 63;

const fn unreported(entry: u64) -> u64 {
    entry & COUNT_MAX
}

const fn under_way(entry: u64) -> u64 {
    entry >> COUNT_BITS & COUNT_MAX
}

impl Ledger {
    /// For a table with so many places.
    #[must_use]
    pub fn new(sharing: Sharing, outbox: Arc<Outbox>, places: usize) -> Self {
        let entries = (0..places).map(|_| AtomicU64::new(0)).collect();
        Ledger { sharing, outbox, entries }
    }

    /// How it is shared.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Where reports wait.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn entry(&self, place: usize) -> Option<&AtomicU64> {
        self.entries.get(place)
    }

    /// Whether another request may be admitted before the store has answered.
    pub(super) fn has_lease(&self, place: usize) -> bool {
        let entry = self.entry(place).map_or(0, |entry| entry.load(Ordering::Acquire));
        unreported(entry) + under_way(entry) < u64::from(self.sharing.lease)
    }

    /// A request was admitted. True if it has to be reported that there is something to report.
    pub(super) fn spent(&self, place: usize) -> bool {
        let Some(entry) = self.entry(place) else { return false };
        let more = |old: u64| {
            let one = u64::from(unreported(old) < COUNT_MAX);
            Some((old + one) | IS_QUEUED)
        };
        let old = entry.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).unwrap_or_default();
        old & IS_QUEUED == 0
    }

    /// Puts a report into the outbox. If that is full, the next request tries again.
    pub(super) fn report(&self, report: Report) {
        let place = report.place;
        if self.outbox.reports.push(report).is_err() {
            self.unqueue(place);
        }
    }

    fn unqueue(&self, place: usize) {
        if let Some(entry) = self.entry(place) {
            entry.fetch_and(!IS_QUEUED, Ordering::AcqRel);
        }
    }

    /// What is to be reported now; it is under way from here on.
    fn collect(&self, place: usize) -> u64 {
        let Some(entry) = self.entry(place) else { return 0 };
        let go = |old: u64| {
            let count = (unreported(old) + under_way(old)).min(COUNT_MAX);
            Some((old & IS_QUEUED) | count << COUNT_BITS)
        };
        match entry.fetch_update(Ordering::AcqRel, Ordering::Acquire, go) {
            Ok(old) => (unreported(old) + under_way(old)).min(COUNT_MAX),
            Err(_) => 0,
        }
    }

    /// What was under way is settled, or is to be reported again. Returns what was spent meanwhile;
    /// none: there is no report any more.
    fn settle(&self, place: usize, again: bool) -> u64 {
        let Some(entry) = self.entry(place) else { return 0 };
        let done = |old: u64| {
            let kept = if again { under_way(old) } else { 0 };
            let left = (unreported(old) + kept).min(COUNT_MAX);
            Some(if left == 0 { 0 } else { IS_QUEUED | left })
        };
        let old = entry.fetch_update(Ordering::AcqRel, Ordering::Acquire, done).unwrap_or_default();
        done(old).map_or(0, unreported)
    }
}

impl Report {
    /// The bucket, if the key still has its place. Otherwise who has it now reports for itself.
    fn spot(&self) -> Option<(&Ledger, Spot<'_>)> {
        let ledger = self.limiter.ledger()?;
        let spot = self.limiter.seek(self.key).filter(|spot| spot.index == self.place);
        if spot.is_none() {
            ledger.unqueue(self.place);
        }
        spot.map(|spot| (ledger, spot))
    }

    /// What is to be told to the store: requests. `None`: the key has lost its place, and what it
    /// had spent is forgotten with it.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        let (ledger, spot) = self.spot()?;
        Some(ledger.collect(spot.index)).filter(|count| *count > 0)
    }

    /// The store answered that the bucket owes so much. Whether there is more to report.
    #[must_use]
    pub fn settled(&self, now: u64, debt: u64) -> bool {
        let Some((ledger, spot)) = self.spot() else { return false };
        let meanwhile = ledger.settle(spot.index, false);
        let quota = self.limiter.quota();
        let debt = debt.saturating_add(meanwhile.saturating_mul(quota.interval));
        bucket::owe_at_least(spot.word, quota, now, debt);
        meanwhile > 0
    }

    /// The store did not get it, or did not say so. What it may have got is not told again: nothing
    /// is charged twice.
    #[must_use]
    pub fn failed(&self, was_sent: bool) -> bool {
        self.spot().is_some_and(|(ledger, spot)| ledger.settle(spot.index, !was_sent) > 0)
    }
}

/// The one atomic script. Times are of the store's clock, so that those of the machines may differ;
/// in microseconds, which a number of Lua holds exactly.
pub const SCRIPT: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local most = now + 2 * tonumber(ARGV[3])
local full = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if full < now then full = now end
full = full + tonumber(ARGV[1]) * tonumber(ARGV[2])
if full > most then full = most end
local owed = full - now
redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(owed / 1000) + 1)
return string.format('%.3f', owed)
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::limit::limiter::{Answer, Rule};
    use crate::policy::limit::purse::Purse;

    const SECOND: u64 = 1_000_000_000;

    fn limiter(lease: u32, outbox: &Arc<Outbox>) -> Arc<Limiter> {
        let sharing = Some(Sharing { lease, on_failure: OnFailure::Local });
        let (id, name) = ("r".to_owned(), "r".to_owned());
        let rate = "10/s".parse().unwrap();
        let rule = Rule { id, name, rate, burst: 20, keys: 64, sharing };
        Arc::new(Limiter::new(rule, 2, Some(outbox)).unwrap())
    }

    fn spend(limiter: &Arc<Limiter>, key: u64, now: u64) -> Answer {
        let mut purse = Purse::new(Arc::clone(limiter));
        purse.ask_shared(key, || [0; 16], now, false)
    }

    #[test]
    fn machines_admit_at_most_a_lease_each_more_than_the_rule_and_pay_it_back() {
        // The store of this test: what all machines have reported.
        let (mut full, mut admitted) = (0, 0);
        let outboxes = [(); 3].map(|()| Arc::new(Outbox::new(Duration::from_millis(50))));
        let nodes = outboxes.each_ref().map(|outbox| limiter(4, outbox));
        let steps = 5_000_u64;
        for step in 0..steps {
            let now = 100 * SECOND + step * SECOND / 500; // Ten seconds.
            for node in &nodes {
                if let Answer::Said(verdict) = spend(node, 7, now) {
                    admitted += u64::from(verdict.is_allowed);
                }
            }
            if step % 25 != 0 {
                continue;
            }
            for outbox in &outboxes {
                while let Some(report) = outbox.take() {
                    let count = report.count().unwrap();
                    full = u64::max(full, now) + count * SECOND / 10;
                    assert!(!report.settled(now, full - now));
                }
            }
        }
        // A burst of 20, ten a second for ten seconds, and three leases of four.
        assert!((118..=132).contains(&admitted), "{admitted}");
    }

    #[test]
    fn who_has_spent_a_lease_waits_for_the_store_or_holds_the_limit_alone() {
        let outbox = Arc::new(Outbox::new(Duration::from_millis(50)));
        let limiter = limiter(3, &outbox);
        let ask = |alone| {
            let mut purse = Purse::new(Arc::clone(&limiter));
            purse.ask_shared(7, || [0; 16], SECOND, alone)
        };
        for _ in 0..3 {
            assert!(matches!(ask(false), Answer::Said(verdict) if verdict.is_allowed));
        }
        assert!(matches!(ask(false), Answer::Wait));
        assert!(matches!(ask(true), Answer::Said(verdict) if verdict.is_allowed));
        // Nobody got the report: it is told again, with what came since.
        let report = outbox.take().unwrap();
        assert!(outbox.take().is_none(), "one report for all four");
        assert_eq!(report.count(), Some(4));
        assert!(report.failed(false));
        assert!(matches!(ask(false), Answer::Wait));
        assert_eq!(report.count(), Some(4));
        assert!(!report.failed(true), "what may have come there is not told twice");
        assert!(matches!(ask(false), Answer::Said(verdict) if verdict.left == 15));
    }

    #[test]
    fn the_store_says_what_others_have_spent() {
        let outbox = Arc::new(Outbox::new(Duration::from_millis(50)));
        let limiter = limiter(3, &outbox);
        assert!(matches!(spend(&limiter, 7, SECOND), Answer::Said(verdict) if verdict.left == 19));
        let report = outbox.take().unwrap();
        assert_eq!(report.count(), Some(1));
        assert!(!report.settled(SECOND, 2 * SECOND));
        assert!(matches!(spend(&limiter, 7, SECOND), Answer::Said(verdict) if !verdict.is_allowed));
    }
}
