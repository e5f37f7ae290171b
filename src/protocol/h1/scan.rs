//! How far a run of allowed bytes goes, eight bytes at a time.

use crate::message::target::is_target_byte;
use crate::message::token::{is_token_byte, is_value_byte};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Bytes at the start of `bytes` that are `tchar`.
#[inline]
pub(super) fn token_len(bytes: &[u8]) -> usize {
    run_len(bytes, unusual, is_token_byte)
}

/// Bytes at the start of `bytes` that may be part of a field value.
#[inline]
pub(super) fn value_len(bytes: &[u8]) -> usize {
    let suspect = |word| below(word, b' ') | equal(word, 0x7f);
    // Most values are short, and end within the first words.
    let head = bytes.first_chunk::<32>().map_or(bytes, <[u8; 32]>::as_slice);
    let mut at = run_len(head, suspect, is_value_byte);
    if at < head.len() || head.len() == bytes.len() {
        return at;
    }
    // Most of a long value is plain; the compiler asks thirty-two such bytes at once.
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        let odd = |byte: u8| u8::from(byte < b' ') | u8::from(byte == 0x7f);
        if chunk.iter().fold(0, |any, byte| any | odd(*byte)) != 0 {
            break;
        }
        at += 32;
    }
    at + run_len(bytes.get(at..).unwrap_or_default(), suspect, is_value_byte)
}

/// Bytes at the start of `bytes` that may be part of a target.
#[inline]
pub(super) fn target_len(bytes: &[u8]) -> usize {
    let suspect = |word| below(word, b'!') | equal(word, 0x7f) | equal(word, b'#') | (word & HIGH);
    run_len(bytes, suspect, is_target_byte)
}

/// Bytes at the start of `bytes` for which `allowed` holds. `suspect` sets the highest bit of bytes
/// that need a closer look; up to and with the first one, it sets no other bit and leaves out no
/// byte that is not allowed.
#[inline]
fn run_len(bytes: &[u8], suspect: impl Fn(u64) -> u64, allowed: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let marks = suspect(u64::from_le_bytes(*chunk));
        if marks == 0 {
            at += 8;
            continue;
        }
        let index = usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0);
        match chunk.get(index) {
            Some(byte) if allowed(*byte) => at += index + 1,
            _ => return at + index,
        }
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !allowed(*byte)).unwrap_or(rest.len())
}

/// Marks the bytes of `word` below `limit`, which is at most 128. Marks above the lowest one may be
/// wrong, because the subtraction borrows.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH
}

/// Marks the bytes of `word` equal to `byte`; as exact as [`below`].
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Marks the bytes of `word` that are no letter, digit or hyphen, which is what names consist of.
/// Exact: with the high bits gone, no sum carries into the next byte.
#[inline]
fn unusual(word: u64) -> u64 {
    let low = word & !HIGH;
    // A byte below 128 that is at least `limit` gets its high bit when 128 - limit is added.
    let from = |word: u64, limit: u8| word + ONES * u64::from(128 - limit);
    let folded = low | (ONES * 0x20);
    let letter = from(folded, b'a') & !from(folded, b'z' + 1);
    let digit = from(low, b'0') & !from(low, b'9' + 1);
    let hyphen = !from(low ^ (ONES * u64::from(b'-')), 1);
    (!(letter | digit | hyphen) | word) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    /// Each byte at each place of texts up to 36 bytes, with each kind of neighbour.
    #[test]
    fn chunks_and_bytes_agree() {
        for fill in [b'a', b'~', b'!', b'\t', 0x80, 0xff] {
            for len in (0..36).step_by(5) {
                for at in 0..len {
                    for byte in 0..=255 {
                        let mut text = vec![fill; len];
                        text[at] = byte;
                        check(&text);
                    }
                }
            }
        }
    }

    #[test]
    fn chunks_and_bytes_agree_on_chance() {
        let mut prng = Prng::new(3);
        for _ in 0..20_000 {
            let mut text = vec![0; usize::try_from(prng.below(40)).unwrap()];
            prng.fill(&mut text);
            for byte in &mut text {
                // Mostly borders, where mistakes would be.
                if prng.below(4) > 0 {
                    let near = [b'\t', b' ', 0x1f, b'!', b'#', 0x7e, 0x7f, 0x80, b'\r', b'a'];
                    *byte = near[usize::try_from(prng.below(10)).unwrap()];
                }
            }
            check(&text);
        }
    }

    #[track_caller]
    fn check(text: &[u8]) {
        let count =
            |allowed: fn(u8) -> bool| text.iter().take_while(|byte| allowed(**byte)).count();
        assert_eq!(value_len(text), count(is_value_byte), "{text:?}");
        assert_eq!(target_len(text), count(is_target_byte), "{text:?}");
        assert_eq!(token_len(text), count(is_token_byte), "{text:?}");
    }
}
