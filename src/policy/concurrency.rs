//! How many at once: exact over all shards.
//!
//! A [`Gauge`] counts the exchanges under way of a route, and of each principal if the rule says
//! so. A count is one atomic word; taking a place of a full gauge writes nothing.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::limit::key::Grouping;

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
    waiting: CachePadded<AtomicU32>,
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
    route: bool,
    client: Option<Cell>,
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Own(usize, usize),
    Spill(usize),
}

impl Gauge {
    /// Nothing is under way.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        let sets = if rule.max_per_client == 0 { 0 } else { rule.keys.div_ceil(WAYS).max(1) };
        let counts = Counts {
            in_flight: CachePadded::default(),
            waiting: CachePadded::default(),
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

    /// A place for an exchange of the principal with this key. While others wait, only who has
    /// waited gets one.
    pub fn enter(self: &Rc<Self>, client: u64, has_waited: bool) -> Result<Place, Full> {
        let counts = &self.counts;
        let mut place = Place { gauge: Rc::clone(self), route: false, client: None };
        if self.rule.max_per_client > 0 {
            place.client = counts.enter_client(client, self.rule.max_per_client);
            if place.client.is_none() {
                return Err(Full::Client);
            }
        }
        if self.rule.max_in_flight > 0 {
            if !has_waited && self.waiting() > 0 {
                return Err(Full::Route);
            }
            let more = |count: u32| (count < self.rule.max_in_flight).then_some(count + 1);
            let entered = counts.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
            place.route = entered.is_ok();
            if entered.is_err() {
                return Err(Full::Route);
            }
        }
        Ok(place)
    }

    /// A place in the queue; `None` if there is no queue, or if it is full.
    #[must_use]
    pub fn queue(self: &Rc<Self>) -> Option<Waiter> {
        let more = |count: u32| (count < self.rule.queue).then_some(count + 1);
        let waiting = &self.counts.waiting;
        waiting.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok()?;
        Some(Waiter { gauge: Rc::clone(self) })
    }
}

/// A place in a queue, left when it is dropped.
#[derive(Debug)]
pub struct Waiter {
    gauge: Rc<Gauge>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.gauge.counts.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = &self.gauge.counts;
        if self.route {
            counts.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
        let word = match self.client {
            None => None,
            Some(Cell::Own(set, way)) => counts.clients.get(set).and_then(|set| set.get(way)),
            Some(Cell::Spill(set)) => counts.spills.get(set),
        };
        if let Some(word) = word {
            word.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Counts {
    /// One more of this key, if it has fewer than `most`.
    fn enter_client(&self, key: u64, most: u32) -> Option<Cell> {
        let most = u64::from(most).min(COUNT_MASK);
        let sets = u64::try_from(self.clients.len()).ok()?;
        let index = usize::try_from((u128::from(key) * u128::from(sets)) >> 64).ok()?;
        let set = self.clients.get(index)?;
        // The high bits chose the set.
        let tag = (key << COUNT_BITS).max(1 << COUNT_BITS);
        let more = |word: u64| {
            let is_mine = word & !COUNT_MASK == tag;
            (is_mine && word & COUNT_MASK < most).then(|| word + 1)
        };
        for (way, word) in set.iter().enumerate() {
            if word.load(Ordering::Acquire) & !COUNT_MASK != tag {
                continue;
            }
            match word.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
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
            if word.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin).is_ok() {
                return Some(Cell::Own(index, way));
            }
        }
        let more = |count: u64| (count < most).then(|| count + 1);
        let spill = self.spills.get(index)?;
        spill.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Cell::Spill(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(max_in_flight: u32, max_per_client: u32, queue: u32) -> Rc<Gauge> {
        let name = "r".to_owned();
        let queue_timeout = Duration::from_secs(1);
        let (keys, grouping) = (16, Grouping::default());
        let rule =
            Rule { name, max_in_flight, max_per_client, queue, queue_timeout, keys, grouping };
        Rc::new(Gauge::new(rule))
    }

    #[test]
    fn a_place_is_given_back_when_it_is_dropped() {
        let gauge = gauge(2, 0, 0);
        let first = gauge.enter(1, false).unwrap();
        let second = gauge.enter(1, false).unwrap();
        assert_eq!(gauge.enter(1, false).unwrap_err(), Full::Route);
        drop(first);
        assert_eq!(gauge.in_flight(), 1);
        let _third = gauge.enter(1, false).unwrap();
        drop(second);
        assert_eq!(gauge.in_flight(), 1);
    }

    #[test]
    fn a_principal_has_its_own_count_and_a_full_route_costs_it_nothing() {
        let gauge = gauge(3, 2, 0);
        let held = [gauge.enter(1, false).unwrap(), gauge.enter(1, false).unwrap()];
        assert_eq!(gauge.enter(1, false).unwrap_err(), Full::Client);
        let _other = gauge.enter(2, false).unwrap();
        assert_eq!(gauge.enter(2, false).unwrap_err(), Full::Route);
        drop(held);
        let _again = [gauge.enter(2, false).unwrap(), gauge.enter(1, false).unwrap()];
        assert_eq!(gauge.enter(2, false).unwrap_err(), Full::Client);
    }

    #[test]
    fn more_principals_than_places_share_a_count_until_there_is_one() {
        let gauge = gauge(0, 1, 0);
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let held: Vec<_> = (1..2000).filter_map(|n| gauge.enter(spread(n), false).ok()).collect();
        assert_eq!(held.len(), 16 + 2, "sixteen places and a spill for each of two sets");
        drop(held);
        assert_eq!((1..200).filter(|n| gauge.enter(spread(*n), false).is_ok()).count(), 199);
    }

    #[test]
    fn who_waits_is_served_before_who_comes() {
        let gauge = gauge(1, 0, 1);
        let place = gauge.enter(1, false).unwrap();
        let waiter = gauge.queue().unwrap();
        assert!(gauge.queue().is_none(), "the queue is full");
        drop(place);
        assert_eq!(gauge.enter(2, false).unwrap_err(), Full::Route);
        let _place = gauge.enter(1, true).unwrap();
        drop(waiter);
        assert_eq!(gauge.waiting(), 0);
    }

    #[test]
    fn threads_never_have_more_places_than_there_are() {
        let gauge = gauge(3, 2, 0);
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (gauge, most) = (Gauge::clone(&gauge), &most);
                scope.spawn(move || {
                    let gauge = Rc::new(gauge);
                    for _ in 0..20_000 {
                        if let Ok(_place) = gauge.enter(client % 2 + 1, false) {
                            most.fetch_max(gauge.in_flight(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::Relaxed) <= 3);
        assert_eq!(gauge.in_flight(), 0);
    }

    #[test]
    fn what_is_under_way_is_known_after_a_reload() {
        let old = gauge(2, 0, 0);
        let place = old.enter(1, false).unwrap();
        let mut new = Gauge::clone(&gauge(1, 0, 0));
        new.carry_over(&old);
        let new = Rc::new(new);
        assert_eq!(new.enter(1, false).unwrap_err(), Full::Route);
        drop(place);
        assert!(new.enter(1, false).is_ok());
    }
}
