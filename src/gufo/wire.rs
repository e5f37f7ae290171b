//! Protobuf's wire format, as far as the Reverse protocol needs it: exact lengths first, then one
//! pass of writing; reading without copies.

/// A varint.
const VARINT: u64 = 0;
/// Eight bytes.
const FIXED64: u64 = 1;
/// A length, then so many bytes.
const LEN: u64 = 2;
/// Four bytes.
const FIXED32: u64 = 5;

/// Bytes that `value` takes as a varint: 1 to 10.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits a byte; zero takes one as well. 9/64 is 1/7 for all widths up to 64 (rounded).
    let bits = 64 - (value | 1).leading_zeros();
    let bytes = (bits * 9 + 64) / 64;
    // At most 10; `usize::from` is not const.
    #[expect(clippy::as_conversions, reason = "1 to 10 fits every usize")]
    {
        bytes as usize
    }
}

/// Writes `value` as a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let [low, ..] = value.to_le_bytes();
    let [high, ..] = (value >> 7).to_le_bytes();
    match value {
        0..=0x7f => out.push(low),
        // Texts of some length, and the keys of fields beyond 15.
        0x80..=0x3fff => out.extend_from_slice(&[low | 0x80, high]),
        _ => put_long_varint(out, value),
    }
}

fn put_long_varint(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// A length as protobuf counts it.
#[must_use]
pub fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Bytes of a field `number` with `len` bytes of content.
#[inline]
#[must_use]
pub fn len_field_len(number: u32, len: usize) -> usize {
    if number < 16 && len < 0x80 {
        return len + 2; // Almost all: key and length are one byte each.
    }
    varint_len(u64::from(number) << 3) + varint_len(wide(len)) + len
}

/// Bytes of a field `number` that holds the varint `value`.
#[must_use]
pub const fn varint_field_len(number: u32, value: u64) -> usize {
    varint_len(key(number, VARINT)) + varint_len(value)
}

/// Writes what precedes the content of a field `number` of `len` bytes.
#[inline]
pub fn put_len_head(out: &mut Vec<u8>, number: u32, len: usize) {
    let key = key(number, LEN);
    match (u8::try_from(key), u8::try_from(len)) {
        // Both at once: almost all keys and lengths are one byte.
        (Ok(key @ 0..=0x7f), Ok(len @ 0..=0x7f)) => out.extend_from_slice(&[key, len]),
        _ => put_long_len_head(out, key, len),
    }
}

fn put_long_len_head(out: &mut Vec<u8>, key: u64, len: usize) {
    put_varint(out, key);
    put_varint(out, wide(len));
}

/// Writes a field of bytes or text.
#[inline]
pub fn put_len_field(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_len_head(out, number, content.len());
    out.extend_from_slice(content);
}

/// Writes a field that holds a varint.
#[inline]
pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, key(number, VARINT));
    put_varint(out, value);
}

/// An `int32` as a varint: negative numbers are sign-extended to 64 bits.
#[must_use]
pub const fn int32(value: i32) -> u64 {
    // `i64::from` is not const.
    #[expect(clippy::as_conversions, reason = "widening")]
    let wide = value as i64;
    wide.cast_unsigned()
}

/// The `int32` that a varint holds: its low 32 bits, as all decoders do.
#[must_use]
pub fn to_int32(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

#[expect(clippy::as_conversions, reason = "widening; u64::from is not const")]
const fn key(number: u32, wire_type: u64) -> u64 {
    ((number as u64) << 3) | wire_type
}

/// Why bytes are not a protobuf message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireError {
    /// They end within a field.
    Truncated,
    /// A varint of more than 64 bits.
    VarintTooLong,
    /// Field number 0, or one above 2²⁹ − 1.
    FieldNumber,
    /// A group or a wire type that does not exist.
    WireType,
    /// A `string` that is not UTF-8.
    NotUtf8,
    /// Values nested deeper than we follow.
    TooDeep,
}

