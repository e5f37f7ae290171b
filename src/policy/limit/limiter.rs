//! One rule of how often, with the buckets of all its keys. Shared by all shards.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crossbeam::utils::CachePadded;

use super::bucket::{self, Taken};
use super::purse::Leases;
use super::rate::{Quota, Rate};
use super::remote::{Ledger, OnFailure, Outbox, Report, Sharing};
use super::table::{Spot, Table};

/// What a limiter is made of. Its state outlives a reload as long as this stays the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Unique among all limiters; whoever has the same one shares its buckets.
    pub id: String,
    /// Its name as clients see it in `RateLimit-Policy`.
    pub name: String,
    /// So many requests ...
    pub rate: Rate,
    /// ... and so many at once.
    pub burst: u32,
    /// Keys that have a bucket of their own; 1: one bucket for all.
    pub keys: usize,
    /// How it is shared with other machines; `None`: it is not.
    pub sharing: Option<Sharing>,
}

/// Tokens that a shard leases at most.
const LEASE_MAX: u64 = 64;
/// All shards together lease at most this part of what the rate gives in a second: half a per cent.
const LEASED_PART: u64 = 200;

/// A rule and its state.
#[derive(Debug)]
pub struct Limiter {
    rule: Rule,
    quota: Quota,
    shards: u64,
    lease_max: u64,
    buckets: Buckets,
    ledger: Option<Ledger>,
}

#[derive(Debug)]
enum Buckets {
    One(CachePadded<AtomicU64>),
    Many(Table),
}

/// What is said of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether it may go on.
    pub is_allowed: bool,
    /// Requests that could follow at once.
    pub left: u64,
    /// Nanoseconds until there is one more to be had; zero if there is one.
    pub wait: u64,
    /// Nanoseconds until there are as many as ever.
    pub full: u64,
}

impl Verdict {
    /// Of a bucket with this debt.
    #[must_use]
    pub fn new(is_allowed: bool, quota: &Quota, debt: u64) -> Verdict {
        Verdict { is_allowed, left: quota.left(debt), wait: quota.wait(debt), full: debt }
    }
}

/// What is said of a request where several machines share a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// This.
    Said(Verdict),
    /// The store is to be waited for, as long as there is patience.
    Wait,
    /// The store does not answer, and everything is admitted then.
    Open,
    /// The store does not answer, and nothing is admitted then.
    Closed,
}

/// What is known of a limiter at a moment, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Keys that have less than their burst.
    pub keys: usize,
    /// Keys that can have a bucket of their own.
    pub keys_max: usize,
    /// What is left, if there is one bucket for all.
    pub left: Option<u64>,
}

impl Limiter {
    /// A limiter with full buckets, for so many shards. A rule that is shared leaves its reports in
    /// the outbox; without one it is not shared. `None` if the rule makes no bucket.
    #[must_use]
    pub fn new(rule: Rule, shards: usize, outbox: Option<&Arc<Outbox>>) -> Option<Self> {
        let quota = Quota::new(rule.rate, rule.burst)?;
        let shards = u64::try_from(shards).unwrap_or(u64::MAX).max(1);
        let part = rule.rate.ceiling() / LEASED_PART.saturating_mul(shards);
        let shared = rule.sharing.zip(outbox);
        let buckets = match rule.keys {
            0 | 1 if shared.is_none() => Buckets::One(CachePadded::new(AtomicU64::new(0))),
            keys => Buckets::Many(Table::new(keys)),
        };
        let places = if let Buckets::Many(table) = &buckets { table.len() } else { 0 };
        let ledger = shared.map(|(how, outbox)| Ledger::new(how, Arc::clone(outbox), places));
        let lease_max = if ledger.is_some() { 1 } else { part.clamp(1, LEASE_MAX) };
        Some(Limiter { rule, quota, shards, lease_max, buckets, ledger })
    }

    /// Whether a rule can be counted at all.
    #[must_use]
    pub fn is_countable(rule: &Rule) -> bool {
        Quota::new(rule.rate, rule.burst).is_some()
    }

    /// What it was made of.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The rule as buckets count.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Tokens that one shard may hold without having spent them.
    #[must_use]
    pub fn lease_max(&self) -> u64 {
        self.lease_max
    }

    /// For people.
    #[must_use]
    pub fn reading(&self, now: u64) -> Reading {
        match &self.buckets {
            Buckets::One(word) => {
                let left = self.quota.left(bucket::peek(word, &self.quota, now));
                Reading {
                    keys: usize::from(left < u64::from(self.rule.burst)),
                    keys_max: 1,
                    left: Some(left),
                }
            }
            Buckets::Many(table) => {
                Reading { keys: table.owing(now), keys_max: table.len(), left: None }
            }
        }
    }

