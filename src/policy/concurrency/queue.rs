//! Who waits for a place of a gauge: first come, first served, over all shards.
//!
//! Whoever gives a place back calls the next one, and hands the place over with the call: nobody
//! who comes in between can have it. Who has as many places as its principal may have is passed
//! over, and keeps its rank. Each change costs the logarithm of how many wait.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::{Counts, Full, Gauge, Most, Place, Taken};

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The number of who comes next.
    next: u64,
    /// By principal, and then in the order in which they came.
    waiting: BTreeMap<(u64, u64), Arc<Ticket>>,
    /// The first of each principal that may have room, by number.
    heads: BTreeMap<u64, u64>,
    /// Principals that have as many places as they may, by the set in which they are counted.
    full: BTreeSet<(usize, u64)>,
}

/// What one who waits and who calls it have in common.
#[derive(Debug)]
struct Ticket {
    /// That of the generation in which it came.
    most: Most,
    waker: Waker,
    /// Its place, once it was called.
    called: OnceLock<Taken>,
}

/// A place in a queue, left when it is dropped.
#[derive(Debug)]
pub struct Waiter {
    gauge: Rc<Gauge>,
    ticket: Arc<Ticket>,
    /// Its principal and its number.
    key: (u64, u64),
    has_taken: bool,
}

impl Gauge {
    /// A place in the queue for an exchange of the principal with this key; `None` if there is no
    /// queue, or if it is full. `waker` is woken once, from any shard, when it is its turn; it may
    /// be already.
    #[must_use]
    pub fn queue(self: &Rc<Self>, client: u64, waker: Waker) -> Option<Waiter> {
        let counts = &self.counts;
        if self.waiting() >= self.rule.queue {
            return None;
        }
        let client = if self.rule.max_per_client == 0 { 0 } else { client };
        let ticket = Arc::new(Ticket { most: self.rule.most(), waker, called: OnceLock::new() });
        let mut queue = counts.queue();
        if queue.waiting.len() >= usize::try_from(self.rule.queue).unwrap_or(usize::MAX) {
            return None;
        }
        let key = (client, queue.next);
        queue.next += 1;
        queue.waiting.insert(key, Arc::clone(&ticket));
        queue.first_of(counts, client);
        // Whoever gave its place back before that is known has called nobody.
        queue.tell(counts);
        let called = queue.call(counts);
        drop(queue);
        called.into_iter().for_each(Waker::wake);
        Some(Waiter { gauge: Rc::clone(self), ticket, key, has_taken: false })
    }
}

impl Waiter {
    /// The place, once it is its turn.
    pub fn place(&mut self) -> Option<Place> {
        let taken = *self.ticket.called.get().filter(|_| !self.has_taken)?;
        self.has_taken = true;
        Some(Place { gauge: Rc::clone(&self.gauge), taken })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.has_taken {
            return;
        }
        let counts = &self.gauge.counts;
        let mut queue = counts.queue();
        let was_there = queue.leave(counts, self.key);
        let called = if was_there { queue.call(counts) } else { Vec::new() };
        drop(queue);
        called.into_iter().for_each(Waker::wake);
        if let Some(taken) = self.ticket.called.get() {
            counts.give_back(*taken);
        }
    }
}

impl Queue {
    /// Says how many wait to those who do not take the lock.
    fn tell(&self, counts: &Counts) {
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        counts.waiting.store(waiting, Ordering::SeqCst);
    }

    /// Puts the first of a principal among those that may be called, unless it has no room.
    fn first_of(&mut self, counts: &Counts, client: u64) {
        let set = counts.set_of(client).unwrap_or(0);
        let mine = (client, 0)..=(client, u64::MAX);
        match self.waiting.range(mine).next() {
            Some((&(_, number), _)) if !self.full.contains(&(set, client)) => {
                self.heads.insert(number, client);
            }
            Some(_) => {}
            None => drop(self.full.remove(&(set, client))),
        }
    }

    /// A place was given back that was counted in this set.
    pub(super) fn has_room(&mut self, set: Option<usize>) {
        let Some(set) = set else { return };
        while let Some(&(_, client)) = self.full.range((set, 0)..=(set, u64::MAX)).next() {
            self.full.remove(&(set, client));
            let mine = (client, 0)..=(client, u64::MAX);
            if let Some((&(_, number), _)) = self.waiting.range(mine).next() {
                self.heads.insert(number, client);
            }
        }
    }

    /// Calls all that may have a place now, in the order in which they came.
    #[must_use]
    pub(super) fn call(&mut self, counts: &Counts) -> Vec<Waker> {
        let mut called = Vec::new();
        while let Some((&number, &client)) = self.heads.first_key_value() {
            let Some(ticket) = self.waiting.get(&(client, number)).map(Arc::clone) else {
                self.heads.remove(&number);
                continue;
            };
            let most = ticket.most.in_flight;
            if most > 0 && counts.in_flight.load(Ordering::SeqCst) >= most {
                break;
            }
            match counts.take(ticket.most, client) {
                Ok(taken) => {
                    self.leave(counts, (client, number));
                    let _ = ticket.called.set(taken);
                    called.push(ticket.waker.clone());
                }
                Err((Full::Route, began)) => {
                    counts.put_back(began);
                    break;
                }
                Err((Full::Client, _)) => {
                    self.heads.remove(&number);
                    self.full.insert((counts.set_of(client).unwrap_or(0), client));
                }
            }
        }
        called
    }

    /// Whether it stood there until now.
    fn leave(&mut self, counts: &Counts, (client, number): (u64, u64)) -> bool {
        let was_there = self.waiting.remove(&(client, number)).is_some();
        if was_there {
            self.heads.remove(&number);
            self.first_of(counts, client);
            self.tell(counts);
        }
        was_there
    }

    /// A place for who comes while others wait: none of them loses one by that.
    pub(super) fn enter_behind(
        &self,
        counts: &Counts,
        most: Most,
        client: u64,
    ) -> Result<Taken, (Full, Taken)> {
        let nothing = Taken::default();
        if self.waiting.range((client, 0)..=(client, u64::MAX)).next().is_some() {
            return Err((Full::Client, nothing));
        }
        if !self.heads.is_empty() {
            return Err((Full::Route, nothing));
        }
        counts.take(most, client).inspect_err(|(_, began)| counts.put_back(*began))
    }
}
