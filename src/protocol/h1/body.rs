//! Bodies: from bytes to ranges of payload, whatever the framing (RFC 9112 §6, §7.1).

use crate::base::limits;
use crate::message::framing::Framing;

mod chunk;

use chunk::{ChunkMachine, Turn};

/// Payload and framing bytes up to which a chunked body is never called wasteful.
const OVERHEAD_FREE_BYTES: u64 = 16 * 1024;
/// Framing bytes for each byte of payload beyond that. Single-byte chunks, as from an unbuffered
/// writer, cost five.
const OVERHEAD_PER_BYTE: u64 = 8;

/// Why a body is refused. The connection cannot be used after any of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// More payload than allowed. Told before the first byte if the length is known.
    TooLarge,
    /// A chunk size without digits.
    ChunkSizeMissing,
    /// A chunk size of more than 16 digits.
    ChunkSizeTooLong,
    /// Something other than a hexadecimal digit, an extension or CRLF behind a chunk size.
    ChunkSizeByte,
    /// An extension that does not follow RFC 9112 §7.1.1.
    ChunkExtension,
    /// A size line of more than [`limits::CHUNK_LINE_BYTES_MAX`] bytes.
    ChunkLineTooLong,
    /// No CRLF where the size says that the chunk ends.
    ChunkEnd,
    /// Out of proportion: tiny chunks with long size lines.
    OverheadTooHigh,
    /// A trailer line that is not a field.
    Trailer,
    /// A trailer field about framing or routing (RFC 9110 §6.5.1).
    TrailerForbidden,
    /// A trailer section of more than [`limits::TRAILER_BYTES_MAX`] bytes, or of more than
    /// [`limits::TRAILERS_MAX`] fields.
    TrailerTooLarge,
    /// CR without LF, in framing.
    BareCr,
    /// LF without CR, in framing.
    BareLf,
    /// The peer closed before the end.
    Truncated,
}

/// What the bytes up to [`Step::consumed`] mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyEvent {
    /// All of the input is consumed, and the body goes on.
    NeedMore,
    /// A range of the input, within what was consumed, is payload. There may be more in the rest.
    Data {
        /// Where it begins in the input.
        start: usize,
        /// How many bytes it has; never zero.
        len: usize,
    },
    /// The body has ended. What follows in the input belongs to the next message.
    End,
}

/// One step of a [`BodyDecoder`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Bytes of the input that need not be shown again.
    pub consumed: usize,
    /// What they mean.
    pub event: BodyEvent,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Length {
        left: u64,
    },
    UntilClose,
    /// Within the framing of a chunked body.
    Framing(ChunkMachine),
    /// Within a chunk; `left` is not zero.
    Chunk {
        left: u64,
    },
    Done,
    Failed(BodyError),
}

/// Reads one body from bytes that arrive in any pieces. Copies nothing and keeps no input but
/// trailers, which are checked and bounded.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    max: u64,
    payload: u64,
    overhead: u64,
    /// Lines in normal form; owns no memory until a trailer comes.
    trailers: Vec<u8>,
}

