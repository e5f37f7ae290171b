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
            let mut value = Vec::with_capacity(LEN);
            value.extend_from_slice(b"00-");
            hex(a | 1, &mut value);
            hex(b, &mut value);
            value.push(b'-');
            hex(c | 1, &mut value);
            value.extend_from_slice(b"-00");
            encode::known_field(out, Known::Traceparent, &value);
        }
    }
}

fn hex(number: u64, out: &mut Vec<u8>) {
    for byte in number.to_be_bytes() {
        for nibble in [byte >> 4, byte & 0xf] {
            out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
    }
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
