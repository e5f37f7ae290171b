//! The head of an HTTP/1 response as a header block.
//!
//! Heads are written once, as text ([`h1::encode`](crate::protocol::h1::encode)); here the text of
//! one becomes fields: names in lower case, nothing about the connection (RFC 9113 §8.2).

use super::hpack::encode;
use super::hpack::fields::Fields;
use super::request::push;
use crate::base::limits;
use crate::message::framing::{Framing, parse_length};
use crate::message::head::{ResponseHead, Version};
use crate::message::known::Known;

/// Appends the block of a response. `text` is a head of ours: a status line, field lines with `: `
/// between name and value, an empty line.
pub fn response(text: &[u8], out: &mut Vec<u8>) {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    encode::status(out, status(lines.next().unwrap_or_default()));
    append(lines, out);
}

/// Appends the fields of these lines.
pub fn fields(lines: &[u8], out: &mut Vec<u8>) {
    append(lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end), out);
}

/// Writes the head of a response that was found well-formed, and the text that it points into.
/// False: it has more fields than a head of HTTP/1 may have.
#[must_use]
pub fn head(
    fields: &Fields,
    end_stream: bool,
    head: &mut ResponseHead,
    text: &mut Vec<u8>,
) -> bool {
    head.clear();
    text.clear();
    head.version = Version::Http2;
    head.keep_alive = true;
    head.status = fields.status().unwrap_or(0);
    for (name, value) in fields.regular() {
        let known = Known::of(name);
        if known == Known::ContentLength {
            head.length = parse_length(value).ok();
        }
        push(&mut head.fields, text, name, known, value);
    }
    head.framing = match head.length {
        _ if end_stream => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    head.status >= 200 && head.fields.len() <= limits::HEAD_FIELDS_MAX
}

pub(super) fn append<'a>(lines: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut lower = Vec::with_capacity(32);
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let known = Known::of(name);
        if name.is_empty() || ends_here(known) {
            continue;
        }
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        if known == Known::SetCookie {
            encode::field_sensitive(out, &lower, value);
        } else {
            encode::field(out, &lower, value);
        }
    }
}

/// Fields that HTTP/2 has no use for, and forbids (RFC 9113 §8.2.2).
const fn ends_here(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

/// The status of `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> u16 {
    let digits = line.get(9..12).unwrap_or_default();
    let read = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    read.filter(|status| (100..=999).contains(status)).unwrap_or(500)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::h2::hpack::decode::Decoder;

    fn fields(text: &[u8]) -> Vec<(String, String)> {
        let mut block = Vec::new();
        response(text, &mut block);
        let mut fields = Fields::new(64 * 1024);
        Decoder::new(4096).decode(&block, &mut fields).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn want(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_are_lower_case_and_the_connection_is_left_out() {
        let text = b"HTTP/1.1 404 Not Found\r\nX-A: B: c\r\nConnection: close\r\n\
            transfer-encoding: chunked\r\nkeep-alive: x\r\nUpgrade: y\r\nSet-Cookie: s=1\r\n\
            Empty:\r\n\r\n";
        let expected =
            want(&[(":status", "404"), ("x-a", "B: c"), ("set-cookie", "s=1"), ("empty", "")]);
        assert_eq!(fields(text), expected);
    }

    #[test]
    fn every_status_is_told() {
        for status in [100, 103, 200, 204, 299, 304, 500, 599] {
            let text = format!("HTTP/1.1 {status} \r\n\r\n");
            assert_eq!(fields(text.as_bytes()), want(&[(":status", &status.to_string())]));
        }
    }
}
