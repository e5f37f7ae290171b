//! Heads of requests and responses, as spans into a buffer that their owner keeps beside them.

use super::framing::Framing;
use super::known::Known;
use super::target::Form;

/// A range of bytes in the buffer that a head was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// Where it begins, in bytes.
    pub start: u32,
    /// How many bytes it has.
    pub len: u32,
}

impl Span {
    /// No bytes.
    pub const EMPTY: Span = Span { start: 0, len: 0 };

    /// The bytes from `start` up to but not including `end`; saturates, so that what does not fit
    /// in a buffer is out of its range.
    #[inline]
    #[must_use]
    pub fn between(start: usize, end: usize) -> Span {
        let len = end.saturating_sub(start);
        Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    }

    /// The bytes themselves; none if the span does not lie in `bytes`.
    #[inline]
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start()..self.end()).unwrap_or_default()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Offset of the first byte.
    #[inline]
    #[must_use]
    pub fn start(self) -> usize {
        usize::try_from(self.start).unwrap_or(usize::MAX)
    }

    /// Offset behind the last byte.
    #[inline]
    #[must_use]
    pub fn end(self) -> usize {
        self.start().saturating_add(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

/// What is asked for (RFC 9110 §9). Methods are case-sensitive: `get` is [`Method::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
    /// Any other token; its text is in the head.
    Other,
}

impl Method {
    /// The method of that name.
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }

    /// The name; `OTHER` for [`Method::Other`], so that labels stay few.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Other => "OTHER",
        }
    }

    /// Whether it asks for no change (RFC 9110 §9.2.1).
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether doing it twice is as good as once (RFC 9110 §9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

/// The version that a message was sent in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As in a status line: `HTTP/1.1`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        }
    }
}

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The name as it was sent, in any case; a token.
    pub name: Span,
    /// The value without the whitespace around it.
    pub value: Span,
    /// Which field it is.
    pub known: Known,
}

/// A request up to its body. Spans point into the buffer that it was read from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestHead {
    /// What is asked for.
    pub method: Method,
    /// Its name as it was sent.
    pub method_text: Span,
    /// The whole target as it was sent.
    pub target: Span,
    /// Which of the four forms the target has.
    pub form: Form,
    /// The path, beginning with `/`; `*` or empty in asterisk form, empty in authority form.
    pub path: Span,
    /// What follows the first `?`, without it.
    pub query: Option<Span>,
    /// The version it was sent in.
    pub version: Version,
    /// The effective authority, `host[:port]`: that of the target if it has one, else of `host`
    /// (RFC 9112 §3.3). Both agree. Empty only if HTTP/1.0 sent neither.
    pub host: Span,
    /// The host alone, without its port and with the brackets of an IPv6 address.
    pub host_name: Span,
    /// The port that `host` names.
    pub port: Option<u16>,
    /// All fields in the order they came.
    pub fields: Vec<Field>,
    /// How the end of the body is known.
    pub framing: Framing,
    /// Whether the client will send another request on the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// Whether `connection` lists `upgrade` and an `upgrade` field says to what. Never on HTTP/1.0.
    pub upgrade: bool,
}

impl RequestHead {
    /// Empties the head, keeping the memory of its field list.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = RequestHead { fields, ..RequestHead::default() };
    }

    /// The value of the first such field.
    #[must_use]
    pub fn value<'a>(&self, bytes: &'a [u8], known: Known) -> Option<&'a [u8]> {
        value(&self.fields, bytes, known)
    }

    /// The values of all such fields, in order.
    pub fn values<'a>(&self, bytes: &'a [u8], known: Known) -> impl Iterator<Item = &'a [u8]> {
        values(&self.fields, bytes, known)
    }

    /// Whether it asks for a tunnel through a stream (RFC 8441). It reads as the handshake of
    /// HTTP/1.1 that stands for it; no other request of HTTP/2 can have its fields.
    #[must_use]
    pub fn is_extended_connect(&self) -> bool {
        self.upgrade && self.version == Version::Http2
    }

    /// The value of the first field of that name, in any case.
    #[must_use]
    pub fn by_name<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        by_name(&self.fields, bytes, name)
    }
}