impl BodyDecoder {
    /// A decoder for a body of at most `max` bytes of payload.
    #[must_use]
    pub const fn new(framing: Framing, max: u64) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) if length > max => State::Failed(BodyError::TooLarge),
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Framing(ChunkMachine::new()),
            Framing::UntilClose => State::UntilClose,
        };
        BodyDecoder { state, max, payload: 0, overhead: 0, trailers: Vec::new() }
    }

    /// Reads on: consumes framing and at most one range of payload. Call again with the rest of the
    /// input until it answers `NeedMore` or `End`. An error repeats itself.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let result = self.advance(input);
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    /// Whether the body has ended, to the last byte of its framing.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether no byte of the body will be taken, because its length says that it is too large.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.state, State::Failed(BodyError::TooLarge))
    }

    /// Payload bytes that come next without framing between them: the rest of the length or of the
    /// chunk. Zero at the end and between chunks; `None` if only the close will tell.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length { left } | State::Chunk { left } => Some(left),
            State::Framing(_) | State::Done | State::Failed(_) => Some(0),
            State::UntilClose => None,
        }
    }

    /// What is left of a body whose length was told at its beginning; `None` for all others.
    #[must_use]
    pub const fn length_left(&self) -> Option<u64> {
        match self.state {
            State::Length { left } => Some(left),
            State::UntilClose
            | State::Framing(_)
            | State::Chunk { .. }
            | State::Done
            | State::Failed(_) => None,
        }
    }

    /// Payload bytes so far.
    #[must_use]
    pub const fn payload(&self) -> u64 {
        self.payload
    }

    /// The trailer fields once the body has ended: lines of the form `name: value`, each with its
    /// CRLF. At most [`limits::TRAILER_BYTES_MAX`], and a space behind each colon.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        if self.is_done() { &self.trailers } else { &[] }
    }

    /// Notes that `count` bytes of payload were moved without being shown here, by a splice or a
    /// read into another buffer. Returns false, and does nothing, if that is more than
    /// [`remaining`](Self::remaining) or than is allowed.
    #[must_use]
    pub fn skip(&mut self, count: u64) -> bool {
        if count == 0 {
            return true;
        }
        let room = self.max.saturating_sub(self.payload);
        if count > self.remaining().unwrap_or(room) {
            return false;
        }
        self.taken(count);
        true
    }

    /// What the end of the stream means here: the end of the body, or [`BodyError::Truncated`].
    pub fn finish(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            State::Length { .. } | State::Framing(_) | State::Chunk { .. } => {
                self.state = State::Failed(BodyError::Truncated);
                Err(BodyError::Truncated)
            }
        }
    }

    fn advance(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let mut consumed = 0;
        if let State::Framing(machine) = &mut self.state {
            match machine.run(input, &mut self.trailers)? {
                (used, Turn::More) => {
                    self.overhead = self.overhead.saturating_add(wide(used));
                    return Ok(Step { consumed: used, event: BodyEvent::NeedMore });
                }
                (used, Turn::Chunk(size)) => {
                    consumed = used;
                    self.begin_chunk(wide(used), size)?;
                }
                (used, Turn::End) => {
                    self.state = State::Done;
                    return Ok(Step { consumed: used, event: BodyEvent::End });
                }
            }
        }
        let rest = input.len().saturating_sub(consumed);
        let len = match self.state {
            State::Failed(error) => return Err(error),
            State::Done => return Ok(Step { consumed, event: BodyEvent::End }),
            State::UntilClose if wide(rest) > self.max.saturating_sub(self.payload) => {
                return Err(BodyError::TooLarge);
            }
            State::UntilClose | State::Framing(_) => rest,
            State::Length { left } | State::Chunk { left } => {
                usize::try_from(left).map_or(rest, |left| left.min(rest))
            }
        };
        if len == 0 {
            return Ok(Step { consumed, event: BodyEvent::NeedMore });
        }
        self.taken(wide(len));
        Ok(Step { consumed: consumed + len, event: BodyEvent::Data { start: consumed, len } })
    }

    /// A size line has ended that announces `size` bytes, which is not zero.
    fn begin_chunk(&mut self, used: u64, size: u64) -> Result<(), BodyError> {
        let Some(total) = self.payload.checked_add(size).filter(|total| *total <= self.max) else {
            return Err(BodyError::TooLarge);
        };
        self.overhead = self.overhead.saturating_add(used);
        let allowed = total.saturating_mul(OVERHEAD_PER_BYTE).saturating_add(OVERHEAD_FREE_BYTES);
        if self.overhead > allowed {
            return Err(BodyError::OverheadTooHigh);
        }
        self.state = State::Chunk { left: size };
        Ok(())
    }

    /// `count` is at most what remains.
    fn taken(&mut self, count: u64) {
        self.payload = self.payload.saturating_add(count);
        match &mut self.state {
            State::Length { left } => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunk { left } => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.state = State::Framing(ChunkMachine::after_data());
                }
            }
            State::UntilClose | State::Framing(_) | State::Done | State::Failed(_) => {}
        }
    }
}

/// A length in memory as a length on the wire.
fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

const _: () = assert!(limits::CHUNK_LINE_BYTES_MAX >= 18, "16 digits and CRLF");

#[cfg(test)]
mod tests;