/// What a field holds. Its type is known only to who knows the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// `int32`, `bool`, enums and the like.
    Varint(u64),
    /// `double` and the like, little-endian.
    Fixed64([u8; 8]),
    /// Bytes, text, or a message.
    Bytes(&'a [u8]),
    /// `float` and the like, little-endian.
    Fixed32([u8; 4]),
}

/// One field after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads the fields of `message`.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Reader { rest: message }
    }

    /// The next field's number and value; `None` at the end.
    ///
    /// # Errors
    /// See [`WireError`]. After an error the rest cannot be read.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        match self.rest {
            [] => return Ok(None),
            // Most fields are short texts with a small number.
            [key @ 0x08..=0x7f, len @ 0..=0x7f, rest @ ..] if u64::from(key & 7) == LEN => {
                let (bytes, rest) =
                    rest.split_at_checked(usize::from(*len)).ok_or(WireError::Truncated)?;
                self.rest = rest;
                return Ok(Some((u32::from(key >> 3), Value::Bytes(bytes))));
            }
            _ => {}
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| WireError::FieldNumber)?;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError::FieldNumber);
        }
        let value = match key & 7 {
            VARINT => Value::Varint(self.varint()?),
            FIXED64 => Value::Fixed64(self.array()?),
            LEN => {
                let len = self.varint()?;
                let len = usize::try_from(len).map_err(|_| WireError::Truncated)?;
                let (bytes, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            FIXED32 => Value::Fixed32(self.array()?),
            _ => return Err(WireError::WireType),
        };
        Ok(Some((number, value)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Almost all keys and lengths are one byte.
        if let [byte @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for at in 0..10u32 {
            let (byte, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
            self.rest = rest;
            if at == 9 && *byte > 1 {
                return Err(WireError::VarintTooLong);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::VarintTooLong)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn varints_take_as_many_bytes_as_said() {
        let mut values = vec![0, 1, u64::MAX];
        values.extend((0..64).flat_map(|bit| [1 << bit, (1u64 << bit).wrapping_sub(1)]));
        let mut prng = Prng::new(1);
        values.extend((0..1000u32).map(|n| prng.next_u64() >> (n % 64)));
        for value in values {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Ok(value));
            for cut in 0..out.len() {
                assert_eq!(Reader::new(&out[..cut]).varint(), Err(WireError::Truncated));
            }
        }
    }

    #[test]
    fn numbers_keep_their_sign() {
        for value in [0, 1, -1, i32::MIN, i32::MAX] {
            assert_eq!(to_int32(int32(value)), value);
        }
        assert_eq!(varint_len(int32(-1)), 10);
    }

    #[test]
    fn fields_are_read_by_their_wire_type() {
        let mut bytes = Vec::new();
        put_varint_field(&mut bytes, 3, 300);
        put_len_field(&mut bytes, 16, b"abc");
        bytes.extend_from_slice(b"\x21\x01\x02\x03\x04\x05\x06\x07\x08\x2d\x01\x02\x03\x04");
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.next_field(), Ok(Some((3, Value::Varint(300)))));
        assert_eq!(reader.next_field(), Ok(Some((16, Value::Bytes(b"abc")))));
        let eight = Value::Fixed64([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(reader.next_field(), Ok(Some((4, eight))));
        assert_eq!(reader.next_field(), Ok(Some((5, Value::Fixed32([1, 2, 3, 4])))));
        assert_eq!(reader.next_field(), Ok(None));
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        check(b"\x0a\x02a", WireError::Truncated);
        check(b"\x09\0", WireError::Truncated);
        check(b"\x08", WireError::Truncated);
        check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", WireError::Truncated);
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", WireError::VarintTooLong);
        check(b"\x02\0", WireError::FieldNumber);
        check(b"\x80\x80\x80\x80\x10\0", WireError::FieldNumber);
        check(b"\x0b", WireError::WireType);
        check(b"\x0c", WireError::WireType);
        check(b"\x0e", WireError::WireType);
        check(b"\x0f", WireError::WireType);
    }

    #[track_caller]
    fn check(bytes: &[u8], want: WireError) {
        assert_eq!(Reader::new(bytes).next_field(), Err(want));
    }
}
