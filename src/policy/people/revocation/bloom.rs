//! A Bloom filter whose words one thread writes and many read.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hash;

/// How the bits of an element are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scheme {
    /// Five hashes: MD5, CRC-64, SHA-1, FNV-64 and FNV-128, of which as many are used as needed.
    Default,
    /// Sums of the halves of one: cheaper, and as many as needed.
    #[default]
    Optimal,
}

/// Bits of a filter; three of them are 384 MiB.
pub const BITS_MAX: u64 = 1 << 30;

/// How large a filter is, and how it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Bits.
    pub bits: u64,
    /// Hashes of an element.
    pub hashes: u32,
    /// Which ones.
    pub scheme: Scheme,
}

impl Shape {
    /// For `elements`, so that one that was not added is taken for one that was with the
    /// probability `p`. `None`: that takes more than [`BITS_MAX`], or is no probability.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "whole numbers within bounds that are checked before"
    )]
    pub fn new(elements: u32, p: f64, scheme: Scheme) -> Option<Self> {
        use std::f64::consts::LN_2;
        if elements == 0 || !(p > 0.0 && p < 1.0) {
            return None;
        }
        let bits = (-f64::from(elements) * p.ln() / (LN_2 * LN_2)).ceil();
        if bits > BITS_MAX as f64 {
            return None;
        }
        let hashes = (LN_2 * bits / f64::from(elements)).ceil();
        Some(Shape { bits: (bits as u64).max(1), hashes: (hashes as u32).max(1), scheme })
    }

    /// Words of 64 bits that a filter has.
    #[must_use]
    pub fn words(&self) -> usize {
        usize::try_from(self.bits.div_ceil(64)).unwrap_or(0)
    }

    /// The bits of an element.
    fn each_bit(&self, element: &[u8], mut each: impl FnMut(u64)) {
        match self.scheme {
            Scheme::Default => hash::five(element, self.hashes, |hash| each(hash % self.bits)),
            Scheme::Optimal => {
                let (first, step) = hash::pair(element);
                for number in 0..u64::from(self.hashes) {
                    each(first.wrapping_add(number.wrapping_mul(step)) % self.bits);
                }
            }
        }
    }
}

/// A set that says "certainly not" or "probably".
#[derive(Debug)]
pub struct Filter {
    shape: Shape,
    words: Box<[AtomicU64]>,
}

impl Filter {
    /// An empty one.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Filter { shape, words: (0..shape.words()).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds an element.
    pub fn add(&self, element: &[u8]) {
        self.shape.each_bit(element, |bit| {
            if let Some(word) = self.word(bit) {
                word.fetch_or(1 << (bit % 64), Ordering::Release);
            }
        });
    }

    /// Whether an element was probably added.
    #[must_use]
    pub fn contains(&self, element: &[u8]) -> bool {
        let mut all = true;
        self.shape.each_bit(element, |bit| {
            let word = self.word(bit).map_or(0, |word| word.load(Ordering::Acquire));
            all &= word >> (bit % 64) & 1 == 1;
        });
        all
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for word in &self.words {
            word.store(0, Ordering::Release);
        }
    }

    /// Adds what another one has, as words.
    pub(super) fn merge(&self, words: impl Iterator<Item = u64>) {
        for (to, from) in self.words.iter().zip(words) {
            to.fetch_or(from, Ordering::Release);
        }
    }

    /// The words.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.words.iter().map(|word| word.load(Ordering::Acquire))
    }

    fn word(&self, bit: u64) -> Option<&AtomicU64> {
        self.words.get(usize::try_from(bit / 64).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_from_the_number_and_the_probability() {
        let shape = Shape::new(1000, 0.01, Scheme::Optimal).unwrap();
        assert_eq!((shape.bits, shape.hashes), (9586, 7));
        let shape = Shape::new(10_000_000, 1e-7, Scheme::Optimal).unwrap();
        assert_eq!((shape.bits, shape.hashes), (335_477_044, 24));
        for (elements, p) in [(0, 0.1), (1, 0.0), (1, 1.0), (1, f64::NAN), (u32::MAX, 1e-9)] {
            assert_eq!(Shape::new(elements, p, Scheme::Optimal), None, "{elements} {p}");
        }
    }

    #[test]
    fn what_was_added_is_there_and_others_seldom_are() {
        for (scheme, wrong_max) in [(Scheme::Optimal, 30), (Scheme::Default, 30)] {
            let filter = Filter::new(Shape::new(1000, 0.01, scheme).unwrap());
            for number in 0..1000 {
                filter.add(format!("jti-{number}").as_bytes());
            }
            for number in 0..1000 {
                assert!(filter.contains(format!("jti-{number}").as_bytes()));
            }
            let is_wrong = |n: &u32| filter.contains(format!("sub-{n}").as_bytes());
            let wrong = (0..1000).filter(is_wrong).count();
            assert!(wrong <= wrong_max, "{scheme:?}: {wrong}");
            filter.clear();
            assert!(!filter.contains(b"jti-1"));
        }
    }
}
