//! The Huffman code of RFC 7541 §5.2 and Appendix B.
//!
//! The code is canonical: among codes of one length, larger symbols have larger codes, and longer
//! codes are larger than shorter ones. So the lengths alone define it, and every table here is
//! computed from them when the program is compiled.

/// Why bytes are not text in this code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HuffmanError {
    /// The end-of-string symbol is inside (RFC 7541 §5.2: a decoding error).
    EndOfString,
    /// The last bits are more than seven, or not all ones.
    Padding,
}

/// Bits of each symbol's code; the last is the end of string (RFC 7541 Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The longest code, which is also that of the end of string.
const LENGTH_MAX: usize = 30;
/// Bits that one look-up takes: two letters of six, or any symbol of up to twelve.
const FAST_BITS: usize = 12;

/// One code for each symbol, right-aligned.
const CODES: [u32; 257] = codes();
/// Symbols in the order of their codes.
const SORTED: [u16; 257] = sorted();
/// For each length: the first code that is longer, left-aligned in 32 bits; and what to add to a
/// code of this length to have its place in `SORTED`.
const STEPS: [Step; LENGTH_MAX + 1] = steps();
/// By the first `FAST_BITS` bits: the one or two symbols that are wholly among them.
static FAST: [Fast; 1 << FAST_BITS] = fast();

#[derive(Clone, Copy)]
struct Step {
    limit: u64,
    place: i32,
}

