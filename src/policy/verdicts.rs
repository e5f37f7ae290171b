//! Answers of somebody who was asked about a client, kept for a while.

use std::borrow::Borrow;
use std::hash::Hash;
use std::time::Duration;

use crate::base::time::Instant;

use super::recent::Recent;

/// How many answers are kept, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Answers of yes.
    pub allowed: usize,
    /// For so long: within it a client is let in that was turned away meanwhile.
    pub allowed_for: Duration,
    /// Answers of no.
    pub denied: usize,
    /// For so long.
    pub denied_for: Duration,
}

/// Yes and no are kept apart: keys that are made up, of which there may be any number, push nobody
/// out who has a real one.
#[derive(Debug)]
pub struct Verdicts<K, Y, N> {
    allowed: Recent<K, (Y, Instant)>,
    denied: Recent<K, (N, Instant)>,
    keep: Keep,
}

impl<K: Hash + Eq, Y: Clone, N: Clone> Verdicts<K, Y, N> {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        let (allowed, denied) = (Recent::new(keep.allowed), Recent::new(keep.denied));
        Verdicts { allowed, denied, keep }
    }

    /// What was said of `key`, if that is not too long ago.
    pub fn get<Q>(&mut self, key: &Q, now: Instant) -> Option<Result<Y, N>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.allowed.get(key) {
            Some((yes, until)) if now < *until => return Some(Ok(yes.clone())),
            Some(_) => self.allowed.remove(key),
            None => {}
        }
        match self.denied.get(key) {
            Some((no, until)) if now < *until => return Some(Err(no.clone())),
            Some(_) => self.denied.remove(key),
            None => {}
        }
        None
    }

    /// Keeps what was said.
    pub fn put(&mut self, key: K, said: Result<Y, N>, now: Instant) {
        match said {
            Ok(yes) => {
                self.denied.remove(&key);
                self.allowed.put(key, (yes, now + self.keep.allowed_for));
            }
            Err(no) => {
                self.allowed.remove(&key);
                self.denied.put(key, (no, now + self.keep.denied_for));
            }
        }
    }

    /// Answers that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.allowed.len() + self.denied.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn keep() -> Keep {
        let (long, short) = (Duration::from_secs(30), Duration::from_secs(2));
        Keep { allowed: 10, allowed_for: long, denied: 4, denied_for: short }
    }

    #[test]
    fn answers_end_with_their_time() {
        let mut verdicts = Verdicts::new(keep());
        verdicts.put(1, Ok('y'), at(0));
        verdicts.put(2, Err('n'), at(0));
        assert_eq!(verdicts.get(&1, at(29)), Some(Ok('y')));
        assert_eq!(verdicts.get(&2, at(1)), Some(Err('n')));
        assert_eq!(verdicts.get(&2, at(2)), None);
        assert_eq!(verdicts.get(&1, at(30)), None);
        assert!(verdicts.is_empty());
    }

    #[test]
    fn the_last_answer_counts() {
        let mut verdicts = Verdicts::new(keep());
        verdicts.put(1, Ok('y'), at(0));
        verdicts.put(1, Err('n'), at(1));
        assert_eq!(verdicts.get(&1, at(1)), Some(Err('n')));
        verdicts.put(1, Ok('z'), at(2));
        assert_eq!(verdicts.get(&1, at(2)), Some(Ok('z')));
        assert_eq!(verdicts.len(), 1);
    }

    #[test]
    fn made_up_keys_push_nobody_out() {
        let mut verdicts = Verdicts::new(keep());
        verdicts.put(0, Ok('y'), at(0));
        for key in 1..100_000 {
            verdicts.put(key, Err('n'), at(1));
        }
        assert_eq!(verdicts.get(&0, at(1)), Some(Ok('y')));
        assert!(verdicts.len() <= 5);
    }
}
