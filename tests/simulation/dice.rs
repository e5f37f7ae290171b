//! Draws from a seed, in the shapes that scenarios need.

use std::time::Duration;

use otus::base::prng::Prng;

/// A generator with convenient draws.
pub struct Dice {
    prng: Prng,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice { prng: Prng::new(seed) }
    }

    /// A generator of its own, which does not disturb this one however often it is used.
    pub fn fork(&mut self) -> Dice {
        Dice::new(self.prng.next_u64())
    }

    pub fn prng(&mut self) -> &mut Prng {
        &mut self.prng
    }

    /// True once in `times` draws.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.prng.one_in(times)
    }

    /// From `min` to `max`, each as likely.
    pub fn between(&mut self, min: u64, max: u64) -> u64 {
        min + self.prng.below(max.saturating_sub(min) + 1)
    }

    pub fn count(&mut self, min: usize, max: usize) -> usize {
        size(self.between(number(min), number(max)))
    }

    /// From 0 to `max`; small numbers are as likely as large ones.
    pub fn log(&mut self, max: usize) -> usize {
        if self.one_in(12) {
            return 0;
        }
        let octave = self.between(0, u64::from(max.max(1).ilog2()));
        let base = 1_usize << octave;
        (base + size(self.prng.below(number(base)))).min(max)
    }

    pub fn millis(&mut self, min: u64, max: u64) -> Duration {
        Duration::from_millis(self.between(min, max))
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[size(self.prng.below(number(of.len())))]
    }
}

/// A length as a number.
pub fn number(len: usize) -> u64 {
    u64::try_from(len).unwrap()
}

/// A number as a length.
pub fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// A number that differs with every byte of a text (FNV-1a).
pub fn hash(text: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    text.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
