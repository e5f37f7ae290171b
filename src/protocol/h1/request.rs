//! Heads of requests, resumable at every byte (RFC 9112 §3, §5, §6.3).

use crate::base::limits;
use crate::message::authority::{self, AuthorityError};
use crate::message::framing::{FramingError, FramingFields};
use crate::message::head::{Field, Method, RequestHead, Span, Version};
use crate::message::hop::{ConnectionError, ConnectionOptions};
use crate::message::known::Known;
use crate::message::target::{self, TargetError};

use super::fields::{FieldError, FieldScanner};
use super::scan;

/// Bytes of a method. The longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// Bounds of one head. All are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Bytes from the first one to the end of the empty line.
    pub bytes: usize,
    /// Bytes of the target. Not used for responses.
    pub target: usize,
    /// Field lines.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            bytes: limits::HEAD_BYTES_MAX,
            target: limits::TARGET_BYTES_MAX,
            fields: limits::HEAD_FIELDS_MAX,
        }
    }
}

/// How far a head has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All bytes are read and the head has not ended.
    NeedMore,
    /// The head is whole.
    Done {
        /// Its bytes, with the empty line before it, if any, and the one that ends it.
        len: usize,
    },
}

/// Why a request head is refused. The connection cannot be used after any of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestError {
    /// More than one empty line before the request line, or part of one.
    LeadingLine,
    /// The method is empty, not a token or longer than [`METHOD_BYTES_MAX`].
    Method,
    /// The target is longer than the limit.
    TargetTooLong,
    /// Not `HTTP/` digit `.` digit and CRLF behind exactly one space.
    Version,
    /// A version other than 1.0 and 1.1.
    VersionUnsupported,
    /// The head is longer than the limit.
    HeadTooLarge,
    /// A field line.
    Field(FieldError),
    /// The form of the target.
    Target(TargetError),
    /// HTTP/1.1 without `host`.
    HostMissing,
    /// Two `host` fields, even if equal.
    HostRepeated,
    /// The value of `host`.
    Host(AuthorityError),
    /// The target names another authority than `host`.
    HostDiffers,
    /// Where the body ends.
    Framing(FramingError),
    /// The value of `connection`.
    Connection(ConnectionError),
    /// `expect` asks for something other than `100-continue`.
    Expectation,
}

/// What a refused head deserves; `proxy` maps it to a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// Not HTTP, or readable in two ways (400).
    Malformed,
    /// 414
    TargetTooLong,
    /// 431
    HeadTooLarge,
    /// 505
    VersionUnsupported,
    /// A transfer coding that we do not know (501).
    CodingUnsupported,
    /// 417
    ExpectationUnsupported,
}

impl RequestError {
    /// What the client should be told.
    #[must_use]
    pub const fn kind(self) -> FaultKind {
        match self {
            RequestError::TargetTooLong => FaultKind::TargetTooLong,
            RequestError::HeadTooLarge | RequestError::Field(FieldError::TooMany) => {
                FaultKind::HeadTooLarge
            }
            RequestError::VersionUnsupported => FaultKind::VersionUnsupported,
            RequestError::Framing(FramingError::CodingUnsupported) => FaultKind::CodingUnsupported,
            RequestError::Expectation => FaultKind::ExpectationUnsupported,
            RequestError::LeadingLine
            | RequestError::Method
            | RequestError::Version
            | RequestError::Field(_)
            | RequestError::Target(_)
            | RequestError::HostMissing
            | RequestError::HostRepeated
            | RequestError::Host(_)
            | RequestError::HostDiffers
            | RequestError::Framing(_)
            | RequestError::Connection(_) => FaultKind::Malformed,
        }
    }
}

impl From<FieldError> for RequestError {
    fn from(error: FieldError) -> Self {
        RequestError::Field(error)
    }
}

impl From<FramingError> for RequestError {
    fn from(error: FramingError) -> Self {
        RequestError::Framing(error)
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Start,
    Method,
    Target,
    Version,
    Fields(FieldScanner),
    Done(usize),
    Failed(RequestError),
}

/// What the fields of one head say together.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    host: Option<Span>,
    framing: FramingFields,
    connection: ConnectionOptions,
    expect: bool,
    upgrade: bool,
}

