//! Decoded fields of one header block: an arena that is used again for the next.

use super::table::ENTRY_OVERHEAD;
use crate::protocol::h2::frame::to_usize;

/// The fields of a head or of trailers, in the order in which they came.
///
/// Names and values stand one behind the other in one buffer. In steady state nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    list: Vec<Field>,
    /// Size as RFC 9113 §6.5.2 counts it, with 32 bytes for each field.
    size: usize,
    size_max: usize,
    too_large: bool,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: u32,
    value: u32,
    end: u32,
}

impl Fields {
    /// No fields, and room for a list of `size_max` bytes as RFC 9113 §6.5.2 counts them.
    #[must_use]
    pub fn new(size_max: u32) -> Self {
        Fields { size_max: to_usize(size_max), ..Fields::default() }
    }

    /// Forgets all fields, and keeps the memory unless it was unusually much.
    pub fn clear(&mut self) {
        const KEPT: usize = 16 * 1024;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.list.clear();
        self.size = 0;
        self.too_large = false;
    }

    /// Whether fields were left out because the list would have become too large.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// Number of fields, pseudo-header fields included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Size as RFC 9113 §6.5.2 counts it: bytes and 32 for each field.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// All fields as (name, value), pseudo-header fields first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.list.iter().map(|field| self.parts(*field))
    }

    /// All fields but the pseudo-header fields.
    pub fn regular(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter().filter(|(name, _)| name.first() != Some(&b':'))
    }

    /// The value of the first field with this name (in lower case).
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.0 == name).map(|field| field.1)
    }

    /// `:method` of a request.
    #[must_use]
    pub fn method(&self) -> Option<&[u8]> {
        self.get(b":method")
    }

    /// `:scheme` of a request.
    #[must_use]
    pub fn scheme(&self) -> Option<&[u8]> {
        self.get(b":scheme")
    }

    /// `:authority` of a request, or else its `host`.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.get(b":authority").or_else(|| self.get(b"host"))
    }

    /// `:path` of a request.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        self.get(b":path")
    }

    /// `:protocol` of an extended CONNECT (RFC 8441 §4).
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.get(b":protocol")
    }

    /// `:status` of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let value = self.get(b":status")?;
        let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else { return None };
        Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
    }

    /// Adds a field, or notes that there is no room for it.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        if !self.admit(name.len() + value.len()) {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.note(start, middle);
    }

    /// The arena, to decode a field into: name, then value. [`Fields::finish`] adds it.
    pub(super) fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes in the arena from `start`.
    pub(super) fn tail(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Adds what stands in the arena from `start`, the value from `middle`; or takes it out again
    /// if there is no room for it.
    pub(super) fn finish(&mut self, start: usize, middle: usize) {
        let len = self.bytes.len() - start;
        if self.admit(len) {
            self.note(start, middle);
        } else {
            self.bytes.truncate(start);
        }
    }

    fn admit(&mut self, bytes: usize) -> bool {
        let size = self.size + bytes + ENTRY_OVERHEAD;
        if self.too_large || size > self.size_max {
            self.too_large = true;
            return false;
        }
        self.size = size;
        true
    }

    fn note(&mut self, start: usize, middle: usize) {
        // `size_max` is a `u32`, so these cannot be too large.
        if let (Ok(name), Ok(value), Ok(end)) =
            (u32::try_from(start), u32::try_from(middle), u32::try_from(self.bytes.len()))
        {
            self.list.push(Field { name, value, end });
        }
    }

    fn parts(&self, field: Field) -> (&[u8], &[u8]) {
        let name = self.bytes.get(to_usize(field.name)..to_usize(field.value));
        let value = self.bytes.get(to_usize(field.value)..to_usize(field.end));
        (name.unwrap_or_default(), value.unwrap_or_default())
    }
}