#[derive(Clone, Copy)]
struct Fast {
    first: u8,
    second: u8,
    /// Bits of all symbols here.
    bits: u8,
    /// 0 where the first code is longer, 1 or 2.
    symbols: u8,
}

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
#[expect(clippy::cast_possible_truncation, reason = "symbols are below 257")]
const fn sorted() -> [u16; 257] {
    let mut out = [0; 257];
    let mut place = 0;
    let mut length = 1;
    while length <= LENGTH_MAX {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                out[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    out
}

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
const fn codes() -> [u32; 257] {
    let mut out = [0; 257];
    let mut code = 0;
    let mut length = 0;
    let mut place = 0;
    while place < 257 {
        let symbol = SORTED[place] as usize;
        code <<= LENGTHS[symbol] - length;
        length = LENGTHS[symbol];
        out[symbol] = code;
        code += 1;
        place += 1;
    }
    // A complete code: the last symbol has only ones.
    assert!(out[256] == (1 << LENGTH_MAX) - 1);
    out
}

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
#[expect(clippy::cast_possible_truncation, reason = "places are below 257")]
#[expect(clippy::cast_possible_wrap, reason = "codes have at most 30 bits")]
const fn steps() -> [Step; LENGTH_MAX + 1] {
    let mut out = [Step { limit: 0, place: 0 }; LENGTH_MAX + 1];
    let mut place = 0;
    let mut length = 1;
    while length <= LENGTH_MAX {
        out[length].limit = out[length - 1].limit;
        let mut first = true;
        while place < 257 && LENGTHS[SORTED[place] as usize] as usize == length {
            let code = CODES[SORTED[place] as usize];
            if first {
                out[length].place = place as i32 - code as i32;
                first = false;
            }
            out[length].limit = ((code as u64) + 1) << (32 - length);
            place += 1;
        }
        length += 1;
    }
    out
}

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
#[expect(clippy::cast_possible_truncation, reason = "short codes belong to symbols below 256")]
const fn fast() -> [Fast; 1 << FAST_BITS] {
    let mut out = [Fast { first: 0, second: 0, bits: 0, symbols: 0 }; 1 << FAST_BITS];
    let mut prefix = 0;
    while prefix < 1 << FAST_BITS {
        if let Some((first, bits)) = short(prefix, FAST_BITS) {
            out[prefix] = Fast { first: first as u8, second: 0, bits: bits as u8, symbols: 1 };
            let rest = FAST_BITS - bits;
            if let Some((second, more)) = short(prefix & ((1 << rest) - 1), rest) {
                out[prefix].second = second as u8;
                out[prefix].bits += more as u8;
                out[prefix].symbols = 2;
            }
        }
        prefix += 1;
    }
    out
}

/// The first symbol of `len` bits, if its code is no longer, and the length of that.
#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
const fn short(bits: usize, len: usize) -> Option<(u16, usize)> {
    let mut place = 0;
    while place < 257 {
        let symbol = SORTED[place];
        let length = LENGTHS[symbol as usize] as usize;
        if length > len {
            return None;
        }
        if bits >> (len - length) == CODES[symbol as usize] as usize {
            return Some((symbol, length));
        }
        place += 1;
    }
    None
}

/// Appends the text that `coded` stands for. At most 8/5 of its length.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), HuffmanError> {
    out.reserve(coded.len() * 8 / 5 + 1);
    // Left-aligned: the next bit is the highest. `have` of them came from the input.
    let mut bits: u64 = 0;
    let mut have: u32 = 0;
    let mut rest = coded;
    while let Some((word, tail)) = rest.split_first_chunk() {
        bits |= u64::from(u32::from_be_bytes(*word)) << (32 - have);
        have += 32;
        rest = tail;
        // A code has at most 30 bits, so each turn leaves fewer than 32.
        while have >= 32 {
            let fast = fast_at(bits);
            let used = if fast.symbols == 0 {
                let (symbol, used) = long(bits >> 32)?;
                out.push(symbol);
                used
            } else {
                // Both are written and one perhaps taken back: cheaper than a branch nobody can
                // guess.
                out.extend_from_slice(&[fast.first, fast.second]);
                out.truncate(out.len() - usize::from(2 - fast.symbols));
                u32::from(fast.bits)
            };
            bits <<= used;
            have -= used;
        }
    }
    for byte in rest {
        bits |= u64::from(*byte) << (56 - have);
        have += 8;
    }
    // The end: ones beyond the input complete the padding to the end of string.
    bits |= u64::MAX.checked_shr(have).unwrap_or(0);
    loop {
        // The usual end: fewer than eight bits of padding, all ones, which begin no short code.
        if have < 8 && bits == u64::MAX {
            return Ok(());
        }
        let fast = fast_at(bits);
        if fast.symbols == 2 && u32::from(fast.bits) <= have {
            out.extend_from_slice(&[fast.first, fast.second]);
            bits = (bits << fast.bits) | !(u64::MAX << fast.bits);
            have -= u32::from(fast.bits);
            continue;
        }
        match lookup(bits) {
            Ok((symbol, used)) if used <= have => {
                out.push(symbol);
                bits = (bits << used) | !(u64::MAX << used);
                have -= used;
            }
            // The end of string itself, in full.
            Err(error) if have >= 30 => return Err(error),
            Err(_) if have < 8 => return Ok(()),
            _ => return Err(HuffmanError::Padding),
        }
    }
}

/// The first symbol of left-aligned bits, and how many bits it has.
fn lookup(bits: u64) -> Result<(u8, u32), HuffmanError> {
    let fast = fast_at(bits);
    if fast.symbols == 0 {
        return long(bits >> 32);
    }
    Ok((fast.first, u32::from(code(fast.first).1)))
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "twelve bits index 4,096 places")]
fn fast_at(bits: u64) -> Fast {
    FAST[usize::try_from(bits >> (64 - FAST_BITS)).unwrap_or(0)]
}

/// A code longer than `FAST_BITS`, from 32 left-aligned bits.
fn long(top: u64) -> Result<(u8, u32), HuffmanError> {
    for (length, step) in (0u32..).zip(&STEPS).skip(FAST_BITS + 1) {
        if top < step.limit {
            let code = i32::try_from(top >> (32 - length)).unwrap_or(i32::MAX);
            let place = usize::try_from(code.saturating_add(step.place)).unwrap_or(256);
            let symbol = SORTED.get(place).copied().unwrap_or(256);
            // Only the end of string is no octet.
            let symbol = u8::try_from(symbol).map_err(|_| HuffmanError::EndOfString)?;
            return Ok((symbol, length));
        }
    }
    Err(HuffmanError::EndOfString)
}

