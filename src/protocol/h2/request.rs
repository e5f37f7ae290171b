//! The fields of a request as the head and the text that HTTP/1 would have brought.
//!
//! So routing, hygiene and forwarding are one code for both versions. The engine has checked the
//! fields ([`head`](super::head)); here they are held against what HTTP/1 allows as well: bounds,
//! the bytes of a target, the form of an authority.

use super::hpack::encode;
use super::hpack::fields::Fields;
use crate::base::limits;
use crate::message::authority;
use crate::message::framing::{Framing, parse_length};
use crate::message::head::{Field, Method, RequestHead, Span, Version};
use crate::message::known::Known;
use crate::message::target::{self, Form, is_target_byte};
use crate::message::token::is_token;
use crate::protocol::base64::Encoder;
use crate::protocol::h1::request::{FaultKind, HeadLimits, METHOD_BYTES_MAX};

/// Writes the head of a request that was found well-formed, and the text that it points into.
pub fn request(
    fields: &Fields,
    end_stream: bool,
    limits: HeadLimits,
    head: &mut RequestHead,
    text: &mut Vec<u8>,
) -> Result<(), FaultKind> {
    head.clear();
    text.clear();
    head.version = Version::Http2;
    head.keep_alive = true;
    line(fields, limits, head, text)?;
    let host = fields.authority().unwrap_or_default();
    let parsed = authority::parse(host).map_err(|_| FaultKind::Malformed)?;
    push(&mut head.fields, text, b"host", Known::Host, host);
    if let Some(field) = head.fields.last() {
        head.host = field.value;
        let start = field.value.start();
        head.host_name = Span::between(start, start + parsed.host_len);
        head.port = parsed.port;
    }
    let facts = regular(fields, head, text)?;
    cookies(fields, head, text);
    if head.upgrade {
        let protocol = fields.protocol().unwrap_or_default();
        // A tunnel has no content.
        if facts.length.is_some() || !is_token(protocol) {
            return Err(FaultKind::Malformed);
        }
        push(&mut head.fields, text, b"connection", Known::Connection, b"upgrade");
        push(&mut head.fields, text, b"upgrade", Known::Upgrade, protocol);
    }
    text.extend_from_slice(b"\r\n");
    if text.len() > limits.bytes || head.fields.len() > limits.fields {
        return Err(FaultKind::HeadTooLarge);
    }
    head.framing = match (facts.length, end_stream) {
        // What follows are the bytes of the tunnel.
        _ if head.upgrade => Framing::Empty,
        // Whether nothing really follows is not known yet: it is before anybody is asked.
        (Some(length), end) if length > 0 || end => Framing::Length(length),
        (None, true) => Framing::Empty,
        // Only the stream tells where it ends: what an HTTP/1 endpoint gets in chunks.
        (_, _) => Framing::Chunked,
    };
    let bodiless = matches!(head.method, Method::Connect | Method::Trace);
    if bodiless && head.framing.has_body() {
        return Err(FaultKind::Malformed);
    }
    head.expect_continue = facts.expect && head.framing.has_body();
    Ok(())
}

/// Adds the key of the handshake that stands for an extended CONNECT.
pub fn add_key(head: &mut RequestHead, text: &mut Vec<u8>, key: &[u8; 16]) {
    let (mut encoder, mut value) = (Encoder::default(), Vec::with_capacity(24));
    encoder.encode(key, &mut value);
    encoder.end(&mut value);
    push(&mut head.fields, text, b"sec-websocket-key", Known::SecWebSocketKey, &value);
}

/// Appends the block of a request. `text` is a head of ours in HTTP/1: `host` comes first.
pub fn block(scheme: &str, text: &[u8], out: &mut Vec<u8>) {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    encode::field(out, b":method", words.next().unwrap_or_default());
    encode::field(out, b":scheme", scheme.as_bytes());
    encode::field(out, b":path", words.next().unwrap_or_default());
    let host = lines.next().unwrap_or_default();
    encode::field(out, b":authority", host.strip_prefix(b"host: ").unwrap_or_default());
    super::response::append(lines, out);
}

