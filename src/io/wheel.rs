//! Deadlines of many sockets for the price of one timer.
//!
//! A deadline that moves later (the usual case: a connection that lives) costs one store; the wheel
//! finds out when its turn comes. One that moves earlier is linked anew. Resolution is [`TICK`].

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "keys and links are indices that only this file makes; u32 fits into usize"
)]

use std::task::Waker;
use std::time::Duration;

use crate::base::time::Instant;

/// How late a deadline may be noticed.
pub(super) const TICK: Duration = Duration::from_millis(8);
const TICK_NANOS: u64 = 8_000_000;
const SLOTS: usize = 1024;
const NONE: u32 = u32::MAX;

/// A place in the wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key(u32);

#[derive(Debug)]
struct Node {
    deadline: Instant,
    /// Tick at which the node is looked at; `u64::MAX` while it is in no slot.
    due: u64,
    prev: u32,
    next: u32,
    expired: bool,
    waker: Option<Waker>,
}

/// The deadlines of one shard.
#[derive(Debug)]
pub(super) struct Wheel {
    nodes: Vec<Node>,
    free: Vec<u32>,
    slots: Vec<u32>,
    /// The last tick that was handled.
    tick: u64,
    linked: usize,
}

impl Wheel {
    pub(super) fn new(now: Instant) -> Self {
        Wheel {
            nodes: Vec::new(),
            free: Vec::new(),
            slots: vec![NONE; SLOTS],
            tick: now.as_nanos() / TICK_NANOS,
            linked: 0,
        }
    }

    pub(super) fn insert(&mut self) -> Key {
        let node = Node {
            deadline: Instant::NEVER,
            due: u64::MAX,
            prev: NONE,
            next: NONE,
            expired: false,
            waker: None,
        };
        if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            return Key(index);
        }
        let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        assert!(index != NONE, "more sockets than the wheel can number");
        self.nodes.push(node);
        Key(index)
    }

    pub(super) fn remove(&mut self, key: Key) {
        self.unlink(key.0);
        self.nodes[key.0 as usize].waker = None;
        self.free.push(key.0);
    }

    /// Sets the deadline and forgets that an earlier one expired.
    pub(super) fn set(&mut self, key: Key, deadline: Instant) {
        let node = &mut self.nodes[key.0 as usize];
        node.deadline = deadline;
        node.expired = false;
        if deadline != Instant::NEVER && due_tick(deadline) < node.due {
            self.unlink(key.0);
            self.link(key.0);
        }
    }

    /// No deadline any more; nobody waits.
    pub(super) fn clear(&mut self, key: Key) {
        let node = &mut self.nodes[key.0 as usize];
        node.deadline = Instant::NEVER;
        node.waker = None;
    }

    /// Whether the deadline has passed; if not, `waker` is woken when it does.
    pub(super) fn poll(&mut self, key: Key, waker: &Waker) -> bool {
        let node = &mut self.nodes[key.0 as usize];
        if node.expired {
            return true;
        }
        match &mut node.waker {
            Some(old) if old.will_wake(waker) => {}
            slot => *slot = Some(waker.clone()),
        }
        false
    }

    /// Handles all ticks up to `now`; wakes whose deadline has passed.
    pub(super) fn advance(&mut self, now: Instant) {
        let target = now.as_nanos() / TICK_NANOS;
        if self.linked == 0 {
            self.tick = target;
            return;
        }
        // After a long sleep every slot is looked at once, not once for each tick missed.
        let first = self.tick.max(target.saturating_sub(SLOTS as u64));
        for tick in first + 1..=target {
            self.tick = tick;
            self.turn(slot_of(tick), now);
        }
    }

    /// When `advance` has something to do again, if ever.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.linked == 0 {
            return None;
        }
        (1..=SLOTS as u64)
            .find(|ahead| self.slots[slot_of(self.tick + ahead)] != NONE)
            .map(|ahead| Instant::from_nanos((self.tick + ahead).saturating_mul(TICK_NANOS)))
    }

    fn turn(&mut self, slot: usize, now: Instant) {
        let mut at = self.slots[slot];
        while at != NONE {
            let next = self.nodes[at as usize].next;
            let node = &mut self.nodes[at as usize];
            if node.deadline <= now {
                node.expired = true;
                node.deadline = Instant::NEVER;
                if let Some(waker) = node.waker.take() {
                    waker.wake();
                }
                self.unlink(at);
            } else if node.due <= self.tick {
                self.unlink(at);
                if self.nodes[at as usize].deadline != Instant::NEVER {
                    self.link(at);
                }
            }
            at = next;
        }
    }

    fn link(&mut self, index: u32) {
        let last = self.tick + SLOTS as u64 - 1;
        let node = &mut self.nodes[index as usize];
        node.due = due_tick(node.deadline).clamp(self.tick + 1, last);
        let slot = slot_of(node.due);
        node.prev = NONE;
        node.next = self.slots[slot];
        if self.slots[slot] != NONE {
            let first = self.slots[slot];
            self.nodes[first as usize].prev = index;
        }
        self.slots[slot] = index;
        self.linked += 1;
    }

    fn unlink(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        if node.due == u64::MAX {
            return;
        }
        let (prev, next, slot) = (node.prev, node.next, slot_of(node.due));
        (node.prev, node.next, node.due) = (NONE, NONE, u64::MAX);
        if prev == NONE {
            self.slots[slot] = next;
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        self.linked -= 1;
    }
}

