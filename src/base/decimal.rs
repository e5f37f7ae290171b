//! Numbers in decimal digits, without the machinery of `fmt`.

/// One more than what has eight digits.
const SHORT: u32 = 100_000_000;
/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// Appends the digits of a number.
#[inline]
pub fn push<N>(out: &mut Vec<u8>, number: N)
where
    N: itoa::Integer + Copy + TryInto<u8> + TryInto<u32>,
{
    // Flags and counts, most of the time: no digits have to be found, and none copied.
    match TryInto::<u8>::try_into(number) {
        Ok(digit @ 0..=9) => out.push(b'0' + digit),
        _ => push_several(out, number),
    }
}

fn push_several<N>(out: &mut Vec<u8>, number: N)
where
    N: itoa::Integer + TryInto<u32> + Copy,
{
    if let Ok(short @ 0..SHORT) = TryInto::<u32>::try_into(number) {
        return Digits::short(short).push(out);
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The digits of a number, found once to be written several times.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    /// What is behind the digits has no meaning.
    text: [u8; DIGITS_MAX],
    count: usize,
}

impl Digits {
    /// Those of this number.
    #[inline]
    #[must_use]
    pub fn new(number: u64) -> Self {
        match u32::try_from(number) {
            Ok(short @ 0..SHORT) => Digits::short(short),
            _ => Digits::long(number),
        }
    }

    /// Appends them. All of the text is copied, since its length is known to the compiler, and what
    /// is behind the digits is cut off.
    #[inline]
    pub fn push(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.count;
        out.extend_from_slice(&self.text);
        out.truncate(end);
    }

    /// Those of a number below [`SHORT`]. All are found at once: the word is two numbers of four
    /// digits, then four of two, then eight of one, the first in the lowest byte. Nothing is
    /// carried from one to the next.
    #[inline]
    fn short(number: u32) -> Self {
        let number = u64::from(number);
        let fours = (number / 10_000) | ((number % 10_000) << 32);
        // Times 10,486 / 2^20 is a division by 100, exact below 10,000.
        let hundreds = (fours.wrapping_mul(10_486) >> 20) & 0x007f_0000_007f;
        let twos = hundreds | (fours.wrapping_sub(hundreds.wrapping_mul(100)) << 16);
        // Times 103 / 2^10 is a division by 10, exact below 100.
        let tens = (twos.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
        let ones = tens | (twos.wrapping_sub(tens.wrapping_mul(10)) << 8);
        // The last digit is written whatever it is.
        let zeros = (ones | (1 << 56)).trailing_zeros() / 8;
        let word = (ones | 0x3030_3030_3030_3030).wrapping_shr(8 * zeros);
        let mut text = [0; DIGITS_MAX];
        if let Some(first) = text.first_chunk_mut() {
            *first = word.to_le_bytes();
        }
        Digits { text, count: usize::try_from(8 - zeros).unwrap_or(0) }
    }

    #[cold]
    fn long(number: u64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number).as_bytes();
        let mut text = [0; DIGITS_MAX];
        for (to, from) in text.iter_mut().zip(digits) {
            *to = *from;
        }
        Digits { text, count: digits.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 99, 100, 12_345, 1_000_000, u64::MAX] {
            let mut out = b"a".to_vec();
            push(&mut out, number);
            assert_eq!(out, format!("a{number}").into_bytes());
        }
        for number in [0, 1, 10_000, 5_000_000_000, i64::from(u32::MAX), -1, -10] {
            let mut out = Vec::new();
            push(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
        let mut out = Vec::new();
        push(&mut out, i64::MIN);
        assert_eq!(out, i64::MIN.to_string().into_bytes());
    }

    /// Every number of up to four digits in both halves of the word, and the ends of each length.
    #[test]
    fn digits_found_at_once_are_those_of_fmt() {
        let halves = (0..10_000).flat_map(|half| [half, half * 10_000, half * 10_001]);
        let ends = (1..9).flat_map(|power| [10_u32.pow(power) - 1, 10_u32.pow(power)]);
        for number in halves.chain(ends) {
            let mut out = b"a".to_vec();
            push(&mut out, number);
            assert_eq!(out, format!("a{number}").into_bytes());
            let digits = Digits::new(number.into());
            digits.push(&mut out);
            digits.push(&mut out);
            assert_eq!(out, format!("a{number}{number}{number}").into_bytes());
        }
        for number in [u64::from(u32::MAX), 99_999_999, 100_000_000, u64::MAX / 10, u64::MAX] {
            let mut out = Vec::new();
            Digits::new(number).push(&mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
