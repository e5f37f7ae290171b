//! Cuts a multipart body into parts. Payload is reported as ranges of the input and never copied;
//! no byte of input has to be kept for the next call.
//!
//! How that works: the delimiter is CRLF, two dashes and the boundary, and its CR is the only one
//! in it. So when an input ends with the beginning of a delimiter, the parser remembers how many
//! bytes of it there were, and if the next input shows that it was payload after all, it was that
//! many bytes of the delimiter itself: see [`Event::Held`].

use memchr::memmem::Finder;

use super::part::{self, Part, PartError};
use crate::base::limits;

/// Bounds of one body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the head of one part.
    pub part_head_bytes: usize,
    /// Parts with a file name.
    pub files: u32,
    /// Parts of all kinds.
    pub parts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            part_head_bytes: limits::PART_HEAD_BYTES_MAX,
            files: limits::UPLOAD_FILES_MAX,
            parts: limits::PARTS_MAX,
        }
    }
}

/// Why a body is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MultipartError {
    /// Something other than blanks and CRLF, or two dashes, behind a boundary.
    Delimiter,
    /// See [`PartError`].
    Part(PartError),
    /// The head of a part is longer than the bound.
    PartHeadTooLarge,
    /// More files than the bound.
    TooManyFiles,
    /// More parts than the bound.
    TooManyParts,
    /// More than [`limits::PREAMBLE_BYTES_MAX`] before the first delimiter.
    PreambleTooLarge,
    /// More than [`limits::EPILOGUE_BYTES_MAX`] after the last one.
    EpilogueTooLarge,
}

/// What the parser made of an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Bytes of the input that are dealt with. Give the rest to the next call.
    pub consumed: usize,
    /// What happened within them.
    pub event: Event,
}

/// What happened in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Nothing yet. The whole input is consumed.
    NeedMore,
    /// A part begins. [`Multipart::part`] says which.
    PartBegin,
    /// Payload of the part: these bytes of the input.
    Data {
        /// Where it starts in the input.
        start: usize,
        /// How long it is. Never zero.
        len: usize,
    },
    /// Payload that was held back at the end of an earlier input, because it looked like a
    /// delimiter: `delimiter()[start..start + len]`. It precedes all payload that follows.
    Held {
        /// Where it starts in [`Multipart::delimiter`].
        start: usize,
        /// How long it is. Never zero.
        len: usize,
    },
    /// The part is whole.
    PartEnd,
    /// The last part is whole. What follows is ignored, within a bound.
    End,
}

/// The state of one body.
#[derive(Debug)]
pub struct Multipart {
    finder: Finder<'static>,
    limits: Limits,
    state: State,
    /// The head of the present part while it comes in. Begins with a CRLF that no one sent, so
    /// that an empty head ends like any other.
    head: Vec<u8>,
    part: Part,
    parts: u32,
    files: u32,
    ignored: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Preamble(Match),
    /// Behind a boundary, where it is still open which kind of delimiter it is.
    Boundary,
    /// Behind a boundary and one dash.
    Dash,
    /// Behind a boundary and blanks.
    Padding,
    /// Behind the CR that ends a delimiter's line.
    LineFeed,
    Head,
    Body(Match),
    /// A delimiter ended the part; the caller has not been told.
    BodyEnd,
    /// Behind the last delimiter.
    Close,
    CloseLineFeed,
    Epilogue,
}

/// How much of a delimiter the bytes so far end with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Match {
    /// Bytes of the delimiter that matched.
    len: usize,
    /// The first so many of them are not payload, even if the match fails: the empty line before
    /// a body, or the start of the whole body, stand in for the delimiter's CRLF.
    borrowed: usize,
}

impl Match {
    const NONE: Match = Match { len: 0, borrowed: 0 };
    /// A delimiter may follow at once, its CRLF being there already.
    const LINE_START: Match = Match { len: 2, borrowed: 2 };
}

/// What a search found.
enum Found {
    /// Payload before a delimiter, or before what may become one; then what is consumed.
    Data { len: usize, consumed: usize, next: State },
    /// The earlier match failed.
    Failed(Match),
}