    /// Whether one more request of this key may go on. The leases are the shard's.
    pub(super) fn ask(&self, leases: &mut Leases, key: u64, now: u64) -> Verdict {
        if self.lease_max == 1 {
            let taken = self.take(key, now, |_| 1);
            return Verdict::new(taken.count == 1, &self.quota, taken.debt);
        }
        if leases.spend(key, now) {
            let debt = self.peek(key, now);
            return Verdict::new(true, &self.quota, debt);
        }
        if let Some((other, count)) = leases.empty(key) {
            self.put_back(other, count);
        }
        let taken = self.take(key, now, |left| self.lease(left));
        if taken.count > 1 {
            leases.fill(key, taken.count - 1, now);
        }
        Verdict::new(taken.count > 0, &self.quota, taken.debt)
    }

    /// How many tokens to lease if `left` are there: fewer and fewer, and one at a time near the
    /// end, so that no shard holds what another could use.
    fn lease(&self, left: u64) -> u64 {
        (left / (2 * self.shards)).clamp(1, self.lease_max)
    }

    /// Gives leased tokens back.
    pub(super) fn put_back(&self, key: u64, count: u64) {
        match &self.buckets {
            Buckets::One(word) => bucket::put_back(word, &self.quota, count),
            Buckets::Many(table) => {
                if let Some(spot) = table.seek(key) {
                    bucket::put_back(spot.word, &self.quota, count);
                }
            }
        }
    }

    fn peek(&self, key: u64, now: u64) -> u64 {
        match &self.buckets {
            Buckets::One(word) => bucket::peek(word, &self.quota, now),
            Buckets::Many(table) => {
                table.seek(key).map_or(0, |spot| bucket::peek(spot.word, &self.quota, now))
            }
        }
    }

    fn take(&self, key: u64, now: u64, wanted: impl Fn(u64) -> u64) -> Taken {
        let table = match &self.buckets {
            Buckets::One(word) => return bucket::take(word, &self.quota, now, wanted),
            Buckets::Many(table) => table,
        };
        let mut taken = Taken { count: 0, debt: self.quota.span };
        // A second look only if the place changed hands in between.
        for _ in 0..2 {
            let Some(spot) = table.find(key, now) else { return taken };
            // Of a spill one token at a time: whose lease would it be?
            let most = if spot.is_spill() { 1 } else { u64::MAX };
            taken = bucket::take(spot.word, &self.quota, now, |left| wanted(left).min(most));
            if spot.is_of(key) || taken.count == 0 {
                return taken;
            }
            bucket::put_back(spot.word, &self.quota, taken.count);
            taken.count = 0;
        }
        taken
    }

    /// The bucket of a key that has a place.
    pub(super) fn seek(&self, key: u64) -> Option<Spot<'_>> {
        match &self.buckets {
            Buckets::One(_) => None,
            Buckets::Many(table) => table.seek(key),
        }
    }

    /// What several machines have to settle, if they share this limiter.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// As `ask`, of a limiter that several machines share. `name` is the key on all of them;
    /// `is_late`: the store has been waited for as long as one may.
    pub(super) fn ask_shared(
        self: &Arc<Self>,
        key: u64,
        name: impl FnOnce() -> [u8; 16],
        now: u64,
        is_late: bool,
    ) -> Answer {
        let refused = Verdict::new(false, &self.quota, self.quota.span);
        let (Some(ledger), Buckets::Many(table)) = (&self.ledger, &self.buckets) else {
            return Answer::Said(refused);
        };
        let Some(spot) = table.find(key, now) else { return Answer::Said(refused) };
        let has_lease = spot.is_spill() || ledger.has_lease(spot.index);
        if ledger.outbox().is_down() || (is_late && !has_lease) {
            match ledger.sharing().on_failure {
                OnFailure::Open => return Answer::Open,
                OnFailure::Closed => return Answer::Closed,
                OnFailure::Local => {}
            }
        } else if !has_lease {
            let debt = bucket::peek(spot.word, &self.quota, now);
            let verdict = Verdict::new(false, &self.quota, debt);
            return if verdict.left == 0 { Answer::Said(verdict) } else { Answer::Wait };
        }
        let taken = bucket::take(spot.word, &self.quota, now, |_| 1);
        if taken.count == 1 && !spot.is_spill() && ledger.spent(spot.index) {
            let (limiter, place, name) = (Arc::clone(self), spot.index, name());
            ledger.report(Report { limiter, key, place, name, at: now });
        }
        Answer::Said(Verdict::new(taken.count == 1, &self.quota, taken.debt))
    }
}
