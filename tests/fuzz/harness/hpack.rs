//! HPACK: bounded by the sizes of table and list, the same when written anew, and Huffman codes are
//! canonical.

use otus::protocol::h2::hpack::decode::Decoder;
use otus::protocol::h2::hpack::encode;
use otus::protocol::h2::hpack::fields::Fields;
use otus::protocol::h2::hpack::huffman;

use super::cuts;

const TABLES: [u32; 4] = [4096, 0, 64, 65_536];
const LISTS: [u32; 2] = [65_536, 200];

/// The first byte chooses the bounds; blocks follow, each behind its length in one byte.
pub fn run(data: &[u8]) {
    let (mode, mut rest) = cuts::choice(data, 8);
    canonical(rest);
    let (limit, list_max) = (TABLES[mode % 4], LISTS[mode / 4]);
    let mut decoder = Decoder::new(limit);
    let mut fields = Fields::new(list_max);
    while let Some((len, tail)) = rest.split_first() {
        let (block, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        let result = decoder.decode(block, &mut fields);
        let table = decoder.table();
        table.check();
        assert!(table.size() <= table.size_max());
        assert!(table.size_max() <= usize::try_from(limit).unwrap());
        assert!(fields.size() <= usize::try_from(list_max).unwrap());
        let sum: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        assert_eq!(fields.size(), sum);
        if result.is_err() {
            return; // The connection is over.
        }
        if !fields.is_too_large() {
            rewritten(&fields);
        }
    }
}

fn rewritten(fields: &Fields) {
    for write in [encode::field, encode::field_compact, encode::field_sensitive] {
        let mut block = Vec::new();
        fields.iter().for_each(|(name, value)| write(&mut block, name, value));
        let mut decoder = Decoder::new(0);
        let mut again = Fields::new(u32::MAX);
        assert_eq!(decoder.decode(&block, &mut again), Ok(()));
        assert!(again.iter().eq(fields.iter()), "written anew");
    }
}

/// A text has one code, and a code one text.
fn canonical(data: &[u8]) {
    let mut text = Vec::new();
    if huffman::decode(data, &mut text).is_ok() {
        let mut code = Vec::new();
        huffman::encode(&text, &mut code);
        assert_eq!(code, data);
    }
    let (mut code, mut text) = (Vec::new(), Vec::new());
    huffman::encode(data, &mut code);
    assert_eq!(code.len(), huffman::encoded_len(data));
    assert_eq!(huffman::decode(&code, &mut text), Ok(()));
    assert_eq!(text, data);
}
