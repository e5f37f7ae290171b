//! The handshake of WebSocket over HTTP/1.1 (RFC 6455 §4). What follows it is a tunnel to us, or
//! [`frame`]s where a module is talked to.

pub mod frame;

use ring::digest;

use crate::message::framing::Framing;
use crate::message::head::{Method, RequestHead, ResponseHead, Version};
use crate::message::known::Known;

/// What the key of a handshake is hashed with (RFC 6455 §1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a `sec-websocket-accept`: a SHA-1 digest in base64.
const ACCEPT_BYTES: usize = 28;
/// Bytes of a `sec-websocket-key`: 16 bytes in base64.
const KEY_BYTES: usize = 24;

/// Whether a request is a whole handshake.
#[must_use]
pub fn is_asked_for(head: &RequestHead, text: &[u8]) -> bool {
    let mut protocols = head.values(text, Known::Upgrade);
    head.upgrade
        && head.method == Method::Get
        && head.version >= Version::Http11
        && protocols.next().is_some_and(is_name)
        && protocols.next().is_none()
        && head.by_name(text, "sec-websocket-version") == Some(b"13")
        && head.value(text, Known::SecWebSocketKey).is_some_and(is_key)
        && head.framing == Framing::Empty
}

/// Whether a 101 takes the handshake that was asked for.
#[must_use]
pub fn is_taken(
    request: &RequestHead,
    request_text: &[u8],
    answer: &ResponseHead,
    text: &[u8],
) -> bool {
    let key = request.value(request_text, Known::SecWebSocketKey).unwrap_or_default();
    let mut accepts = answer.values(text, Known::SecWebSocketAccept);
    answer.status == 101
        && answer.upgrade
        && answer.value(text, Known::Upgrade).is_some_and(is_name)
        && is_asked_for(request, request_text)
        && accepts.next() == Some(&accept(key))
        && accepts.next().is_none()
}

/// Whether `upgrade` names it so.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"websocket")
}

/// 16 bytes in base64 have two `=` at their end.
fn is_key(key: &[u8]) -> bool {
    key.len() == KEY_BYTES
        && key.strip_suffix(b"==").is_some_and(|digits| {
            digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        })
}

/// The `sec-websocket-accept` for a `sec-websocket-key`.
#[must_use]
pub fn accept(key: &[u8]) -> [u8; ACCEPT_BYTES] {
    // The protocol asks for SHA-1; nothing secret depends on it.
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(MAGIC);
    let digest = hash.finish();
    let mut out = [b'='; ACCEPT_BYTES];
    for (triple, four) in digest.as_ref().chunks(3).zip(out.chunks_mut(4)) {
        let at = |index: usize| u32::from(triple.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        // A triple of n bytes has n + 1 digits; the rest stays `=`.
        for (place, slot) in four.iter_mut().enumerate().take(triple.len() + 1) {
            *slot = base64_digit(bits >> (18 - 6 * place) & 63);
        }
    }
    out
}

fn base64_digit(number: u32) -> u8 {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    usize::try_from(number).ok().and_then(|index| DIGITS.get(index)).copied().unwrap_or(b'A')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_sixteen_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"!GhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_key(key));
        }
    }
}