/// Bytes that [`encode`] would append.
#[must_use]
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(code(*byte).1)).sum();
    bits.div_ceil(8)
}

/// Appends `text` in this code.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let mut bits: u64 = 0;
    let mut have: u32 = 0;
    for byte in text {
        let (code, length) = code(*byte);
        have += u32::from(length);
        bits |= u64::from(code) << (64 - have);
        // Whole bytes leave, so that at most 7 + 30 bits are held.
        while have >= 8 {
            let [first, ..] = bits.to_be_bytes();
            out.push(first);
            bits <<= 8;
            have -= 8;
        }
    }
    if have > 0 {
        let [first, ..] = (bits | (u64::MAX >> have)).to_be_bytes();
        out.push(first);
    }
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "an octet is below 257")]
fn code(byte: u8) -> (u32, u8) {
    let symbol = usize::from(byte);
    (CODES[symbol], LENGTHS[symbol])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_hold() {
        check(b"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff");
        check(b"no-cache", "a8eb10649cbf");
        check(b"custom-key", "25a849e95ba97d7f");
        check(b"custom-value", "25a849e95bb8e8b4bf");
        check(b"302", "6402");
        check(b"private", "aec3771a4b");
        check(b"Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff");
        check(b"https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3");
        check(b"", "");
    }

    #[test]
    fn codes_of_appendix_b_have_their_value() {
        for (symbol, code) in
            [(0, 0x1ff8), (10, 0x3fff_fffc), (48, 0), (64, 0x1ffa), (256, 0x3fff_ffff)]
        {
            assert_eq!(CODES[symbol], code, "{symbol}");
        }
        assert_eq!(CODES[249], 0xfff_fffe);
        assert_eq!(CODES[255], 0x3ff_ffee);
    }

    #[test]
    fn any_text_comes_back() {
        let mut prng = Prng::new(7);
        for turn in 0..2000 {
            let mut text = vec![0; usize::try_from(prng.below(40)).unwrap()];
            prng.fill(&mut text);
            if turn % 2 == 0 {
                for byte in &mut text {
                    *byte = b' ' + *byte % 95;
                }
            }
            let mut coded = Vec::new();
            encode(&text, &mut coded);
            assert_eq!(coded.len(), encoded_len(&text));
            let mut back = Vec::new();
            assert_eq!(decode(&coded, &mut back), Ok(()));
            assert_eq!(back, text);
        }
    }

    #[test]
    fn padding_is_short_and_all_ones() {
        refused(&[0xff], HuffmanError::Padding);
        refused(&[0x07, 0xff], HuffmanError::Padding); // '0', then eleven bits.
        refused(&[0x00], HuffmanError::Padding); // '0', then three zeros.
        refused(&[0x06], HuffmanError::Padding);
        check(b"0", "07");
    }

    #[test]
    fn the_end_of_string_is_refused() {
        refused(&[0xff, 0xff, 0xff, 0xff], HuffmanError::EndOfString);
        refused(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], HuffmanError::EndOfString);
        refused(&[0x07, 0xff, 0xff, 0xff, 0xff, 0xff], HuffmanError::EndOfString);
    }

    #[track_caller]
    fn refused(coded: &[u8], want: HuffmanError) {
        assert_eq!(decode(coded, &mut Vec::new()), Err(want), "{coded:x?}");
    }

    #[track_caller]
    fn check(text: &[u8], hex: &str) {
        let mut coded = Vec::new();
        encode(text, &mut coded);
        let digits =
            |byte: &u8| [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
        let seen: Vec<u8> = coded.iter().flat_map(digits).collect();
        assert_eq!(str::from_utf8(&seen), Ok(hex));
        let mut back = Vec::new();
        assert_eq!(decode(&coded, &mut back), Ok(()));
        assert_eq!(back, text);
    }
}
