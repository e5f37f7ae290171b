//! The id that client, services and log share.

use crate::base::text::Text;
use crate::base::time::UnixTime;
use crate::io::Io;
use crate::message::head::RequestHead;
use crate::message::known::Known;

use crate::snapshot::server::RequestId;

use super::context::Context;
use super::trace::hex;

/// The client's own id if it is harmless, else a new one.
pub(super) fn of<I: Io>(
    cx: &Context<I>,
    head: &RequestHead,
    text: &[u8],
    time: UnixTime,
    form: RequestId,
) -> Text<64> {
    match head.value(text, Known::XRequestId) {
        Some(id) if is_harmless(id) => Text::new(id),
        _ if form == RequestId::Hex24 => hex24(cx),
        _ => new(cx, time),
    }
}

/// At most 64 bytes that mean nothing in any log, header or query.
fn is_harmless(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte))
}

/// A UUID of version 7 (RFC 9562 §5.7): milliseconds, then chance.
pub(super) fn new<I: Io>(cx: &Context<I>, time: UnixTime) -> Text<64> {
    let millis = u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX);
    let (a, b) = cx.with_prng(|prng| (prng.next_u64(), prng.next_u64()));
    let high = (millis << 16) | 0x7000 | (a & 0x0fff);
    let low = 0x8000_0000_0000_0000 | (b >> 2);
    Text::ascii(&uuid(high, low))
}

/// 24 digits of chance.
fn hex24<I: Io>(cx: &Context<I>) -> Text<64> {
    let (a, b) = cx.with_prng(|prng| (prng.next_u64(), prng.next_u64()));
    let (a, b) = (hex(a), hex(b));
    let mut text = [b'0'; 24];
    text[..16].copy_from_slice(&a);
    text[16..].copy_from_slice(&b[..8]);
    Text::ascii(&text)
}

/// A UUID as text.
fn uuid(high: u64, low: u64) -> [u8; 36] {
    let (high, low) = (hex(high), hex(low));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&high[..8]);
    text[9..13].copy_from_slice(&high[8..12]);
    text[14..18].copy_from_slice(&high[12..]);
    text[19..23].copy_from_slice(&low[..4]);
    text[24..].copy_from_slice(&low[4..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_between_dashes() {
        let text = uuid(0x0193_1c4e_7c1e_7000, 0x8123_4567_89ab_cdef);
        assert_eq!(text.as_slice(), b"01931c4e-7c1e-7000-8123-456789abcdef");
    }

    #[test]
    fn only_harmless_ids_are_taken_over() {
        for id in ["a", "01931c4e-7c1e-7000-8000-000000000000", "a/b+c=:._-"] {
            assert!(is_harmless(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\"b", "a\r\nb", "{}", "ä", &"x".repeat(65)] {
            assert!(!is_harmless(id.as_bytes()), "{id}");
        }
    }
}
