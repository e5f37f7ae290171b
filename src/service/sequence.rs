//! The order of messages in an upload (SPEC 6.1), read tolerantly: with markers as a gateway of
//! today sends them, with an empty chunk at the end as older ones do, or with both.

use prost::Message;
use prost::bytes::Bytes;
use prost_types::Any;

use crate::base::limits::UPLOAD_FILES_MAX;
use crate::proto::reverse::{Request, StringMap};

/// What is to be done with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A file begins, under the name that the client gave it.
    Begin(String),
    /// Its next bytes.
    Data(Bytes),
    /// It is whole.
    End,
    /// The upload is whole: no file is open and none will come.
    Finish,
}

/// Why a sequence of messages is no upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SequenceError {
    /// An argument is not what its type says.
    Undecodable,
    /// A marker with a phase that is neither `start` nor `end`.
    UnknownPhase,
    /// A file begins before the one before it has ended.
    StartInFile,
    /// The stream ends within a file.
    Truncated,
    /// More than [`UPLOAD_FILES_MAX`] files.
    TooManyFiles,
}

/// A `FileChunk` whose data stays in the memory that it was received in.
#[derive(Clone, PartialEq, ::prost::Message)]
struct Chunk {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

/// Where an upload stands.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    in_file: bool,
    files: u32,
}

impl Sequence {
    /// Appends to `steps` what the next message asks for. Messages that carry neither marker nor
    /// chunk ask for nothing.
    pub(super) fn message(
        &mut self,
        mut message: Request,
        steps: &mut Vec<Step>,
    ) -> Result<(), SequenceError> {
        if let Some(meta) = message.args.remove("meta") {
            self.marker(&meta, steps)?;
        }
        if let Some(chunk) = message.args.remove("chunk") {
            self.chunk(chunk, steps)?;
        }
        Ok(())
    }

    /// The client has sent all.
    pub(super) fn end(&self) -> Result<Step, SequenceError> {
        if self.in_file { Err(SequenceError::Truncated) } else { Ok(Step::Finish) }
    }

    fn marker(&mut self, meta: &Any, steps: &mut Vec<Step>) -> Result<(), SequenceError> {
        let mut marker = StringMap::decode(meta.value.as_slice())
            .map_err(|_| SequenceError::Undecodable)?
            .entries;
        match marker.get("phase").map(String::as_str) {
            Some("start") if self.in_file => Err(SequenceError::StartInFile),
            Some("start") => self.begin(marker.remove("filename").unwrap_or_default(), steps),
            Some("end") => {
                self.close(steps);
                Ok(())
            }
            _ => Err(SequenceError::UnknownPhase),
        }
    }

    fn chunk(&mut self, chunk: Any, steps: &mut Vec<Step>) -> Result<(), SequenceError> {
        let chunk =
            Chunk::decode(Bytes::from(chunk.value)).map_err(|_| SequenceError::Undecodable)?;
        if chunk.data.is_empty() {
            self.close(steps);
            return Ok(());
        }
        if !self.in_file {
            self.begin(chunk.name, steps)?;
        }
        steps.push(Step::Data(chunk.data));
        Ok(())
    }

    fn begin(&mut self, name: String, steps: &mut Vec<Step>) -> Result<(), SequenceError> {
        if self.files >= UPLOAD_FILES_MAX {
            return Err(SequenceError::TooManyFiles);
        }
        self.files += 1;
        self.in_file = true;
        steps.push(Step::Begin(name));
        Ok(())
    }

    /// The second of two end markers finds no file open and means nothing.
    fn close(&mut self, steps: &mut Vec<Step>) {
        if self.in_file {
            self.in_file = false;
            steps.push(Step::End);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
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
    fn check(messages: Vec<Request>, want: Result<Vec<Step>, SequenceError>) {
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
        assert_eq!(got, want);
    }

    fn one_file() -> Result<Vec<Step>, SequenceError> {
        Ok(vec![begin("a"), data("one"), data("two"), Step::End, Step::Finish])
    }

    #[test]
    fn a_file_ends_with_either_end_marker_or_both() {
        let front = || vec![marker("a", "start"), chunk("a", b"one"), chunk("a", b"two")];
        let with = |ends: Vec<Request>| front().into_iter().chain(ends).collect();
        check(with(vec![marker("a", "end")]), one_file());
        check(with(vec![chunk("a", b"")]), one_file());
        check(with(vec![marker("a", "end"), chunk("a", b"")]), one_file());
        check(with(vec![chunk("a", b""), marker("a", "end")]), one_file());
    }

    #[test]
    fn the_first_chunk_opens_a_file_that_no_marker_opened() {
        check(vec![chunk("a", b"one"), chunk("a", b"two"), chunk("a", b"")], one_file());
    }

    #[test]
    fn an_empty_file_is_a_file() {
        let want = Ok(vec![begin("e"), Step::End, Step::Finish]);
        check(vec![marker("e", "start"), marker("e", "end"), chunk("e", b"")], want);
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
            Ok(vec![
                begin("a"),
                data("one"),
                Step::End,
                begin("b"),
                data("two"),
                Step::End,
                Step::Finish,
            ]),
        );
        check(Vec::new(), Ok(vec![Step::Finish]));
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
}