/// The first tick at which `deadline` has passed.
fn due_tick(deadline: Instant) -> u64 {
    deadline.as_nanos().div_ceil(TICK_NANOS)
}

fn slot_of(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_deadline_expires_once_and_not_early() {
        let mut wheel = Wheel::new(at(0));
        let key = wheel.insert();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        wheel.set(key, at(100));
        assert!(!wheel.poll(key, &waker));
        wheel.advance(at(99));
        assert!(!wheel.poll(key, &waker));
        wheel.advance(at(112));
        assert!(wheel.poll(key, &waker));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        wheel.set(key, at(200));
        assert!(!wheel.poll(key, &waker), "a new deadline forgets the old one");
    }

    #[test]
    fn a_deadline_that_moves_is_kept_at_its_last_place() {
        let mut wheel = Wheel::new(at(0));
        let key = wheel.insert();
        wheel.set(key, at(60_000));
        wheel.set(key, at(1000));
        wheel.set(key, at(30_000));
        wheel.advance(at(2000));
        assert!(!wheel.poll(key, Waker::noop()));
        wheel.advance(at(29_990));
        assert!(!wheel.poll(key, Waker::noop()));
        wheel.advance(at(30_016));
        assert!(wheel.poll(key, Waker::noop()));
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn random_deadlines_expire_in_their_tick() {
        let mut prng = Prng::new(3);
        let mut wheel = Wheel::new(at(0));
        let mut now = 0;
        let mut live: Vec<(Key, u64)> = Vec::new();
        for _ in 0..20_000 {
            match prng.below(4) {
                0 if live.len() < 200 => live.push((wheel.insert(), u64::MAX)),
                1 if !live.is_empty() => {
                    let pick = usize::try_from(prng.below(live.len() as u64)).unwrap();
                    let deadline = now + prng.below(20_000);
                    wheel.set(live[pick].0, at(deadline));
                    live[pick].1 = deadline;
                }
                2 if !live.is_empty() => {
                    let pick = usize::try_from(prng.below(live.len() as u64)).unwrap();
                    wheel.remove(live.swap_remove(pick).0);
                }
                _ => {
                    now += prng.below(40);
                    wheel.advance(at(now));
                }
            }
            for (key, deadline) in &live {
                let expired = wheel.poll(*key, Waker::noop());
                assert!(!expired || *deadline <= now, "early: {deadline} at {now}");
                assert!(expired || deadline.saturating_add(16) > now, "late: {deadline} at {now}");
            }
        }
    }
}
