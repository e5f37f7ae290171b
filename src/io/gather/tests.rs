use super::*;
use crate::io::buffer::BufferPool;

#[test]
fn a_gather_is_written_in_order_from_any_offset() {
    let pool = BufferPool::default();
    let mut payload = pool.large();
    payload.append(b"0123456789");
    let mut gather = Gather::new();
    gather.push(b"he");
    gather.push(b"ad");
    gather.set_payload(payload);
    gather.push_payload(0..4);
    gather.push(b"|");
    gather.push_payload(4..10);
    assert_eq!((gather.len(), gather.parts()), (15, 4));
    for skip in 0..=15 {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = gather.slices(skip, &mut slices);
        let all: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(all, b"head0123|456789"[skip..]);
    }
    assert!(gather.take_payload().is_some());
}

#[test]
fn a_write_is_cut_into_others() {
    let pool = BufferPool::default();
    let mut payload = pool.large();
    payload.append(b"0123456789");
    let mut whole = Gather::new();
    whole.push(b"ab");
    whole.set_payload(payload);
    whole.push_payload(2..6);
    whole.push(b"cd");
    whole.push_payload(8..10);
    let mut copy = Vec::new();
    whole.copy_to(&mut copy);
    assert_eq!(copy, b"ab2345cd89");
    let payload = whole.take_payload().unwrap();
    let mut cut = Gather::new();
    cut.set_payload(payload);
    for (skip, len) in [(0, 3), (3, 1), (4, 5), (9, 9)] {
        cut.push(b"|");
        cut.push_part_of(&whole, skip, len);
    }
    let mut copy = Vec::new();
    cut.copy_to(&mut copy);
    assert_eq!(copy, b"|ab2|3|45cd8|9");
}
