//! Tokens that one shard has leased and not spent yet.
//!
//! At high rates every request of every shard would write the same word. So a shard takes a few
//! tokens at once: few enough that all leases together are half a per cent of what the rate gives
//! in a second, and fewer the less is left. A lease that is not spent soon goes back.

use std::sync::Arc;

use super::limiter::{Answer, Limiter, Verdict};

/// A lease that is older goes back.
const LIFE: u64 = 10_000_000;
/// Keys of one rule that a shard holds leases of at once. Only rules that allow hundreds of
/// requests a second to one key have any.
const KEYS: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    key: u64,
    count: u64,
    until: u64,
}

/// What one shard holds of one limiter. What is left goes back when it is dropped.
#[derive(Debug)]
pub struct Purse {
    limiter: Arc<Limiter>,
    leases: Leases,
}

/// Leases of several keys.
#[derive(Debug)]
pub(super) struct Leases(Vec<Lease>);

impl Purse {
    /// An empty purse.
    #[must_use]
    pub fn new(limiter: Arc<Limiter>) -> Self {
        let keys = match (limiter.lease_max(), limiter.rule().keys) {
            (1, _) => 0,
            (_, 0 | 1) => 1,
            _ => KEYS,
        };
        Purse { limiter, leases: Leases(vec![Lease::default(); keys]) }
    }

    /// Asks its limiter whether one more request of this key may go on.
    pub fn ask(&mut self, key: u64, now: u64) -> Verdict {
        self.limiter.ask(&mut self.leases, key, now)
    }

    /// As [`ask`](Self::ask), of a limiter that several machines share.
    pub fn ask_shared(
        &mut self,
        key: u64,
        name: impl FnOnce() -> [u8; 16],
        now: u64,
        is_late: bool,
    ) -> Answer {
        self.limiter.ask_shared(key, name, now, is_late)
    }

    /// Whose purse it is.
    #[must_use]
    pub fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }
}

impl Leases {
    fn lease(&mut self, key: u64) -> Option<&mut Lease> {
        // There are none, one, or a power of two. Not the bits that choose the set of the table.
        let last = u64::try_from(self.0.len()).ok()?.checked_sub(1)?;
        self.0.get_mut(usize::try_from(key & last).ok()?)
    }

    /// Whether a leased token of this key was there, and is spent now.
    pub(super) fn spend(&mut self, key: u64, now: u64) -> bool {
        let Some(lease) = self.lease(key) else { return false };
        let is_there = lease.key == key && lease.count > 0 && now < lease.until;
        if is_there {
            lease.count -= 1;
        }
        is_there
    }

    /// Makes room for a lease of this key; what was there is to go back.
    pub(super) fn empty(&mut self, key: u64) -> Option<(u64, u64)> {
        let lease = std::mem::take(self.lease(key)?);
        (lease.count > 0).then_some((lease.key, lease.count))
    }

    pub(super) fn fill(&mut self, key: u64, count: u64, now: u64) {
        if let Some(lease) = self.lease(key) {
            *lease = Lease { key, count, until: now.saturating_add(LIFE) };
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        for lease in self.leases.0.iter().filter(|lease| lease.count > 0) {
            self.limiter.put_back(lease.key, lease.count);
        }
    }
}