impl Multipart {
    /// Reads a body whose delimiters are made of `boundary` (see
    /// [`boundary`](super::boundary::boundary)).
    #[must_use]
    pub fn new(boundary: &[u8], limits: Limits) -> Self {
        let mut delimiter = Vec::with_capacity(4 + boundary.len());
        delimiter.extend_from_slice(b"\r\n--");
        delimiter.extend_from_slice(boundary);
        Multipart {
            finder: Finder::new(&delimiter).into_owned(),
            limits,
            state: State::Preamble(Match::LINE_START),
            head: Vec::new(),
            part: Part::default(),
            parts: 0,
            files: 0,
            ignored: 0,
        }
    }

    /// What [`Event::Held`] refers to: CRLF, two dashes and the boundary.
    #[must_use]
    pub fn delimiter(&self) -> &[u8] {
        self.finder.needle()
    }

    /// The present part, from its [`Event::PartBegin`] to its [`Event::PartEnd`].
    #[must_use]
    pub const fn part(&self) -> &Part {
        &self.part
    }

    /// Files that have begun.
    #[must_use]
    pub const fn files(&self) -> u32 {
        self.files
    }

    /// Whether the body may end here. If not, it was cut short.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Close | State::Epilogue)
    }

    /// Takes input up to the next event. Call again with the rest, also if the rest is empty,
    /// until the event is [`Event::NeedMore`].
    ///
    /// # Errors
    /// See [`MultipartError`]. After an error the body cannot be read on.
    pub fn next(&mut self, input: &[u8]) -> Result<Step, MultipartError> {
        let mut at = 0;
        loop {
            if self.state == State::BodyEnd {
                self.state = State::Boundary;
                return Ok(Step { consumed: at, event: Event::PartEnd });
            }
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Step { consumed: at, event: Event::NeedMore });
            }
            let (consumed, event) = self.step(rest)?;
            let event = match event {
                Some(Event::Data { start, len }) => Some(Event::Data { start: start + at, len }),
                other => other,
            };
            at += consumed;
            if let Some(event) = event {
                return Ok(Step { consumed: at, event });
            }
        }
    }

    /// One move of the machine on input that is not empty. It consumes, or changes the state.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, Option<Event>), MultipartError> {
        match self.state {
            State::Preamble(matched) => self.preamble(matched, rest).map(|used| (used, None)),
            State::Body(matched) => Ok(self.body(matched, rest)),
            State::Head => self.head(rest),
            State::BodyEnd => Ok((0, None)),
            State::Epilogue => self
                .ignore(rest.len(), limits::EPILOGUE_BYTES_MAX)
                .then_some((rest.len(), None))
                .ok_or(MultipartError::EpilogueTooLarge),
            _ => self.line(rest.first().copied().unwrap_or(0)).map(|event| (1, event)),
        }
    }

    /// One byte of a delimiter's line.
    fn line(&mut self, byte: u8) -> Result<Option<Event>, MultipartError> {
        self.state = match (self.state, byte) {
            (State::Boundary, b'-') => State::Dash,
            (State::Dash, b'-') => {
                self.ignored = 0;
                self.state = State::Close;
                return Ok(Some(Event::End));
            }
            (State::Boundary | State::Padding, b' ' | b'\t') => {
                // Blanks that gateways once added (RFC 2046 §5.1.1). Their sum is bounded.
                if !self.ignore(1, limits::PREAMBLE_BYTES_MAX) {
                    return Err(MultipartError::PreambleTooLarge);
                }
                State::Padding
            }
            (State::Boundary | State::Padding, b'\r') => State::LineFeed,
            (State::LineFeed, b'\n') => {
                self.head.clear();
                self.head.extend_from_slice(b"\r\n");
                State::Head
            }
            (State::Close, b' ' | b'\t') => {
                if !self.ignore(1, limits::EPILOGUE_BYTES_MAX) {
                    return Err(MultipartError::EpilogueTooLarge);
                }
                State::Close
            }
            (State::Close, b'\r') => State::CloseLineFeed,
            (State::CloseLineFeed, b'\n') => State::Epilogue,
            _ => return Err(MultipartError::Delimiter),
        };
        Ok(None)
    }

    fn preamble(&mut self, matched: Match, rest: &[u8]) -> Result<usize, MultipartError> {
        let (len, consumed, next) =
            match self.search(matched, rest, State::Boundary, State::Preamble) {
                Found::Data { len, consumed, next } => (len, consumed, next),
                Found::Failed(Match { len, borrowed }) => {
                    (len - borrowed, 0, State::Preamble(Match::NONE))
                }
            };
        self.state = next;
        if self.ignore(len, limits::PREAMBLE_BYTES_MAX) {
            Ok(consumed)
        } else {
            Err(MultipartError::PreambleTooLarge)
        }
    }

    fn body(&mut self, matched: Match, rest: &[u8]) -> (usize, Option<Event>) {
        match self.search(matched, rest, State::BodyEnd, State::Body) {
            Found::Data { len, consumed, next } => {
                self.state = next;
                (consumed, (len > 0).then_some(Event::Data { start: 0, len }))
            }
            Found::Failed(Match { len, borrowed }) => {
                self.state = State::Body(Match::NONE);
                let held = Event::Held { start: borrowed, len: len - borrowed };
                (0, (len > borrowed).then_some(held))
            }
        }
    }

    /// Looks for the delimiter, of which `matched` has been seen. `found` is the state behind it;
    /// `open` the one in which it has not been found.
    fn search(&self, matched: Match, rest: &[u8], found: State, open: fn(Match) -> State) -> Found {
        let delimiter = self.finder.needle();
        if matched.len > 0 {
            let wanted = delimiter.get(matched.len..).unwrap_or_default();
            return if rest.starts_with(wanted) {
                Found::Data { len: 0, consumed: wanted.len(), next: found }
            } else if wanted.starts_with(rest) {
                let matched = Match { len: matched.len + rest.len(), ..matched };
                Found::Data { len: 0, consumed: rest.len(), next: open(matched) }
            } else {
                Found::Failed(matched)
            };
        }
        if let Some(at) = self.finder.find(rest) {
            return Found::Data { len: at, consumed: at + delimiter.len(), next: found };
        }
        // Only a suffix that starts with the last CR can be the start of a delimiter.
        let tail = rest.len().saturating_sub(delimiter.len() - 1);
        let suffix = memchr::memrchr(b'\r', rest.get(tail..).unwrap_or_default())
            .and_then(|at| rest.get(tail + at..))
            .filter(|suffix| delimiter.starts_with(suffix))
            .map_or(0, <[u8]>::len);
        let next = open(Match { len: suffix, borrowed: 0 });
        Found::Data { len: rest.len() - suffix, consumed: rest.len(), next }
    }

    /// Collects the head of a part. It ends with an empty line.
    fn head(&mut self, rest: &[u8]) -> Result<(usize, Option<Event>), MultipartError> {
        const END: &[u8] = b"\r\n\r\n";
        let before = self.head.len();
        // Two bytes of the buffer are not the client's, two of the end are not the head's.
        let room = (self.limits.part_head_bytes + END.len()).saturating_sub(before);
        let piece = rest.get(..room).unwrap_or(rest);
        self.head.extend_from_slice(piece);
        let from = before.saturating_sub(END.len() - 1);
        let searched = self.head.get(from..).unwrap_or_default();
        let Some(found) = memchr::memmem::find(searched, END) else {
            if piece.len() < rest.len() {
                return Err(MultipartError::PartHeadTooLarge);
            }
            return Ok((piece.len(), None));
        };
        let end = from + found + END.len();
        let fields = self.head.get(2..end - 2).unwrap_or_default();
        self.part = part::parse(fields).map_err(MultipartError::Part)?;
        self.count()?;
        // A delimiter may follow at once: a part without a body (RFC 2046 §5.1.1, `body-part`).
        self.state = State::Body(Match::LINE_START);
        Ok((end - before, Some(Event::PartBegin)))
    }

    fn count(&mut self) -> Result<(), MultipartError> {
        self.parts += 1;
        if self.parts > self.limits.parts {
            return Err(MultipartError::TooManyParts);
        }
        if self.part.filename.is_some() {
            self.files += 1;
        }
        if self.files > self.limits.files {
            return Err(MultipartError::TooManyFiles);
        }
        Ok(())
    }

    /// Counts bytes that say nothing. False when there are more than `max`.
    fn ignore(&mut self, len: usize, max: usize) -> bool {
        self.ignored = self.ignored.saturating_add(len);
        self.ignored <= max
    }
}

#[cfg(test)]
mod tests;
