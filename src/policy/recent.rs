//! A map of bounded size that keeps what was used last.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use foldhash::quality::RandomState;

/// Two halves: what is used moves into the new one, and when that is full the old one is forgotten
/// as a whole. What was used among the last `capacity / 2` different keys is always there; that
/// costs neither a list nor a look at every entry. Hashes are seeded by chance: who chooses keys
/// does not choose where they lie.
#[derive(Debug)]
pub struct Recent<K, V> {
    new: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    half: usize,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Empty; at most `capacity` entries, and at least two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (new, old) = (HashMap::default(), HashMap::default());
        Recent { new, old, half: (capacity / 2).max(1) }
    }

    /// What is kept for `key`.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if !self.new.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.new.get(key)
    }

    /// Keeps `value` for `key`.
    pub fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.new.len() >= self.half && !self.new.contains_key(&key) {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(key, value);
    }

    /// Forgets `key`.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.new.remove(key);
        self.old.remove(key);
    }

    /// Entries that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.new.len() + self.old.len()
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

    #[test]
    fn what_is_used_stays_and_the_size_is_bounded() {
        let mut recent = Recent::new(10);
        for number in 0..1000 {
            recent.put(number, number * 2);
            assert!(recent.len() <= 10);
            // Used each time, so it is there for as long as others come and go.
            assert_eq!(recent.get(&0), Some(&0));
            assert_eq!(recent.get(&number), Some(&(number * 2)));
        }
        assert!(recent.get(&500).is_none());
        recent.remove(&0);
        assert!(recent.get(&0).is_none());
    }

    #[test]
    fn a_value_is_replaced_in_whichever_half_it_is() {
        let mut recent = Recent::new(4);
        for number in 0..3 {
            recent.put(number, 'a');
        }
        for number in 0..3 {
            recent.put(number, 'b');
        }
        assert_eq!(recent.get(&2), Some(&'b'));
        assert_eq!(recent.get(&1), Some(&'b'));
        assert!(recent.len() <= 4);
    }
}
