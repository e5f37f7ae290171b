//! Nonces that were seen: what must not count a second time, on whichever shard it comes.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::time::UnixTime;

/// Nonces whose hashes agree are looked for in one set.
const SET: usize = 16;
const SETS: usize = 1 << 16;
/// Bits of an entry that say until when it counts; the others tell nonces apart.
const TIME_BITS: u32 = 24;
/// Seconds of one step of that time: two years are its range.
const STEP_SECONDS: u64 = 4;

/// The nonces of the last minutes, for all shards: a table of atomic words, made when the first one
/// comes. Nobody waits for anybody, and nothing is forgotten before its time: what finds no room is
/// refused.
#[derive(Debug)]
pub struct Nonces {
    /// What was signed before may have been seen by the process before.
    started: UnixTime,
    table: OnceLock<Box<[AtomicU64]>>,
    hash: RandomState,
}

/// What is known of a nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is new, and noted.
    First,
    /// It came before, or at the same moment elsewhere.
    Again,
    /// It was signed before this process began to note.
    Before,
    /// Its second has not come yet; it was not noted.
    Early,
    /// There is no room to note it.
    Full,
}

impl Nonces {
    /// No nonces. Those that were signed before now, or in this second, are refused: a process that
    /// ran before us may have seen them. It has taken none that was signed after it saw it (see
    /// [`Nonces::note`]).
    #[must_use]
    pub fn new(started: UnixTime) -> Self {
        Nonces { started, table: OnceLock::new(), hash: RandomState::new() }
    }

    /// Notes a nonce that was signed at `time` and counts until `end`. One that is ahead of `now`
    /// is not taken yet: who begins after us tells by the time alone what we have taken.
    pub fn note(&self, nonce: &str, time: u64, end: UnixTime, now: UnixTime) -> Seen {
        if time <= self.started.seconds() {
            return Seen::Before;
        }
        if time > now.seconds() {
            return Seen::Early;
        }
        let table = self.table.get_or_init(|| {
            let words = (0..SETS * SET).map(|_| AtomicU64::new(0));
            words.collect()
        });
        let hash = self.hash.hash_one(nonce);
        let place = usize::try_from(hash % (1 << 16)).unwrap_or(0) * SET;
        let Some(set) = table.get(place..place + SET) else { return Seen::Full };
        let mark = (hash >> 16) >> (TIME_BITS - 16) << TIME_BITS;
        let entry = mark | (self.step(end) + 1);
        insert(set, mark, entry, self.step(now))
    }

    fn step(&self, time: UnixTime) -> u64 {
        // An end is rounded up, now is rounded down: nothing is forgotten early.
        let steps = time.seconds().saturating_sub(self.started.seconds()) / STEP_SECONDS;
        steps.min((1 << TIME_BITS) - 2)
    }
}

/// Puts an entry into a set unless the same one is in it.
fn insert(set: &[AtomicU64], mark: u64, entry: u64, now: u64) -> Seen {
    let end = |word: u64| word & ((1 << TIME_BITS) - 1);
    let is_live = |word: u64| end(word) > now;
    let is_same = |word: u64| is_live(word) && word >> TIME_BITS << TIME_BITS == mark;
    loop {
        let mut free = None;
        for slot in set {
            let word = slot.load(Ordering::SeqCst);
            if is_same(word) {
                return Seen::Again;
            }
            if free.is_none() && !is_live(word) {
                free = Some((slot, word));
            }
        }
        let Some((slot, old)) = free else { return Seen::Full };
        if slot.compare_exchange(old, entry, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            continue; // Another shard was quicker; perhaps with the same one.
        }
        // Another shard may have put the same one elsewhere meanwhile: then neither counts.
        let same = set.iter().filter(|slot| is_same(slot.load(Ordering::SeqCst)));
        return if same.count() > 1 { Seen::Again } else { Seen::First };
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Nonces::new(UnixTime(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime(Duration::from_secs(seconds))
    }

    #[test]
    fn a_nonce_counts_once_until_its_end() {
        let nonces = Nonces::new(at(999));
        assert_eq!(nonces.note("a", 1000, at(1120), at(1000)), Seen::First);
        assert_eq!(nonces.note("a", 1000, at(1120), at(1000)), Seen::Again);
        assert_eq!(nonces.note("b", 1000, at(1120), at(1000)), Seen::First);
        assert_eq!(nonces.note("a", 1000, at(1120), at(1120)), Seen::Again);
        assert_eq!(nonces.note("a", 1200, at(1320), at(1200)), Seen::First);
    }

    #[test]
    fn what_was_signed_before_the_start_is_refused() {
        let nonces = Nonces::new(at(1000));
        assert_eq!(nonces.note("a", 999, at(1119), at(1001)), Seen::Before);
    }

    #[test]
    fn nothing_that_was_taken_is_taken_again_by_who_begins_later() {
        let note = |nonces: &Nonces, now| nonces.note("a", 1020, at(1140), at(now));
        for restart in 1000..1030 {
            let (first, second) = (Nonces::new(at(900)), Nonces::new(at(restart)));
            let before = (990..=restart).any(|now| note(&first, now) == Seen::First);
            let after = (restart..1141).any(|now| note(&second, now) == Seen::First);
            assert!(before != after, "{restart}: {before} {after}");
        }
    }

    #[test]
    fn what_finds_no_room_is_refused_and_nothing_is_forgotten() {
        let set: Vec<AtomicU64> = (0..SET).map(|_| AtomicU64::new(0)).collect();
        let mark = |n: u64| n << TIME_BITS;
        for n in 1..=16 {
            assert_eq!(insert(&set, mark(n), mark(n) | 0x1f, 0), Seen::First);
        }
        assert_eq!(insert(&set, mark(17), mark(17) | 0x1f, 0), Seen::Full);
        assert_eq!(insert(&set, mark(1), mark(1) | 0x1f, 30), Seen::Again);
        assert_eq!(insert(&set, mark(17), mark(17) | 0x3d, 31), Seen::First);
    }

    #[test]
    fn two_threads_do_not_both_count_one() {
        let nonces = Arc::new(Nonces::new(at(0)));
        let count = |nonces: Arc<Nonces>| {
            move || {
                let first = |n: &u32| nonces.note(&n.to_string(), 1, at(100), at(1)) == Seen::First;
                (0..20_000u32).filter(first).count()
            }
        };
        let other = std::thread::spawn(count(Arc::clone(&nonces)));
        let own = count(nonces)();
        let all = own + other.join().unwrap();
        assert!(all <= 20_000, "{all} counted");
        assert!(all > 0);
    }
}
