//! The id that client, services and log share.

use crate::base::text::Text;
use crate::io::Io;
use crate::message::head::RequestHead;
use crate::message::known::Known;

use super::context::Context;

/// The client's own id if it is harmless, else a new one.
pub(super) fn of<I: Io>(cx: &Context<I>, head: &RequestHead, text: &[u8]) -> Text<64> {
    match head.value(text, Known::XRequestId) {
        Some(id) if is_harmless(id) => Text::new(id),
        _ => new(cx),
    }
}

/// At most 64 bytes that mean nothing in any log, header or query.
fn is_harmless(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte))
}

/// A UUID of version 7 (RFC 9562 §5.7): milliseconds, then chance.
pub(super) fn new<I: Io>(cx: &Context<I>) -> Text<64> {
    let millis = u64::try_from(cx.io.unix_now().0.as_millis()).unwrap_or(u64::MAX);
    let (a, b) = cx.with_prng(|prng| (prng.next_u64(), prng.next_u64()));
    let high = (millis << 16) | 0x7000 | (a & 0x0fff);
    let low = 0x8000_0000_0000_0000 | (b >> 2);
    let hex = |out: &mut Text<64>, number: u64, nibbles: u32| {
        for at in (0..nibbles).rev() {
            let nibble = u32::try_from((number >> (4 * at)) & 0xf).unwrap_or(0);
            let digit = char::from_digit(nibble, 16).unwrap_or('0');
            out.push_str(digit.encode_utf8(&mut [0; 4]));
        }
    };
    let mut out = Text::EMPTY;
    for (number, nibbles) in [(high >> 32, 8), (high >> 16, 4), (high, 4), (low >> 48, 4)] {
        hex(&mut out, number, nibbles);
        out.push_str("-");
    }
    hex(&mut out, low, 12);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
