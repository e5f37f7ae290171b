//! W3C Trace Context: a valid `traceparent` is kept, another is replaced.

use crate::io::Io;
use crate::message::known::Known;
use crate::protocol::h1::encode;

use super::exchange::Exchange;

/// `00-<trace id>-<span id>-<flags>`.
const LEN: usize = 55;

/// Writes the `traceparent` of a request that leaves.
pub(super) fn write<I: Io>(exchange: &Exchange<'_, I>, out: &mut Vec<u8>) {
    match exchange.head.value(exchange.text, Known::Traceparent) {
        Some(value) if is_valid(value) => {
            encode::known_field(out, Known::Traceparent, value);
        }
        _ => {
            let (a, b, c) =
                exchange.cx.with_prng(|prng| (prng.next_u64(), prng.next_u64(), prng.next_u64()));
            let mut line =
                *b"traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-00\r\n";
            line[16..32].copy_from_slice(&hex(a | 1));
            line[32..48].copy_from_slice(&hex(b));
            line[49..65].copy_from_slice(&hex(c | 1));
            out.extend_from_slice(&line);
        }
    }
}

/// The 16 digits of a number. All eight nibbles of a half are turned into digits at once.
pub(super) fn hex(number: u64) -> [u8; 16] {
    let mut out = [0; 16];
    let (high, low) = out.split_at_mut(8);
    high.copy_from_slice(&digits(number >> 32));
    low.copy_from_slice(&digits(number & 0xffff_ffff));
    out
}

/// The 8 digits of a number below 2^32.
const fn digits(number: u64) -> [u8; 8] {
    // One nibble in each byte, the first digit in the highest one.
    let spread = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte whose nibble is above 9: there a letter stands, 39 places further on.
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * 39).to_be_bytes()
}

/// Trace Context §3.2: version 00, ids that are not all zeros, lower-case hexadecimal.
fn is_valid(value: &[u8]) -> bool {
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = value.split(|byte| *byte == b'-');
    let (Some(version), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    value.len() == LEN
        && version == b"00"
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && [trace, span, flags].into_iter().all(is_hex)
        && trace.iter().any(|byte| *byte != b'0')
        && span.iter().any(|byte| *byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_sixteen_digits() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX, 0xf0e0_d0c0_b0a0_9080] {
            assert_eq!(hex(number).as_slice(), format!("{number:016x}").as_bytes());
        }
    }

    #[test]
    fn only_whole_trace_contexts_are_kept() {
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false);
        check("", false);
    }

    #[track_caller]
    fn check(value: &str, want: bool) {
        assert_eq!(is_valid(value.as_bytes()), want, "{value}");
    }
}
