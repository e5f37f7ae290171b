//! How many at once: exact over all shards.
//!
//! A [`Gauge`] counts the exchanges under way of a route, and of each principal if the rule says
//! so. A count is one atomic word; taking a place of a full gauge writes nothing. Who may wait for
//! a place stands in a [`queue`](Waiter), which is behind a lock: only those take it that wait,
//! that call the next one, or that come while others wait.

mod queue;

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crossbeam::utils::CachePadded;

use self::queue::Queue;
use super::limit::key::Grouping;

pub use self::queue::Waiter;

/// What a gauge is made of. Its counts outlive a reload, also if the numbers change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name, unique among all gauges.
    pub name: String,
    /// Exchanges under way at once; zero: any number.
    pub max_in_flight: u32,
    /// Of one principal, or of one address if nobody was authenticated; zero: any number.
    pub max_per_client: u32,
    /// Exchanges that may wait for a place of the route.
    pub queue: u32,
    /// For so long.
    pub queue_timeout: Duration,
    /// Principals that have a count of their own.
    pub keys: usize,
    /// Which addresses count as one.
    pub grouping: Grouping,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
struct Most {
    in_flight: u32,
    per_client: u32,
}

impl Rule {
    fn most(&self) -> Most {
        Most { in_flight: self.max_in_flight, per_client: self.max_per_client }
    }
}

/// Places in a set.
const WAYS: usize = 8;
/// The low bits of a word of a principal are its count, the others its key.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

type Set = [AtomicU64; WAYS];

/// The counts of one rule. Shared by all shards.
#[derive(Debug)]
pub struct Counts {
    in_flight: CachePadded<AtomicU32>,
    /// As many as stand in the queue. Written by who has the lock.
    waiting: CachePadded<AtomicU32>,
    queue: Mutex<Queue>,
    /// Key and count in one word, so that both change at once.
    clients: Box<[Set]>,
    /// What is shared by principals that found no place.
    spills: Box<[AtomicU64]>,
}

/// A rule and its counts. Each shard has a clone of its own, so that an exchange that holds it
/// writes nothing that others read.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// The rule.
    pub rule: Rule,
    counts: Arc<Counts>,
}

/// Two gauges are the same if their rules are.
impl PartialEq for Gauge {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

/// Why there was no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// The route has as many as it may have.
    Route,
    /// The principal has.
    Client,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    gauge: Rc<Gauge>,
    taken: Taken,
}

/// What a place takes of the counts.
#[derive(Clone, Copy, Default, Debug)]
struct Taken {
    route: bool,
    client: Option<Cell>,
}

/// The word that counts a principal.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Own(usize, usize),
    Spill(usize),
}

impl Cell {
    /// The set that it is in.
    fn set(self) -> usize {
        match self {
            Cell::Own(set, _) | Cell::Spill(set) => set,
        }
    }
}

impl Gauge {
    /// Nothing is under way.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        let sets = if rule.max_per_client == 0 { 0 } else { rule.keys.div_ceil(WAYS).max(1) };
        let counts = Counts {
            in_flight: CachePadded::default(),
            waiting: CachePadded::default(),
            queue: Mutex::default(),
            clients: (0..sets).map(|_| Set::default()).collect(),
            spills: (0..sets).map(|_| AtomicU64::new(0)).collect(),
        };
        Gauge { rule, counts: Arc::new(counts) }
    }

    /// Counts on where `old` is, so that what is under way is known after a reload. Not if the
    /// table of principals has another size.
    pub fn carry_over(&mut self, old: &Gauge) {
        if self.counts.clients.len() == old.counts.clients.len() {
            self.counts = Arc::clone(&old.counts);
        }
    }

    /// How many are under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.counts.in_flight.load(Ordering::Relaxed)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.counts.waiting.load(Ordering::Relaxed)
    }

    /// A place for an exchange of the principal with this key. Who comes while others wait gets one
    /// only if it is free and none of those may have it.
    pub fn enter(self: &Rc<Self>, client: u64) -> Result<Place, Full> {
        let taken = if self.counts.waiting.load(Ordering::SeqCst) == 0 {
            self.counts.take(self.rule.most(), client).inspect_err(|(_, began)| {
                // Who came to wait in between may have seen what was taken for a moment.
                self.counts.give_back(*began);
            })
        } else if self.rule.max_per_client == 0 {
            return Err(Full::Route); // All are alike, and it is the turn of others.
        } else {
            self.counts.queue().enter_behind(&self.counts, self.rule.most(), client)
        };
        let taken = taken.map_err(|(full, _)| full)?;
        Ok(Place { gauge: Rc::clone(self), taken })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.counts.give_back(self.taken);
    }
}

