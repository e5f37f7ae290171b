//! Fields to header blocks that any decoder understands at any time (RFC 7541 §6).
//!
//! Blocks refer to the static table only and ask the peer to remember nothing. So they can be
//! computed once, kept with a route, and sent on every connection in any order.

use super::huffman;
use super::table::{static_field, static_name};

/// Appends a field that stands in the static table, by its index from 1 to 61 (§6.1). One byte.
pub fn indexed(out: &mut Vec<u8>, index: u8) {
    debug_assert!((1..=61).contains(&index));
    out.push(0x80 | index);
}

/// Appends a field in the shortest way that needs no dynamic table, its text plain (§6.1, §6.2.2).
/// The name must be in lower case.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match static_field(name, value) {
        Some(index) => indexed(out, index),
        None => literal(out, 0x00, name, value, false),
    }
}

/// As [`field`], with texts in the Huffman code where that is shorter. Slower; for what is computed
/// once.
pub fn field_compact(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match static_field(name, value) {
        Some(index) => indexed(out, index),
        None => literal(out, 0x00, name, value, true),
    }
}

/// Appends a field that no intermediary may put into a table: credentials (§6.2.3, §7.1.3).
pub fn field_sensitive(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    literal(out, 0x10, name, value, false);
}

/// Appends `:status`.
pub fn status(out: &mut Vec<u8>, status: u16) {
    debug_assert!((100..=999).contains(&status));
    match status {
        200 => indexed(out, 8),
        204 => indexed(out, 9),
        206 => indexed(out, 10),
        304 => indexed(out, 11),
        400 => indexed(out, 12),
        404 => indexed(out, 13),
        500 => indexed(out, 14),
        _ => {
            let digit = |n: u16| u8::try_from(n % 10).map_or(b'0', |digit| b'0' + digit);
            let digits = [digit(status / 100), digit(status / 10), digit(status)];
            literal(out, 0x00, b":status", &digits, false);
        }
    }
}

/// Appends an update that sets the dynamic table's size to zero (§6.3). One byte, at the start of a
/// block only.
pub fn no_table(out: &mut Vec<u8>) {
    out.push(0x20);
}

fn literal(out: &mut Vec<u8>, pattern: u8, name: &[u8], value: &[u8], compact: bool) {
    if let Some(index) = static_name(name) {
        integer(out, pattern, 4, usize::from(index));
    } else {
        out.push(pattern);
        text(out, name, compact);
    }
    text(out, value, compact);
}

fn text(out: &mut Vec<u8>, text: &[u8], compact: bool) {
    if compact {
        let len = huffman::encoded_len(text);
        if len < text.len() {
            integer(out, 0x80, 7, len);
            huffman::encode(text, out);
            return;
        }
    }
    integer(out, 0x00, 7, text.len());
    out.extend_from_slice(text);
}

/// A number in the lowest `prefix` bits of an octet and, if need be, those that follow (§5.1).
fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let mask = 0xff_u8 >> (8 - prefix);
    match u8::try_from(value) {
        Ok(small) if small < mask => out.push(pattern | small),
        _ => {
            out.push(pattern | mask);
            let mut rest = value - usize::from(mask);
            loop {
                let low = u8::try_from(rest & 0x7f).unwrap_or(0);
                rest >>= 7;
                if rest == 0 {
                    out.push(low);
                    return;
                }
                out.push(low | 0x80);
            }
        }
    }
}

/// A header block in the making, for those who have no buffer of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    bytes: Vec<u8>,
}

impl Block {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Block::default()
    }

    /// Adds a field; see [`field`].
    #[must_use]
    pub fn field(mut self, name: &[u8], value: &[u8]) -> Self {
        field(&mut self.bytes, name, value);
        self
    }

    /// Adds a field with its texts as short as can be; see [`field_compact`].
    #[must_use]
    pub fn compact(mut self, name: &[u8], value: &[u8]) -> Self {
        field_compact(&mut self.bytes, name, value);
        self
    }

    /// Adds a field with a credential; see [`field_sensitive`].
    #[must_use]
    pub fn sensitive(mut self, name: &[u8], value: &[u8]) -> Self {
        field_sensitive(&mut self.bytes, name, value);
        self
    }

    /// Adds `:status`; see [`status`].
    #[must_use]
    pub fn status(mut self, code: u16) -> Self {
        status(&mut self.bytes, code);
        self
    }

    /// The block.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The block, to be kept or appended to with the functions of this module.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_takes_the_shortest_form_without_a_table() {
        check(&Block::new().field(b":method", b"POST"), &[0x83]);
        check(&Block::new().field(b":scheme", b"http"), &[0x86]);
        check(&Block::new().field(b":path", b"/a"), b"\x04\x02/a");
        check(&Block::new().field(b"te", b"trailers"), b"\x00\x02te\x08trailers");
        check(&Block::new().field(b"content-type", b"a"), b"\x0f\x10\x01a");
        check(&Block::new().sensitive(b"authorization", b"x"), b"\x1f\x08\x01x");
        check(
            &Block::new().compact(b":authority", b"www.example.com"),
            b"\x01\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
        );
        check(&Block::new().status(200).status(418), b"\x88\x08\x03418");
    }

    #[test]
    fn numbers_are_written_as_in_rfc_7541_appendix_c_1() {
        let number = |prefix, value| {
            let mut out = Vec::new();
            integer(&mut out, 0, prefix, value);
            out
        };
        assert_eq!(number(5, 10), [0x0a]);
        assert_eq!(number(5, 1337), [0x1f, 0x9a, 0x0a]);
        assert_eq!(number(7, 42), [0x2a]);
        assert_eq!(number(7, 127), [0x7f, 0x00]);
        assert_eq!(number(7, 254), [0x7f, 0x7f]);
        assert_eq!(number(7, 255), [0x7f, 0x80, 0x01]);
    }

    #[track_caller]
    fn check(block: &Block, want: &[u8]) {
        assert_eq!(block.as_slice(), want);
    }
}
