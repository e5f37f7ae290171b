//! A table from short texts to numbers, made once and then only read.
//!
//! The cost of a lookup does not depend on how much is in it. Only operators put texts in, so that
//! nobody can make them collide on purpose, and the hash needs no secret.

/// Texts in spaces: the same text in two spaces has two values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Names {
    /// Part of the hash, and one more than the index of the entry; zero: free. A power of two of
    /// them, at most half in use.
    slots: Vec<(u32, u32)>,
    entries: Vec<Entry>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    space: u32,
    start: u32,
    len: u32,
    value: u32,
}

impl Names {
    /// The value of a text in a space.
    #[inline]
    pub(super) fn get(&self, space: u32, text: &[u8]) -> Option<u32> {
        let hash = hash(space, text);
        let mut at = index(hash);
        let mask = self.slots.len().checked_sub(1)?;
        // Ends, because at most half of the slots are in use.
        loop {
            match self.slots.get(at & mask) {
                Some((tag, number)) if *number != 0 => {
                    if *tag == tag_of(hash)
                        && let Some(entry) = self.entry(*number)
                        && entry.space == space
                        && self.text_of(entry) == text
                    {
                        return Some(entry.value);
                    }
                }
                _ => return None,
            }
            at = at.wrapping_add(1);
        }
    }

    /// Adds a text that is not there yet.
    pub(super) fn insert(&mut self, space: u32, text: &[u8], value: u32) {
        let (start, len) = (narrow(self.text.len()), narrow(text.len()));
        self.text.extend_from_slice(text);
        self.entries.push(Entry { space, start, len, value });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            self.place(narrow(self.entries.len()));
        }
    }

    fn grow(&mut self) {
        let slots = (self.entries.len() * 4).next_power_of_two();
        self.slots = vec![(0, 0); slots];
        for number in 1..=narrow(self.entries.len()) {
            self.place(number);
        }
    }

    fn place(&mut self, number: u32) {
        let Some(entry) = self.entry(number) else { return };
        let hash = hash(entry.space, self.text_of(entry));
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = index(hash);
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if slot.1 == 0 {
                *slot = (tag_of(hash), number);
                return;
            }
            at = at.wrapping_add(1);
        }
    }

    #[inline]
    fn entry(&self, number: u32) -> Option<Entry> {
        self.entries.get(widen(number).wrapping_sub(1)).copied()
    }

    #[inline]
    fn text_of(&self, entry: Entry) -> &[u8] {
        let start = widen(entry.start);
        self.text.get(start..start + widen(entry.len)).unwrap_or_default()
    }
}

/// Multiplies and folds eight bytes at a time (in the manner of wyhash by Wang Yi; not the same).
#[inline]
fn hash(space: u32, text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |state: u64, word: u64| {
        let wide = u128::from(state ^ word).wrapping_mul(u128::from(FACTOR));
        let [low, high] = [wide, wide >> 64].map(|half| u64::try_from(half & LOW).unwrap_or(0));
        low ^ high
    };
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let mut state = fold(0x51_7c_c1_b7, u64::from(space) << 32 | length);
    let mut rest = text;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        state = fold(state, u64::from_le_bytes(*word));
        rest = tail;
    }
    let mut last = 0;
    for byte in rest {
        last = last << 8 | u64::from(*byte);
    }
    fold(state.rotate_left(23), last)
}

const LOW: u128 = (1 << 64) - 1;

#[inline]
fn index(hash: u64) -> usize {
    usize::try_from(hash).unwrap_or(usize::MAX)
}

/// Other bits of the hash than those that [`index`] uses in tables of less than 2³² slots.
#[inline]
fn tag_of(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[inline]
fn widen(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let mut names = Names::default();
        assert_eq!(names.get(0, b"a"), None);
        for n in 0..5000_u32 {
            names.insert(n % 3, format!("name-{n}").as_bytes(), n);
        }
        for n in 0..5000_u32 {
            let text = format!("name-{n}");
            assert_eq!(names.get(n % 3, text.as_bytes()), Some(n));
            assert_eq!(names.get(n % 3 + 1, text.as_bytes()), None);
        }
        assert_eq!(names.get(0, b"name-5001"), None);
        assert_eq!(names.get(0, b""), None);
    }

    #[test]
    fn texts_of_every_length_are_told_apart() {
        let mut names = Names::default();
        let zeros = [0; 40];
        for len in 0..=40_usize {
            names.insert(7, &zeros[..len], narrow(len));
        }
        for len in 0..=40_usize {
            assert_eq!(names.get(7, &zeros[..len]), Some(narrow(len)));
        }
    }
}
