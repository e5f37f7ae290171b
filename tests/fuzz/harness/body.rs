//! Bodies: the same payload however they are cut, and the payload that a second, simple reader
//! finds.

use otus::message::framing::Framing;
use otus::protocol::h1::body::{BodyDecoder, BodyError, BodyEvent};
use otus::protocol::h1::encode;

use super::cuts;

/// Payload that is allowed.
const MAX: [u64; 4] = [u64::MAX, 1 << 20, 64, 5];

/// What became of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Read {
    payload: Vec<u8>,
    /// Bytes up to the end of the body, if it has one.
    end: Option<usize>,
    trailers: Vec<u8>,
    error: Option<BodyError>,
}

/// The first byte chooses the framing and the bound.
pub fn run(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 16);
    let max = MAX[mode % 4];
    let framing = match mode / 4 {
        0 | 1 => Framing::Chunked,
        2 => Framing::Length(u64::try_from(data.len() / 2).unwrap()),
        _ => Framing::UntilClose,
    };
    let whole = read(framing, max, &[data]);
    for way in cuts::ways(data) {
        assert_same(&read(framing, max, &way), &whole, framing);
    }
    assert!(u64::try_from(whole.payload.len()).unwrap() <= max);
    match framing {
        Framing::Chunked => chunked(data, &whole),
        Framing::Length(len) if len <= max => {
            let len = usize::try_from(len).unwrap();
            assert_eq!((&whole.payload[..], whole.end), (&data[..len], Some(len)));
        }
        Framing::Length(_) => assert_eq!(whole.error, Some(BodyError::TooLarge)),
        _ if whole.error.is_none() => assert_eq!((&whole.payload[..], whole.end), (data, None)),
        _ => assert_eq!(whole.error, Some(BodyError::TooLarge)),
    }
}

fn assert_same(got: &Read, want: &Read, framing: Framing) {
    if framing == Framing::UntilClose && want.error.is_some() {
        // What came before the byte that is too many may have been taken.
        assert_eq!(got.error, want.error);
    } else {
        assert_eq!(got, want, "in pieces");
    }
}

fn read(framing: Framing, max: u64, pieces: &[&[u8]]) -> Read {
    let mut decoder = BodyDecoder::new(framing, max);
    let mut read = Read { payload: Vec::new(), end: None, trailers: Vec::new(), error: None };
    let mut total = 0;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let step = match decoder.decode(rest) {
                Ok(step) => step,
                Err(error) => {
                    assert_eq!(decoder.decode(rest), Err(error), "an error repeats itself");
                    assert!(decoder.trailers().is_empty());
                    return Read { error: Some(error), ..read };
                }
            };
            assert!(step.consumed <= rest.len());
            total += step.consumed;
            match step.event {
                BodyEvent::Data { start, len } => {
                    assert!(len > 0 && start + len == step.consumed);
                    read.payload.extend_from_slice(&rest[start..start + len]);
                }
                BodyEvent::NeedMore => assert_eq!(step.consumed, rest.len()),
                BodyEvent::End => {
                    assert!(decoder.is_done());
                    assert_eq!(u64::try_from(read.payload.len()), Ok(decoder.payload()));
                    let trailers = decoder.trailers().to_vec();
                    return Read { end: Some(total), trailers, ..read };
                }
            }
            rest = &rest[step.consumed..];
            if step.event == BodyEvent::NeedMore {
                break;
            }
        }
    }
    if decoder.is_done() {
        read.end = Some(total);
        read.trailers = decoder.trailers().to_vec();
    }
    read
}

fn chunked(data: &[u8], read: &Read) {
    let Some(end) = read.end else { return };
    let (payload, len) = plainly(data).expect("a body that we accept");
    assert_eq!((&payload, len), (&read.payload, end));
    for line in read.trailers.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("lines have their ends");
        let (name, value) = line.split_at(line.iter().position(|b| *b == b':').unwrap());
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert!(value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)));
        let name = name.to_ascii_lowercase();
        assert!(name != b"content-length" && name != b"transfer-encoding" && name != b"host");
    }
    // Written anew, in other chunks, it is the same body.
    let mut out = Vec::new();
    for chunk in payload.chunks(7) {
        encode::chunk_head(&mut out, u64::try_from(chunk.len()).unwrap());
        out.extend_from_slice(chunk);
        out.extend_from_slice(encode::CRLF);
    }
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(&read.trailers);
    out.extend_from_slice(b"\r\n");
    let again = self::read(Framing::Chunked, u64::MAX, &[&out]);
    let end = Some(out.len());
    assert_eq!(again, Read { end, ..read.clone() }, "written anew");
}

/// A chunked body as a simple reader sees it, who believes in well-formed ones: payload and length.
/// Sizes are read by `httparse`.
fn plainly(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((head, size))) = httparse::parse_chunk_size(&data[at..])
        else {
            return None;
        };
        at += head;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        payload.extend_from_slice(data.get(at..at + size)?);
        at += size;
        at += data[at..].starts_with(b"\r\n").then_some(2)?;
    }
    loop {
        let line = data[at..].windows(2).position(|two| two == b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some((payload, at));
        }
    }
}