/// A response up to its body. Spans point into the buffer that it was read from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// The version it was sent in.
    pub version: Version,
    /// The reason phrase; often empty, never meaningful.
    pub reason: Span,
    /// All fields in the order they came.
    pub fields: Vec<Field>,
    /// How the end of the body is known.
    pub framing: Framing,
    /// Whether the connection may carry another exchange after the body.
    pub keep_alive: bool,
    /// The response is a 101 whose `connection` lists `upgrade` and whose `upgrade` field says to
    /// what.
    pub upgrade: bool,
    /// The value of `content-length`, also where it does not frame a body (HEAD, 304).
    pub length: Option<u64>,
}

impl ResponseHead {
    /// Empties the head, keeping the memory of its field list.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = ResponseHead { fields, ..ResponseHead::default() };
    }

    /// Whether another response to the same request follows (1xx but not 101, RFC 9110 §15.2).
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// The value of the first such field.
    #[must_use]
    pub fn value<'a>(&self, bytes: &'a [u8], known: Known) -> Option<&'a [u8]> {
        value(&self.fields, bytes, known)
    }

    /// The values of all such fields, in order.
    pub fn values<'a>(&self, bytes: &'a [u8], known: Known) -> impl Iterator<Item = &'a [u8]> {
        values(&self.fields, bytes, known)
    }

    /// The value of the first field of that name, in any case.
    #[must_use]
    pub fn by_name<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        by_name(&self.fields, bytes, name)
    }
}

fn value<'a>(fields: &[Field], bytes: &'a [u8], known: Known) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.known == known).map(|field| field.value.of(bytes))
}

fn values<'a>(fields: &[Field], bytes: &'a [u8], known: Known) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |field| field.known == known).map(|field| field.value.of(bytes))
}

fn by_name<'a>(fields: &[Field], bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value.of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_outside_its_buffer_is_empty() {
        let bytes = b"abcdef";
        assert_eq!(Span::between(1, 3).of(bytes), b"bc");
        assert_eq!(Span::between(3, 1).of(bytes), b"");
        assert_eq!(Span::between(4, 7).of(bytes), b"");
        assert_eq!(Span::between(usize::MAX, usize::MAX).of(bytes), b"");
        assert!(Span::EMPTY.is_empty());
    }

    #[test]
    fn methods_are_case_sensitive() {
        for method in [
            Method::Get,
            Method::Head,
            Method::Post,
            Method::Put,
            Method::Patch,
            Method::Delete,
            Method::Options,
            Method::Trace,
            Method::Connect,
        ] {
            assert_eq!(Method::of(method.as_str().as_bytes()), method);
            assert_eq!(Method::of(method.as_str().to_ascii_lowercase().as_bytes()), Method::Other);
        }
        assert_eq!(Method::of(b"GET "), Method::Other);
        assert_eq!(Method::of(b"OTHER"), Method::Other);
    }

    #[test]
    fn safe_methods_are_idempotent_and_post_is_not() {
        assert!(Method::Get.is_idempotent() && Method::Put.is_idempotent());
        assert!(!Method::Put.is_safe());
        assert!(!Method::Post.is_idempotent() && !Method::Other.is_idempotent());
    }

    #[test]
    fn fields_are_found_by_meaning_and_by_name() {
        let bytes = b"Cookie: a\r\nX-One: b\r\ncookie: c\r\n";
        let field = |name, value, known| Field { name, value, known };
        let head = RequestHead {
            fields: vec![
                field(Span::between(0, 6), Span::between(8, 9), Known::Cookie),
                field(Span::between(11, 16), Span::between(18, 19), Known::Other),
                field(Span::between(21, 27), Span::between(29, 30), Known::Cookie),
            ],
            ..RequestHead::default()
        };
        assert_eq!(head.value(bytes, Known::Cookie), Some(&b"a"[..]));
        assert_eq!(head.values(bytes, Known::Cookie).collect::<Vec<_>>(), [b"a", b"c"]);
        assert_eq!(head.by_name(bytes, "x-ONE"), Some(&b"b"[..]));
        assert_eq!(head.by_name(bytes, "x-two"), None);
    }

    #[test]
    fn a_cleared_head_keeps_its_memory_and_nothing_else() {
        let mut head = RequestHead { keep_alive: true, ..RequestHead::default() };
        head.fields.reserve(40);
        let capacity = head.fields.capacity();
        head.clear();
        assert!(!head.keep_alive && head.fields.is_empty());
        assert_eq!(head.fields.capacity(), capacity);
    }
}
