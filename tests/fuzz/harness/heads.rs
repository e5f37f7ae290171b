//! What is asked of heads of both directions alike.

use std::fmt::Debug;

use otus::message::head::Field;
use otus::protocol::h1::request::{HeadLimits, Progress};

pub const LIMITS: HeadLimits = HeadLimits { bytes: 2048, target: 256, fields: 24 };

/// Hands `parse` what has come after each of the pieces, until it decides; what it says last.
pub fn in_pieces<E>(
    data: &[u8],
    pieces: &[&[u8]],
    mut parse: impl FnMut(&[u8]) -> Result<Progress, E>,
) -> Result<Progress, E> {
    let (mut end, mut parsed) = (0, Ok(Progress::NeedMore));
    for piece in pieces {
        end += piece.len();
        parsed = parse(&data[..end]);
        if !matches!(parsed, Ok(Progress::NeedMore)) {
            break;
        }
    }
    parsed
}

/// Names and values, whatever stands between them.
pub fn fields<'a>(bytes: &'a [u8], fields: &[Field]) -> Vec<(&'a [u8], &'a [u8])> {
    fields.iter().map(|field| (field.name.of(bytes), field.value.of(bytes))).collect()
}

/// Whether `httparse` found these fields.
pub fn are_found(fields: &[(&[u8], &[u8])], theirs: &[httparse::Header<'_>]) -> bool {
    let theirs = theirs.iter().map(|field| (field.name.as_bytes(), field.value));
    theirs.eq(fields.iter().copied())
}

/// Whatever we accept, `httparse` accepts as `same` says; what it alone accepts is refused by us
/// for a reason that we document.
pub fn against_httparse<E: Copy + Debug>(
    ours: Result<Progress, E>,
    theirs: httparse::Result<usize>,
    same: impl FnOnce(usize),
    is_documented: impl FnOnce(E) -> bool,
) {
    match (ours, theirs) {
        (Ok(Progress::Done { len }), Ok(httparse::Status::Complete(end))) => {
            assert_eq!(end, len);
            same(len);
        }
        (Ok(Progress::Done { .. }), other) => panic!("only we accept it: {other:?}"),
        (Ok(Progress::NeedMore), Ok(httparse::Status::Complete(_))) => {
            panic!("only we wait for more")
        }
        (Err(error), Ok(httparse::Status::Complete(_))) => {
            assert!(is_documented(error), "only they accept it: {error:?}");
        }
        // Its errors come where its reading stops, ours as well; both may see more before.
        (_, Ok(httparse::Status::Partial) | Err(_)) => {}
    }
}

/// Whether a line ends in a bare LF, which `httparse` takes.
pub fn has_bare_lf(text: &[u8]) -> bool {
    let is_bare = |(at, byte): (usize, &u8)| *byte == b'\n' && (at == 0 || text[at - 1] != b'\r');
    text.iter().enumerate().any(is_bare)
}
