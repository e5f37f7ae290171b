//! The id that client, services and log share.

use crate::base::text::Text;
use crate::base::time::UnixTime;
use crate::io::Io;
use crate::message::head::RequestHead;
use crate::message::known::Known;

use super::context::Context;

/// The client's own id if it is harmless, else a new one.
pub(super) fn of<I: Io>(
    cx: &Context<I>,
    head: &RequestHead,
    text: &[u8],
    time: UnixTime,
) -> Text<64> {
    match head.value(text, Known::XRequestId) {
        Some(id) if is_harmless(id) => Text::new(id),
        _ => new(cx, time),
    }
}

/// At most 64 bytes that mean nothing in any log, header or query.
fn is_harmless(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte))
}

/// Where the two digits of each byte stand between the dashes.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The two digits of each byte.
static DIGITS: [[u8; 2]; 256] = digits();

#[expect(clippy::indexing_slicing, reason = "at compile time")]
const fn digits() -> [[u8; 2]; 256] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        out[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    out
}

/// A UUID of version 7 (RFC 9562 §5.7): milliseconds, then chance.
pub(super) fn new<I: Io>(cx: &Context<I>, time: UnixTime) -> Text<64> {
    let millis = u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX);
    let (a, b) = cx.with_prng(|prng| (prng.next_u64(), prng.next_u64()));
    let high = (millis << 16) | 0x7000 | (a & 0x0fff);
    let low = 0x8000_0000_0000_0000 | (b >> 2);
    let [bytes_high, bytes_low] = [high.to_be_bytes(), low.to_be_bytes()];
    let mut text = [b'-'; 36];
    for (byte, at) in bytes_high.into_iter().chain(bytes_low).zip(PLACES) {
        if let Some(pair) = text.get_mut(at..at + 2) {
            #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
            pair.copy_from_slice(&DIGITS[usize::from(byte)]);
        }
    }
    Text::new(&text)
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
