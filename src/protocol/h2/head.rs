//! What makes a head malformed (RFC 9113 §8). A malformed message ends its stream.
//!
//! Everything is refused here that a recipient behind us could read in another way once it stands
//! in an HTTP/1.1 message: §10.3, and "Request smuggling through downgrades" of the promises.

use super::hpack::fields::Fields;

/// Why a message is malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// A name that is empty, in upper case, or has octets that no token has (§8.2.1).
    Name,
    /// A value with control characters, or with a space in front or behind (§8.2.1).
    Value,
    /// A field that belongs to a connection (§8.2.2).
    ConnectionField,
    /// A pseudo-header field that is unknown, or not for this kind of message (§8.3).
    PseudoUnknown,
    /// The same pseudo-header field twice (§8.3).
    PseudoTwice,
    /// A pseudo-header field behind a regular one (§8.3).
    PseudoLate,
    /// A pseudo-header field that must be there is not (§8.3.1, §8.3.2).
    PseudoMissing,
    /// A method that is no token.
    Method,
    /// A scheme that is none.
    Scheme,
    /// A path that is empty, relative or has octets that no path has (§8.3.1).
    Path,
    /// An authority with a path or a user in it, or none at all (§8.3.1).
    Authority,
    /// Two hosts, or one that differs from the authority (§8.3.1).
    Host,
    /// A status that has not three digits (§8.3.2).
    Status,
    /// A content-length that is no number, or more than one (§8.1.1).
    Length,
}

/// What a head that is well-formed says about its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The value of `content-length`.
    pub content_length: Option<u64>,
    /// The status of a response; zero in a request.
    pub status: u16,
}

/// The pseudo-header fields that have been seen, as bits.
const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const PATH: u8 = 4;
const AUTHORITY: u8 = 8;
const PROTOCOL: u8 = 16;
const STATUS: u8 = 32;

/// Checks the head of a request (§8.3.1). `connect_protocol`: we offered RFC 8441.
pub fn request(fields: &Fields, connect_protocol: bool) -> Result<Facts, Malformed> {
    let mut seen = Seen::default();
    let allowed = if connect_protocol { PROTOCOL } else { 0 };
    let facts = walk(fields, METHOD | SCHEME | PATH | AUTHORITY | allowed, &mut seen)?;
    let method = seen.method.ok_or(Malformed::PseudoMissing)?;
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Malformed::Method);
    }
    let tunnel = method == b"CONNECT" && !seen.has(PROTOCOL);
    match (seen.scheme, seen.path) {
        // §8.5: neither may be there, and the authority must.
        (None, None) if tunnel => {}
        _ if tunnel => return Err(Malformed::PseudoUnknown),
        (Some(scheme), Some(path)) => {
            if !is_scheme(scheme) {
                return Err(Malformed::Scheme);
            }
            if !is_path(path, method) {
                return Err(Malformed::Path);
            }
        }
        _ => return Err(Malformed::PseudoMissing),
    }
    if seen.has(PROTOCOL) && method != b"CONNECT" {
        return Err(Malformed::PseudoUnknown);
    }
    if method == b"CONNECT" && seen.authority.is_none() {
        return Err(Malformed::PseudoMissing);
    }
    authority(&seen)?;
    Ok(facts)
}

/// Checks the head of a response (§8.3.2).
pub fn response(fields: &Fields) -> Result<Facts, Malformed> {
    let mut seen = Seen::default();
    let facts = walk(fields, STATUS, &mut seen)?;
    if !seen.has(STATUS) {
        return Err(Malformed::PseudoMissing);
    }
    let status = fields.status().ok_or(Malformed::Status)?;
    Ok(Facts { status, ..facts })
}

/// Checks trailers (§8.1): no pseudo-header fields, no connection fields.
pub fn trailers(fields: &Fields) -> Result<Facts, Malformed> {
    walk(fields, 0, &mut Seen::default())
}

#[derive(Default)]
struct Seen<'a> {
    pseudo: u8,
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

impl Seen<'_> {
    fn has(&self, bit: u8) -> bool {
        self.pseudo & bit != 0
    }
}

