//! The buckets of all keys of one rule, in memory that never grows.
//!
//! A key has its place in one set of eight, which two cache lines hold: the keys and their
//! buckets. The rule of who may stay:
//!
//! 1. A bucket that is full again holds no information, and its place may go to any newcomer:
//!    nothing is lost by that.
//! 2. A bucket that owes is never pushed out, whoever comes. So nobody gets rid of a debt by a
//!    flood of other keys, and nobody's limit is ever weaker than the rule.
//! 3. A newcomer whose set holds eight buckets that owe shares the *spill* of that set, one more
//!    bucket, until a place is free. The flood is held to the rate of the rule there, and so is
//!    who comes for the first time meanwhile.
//!
//! Two threads that meet in the very moment in which a place changes hands may charge a request to
//! the wrong one of the two keys: the limiter looks again and moves the charge. What is left of
//! such races is one lease of one key.

use std::sync::atomic::{AtomicU64, Ordering};

/// Places in a set.
pub const WAYS: usize = 8;

/// Eight keys and their buckets.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Set {
    keys: [AtomicU64; WAYS],
    words: [AtomicU64; WAYS],
}

/// A table of buckets.
#[derive(Debug)]
pub struct Table {
    sets: Box<[Set]>,
    spills: Box<[AtomicU64]>,
}

/// Where a key's bucket is.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// The bucket.
    pub word: &'a AtomicU64,
    /// The number of its place, below the table's `len`; of a spill, of some place of its set.
    pub index: usize,
    /// Whose it is; `None`: it is a spill.
    owner: Option<&'a AtomicU64>,
}

impl Spot<'_> {
    /// Whether the bucket is shared by keys that found no place.
    #[must_use]
    pub const fn is_spill(&self) -> bool {
        self.owner.is_none()
    }

    /// Whether the bucket is still this key's.
    #[must_use]
    pub fn is_of(&self, key: u64) -> bool {
        self.owner.is_none_or(|owner| owner.load(Ordering::Acquire) == key)
    }
}

impl Table {
    /// A table for at least `keys` keys, rounded up to whole sets.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).max(1);
        Table {
            sets: (0..sets).map(|_| Set::default()).collect(),
            spills: (0..sets).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Keys that have a place of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Bytes that `keys` keys take.
    #[must_use]
    pub fn bytes(keys: usize) -> usize {
        keys.div_ceil(WAYS).max(1) * (size_of::<Set>() + size_of::<AtomicU64>())
    }

    /// How many places hold a bucket that owes. Counted by looking at all of them.
    #[must_use]
    pub fn owing(&self, now: u64) -> usize {
        let words = self.sets.iter().flat_map(|set| &set.words);
        words.filter(|word| word.load(Ordering::Relaxed) > now).count()
    }

    /// The first number of a set, its places, and its spill.
    fn place(&self, key: u64) -> Option<(usize, &Set, &AtomicU64)> {
        let sets = u64::try_from(self.sets.len()).unwrap_or(1);
        // The high bits choose the set.
        let wide = u128::from(key) * u128::from(sets);
        let index = usize::try_from(wide >> 64).unwrap_or(0);
        Some((index * WAYS, self.sets.get(index)?, self.spills.get(index)?))
    }

    /// The bucket of a key that has one.
    #[must_use]
    pub fn seek(&self, key: u64) -> Option<Spot<'_>> {
        let (first, set, _) = self.place(key)?;
        let mut places = set.keys.iter().zip(&set.words).zip(first..);
        let is_it = |((owner, _), _): &((&AtomicU64, _), _)| owner.load(Ordering::Acquire) == key;
        let ((owner, word), index) = places.find(is_it)?;
        Some(Spot { word, index, owner: Some(owner) })
    }

    /// The bucket of a key; it gets a place if it has none.
    #[must_use]
    pub fn find(&self, key: u64, now: u64) -> Option<Spot<'_>> {
        match self.seek(key) {
            Some(spot) => Some(spot),
            None => self.settle(key, now),
        }
    }

    #[cold]
    fn settle(&self, key: u64, now: u64) -> Option<Spot<'_>> {
        let (first, set, spill) = self.place(key)?;
        for ((owner, word), index) in set.keys.iter().zip(&set.words).zip(first..) {
            let old = owner.load(Ordering::Acquire);
            if old != 0 && word.load(Ordering::Acquire) > now {
                continue;
            }
            match owner.compare_exchange(old, key, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    // Another thread may have given the same key a place: the first one counts,
                    // for whoever looks later finds that one.
                    let spot = self.seek(key)?;
                    if spot.index != index {
                        let _ = owner.compare_exchange(key, 0, Ordering::AcqRel, Ordering::Acquire);
                    }
                    return Some(spot);
                }
                Err(seen) if seen == key => return Some(Spot { word, index, owner: Some(owner) }),
                Err(_) => {}
            }
        }
        Some(Spot { word: spill, index: first, owner: None })
    }
}