impl Counts {
    /// Takes what a place takes, or says why not, and what has to be given back.
    ///
    /// These are the words that [`Queue`] reads after it has said that somebody waits, and that who
    /// gives back writes before it looks whether somebody does. One of both sees the other, because
    /// all of it is in one order (`SeqCst`).
    fn take(&self, most: Most, client: u64) -> Result<Taken, (Full, Taken)> {
        let mut taken = Taken::default();
        if most.per_client > 0 {
            taken.client = self.enter_client(client, most.per_client);
            if taken.client.is_none() {
                return Err((Full::Client, taken));
            }
        }
        if most.in_flight > 0 {
            let more = |count: u32| (count < most.in_flight).then_some(count + 1);
            let entered = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
            if entered.is_err() {
                return Err((Full::Route, taken));
            }
            taken.route = true;
        }
        Ok(taken)
    }

    /// Gives back what was taken, and calls whoever may have it now.
    fn give_back(&self, taken: Taken) {
        self.put_back(taken);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let mut queue = self.queue();
            queue.has_room(taken.client.map(Cell::set));
            let called = queue.call(self);
            drop(queue);
            called.into_iter().for_each(Waker::wake);
        }
    }

    fn put_back(&self, taken: Taken) {
        let word = match taken.client {
            None => None,
            Some(Cell::Own(set, way)) => self.clients.get(set).and_then(|set| set.get(way)),
            Some(Cell::Spill(set)) => self.spills.get(set),
        };
        if let Some(word) = word {
            word.fetch_sub(1, Ordering::SeqCst);
        }
        if taken.route {
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The queue, which is whole whenever its lock is free.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set in which this key is counted.
    fn set_of(&self, key: u64) -> Option<usize> {
        let sets = u64::try_from(self.clients.len()).ok()?;
        usize::try_from((u128::from(key) * u128::from(sets)) >> 64).ok()
    }

    /// One more of this key, if it has fewer than `most`.
    fn enter_client(&self, key: u64, most: u32) -> Option<Cell> {
        let most = u64::from(most).min(COUNT_MASK);
        let index = self.set_of(key)?;
        let set = self.clients.get(index)?;
        // The high bits chose the set.
        let tag = (key << COUNT_BITS).max(1 << COUNT_BITS);
        let more = |word: u64| {
            let is_mine = word & !COUNT_MASK == tag;
            (is_mine && word & COUNT_MASK < most).then(|| word + 1)
        };
        for (way, word) in set.iter().enumerate() {
            if word.load(Ordering::SeqCst) & !COUNT_MASK != tag {
                continue;
            }
            match word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
                Ok(_) => return Some(Cell::Own(index, way)),
                Err(seen) if seen & !COUNT_MASK == tag => return None, // It has as many.
                Err(_) => {}                                           // The place is another's.
            }
        }
        for (way, word) in set.iter().enumerate() {
            // Who has nothing under way has nothing to lose.
            let begin = |word: u64| match word & COUNT_MASK {
                0 => Some(tag | 1),
                _ => more(word),
            };
            if word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, begin).is_ok() {
                return Some(Cell::Own(index, way));
            }
        }
        let more = |count: u64| (count < most).then(|| count + 1);
        let spill = self.spills.get(index)?;
        spill.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Cell::Spill(index))
    }
}

#[cfg(test)]
#[path = "concurrency/tests.rs"]
mod tests;