fn walk<'a>(fields: &'a Fields, allowed: u8, seen: &mut Seen<'a>) -> Result<Facts, Malformed> {
    let mut facts = Facts::default();
    let mut regular = false;
    for (name, value) in fields.iter() {
        if !is_value(value) {
            return Err(Malformed::Value);
        }
        if let Some(pseudo) = name.strip_prefix(b":") {
            let bit = pseudo_bit(pseudo, value, seen);
            if bit & allowed == 0 {
                return Err(Malformed::PseudoUnknown);
            }
            if seen.has(bit) {
                return Err(Malformed::PseudoTwice);
            }
            if regular {
                return Err(Malformed::PseudoLate);
            }
            seen.pseudo |= bit;
        } else {
            regular = true;
            self::regular(name, value, seen, &mut facts)?;
        }
    }
    Ok(facts)
}

fn pseudo_bit<'a>(name: &[u8], value: &'a [u8], seen: &mut Seen<'a>) -> u8 {
    match name {
        b"method" => {
            seen.method = Some(value);
            METHOD
        }
        b"scheme" => {
            seen.scheme = Some(value);
            SCHEME
        }
        b"path" => {
            seen.path = Some(value);
            PATH
        }
        b"authority" => {
            seen.authority = Some(value);
            AUTHORITY
        }
        b"protocol" => PROTOCOL,
        b"status" => STATUS,
        _ => 0,
    }
}

fn regular<'a>(
    name: &[u8],
    value: &'a [u8],
    seen: &mut Seen<'a>,
    facts: &mut Facts,
) -> Result<(), Malformed> {
    if name.is_empty() || !name.iter().all(|byte| is_name(*byte)) {
        return Err(Malformed::Name);
    }
    match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            Err(Malformed::ConnectionField)
        }
        b"te" if value != b"trailers" => Err(Malformed::ConnectionField),
        b"content-length" => {
            let length = content_length(value).ok_or(Malformed::Length)?;
            match facts.content_length.replace(length) {
                None => Ok(()),
                Some(_) => Err(Malformed::Length),
            }
        }
        b"host" => match seen.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(Malformed::Host),
        },
        _ => Ok(()),
    }
}

/// §8.3.1: one of `:authority` and `host` must be there, not empty, and they must agree.
fn authority(seen: &Seen<'_>) -> Result<(), Malformed> {
    match (seen.authority, seen.host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Malformed::Host)
        }
        (Some(name), _) | (None, Some(name)) if is_authority(name) => Ok(()),
        _ => Err(Malformed::Authority),
    }
}

/// Digits only; no sign, no list (RFC 9110 §8.6).
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// RFC 3986 §3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// An absolute path with its query, or `*` for OPTIONS. A fragment is never sent.
fn is_path(path: &[u8], method: &[u8]) -> bool {
    match path {
        b"*" => method == b"OPTIONS",
        [b'/', rest @ ..] => rest.iter().all(|byte| !matches!(*byte, 0..=b' ' | b'#' | 0x7f)),
        _ => false,
    }
}

/// Host and port without a user (§8.3.1).
fn is_authority(name: &[u8]) -> bool {
    let odd =
        |byte: &u8| matches!(*byte, 0..=b' ' | b'/' | b'?' | b'#' | b'@' | b'\\' | b',' | 0x7f..);
    !name.is_empty() && !name.iter().any(odd)
}

/// No control characters but the tab, and neither space nor tab at the ends (§8.2.1, RFC 9110
/// §5.5).
fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && (is_plain(value)
            || value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t'))
}

/// Whether there are surely no control characters, asked of eight octets at once.
fn is_plain(value: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let odd = |word: u64| {
        let delete = word ^ (ONES * 0x7f);
        let low = word.wrapping_sub(ONES * 0x20) & !word;
        (low | (delete.wrapping_sub(ONES) & !delete)) & HIGH
    };
    let (words, tail) = value.as_chunks::<8>();
    words.iter().all(|word| odd(u64::from_le_bytes(*word)) == 0)
        && tail.iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}

/// An octet of a token in lower case (§8.2.1, RFC 9110 §5.6.2).
fn is_name(byte: u8) -> bool {
    is_token(byte) && !byte.is_ascii_uppercase()
}

/// RFC 9110 §5.6.2.
#[expect(clippy::indexing_slicing, reason = "an octet is below 256")]
fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = token();

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
const fn token() -> [bool; 256] {
    let mut out = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        out[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    out
}

#[cfg(test)]
mod tests;
