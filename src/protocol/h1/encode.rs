//! Heads and chunk framing, written into a buffer of the caller (RFC 9112 §2.1, §4, §7.1).
//!
//! No value that is given can end a line early: control characters become spaces, and a name that
//! is not a token is left out with its value.

use crate::base::decimal;
use crate::base::time::{UnixTime, civil};
use crate::message::known::Known;
use crate::message::token::{is_token, is_value_byte};

use super::scan;

/// The interim response that asks for the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// The end of a line, of a head, and of the data of a chunk.
pub const CRLF: &[u8] = b"\r\n";
/// Bytes of the longest chunk head.
pub const CHUNK_HEAD_BYTES_MAX: usize = 18;

/// Why a request line cannot be written. Nothing was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestLineError {
    /// The method is not a token.
    Method,
    /// The path is empty, or it or the query has a byte that no target has.
    Target,
}

/// Writes a request line of HTTP/1.1. `path` is as it goes on the wire, `*` for a server as a
/// whole.
pub fn request_line(
    out: &mut Vec<u8>,
    method: &[u8],
    path: &[u8],
    query: Option<&[u8]>,
) -> Result<(), RequestLineError> {
    if !is_token(method) {
        return Err(RequestLineError::Method);
    }
    let whole = |text: &[u8]| scan::target_len(text) == text.len();
    let marked = path.contains(&b'?');
    if path.is_empty() || marked || !whole(path) || !query.is_none_or(whole) {
        return Err(RequestLineError::Target);
    }
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    Ok(())
}

/// Writes a status line of HTTP/1.1. A status outside 100 to 999 becomes 500.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    let status = if (100..=999).contains(&status) { status } else { 500 };
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal::push(out, status);
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(CRLF);
}

/// Writes a field line. Returns false, and writes nothing, if `name` is not a token.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    if !is_token(name) {
        return false;
    }
    line(out, name, value);
    true
}

/// Writes a field line of a known name. Returns false, and writes nothing, for [`Known::Other`].
pub fn known_field(out: &mut Vec<u8>, known: Known, value: &[u8]) -> bool {
    let name = known.name().as_bytes();
    if name.is_empty() {
        return false;
    }
    line(out, name, value);
    true
}

/// Writes a `content-length` field.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    decimal::push(out, length);
    out.extend_from_slice(CRLF);
}

/// Writes `transfer-encoding: chunked`.
pub fn chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"transfer-encoding: chunked\r\n");
}

/// Writes `connection: close`.
pub fn connection_close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"connection: close\r\n");
}

/// Writes a `date` field (RFC 9110 §5.6.7): `date: Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn date(out: &mut Vec<u8>, now: UnixTime) {
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(&http_date(now));
    out.extend_from_slice(CRLF);
}

/// Ends a head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(CRLF);
}

/// Writes the size line of a chunk of `size` bytes, which is not zero: zero would end the body.
pub fn chunk_head(out: &mut Vec<u8>, size: u64) {
    debug_assert!(size != 0, "a chunk of no bytes ends the body");
    let digits = (64 - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = u8::try_from(size >> (place * 4) & 0xf).unwrap_or(0);
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.extend_from_slice(CRLF);
}

/// The date of a moment as HTTP writes it (IMF-fixdate, RFC 9110 §5.6.7), 29 bytes. Years stay
/// below 10000.
#[must_use]
pub fn http_date(now: UnixTime) -> [u8; 29] {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let pick = |names: &[&'static [u8; 3]], index: u64| {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        **names.get(index).unwrap_or(&b"???")
    };
    let digit = |number: u64| b'0' + u8::try_from(number % 10).unwrap_or(0);
    let seconds = now.seconds();
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let mut put = |at: usize, text: &[u8]| {
        if let Some(to) = out.get_mut(at..at + text.len()) {
            to.copy_from_slice(text);
        }
    };
    put(0, &pick(&DAYS, days % 7));
    put(8, &pick(&MONTHS, month.saturating_sub(1)));
    let parts = [(5, day), (12, year / 100), (14, year), (17, seconds / 3600 % 24)];
    for (at, number) in parts.into_iter().chain([(20, seconds / 60 % 60), (23, seconds % 60)]) {
        put(at, &[digit(number / 10), digit(number)]);
    }
    out
}

/// `name` is a token.
fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    if scan::value_len(value) == value.len() {
        out.extend_from_slice(value);
    } else {
        out.extend(value.iter().map(|byte| if is_value_byte(*byte) { *byte } else { b' ' }));
    }
    out.extend_from_slice(CRLF);
}

/// The registered reason phrase of a status; empty if there is none.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
