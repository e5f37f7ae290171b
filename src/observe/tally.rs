//! How many requests ended with which status, by route and method: exact, and bounded.

use std::sync::atomic::{AtomicU64, Ordering};

use super::labels::{Label, Method};

/// What one count is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Kind {
    /// The route that was matched.
    pub(super) route: Label,
    /// The method of the request.
    pub(super) method: Method,
    /// The status that was sent; 0 if none was.
    pub(super) status: u16,
}

/// Places of the table. A power of two, so that a hash is cut to a place by its low bits.
const SLOTS: usize = 1024;
/// Kinds that one shard tells apart. A table no fuller than this keeps its probes short.
const KINDS_MAX: u64 = 768;
/// Classes of statuses, for what is beyond: none, 1xx ... 5xx and anything else.
pub(super) const CLASSES: usize = 7;
/// Set in each key, so that no key is zero.
const USED: u64 = 1 << 63;

/// A table of counts with one writer and any number of readers.
#[derive(Debug)]
pub(super) struct Tally {
    slots: Box<[Slot]>,
    used: AtomicU64,
    beyond: [AtomicU64; CLASSES],
}

#[derive(Debug, Default)]
struct Slot {
    key: AtomicU64,
    count: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            used: AtomicU64::new(0),
            beyond: Default::default(),
        }
    }
}

impl Tally {
    /// Counts one. Only the one writer may call it.
    pub(super) fn add(&self, kind: Kind) {
        let key = pack(kind);
        // Fibonacci hashing: the high bits of the product depend on every bit of the key.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let start = usize::try_from(hash).unwrap_or(0);
        for step in 0..SLOTS {
            let Some(slot) = self.slots.get((start + step) & (SLOTS - 1)) else { break };
            let held = slot.key.load(Ordering::Relaxed);
            if held == key {
                return bump(&slot.count);
            }
            if held == 0 {
                if self.used.load(Ordering::Relaxed) >= KINDS_MAX {
                    break;
                }
                bump(&self.used);
                slot.count.store(1, Ordering::Relaxed);
                // Release: a reader that sees the key sees the count.
                return slot.key.store(key, Ordering::Release);
            }
        }
        let class = usize::from(kind.status / 100).min(CLASSES - 1);
        if let Some(cell) = self.beyond.get(class) {
            bump(cell);
        }
    }

    /// Every kind that was counted, in no particular order.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        self.slots.iter().filter_map(|slot| {
            let kind = unpack(slot.key.load(Ordering::Acquire))?;
            Some((kind, slot.count.load(Ordering::Relaxed)))
        })
    }

    /// What found no room in the table, by the first digit of the status.
    pub(super) fn beyond(&self) -> [u64; CLASSES] {
        std::array::from_fn(|class| {
            self.beyond.get(class).map_or(0, |cell| cell.load(Ordering::Relaxed))
        })
    }
}

fn bump(cell: &AtomicU64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

fn pack(kind: Kind) -> u64 {
    let route = u64::try_from(kind.route.place()).unwrap_or(0);
    let method = u64::try_from(kind.method.place()).unwrap_or(0);
    USED | route << 32 | method << 16 | u64::from(kind.status)
}

fn unpack(key: u64) -> Option<Kind> {
    if key & USED == 0 {
        return None;
    }
    let part = |shift: u32| usize::try_from(key >> shift & 0xffff).ok();
    Some(Kind {
        route: Label::at(part(32)?)?,
        method: Method::ALL.get(part(16)?).copied()?,
        status: u16::try_from(key & 0xffff).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(route: usize, method: Method, status: u16) -> Kind {
        Kind { route: Label::at(route).unwrap(), method, status }
    }

    #[test]
    fn each_kind_has_its_own_count() {
        let tally = Tally::default();
        let kinds = [
            kind(0, Method::Get, 404),
            kind(5, Method::Put, 200),
            kind(5, Method::Put, 507),
            kind(255, Method::Other, 0),
        ];
        for (times, kind) in kinds.into_iter().enumerate() {
            for _ in 0..=times {
                tally.add(kind);
            }
        }
        let mut seen: Vec<_> = tally.kinds().collect();
        seen.sort();
        let mut want: Vec<_> = kinds.into_iter().zip(1..).collect();
        want.sort();
        assert_eq!(seen, want);
        assert_eq!(tally.beyond(), [0; CLASSES]);
    }

    #[test]
    fn no_peer_makes_the_table_grow_and_nothing_is_lost() {
        let tally = Tally::default();
        let mut total = 0;
        for status in 100..1000 {
            for route in [0, 9] {
                tally.add(kind(route, Method::Get, status));
                total += 1;
            }
        }
        let told_apart: Vec<_> = tally.kinds().collect();
        assert_eq!(u64::try_from(told_apart.len()).unwrap(), KINDS_MAX);
        let counted: u64 = told_apart.iter().map(|(_, count)| count).sum();
        assert_eq!(counted + tally.beyond().iter().sum::<u64>(), total);
    }
}
