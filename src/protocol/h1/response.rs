//! Heads of responses, resumable at every byte (RFC 9112 §4, §6.3).

use crate::message::framing::{FramingError, FramingFields};
use crate::message::head::{Field, Method, ResponseHead, Span, Version};
use crate::message::hop::{ConnectionError, ConnectionOptions};
use crate::message::known::Known;

use super::fields::{FieldError, FieldScanner};
use super::request::{HeadLimits, Progress};
use super::scan;

/// Why the head of a response is refused. The connection cannot be used after any of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseError {
    /// Not `HTTP/1.0` or `HTTP/1.1` and one space.
    Version,
    /// Not three digits from 100 to 599.
    Status,
    /// A control character in the reason phrase, or a line that does not end in CRLF.
    Reason,
    /// The head is longer than the limit.
    HeadTooLarge,
    /// A field line.
    Field(FieldError),
    /// Where the body ends.
    Framing(FramingError),
    /// The value of `connection`.
    Connection(ConnectionError),
    /// A 101 that does not say to what it switches.
    Upgrade,
}

impl From<FieldError> for ResponseError {
    fn from(error: FieldError) -> Self {
        ResponseError::Field(error)
    }
}

impl From<FramingError> for ResponseError {
    fn from(error: FramingError) -> Self {
        ResponseError::Framing(error)
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Status,
    Reason,
    Fields(FieldScanner),
    Done(usize),
    Failed(ResponseError),
}

/// Bytes of `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    framing: FramingFields,
    connection: ConnectionOptions,
    upgrade: bool,
}

/// Reads one response head from bytes that arrive in any pieces. Looks at every byte once.
#[derive(Clone, Debug)]
pub struct ResponseParser {
    limits: HeadLimits,
    method: Method,
    phase: Phase,
    /// The next byte to look at, up to the end of the status line.
    at: usize,
    facts: Facts,
}

impl ResponseParser {
    /// A parser for a response to a request with `method`.
    #[must_use]
    pub fn new(limits: HeadLimits, method: Method) -> Self {
        ResponseParser { limits, method, phase: Phase::Status, at: 0, facts: Facts::default() }
    }

    /// Back to the start of a message: the one behind an interim response, or the response to
    /// another request with `method`.
    pub fn reset(&mut self, method: Method) {
        *self = ResponseParser::new(self.limits, method);
    }

    /// Reads on. `bytes` holds everything since the start of this message, `head` what the parser
    /// wrote there before. After an error or the end, further calls say the same until
    /// [`reset`](Self::reset).
    pub fn parse(
        &mut self,
        bytes: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Progress, ResponseError> {
        let window = bytes.get(..self.limits.bytes).unwrap_or(bytes);
        let result = match self.advance(window, head) {
            Ok(Progress::NeedMore) if window.len() == self.limits.bytes => {
                Err(ResponseError::HeadTooLarge)
            }
            other => other,
        };
        match result {
            Ok(Progress::NeedMore) => {}
            Ok(Progress::Done { len }) => self.phase = Phase::Done(len),
            Err(error) => self.phase = Phase::Failed(error),
        }
        result
    }

    fn advance(
        &mut self,
        bytes: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Progress, ResponseError> {
        loop {
            let more = match &mut self.phase {
                Phase::Status => self.status(bytes, head)?,
                Phase::Reason => self.reason(bytes, head)?,
                Phase::Fields(scanner) => {
                    let (facts, limit) = (&mut self.facts, self.limits.fields);
                    let end =
                        scanner.scan(bytes, |field| take(facts, head, bytes, field, limit))?;
                    let Some(len) = end else { return Ok(Progress::NeedMore) };
                    self.finish(head)?;
                    return Ok(Progress::Done { len });
                }
                Phase::Done(len) => return Ok(Progress::Done { len: *len }),
                Phase::Failed(error) => return Err(*error),
            };
            if more {
                return Ok(Progress::NeedMore);
            }
        }
    }

    /// Reads the version and the status. Like the next, says whether it needs more bytes.
    fn status(&mut self, bytes: &[u8], head: &mut ResponseHead) -> Result<bool, ResponseError> {
        for (index, byte) in bytes.iter().take(STATUS_BYTES).enumerate() {
            let (good, error) = match index {
                7 => (matches!(byte, b'0' | b'1'), ResponseError::Version),
                9 => (matches!(byte, b'1'..=b'5'), ResponseError::Status),
                10 | 11 => (byte.is_ascii_digit(), ResponseError::Status),
                _ => (b"HTTP/1.. ".get(index) == Some(byte), ResponseError::Version),
            };
            if !good {
                return Err(error);
            }
        }
        let Some([.., version, _, hundreds, tens, ones]) = bytes.first_chunk::<STATUS_BYTES>()
        else {
            return Ok(true);
        };
        head.clear();
        head.version = if *version == b'0' { Version::Http10 } else { Version::Http11 };
        head.status = [hundreds, tens, ones]
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0')));
        self.at = STATUS_BYTES;
        self.phase = Phase::Reason;
        Ok(false)
    }

    /// Reads the rest of the status line. The space before an empty reason may be missing, as some
    /// servers leave it out; nothing can be misread by that.
    fn reason(&mut self, bytes: &[u8], head: &mut ResponseHead) -> Result<bool, ResponseError> {
        if self.at == STATUS_BYTES {
            match bytes.get(self.at) {
                None => return Ok(true),
                Some(b' ' | b'\r') => {}
                Some(_) => return Err(ResponseError::Status),
            }
        }
        let rest = bytes.get(self.at..).unwrap_or_default();
        let len = scan::value_len(rest);
        match rest.get(len..) {
            None | Some([] | [b'\r']) => {
                self.at += len;
                return Ok(true);
            }
            Some([b'\r', b'\n', ..]) => {}
            Some(_) => return Err(ResponseError::Reason),
        }
        self.at += len;
        head.reason = Span::between(self.at.min(STATUS_BYTES + 1), self.at);
        self.phase = Phase::Fields(FieldScanner::new(self.at + 2));
        Ok(false)
    }

    /// What only the whole head can tell.
    fn finish(&mut self, head: &mut ResponseHead) -> Result<(), ResponseError> {
        let facts = &self.facts;
        head.framing = facts.framing.response(self.method, head.version, head.status)?;
        head.length = facts.framing.length();
        let options = facts.connection;
        head.upgrade = head.status == 101;
        if head.upgrade && !(options.upgrade && facts.upgrade && head.version == Version::Http11) {
            return Err(ResponseError::Upgrade);
        }
        let asked = !options.close && (head.version == Version::Http11 || options.keep_alive);
        let tunnel = self.method == Method::Connect && (200..=299).contains(&head.status);
        head.keep_alive = asked
            && !head.upgrade
            && !tunnel
            && head.framing != crate::message::framing::Framing::UntilClose
            && !facts.framing.is_odd(head.status);
        Ok(())
    }
}

/// Takes one field into the head.
#[inline]
fn take(
    facts: &mut Facts,
    head: &mut ResponseHead,
    bytes: &[u8],
    field: Field,
    limit: usize,
) -> Result<(), ResponseError> {
    if head.fields.len() >= limit {
        return Err(ResponseError::Field(FieldError::TooMany));
    }
    head.fields.push(field);
    let value = field.value.of(bytes);
    match field.known {
        Known::ContentLength => facts.framing.add_length(value)?,
        Known::TransferEncoding => facts.framing.add_coding(value)?,
        Known::Connection => facts.connection.add(value).map_err(ResponseError::Connection)?,
        Known::Upgrade => facts.upgrade |= !value.is_empty(),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
