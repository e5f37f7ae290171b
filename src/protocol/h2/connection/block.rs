//! A header block that was read, kept for the next: a service begins nearly all its answers with
//! the same few bytes, and ends them with others.

use crate::protocol::h2::head::{Facts, Malformed};
use crate::protocol::h2::hpack::decode::{DecodeError, Decoder};
use crate::protocol::h2::hpack::fields::Fields;

/// Longer blocks are not kept: such are seldom the same twice.
const KEPT: usize = 256;

/// The last block of a kind, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Block {
    fields: Fields,
    /// Its bytes, if they are kept. Those of a block that changed the table never are.
    bytes: Vec<u8>,
    /// The state of the table that the bytes were read with.
    changes: u64,
    facts: Option<Result<Facts, Malformed>>,
}

impl Block {
    /// No block yet. The fields of one may take so many bytes.
    pub(super) fn new(size_max: u32) -> Self {
        Block { fields: Fields::new(size_max), bytes: Vec::new(), changes: 0, facts: None }
    }

    /// Its fields.
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Reads a block, unless it is the same as the last, and would say the same.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder,
        bytes: &[u8],
    ) -> Result<(), DecodeError> {
        let changes = decoder.table().changes();
        if changes == self.changes && self.bytes == bytes && !bytes.is_empty() {
            return Ok(());
        }
        self.facts = None;
        self.bytes.clear();
        decoder.decode(bytes, &mut self.fields)?;
        if decoder.table().changes() == changes && bytes.len() <= KEPT {
            self.bytes.extend_from_slice(bytes);
            self.changes = changes;
        }
        Ok(())
    }

    /// What `check` finds out about the fields. It is the same for all blocks of a kind.
    pub(super) fn facts(
        &mut self,
        check: impl FnOnce(&Fields) -> Result<Facts, Malformed>,
    ) -> Result<Facts, Malformed> {
        *self.facts.get_or_insert_with(|| check(&self.fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(block: &Block) -> String {
        let field = |(name, value): (&[u8], &[u8])| {
            format!("{}={};", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        };
        block.fields().iter().map(field).collect()
    }

    /// A field with a name and a value of one letter each, which the table remembers.
    const A: &[u8] = b"\x40\x01a\x01b";
    const B: &[u8] = b"\x40\x01c\x01d";
    /// The newest entry of the table: index 62, indexed (RFC 7541 §6.1).
    const NEWEST: &[u8] = &[0xbe];

    #[test]
    fn the_same_bytes_mean_what_the_table_says_now() {
        let mut decoder = Decoder::new(4096);
        let mut block = Block::new(1000);
        let mut other = Block::new(1000);
        block.decode(&mut decoder, A).unwrap();
        for _ in 0..2 {
            block.decode(&mut decoder, NEWEST).unwrap();
            assert_eq!(text(&block), "a=b;");
        }
        other.decode(&mut decoder, B).unwrap();
        block.decode(&mut decoder, NEWEST).unwrap();
        assert_eq!(text(&block), "c=d;");
        // A smaller table has none of them.
        decoder.set_limit(0);
        assert_eq!(block.decode(&mut decoder, NEWEST), Err(DecodeError::Index));
        assert_eq!(block.decode(&mut decoder, NEWEST), Err(DecodeError::Index));
    }

    #[test]
    fn a_block_that_changes_the_table_does_so_each_time() {
        let mut decoder = Decoder::new(4096);
        let mut block = Block::new(1000);
        for count in 1..4 {
            block.decode(&mut decoder, A).unwrap();
            assert_eq!((text(&block).as_str(), decoder.table().len()), ("a=b;", count));
        }
    }

    #[test]
    fn nothing_is_not_what_came_before() {
        let mut decoder = Decoder::new(4096);
        let mut block = Block::new(1000);
        block.decode(&mut decoder, A).unwrap();
        block.decode(&mut decoder, b"").unwrap();
        assert_eq!(text(&block), "");
        let long = [0x88; KEPT + 1];
        block.decode(&mut decoder, &long).unwrap();
        assert!(block.bytes.is_empty());
    }

    #[test]
    fn facts_are_of_the_present_block() {
        let mut decoder = Decoder::new(4096);
        let mut block = Block::new(1000);
        let mut status = |bytes: &[u8], asked: &mut u32| {
            block.decode(&mut decoder, bytes).unwrap();
            let facts = block.facts(|fields| {
                *asked += 1;
                crate::protocol::h2::head::response(fields)
            });
            facts.map(|facts| facts.status)
        };
        let mut asked = 0;
        assert_eq!(status(&[0x88], &mut asked), Ok(200));
        assert_eq!(status(&[0x88], &mut asked), Ok(200));
        assert_eq!(asked, 1);
        assert_eq!(status(&[0x8d], &mut asked), Ok(404));
        assert_eq!(status(PLAIN, &mut asked), Err(Malformed::PseudoMissing));
        assert_eq!(asked, 3);
    }

    /// A field that is in no table: `x: y`.
    const PLAIN: &[u8] = b"\0\x01x\x01y";
}
