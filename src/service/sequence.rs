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
pub(super) mod tests;
