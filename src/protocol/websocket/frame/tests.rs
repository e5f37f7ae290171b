use super::*;
use crate::base::prng::Prng;

/// A frame as a client sends it.
fn frame(fin: bool, opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, opcode, payload);
    out[0] = opcode | if fin { 0x80 } else { 0 };
    out[1] |= 0x80;
    let head = out.len() - payload.len();
    for (at, byte) in out[head..].iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    out.splice(head..head, mask);
    out
}

fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(true, opcode, payload, [1, 2, 3, 250])
}

/// All events with their payloads, up to a fault; fed in pieces of these sizes.
fn read(
    max: usize,
    bytes: &[u8],
    mut size: impl FnMut() -> usize,
) -> (Vec<(Event, Vec<u8>)>, Option<Fault>) {
    let (mut decoder, mut events) = (Decoder::new(max), Vec::new());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(size().clamp(1, rest.len()));
        rest = after;
        while !piece.is_empty() {
            match decoder.feed(piece) {
                Ok(fed) => {
                    assert!(fed.consumed > 0, "each call takes something");
                    piece = &piece[fed.consumed..];
                    events.extend(fed.event.map(|event| (event, decoder.payload().to_vec())));
                }
                Err(fault) => return (events, Some(fault)),
            }
        }
    }
    (events, None)
}

fn whole(bytes: &[u8]) -> (Vec<(Event, Vec<u8>)>, Option<Fault>) {
    read(1 << 20, bytes, || usize::MAX)
}

#[test]
fn the_examples_of_the_rfc_are_read_and_written() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let (events, fault) = whole(&hello);
    assert_eq!((events, fault), (vec![(Event::Message(Kind::Text), b"Hello".to_vec())], None));
    let mut out = Vec::new();
    put_message(&mut out, Kind::Text, b"Hello");
    assert_eq!(out, b"\x81\x05Hello");
    out.clear();
    put_message(&mut out, Kind::Binary, &[7; 256]);
    assert_eq!(out[..4], [0x82, 0x7e, 1, 0]);
    out.clear();
    put_message(&mut out, Kind::Binary, &vec![7; 65_536]);
    assert_eq!(out[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    out.clear();
    put_close(&mut out, Some(code::NORMAL));
    put_close(&mut out, None);
    put_pong(&mut out, b"x");
    assert_eq!(out, b"\x88\x02\x03\xe8\x88\x00\x8a\x01x");
}

#[test]
fn control_frames_may_stand_between_the_parts_of_a_message() {
    let bytes = [
        frame(false, 1, "ä".as_bytes().split_at(1).0, [9, 8, 7, 6]),
        masked(9, b"are you there"),
        frame(false, 0, &"ä".as_bytes()[1..], [0; 4]),
        masked(10, b""),
        frame(true, 0, b"!", [5; 4]),
        masked(8, b"\x03\xe9bye"),
    ];
    let (events, fault) = whole(&bytes.concat());
    let want = [
        (Event::Ping, b"are you there".to_vec()),
        (Event::Pong, Vec::new()),
        (Event::Message(Kind::Text), "ä!".as_bytes().to_vec()),
        (Event::Close(Some(1001)), b"bye".to_vec()),
    ];
    assert_eq!((events, fault), (want.to_vec(), None));
}

#[test]
fn what_a_client_may_not_send_is_a_fault() {
    let long = |len: u8, rest: &[u8]| [&[0x82, 0x80 | len], rest, &[0; 4]].concat();
    for (bytes, fault) in [
        (b"\x81\x05Hello".to_vec(), Fault::Protocol),
        (masked(3, b""), Fault::Protocol),
        (masked(11, b""), Fault::Protocol),
        (vec![0xc1, 0x80], Fault::Protocol),
        (masked(0, b"no message has begun"), Fault::Protocol),
        ([frame(false, 1, b"a", [0; 4]), masked(1, b"b")].concat(), Fault::Protocol),
        (frame(false, 9, b"", [0; 4]), Fault::Protocol),
        (masked(9, &[0; 126]), Fault::Protocol),
        (long(126, &[0, 125]), Fault::Protocol),
        (long(127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]), Fault::Protocol),
        (long(127, &[0x80, 0, 0, 0, 0, 0, 0, 0]), Fault::Protocol),
        (long(127, &[0x7f, 255, 255, 255, 255, 255, 255, 255]), Fault::TooLarge),
        (masked(8, b"\x03"), Fault::Protocol),
        (masked(8, b"\x03\xed"), Fault::Protocol),
        (masked(8, b"\x03\xe7"), Fault::Protocol),
        (masked(8, b"\x03\xe8\xff"), Fault::NotUtf8),
        (masked(1, b"\xc3"), Fault::NotUtf8),
    ] {
        assert_eq!(whole(&bytes), (Vec::new(), Some(fault)), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_message_is_as_long_as_the_bound_and_no_longer() {
    let parts = |last: usize| {
        [frame(false, 2, &[1; 60], [3; 4]), frame(true, 0, &vec![2; last], [4; 4])].concat()
    };
    let (events, fault) = read(100, &parts(40), || 7);
    assert_eq!((events.len(), fault), (1, None));
    assert_eq!(events[0].1.len(), 100);
    // The head is enough to know it.
    let bytes = parts(41);
    let (events, fault) = read(100, &bytes[..bytes.len() - 41], || 1);
    assert_eq!((events, fault), (Vec::new(), Some(Fault::TooLarge)));
    // The bound is for each message.
    let (events, fault) = read(100, &parts(40).repeat(3), || 50);
    assert_eq!((events.len(), fault), (3, None));
}

#[test]
fn nothing_is_read_behind_a_close() {
    let bytes = [masked(8, b""), b"anything".to_vec()].concat();
    assert_eq!(whole(&bytes), (vec![(Event::Close(None), Vec::new())], None));
}

#[test]
fn the_cuts_between_reads_change_nothing() {
    let mut prng = Prng::new(7);
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..6 {
            let mut mask = [0; 4];
            mask.fill_with(|| prng.next_u64().to_le_bytes()[0]);
            let len = usize::try_from(prng.next_u64() % 200).unwrap();
            let fin = !prng.next_u64().is_multiple_of(3);
            let opcode = [0, 1, 2, 2, 2, 9, 10][usize::try_from(prng.next_u64() % 7).unwrap()];
            let payload: Vec<u8> =
                (0..len).map(|_| u8::try_from(prng.next_u64() % 127).unwrap()).collect();
            bytes.extend(frame(fin || opcode > 8, opcode, &payload, mask));
        }
        let want = read(300, &bytes, || usize::MAX);
        for most in [1, 2, 5, 64] {
            let got = read(300, &bytes, || usize::try_from(prng.next_u64() % most + 1).unwrap());
            assert_eq!(got, want);
        }
    }
}

#[test]
fn bytes_of_any_kind_end_in_events_or_a_fault() {
    let mut prng = Prng::new(11);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..64).map(|_| prng.next_u64().to_le_bytes()[0]).collect();
        let want = read(64, &bytes, || usize::MAX);
        assert_eq!(read(64, &bytes, || 1), want);
    }
}