/// Writes trailers as HTTP/1 would have brought them: lines with a space behind the colon. What is
/// beyond the bounds of HTTP/1 is left out, as anyone on the way may leave trailers out.
pub fn trailers(fields: &Fields, lines: &mut Vec<u8>) {
    lines.clear();
    for (name, value) in fields.iter().take(limits::TRAILERS_MAX) {
        if lines.len() + name.len() + value.len() + 4 > limits::TRAILER_BYTES_MAX {
            return;
        }
        for part in [name, b": ", value, b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
}

/// What the regular fields say together.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    expect: bool,
}

/// The request line.
fn line(
    fields: &Fields,
    limits: HeadLimits,
    head: &mut RequestHead,
    text: &mut Vec<u8>,
) -> Result<(), FaultKind> {
    let mut method = fields.method().unwrap_or_default();
    if method == b"CONNECT" && fields.protocol().is_some() {
        // What stands for it in HTTP/1.1 is the request for an upgrade (RFC 8441 §5).
        method = b"GET";
        head.upgrade = true;
    }
    if method.len() > METHOD_BYTES_MAX {
        return Err(FaultKind::Malformed);
    }
    text.extend_from_slice(method);
    head.method = Method::of(method);
    head.method_text = Span::between(0, text.len());
    text.push(b' ');
    let start = text.len();
    let connect = head.method == Method::Connect;
    // A CONNECT without a path names an authority (RFC 9113 §8.5).
    let path = if connect { fields.authority() } else { fields.path() };
    let path = path.unwrap_or_default();
    if path.len() > limits.target {
        return Err(FaultKind::TargetTooLong);
    }
    if !path.iter().all(|byte| is_target_byte(*byte)) {
        return Err(FaultKind::Malformed);
    }
    if !matches!(fields.scheme(), None | Some(b"http" | b"https")) {
        return Err(FaultKind::Malformed);
    }
    text.extend_from_slice(path);
    head.target = Span::between(start, text.len());
    let parsed = target::parse(head.method, text, head.target).map_err(|_| FaultKind::Malformed)?;
    if parsed.form == Form::Absolute {
        return Err(FaultKind::Malformed);
    }
    (head.form, head.path, head.query) = (parsed.form, parsed.path, parsed.query);
    text.extend_from_slice(b" HTTP/2\r\n");
    Ok(())
}

fn regular(
    fields: &Fields,
    head: &mut RequestHead,
    text: &mut Vec<u8>,
) -> Result<Facts, FaultKind> {
    let mut facts = Facts::default();
    for (name, value) in fields.regular() {
        let known = Known::of(name);
        match known {
            // Cookies are joined behind the others; the host was written in front of them.
            Known::Host | Known::Cookie => continue,
            // It has none on a stream: the key is ours.
            Known::SecWebSocketKey if head.upgrade => continue,
            Known::ContentLength => {
                facts.length = Some(parse_length(value).map_err(|_| FaultKind::Malformed)?);
            }
            Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => facts.expect = true,
            Known::Expect => return Err(FaultKind::ExpectationUnsupported),
            _ => {}
        }
        push(&mut head.fields, text, name, known, value);
    }
    Ok(facts)
}

/// Crumbs become one field (RFC 9113 §8.2.3).
fn cookies(fields: &Fields, head: &mut RequestHead, text: &mut Vec<u8>) {
    let mut crumbs =
        fields.regular().filter(|(name, _)| *name == b"cookie").map(|(_, value)| value);
    let Some(first) = crumbs.next() else { return };
    push(&mut head.fields, text, b"cookie", Known::Cookie, first);
    for crumb in crumbs {
        text.truncate(text.len().saturating_sub(2));
        text.extend_from_slice(b"; ");
        text.extend_from_slice(crumb);
        if let Some(field) = head.fields.last_mut() {
            field.value = Span::between(field.value.start(), text.len());
        }
        text.extend_from_slice(b"\r\n");
    }
}

/// Adds a field, and its line to the text.
pub fn push(fields: &mut Vec<Field>, text: &mut Vec<u8>, name: &[u8], known: Known, value: &[u8]) {
    let start = text.len();
    text.extend_from_slice(name);
    let name = Span::between(start, text.len());
    text.extend_from_slice(b": ");
    let start = text.len();
    text.extend_from_slice(value);
    let value = Span::between(start, text.len());
    text.extend_from_slice(b"\r\n");
    fields.push(Field { name, value, known });
}

#[cfg(test)]
mod tests;
