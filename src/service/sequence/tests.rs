use super::*;
use crate::proto::reverse::FileChunk;

pub(in crate::service) fn marker(name: &str, phase: &str) -> Request {
    let entries = [("filename", name), ("phase", phase)];
    let entries = entries.map(|(key, value)| (key.to_owned(), value.to_owned()));
    with("meta", "StringMap", StringMap { entries: entries.into() }.encode_to_vec())
}

pub(in crate::service) fn chunk(name: &str, data: &[u8]) -> Request {
    let chunk = FileChunk { name: name.to_owned(), data: data.to_vec() };
    with("chunk", "FileChunk", chunk.encode_to_vec())
}

fn with(key: &str, message: &str, value: Vec<u8>) -> Request {
    let any = Any { type_url: format!("type.googleapis.com/{message}"), value };
    Request { args: [(key.to_owned(), any)].into(), ..Request::default() }
}

fn begin(name: &str) -> Step {
    Step::Begin(name.to_owned())
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

#[track_caller]
fn check(messages: Vec<Request>, want: Result<&[Step], SequenceError>) {
    let mut sequence = Sequence::default();
    let mut steps = Vec::new();
    let result = messages
        .into_iter()
        .try_for_each(|message| sequence.message(message, &mut steps))
        .and_then(|()| sequence.end());
    let got = result.map(|last| {
        steps.push(last);
        steps
    });
    assert_eq!(got.as_deref().map_err(|error| *error), want);
}

fn one_file() -> [Step; 5] {
    [begin("a"), data("one"), data("two"), Step::End, Step::Finish]
}

#[test]
fn a_file_ends_with_either_end_marker_or_both() {
    let front = || vec![marker("a", "start"), chunk("a", b"one"), chunk("a", b"two")];
    let with = |ends: Vec<Request>| front().into_iter().chain(ends).collect();
    check(with(vec![marker("a", "end")]), Ok(&one_file()));
    check(with(vec![chunk("a", b"")]), Ok(&one_file()));
    check(with(vec![marker("a", "end"), chunk("a", b"")]), Ok(&one_file()));
    check(with(vec![chunk("a", b""), marker("a", "end")]), Ok(&one_file()));
}

#[test]
fn the_first_chunk_opens_a_file_that_no_marker_opened() {
    check(vec![chunk("a", b"one"), chunk("a", b"two"), chunk("a", b"")], Ok(&one_file()));
}

#[test]
fn an_empty_file_is_a_file() {
    let want = [begin("e"), Step::End, Step::Finish];
    check(vec![marker("e", "start"), marker("e", "end"), chunk("e", b"")], Ok(&want));
}

#[test]
fn files_come_one_after_another() {
    check(
        vec![
            Request::default(),
            marker("a", "start"),
            chunk("a", b"one"),
            marker("a", "end"),
            chunk("a", b""),
            marker("b", "start"),
            chunk("b", b"two"),
            marker("b", "end"),
        ],
        Ok(&[begin("a"), data("one"), Step::End, begin("b"), data("two"), Step::End, Step::Finish]),
    );
    check(Vec::new(), Ok(&[Step::Finish]));
}

#[test]
fn what_is_no_upload_is_refused() {
    let start = || marker("a", "start");
    check(vec![start()], Err(SequenceError::Truncated));
    check(vec![start(), chunk("a", b"x")], Err(SequenceError::Truncated));
    check(vec![start(), start()], Err(SequenceError::StartInFile));
    check(vec![marker("a", "middle")], Err(SequenceError::UnknownPhase));
    check(vec![with("chunk", "FileChunk", vec![0xff])], Err(SequenceError::Undecodable));
    check(vec![with("meta", "StringMap", vec![0xff])], Err(SequenceError::Undecodable));
    let many = (0..=UPLOAD_FILES_MAX).flat_map(|_| [start(), marker("a", "end")]);
    check(many.collect(), Err(SequenceError::TooManyFiles));
}