/// Reads one request head from bytes that arrive in any pieces. Looks at every byte once.
#[derive(Clone, Debug)]
pub struct RequestParser {
    limits: HeadLimits,
    phase: Phase,
    /// The next byte to look at, up to the end of the request line.
    at: usize,
    /// Where the word begins that is being scanned.
    start: usize,
    facts: Facts,
}

impl RequestParser {
    /// A parser at the start of a message.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        RequestParser { limits, phase: Phase::Start, at: 0, start: 0, facts: Facts::default() }
    }

    /// Back to the start of a message.
    pub fn reset(&mut self) {
        *self = RequestParser::new(self.limits);
    }

    /// Whether nothing of a request has come, but perhaps the empty line that may precede it
    /// (RFC 9112 §2.2): the connection is idle.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Start)
    }

    /// Reads on. `bytes` holds everything since the start of this message, `head` what the parser
    /// wrote there before. After an error or the end, further calls say the same until
    /// [`reset`](Self::reset).
    pub fn parse(
        &mut self,
        bytes: &[u8],
        head: &mut RequestHead,
    ) -> Result<Progress, RequestError> {
        let window = bytes.get(..self.limits.bytes).unwrap_or(bytes);
        let result = match self.advance(window, head) {
            Ok(Progress::NeedMore) if window.len() == self.limits.bytes => Err(self.too_large()),
            other => other,
        };
        match result {
            Ok(Progress::NeedMore) => {}
            Ok(Progress::Done { len }) => self.phase = Phase::Done(len),
            Err(error) => self.phase = Phase::Failed(error),
        }
        result
    }

    fn too_large(&self) -> RequestError {
        match self.phase {
            Phase::Target => RequestError::TargetTooLong,
            _ => RequestError::HeadTooLarge,
        }
    }

    fn advance(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<Progress, RequestError> {
        loop {
            let more = match &mut self.phase {
                Phase::Start => self.skip_line(bytes, head)?,
                Phase::Method => self.method(bytes, head)?,
                Phase::Target => self.target(bytes, head)?,
                Phase::Version => self.version(bytes, head)?,
                Phase::Fields(scanner) => {
                    let (facts, limit) = (&mut self.facts, self.limits.fields);
                    let end =
                        scanner.scan(bytes, |field| take(facts, head, bytes, field, limit))?;
                    let Some(len) = end else { return Ok(Progress::NeedMore) };
                    self.finish(bytes, head)?;
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

    /// Skips one empty line. Like the next three, says whether it needs more bytes.
    fn skip_line(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<bool, RequestError> {
        self.at = match bytes {
            [] | [b'\r'] | [b'\r', b'\n'] => return Ok(true),
            [b'\r', b'\n', b'\r' | b'\n', ..] => return Err(RequestError::LeadingLine),
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => return Err(RequestError::LeadingLine),
            [..] => 0,
        };
        head.clear();
        self.start = self.at;
        self.phase = Phase::Method;
        Ok(false)
    }

    fn method(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<bool, RequestError> {
        let window = window(bytes, self.start, METHOD_BYTES_MAX);
        self.at += scan::token_len(window.get(self.at..).unwrap_or_default());
        let len = self.at - self.start;
        match bytes.get(self.at) {
            _ if len > METHOD_BYTES_MAX => return Err(RequestError::Method),
            None => return Ok(true),
            Some(b' ') if len > 0 => {}
            Some(_) => return Err(RequestError::Method),
        }
        head.method_text = Span::between(self.start, self.at);
        head.method = Method::of(head.method_text.of(bytes));
        self.at += 1;
        self.start = self.at;
        self.phase = Phase::Target;
        Ok(false)
    }

    fn target(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<bool, RequestError> {
        let window = window(bytes, self.start, self.limits.target);
        self.at += scan::target_len(window.get(self.at..).unwrap_or_default());
        let len = self.at - self.start;
        match bytes.get(self.at) {
            _ if len > self.limits.target => return Err(RequestError::TargetTooLong),
            None => return Ok(true),
            Some(b' ') if len > 0 => {}
            Some(b' ') => return Err(RequestError::Target(TargetError::Empty)),
            Some(_) => return Err(RequestError::Target(TargetError::Byte)),
        }
        head.target = Span::between(self.start, self.at);
        self.at += 1;
        self.start = self.at;
        self.phase = Phase::Version;
        Ok(false)
    }

    fn version(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<bool, RequestError> {
        let rest = bytes.get(self.start..).unwrap_or_default();
        match rest.get(..10) {
            Some(b"HTTP/1.1\r\n") => head.version = Version::Http11,
            Some(b"HTTP/1.0\r\n") => head.version = Version::Http10,
            // A few bytes that are looked at again each time are no quadratic cost.
            _ => {
                let like = |(byte, want): (&u8, &u8)| match want {
                    b'0' => byte.is_ascii_digit(),
                    want => byte == want,
                };
                if !rest.iter().zip(b"HTTP/0.0\r\n").all(like) {
                    return Err(RequestError::Version);
                }
                if rest.len() < 10 {
                    return Ok(true);
                }
                return Err(RequestError::VersionUnsupported);
            }
        }
        self.phase = Phase::Fields(FieldScanner::new(self.start + 10));
        Ok(false)
    }

    /// What only the whole head can tell.
    fn finish(&mut self, bytes: &[u8], head: &mut RequestHead) -> Result<(), RequestError> {
        let target =
            target::parse(head.method, bytes, head.target).map_err(RequestError::Target)?;
        head.form = target.form;
        head.path = target.path;
        head.query = target.query;
        self.host(bytes, head, target.authority)?;
        let facts = &self.facts;
        head.framing = facts.framing.request(head.method, head.version)?;
        let http11 = head.version == Version::Http11;
        let options = facts.connection;
        head.keep_alive = !options.close && (http11 || options.keep_alive);
        head.upgrade = http11 && options.upgrade && facts.upgrade;
        head.expect_continue = http11 && facts.expect && head.framing.has_body();
        Ok(())
    }

    /// Settles the effective authority (RFC 9112 §3.2, §3.3).
    fn host(
        &self,
        bytes: &[u8],
        head: &mut RequestHead,
        target: Option<(Span, authority::Authority)>,
    ) -> Result<(), RequestError> {
        let named = match self.facts.host {
            None if head.version == Version::Http11 => return Err(RequestError::HostMissing),
            None => None,
            Some(host) => {
                let parsed = authority::parse(host.of(bytes)).map_err(RequestError::Host)?;
                Some((host, parsed))
            }
        };
        if let (Some((ours, _)), Some((theirs, _))) = (target, named)
            && !ours.of(bytes).eq_ignore_ascii_case(theirs.of(bytes))
        {
            return Err(RequestError::HostDiffers);
        }
        if let Some((span, authority)) = target.or(named) {
            head.host = span;
            head.host_name = Span::between(span.start(), span.start() + authority.host_len);
            head.port = authority.port;
        }
        Ok(())
    }
}

/// `bytes` up to one byte more than `max` bytes behind `start`, so that a run of allowed bytes that
/// is too long shows, and no byte behind it can be blamed first.
fn window(bytes: &[u8], start: usize, max: usize) -> &[u8] {
    bytes.get(..start.saturating_add(max).saturating_add(1)).unwrap_or(bytes)
}

/// Takes one field into the head.
#[inline]
fn take(
    facts: &mut Facts,
    head: &mut RequestHead,
    bytes: &[u8],
    field: Field,
    limit: usize,
) -> Result<(), RequestError> {
    if head.fields.len() >= limit {
        return Err(RequestError::Field(FieldError::TooMany));
    }
    head.fields.push(field);
    let value = field.value.of(bytes);
    match field.known {
        Known::Host if facts.host.is_some() => return Err(RequestError::HostRepeated),
        Known::Host => facts.host = Some(field.value),
        Known::ContentLength => facts.framing.add_length(value)?,
        Known::TransferEncoding => facts.framing.add_coding(value)?,
        Known::Connection => facts.connection.add(value).map_err(RequestError::Connection)?,
        Known::Upgrade => facts.upgrade |= !value.is_empty(),
        Known::Expect => {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::Expectation);
            }
            facts.expect = true;
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
