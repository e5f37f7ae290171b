//! gRPC: messages are the same however they are cut, base64 is what its other half writes, and
//! timeouts and frames of gRPC-Web are what they say.

use otus::protocol::base64;
use otus::protocol::grpc::frame::{FrameError, MessageDecoder, prefix};
use otus::protocol::grpc::web::{Answer, Coding, ContentType};
use otus::protocol::grpc::{status, timeout};

use super::cuts;

const MAX: usize = 100;

pub fn run(data: &[u8]) {
    let whole = messages(&[data]);
    for way in cuts::ways(data) {
        assert_eq!(messages(&way), whole, "in pieces");
    }
    assert_eq!(whole, plainly(data), "a simple reader");
    web(data);
    text(data);
    words(data);
}

/// Whole messages, whether the rest is nothing, and what is wrong.
type Messages = (Vec<Vec<u8>>, bool, Option<FrameError>);

fn messages(pieces: &[&[u8]]) -> Messages {
    let mut decoder = MessageDecoder::new(MAX);
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let fed = match decoder.feed(rest) {
                Ok(fed) => fed,
                Err(error) => return (found, false, Some(error)),
            };
            assert!(fed.consumed > 0 && fed.consumed <= rest.len());
            if fed.complete {
                found.push(decoder.message().to_vec());
            }
            rest = &rest[fed.consumed..];
        }
    }
    (found, decoder.is_between_messages(), None)
}

fn plainly(data: &[u8]) -> Messages {
    let (mut found, mut rest) = (Vec::new(), data);
    while let Some(flag) = rest.first() {
        match flag {
            0 => {}
            1 => return (found, false, Some(FrameError::Compressed)),
            _ => return (found, false, Some(FrameError::FlagUnknown)),
        }
        let Some(head) = rest.first_chunk::<5>() else { return (found, false, None) };
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let len = usize::try_from(len).unwrap();
        if len > MAX {
            return (found, false, Some(FrameError::TooLarge));
        }
        let Some(message) = rest.get(5..5 + len) else { return (found, false, None) };
        assert_eq!(prefix(u32::try_from(len).unwrap()), *head);
        found.push(message.to_vec());
        rest = &rest[5 + len..];
    }
    (found, true, None)
}

/// An answer as text is what its bytes are, and its size is what was foretold.
fn web(data: &[u8]) {
    let mut ends = Vec::new();
    for way in cuts::ways(data) {
        let (mut answer, mut out) = (Answer::new(Coding::Text), Vec::new());
        let mut looked = 0;
        for piece in way {
            if answer.look(piece).is_err() {
                break;
            }
            let want = out.len() + answer.size(piece.len(), false);
            answer.write(piece, &mut out);
            answer.flush(false, &mut out);
            assert_eq!(out.len(), want, "the size that was foretold");
            looked += piece.len();
        }
        answer.flush(true, &mut out);
        let (mut decoder, mut back) = (base64::Decoder::default(), Vec::new());
        assert_eq!(decoder.decode(&out, &mut back), Ok(()));
        assert!(decoder.is_whole());
        assert_eq!(back, &data[..looked]);
        ends.push((looked == data.len(), looked == data.len() && answer.is_between_frames()));
    }
    assert!(ends.windows(2).all(|two| two[0] == two[1]), "in pieces");
}

/// Base64 that is accepted is what its bytes are encoded to, group by group.
fn text(data: &[u8]) {
    let decode = |pieces: &[&[u8]]| {
        let (mut decoder, mut out) = (base64::Decoder::default(), Vec::new());
        let all = pieces.iter().try_for_each(|piece| decoder.decode(piece, &mut out));
        all.map(|()| (out, decoder.is_whole()))
    };
    let whole = decode(&[data]);
    for way in cuts::ways(data) {
        assert_eq!(decode(&way), whole, "in pieces");
    }
    let Ok((_, true)) = whole else { return };
    for group in data.chunks(4) {
        let (bytes, _) = decode(&[group]).expect("each group stands alone");
        let (mut encoder, mut out) = (base64::Encoder::default(), Vec::new());
        encoder.encode(&bytes, &mut out);
        encoder.end(&mut out);
        assert_eq!(out, group, "one text for each value");
    }
}

/// Values of fields.
fn words(data: &[u8]) {
    if let Some(time) = timeout::decode(data) {
        assert!(data.len() <= 9 && data[..data.len() - 1].iter().all(u8::is_ascii_digit));
        let written = timeout::encode(time);
        let again = timeout::decode(written.as_str().as_bytes()).expect("what we write we read");
        assert!(again >= time, "rounded up");
    }
    if let Some(kind) = ContentType::parse(data) {
        assert_eq!(ContentType::parse(&kind.name()), Some(kind));
    }
    let field: (&[u8], &[u8]) = (b"grpc-status", data);
    let told = status::trailers([field]);
    let number = str::from_utf8(data).ok().and_then(|text| text.parse::<u32>().ok());
    match number.filter(|number| number.to_string().as_bytes() == data) {
        Some(number) if number < 100 => assert_eq!(told, status::Status::from_code(number)),
        Some(_) => {}
        None => assert_ne!(told, status::Status::Ok, "what is no number is no success"),
    }
}
