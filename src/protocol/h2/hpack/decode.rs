//! Header blocks to fields (RFC 7541 §3, §6).

use super::fields::Fields;
use super::huffman;
use super::table::{DynamicTable, STATIC, STATIC_ENTRIES};
use crate::protocol::h2::frame::to_usize;

/// Why a header block cannot be decoded. The connection cannot go on (RFC 9113 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The block ends inside a field.
    Truncated,
    /// A number of more than five octets, or beyond 2³² - 1 (RFC 7541 §5.1).
    IntegerTooLarge,
    /// An index that neither table has.
    Index,
    /// A text that is not in the Huffman code.
    Huffman,
    /// A size update after the first field (§4.2).
    SizeUpdateLate,
    /// A size update beyond what we allow (§6.3).
    SizeUpdateTooLarge,
    /// More than two size updates in a row: more than §4.2 ever needs.
    SizeUpdates,
}

/// The decoding half of a connection, with the table that the peer's encoder fills.
#[derive(Clone, Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// The largest table that the peer may choose.
    limit: u32,
}

impl Decoder {
    /// A decoder whose peer may use a table of `limit` bytes.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        // The peer starts with 4,096 bytes, whatever we allow it to grow to (RFC 9113 §6.5.2).
        Decoder { table: DynamicTable::new(limit.min(4096)), limit }
    }

    /// Changes the largest table that the peer may choose; call when it has acknowledged the
    /// setting.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
        if self.table.size_max() > to_usize(limit) {
            self.table.resize(limit);
        }
    }

    /// The dynamic table.
    #[must_use]
    pub fn table(&self) -> &DynamicTable {
        &self.table
    }

    /// Decodes a whole block into `fields`, which is emptied first.
    ///
    /// A list beyond the bound of `fields` is no error: the rest is decoded without being kept, so
    /// that the table stays in step, and [`Fields::is_too_large`] says so.
    pub fn decode(&mut self, block: &[u8], fields: &mut Fields) -> Result<(), DecodeError> {
        fields.clear();
        let mut input = block;
        let mut updates = 0;
        let mut begun = false;
        while let Some((first, _)) = input.split_first() {
            let first = *first;
            if first & 0x80 != 0 {
                let index = integer(&mut input, 7)?;
                let (name, value) = self.entry(index)?;
                fields.push(name, value);
            } else if first & 0xe0 == 0x20 {
                updates += 1;
                if begun {
                    return Err(DecodeError::SizeUpdateLate);
                }
                if updates > 2 {
                    return Err(DecodeError::SizeUpdates);
                }
                let size = integer(&mut input, 5)?;
                if size > self.limit {
                    return Err(DecodeError::SizeUpdateTooLarge);
                }
                self.table.resize(size);
                continue;
            } else {
                self.literal(&mut input, first, fields)?;
            }
            begun = true;
        }
        Ok(())
    }

    /// A literal field, with or without a place in the table (§6.2).
    fn literal(
        &mut self,
        input: &mut &[u8],
        first: u8,
        fields: &mut Fields,
    ) -> Result<(), DecodeError> {
        let remember = first & 0x40 != 0;
        let index = integer(input, if remember { 6 } else { 4 })?;
        let start = fields.arena().len();
        if index == 0 {
            text(input, fields.arena())?;
        } else {
            let (name, _) = self.entry(index)?;
            fields.arena().extend_from_slice(name);
        }
        let middle = fields.arena().len();
        text(input, fields.arena())?;
        if remember {
            let (name, value) = fields.tail(start).split_at(middle - start);
            self.table.insert(name, value);
        }
        fields.finish(start, middle);
        Ok(())
    }

    /// The entry at an index of the joint address space (§2.3.3).
    fn entry(&self, index: u32) -> Result<(&[u8], &[u8]), DecodeError> {
        let place = to_usize(index).checked_sub(1).ok_or(DecodeError::Index)?;
        match STATIC.get(place) {
            Some(entry) => Ok(*entry),
            None => self.table.get(place - STATIC_ENTRIES).ok_or(DecodeError::Index),
        }
    }
}

/// A number whose first octet holds it in its lowest `prefix` bits (§5.1). At most five octets
/// follow.
#[inline]
fn integer(input: &mut &[u8], prefix: u32) -> Result<u32, DecodeError> {
    let (first, mut rest) = input.split_first().ok_or(DecodeError::Truncated)?;
    let mask = 0xff_u8 >> (8 - prefix);
    let mut value = u64::from(first & mask);
    if value < u64::from(mask) {
        *input = rest;
        return Ok(u32::from(first & mask));
    }
    for shift in [0, 7, 14, 21, 28] {
        let (octet, tail) = rest.split_first().ok_or(DecodeError::Truncated)?;
        rest = tail;
        value += u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            *input = rest;
            return u32::try_from(value).map_err(|_| DecodeError::IntegerTooLarge);
        }
    }
    Err(DecodeError::IntegerTooLarge)
}

/// A text, plain or in the Huffman code (§5.2), appended to `out`.
#[inline]
fn text(input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let coded = input.first().is_some_and(|first| first & 0x80 != 0);
    let len = to_usize(integer(input, 7)?);
    let (text, rest) = input.split_at_checked(len).ok_or(DecodeError::Truncated)?;
    *input = rest;
    if coded {
        huffman::decode(text, out).map_err(|_| DecodeError::Huffman)
    } else {
        out.extend_from_slice(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
