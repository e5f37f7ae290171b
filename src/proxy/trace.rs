//! W3C Trace Context: a valid `traceparent` is kept, another is replaced; and where exchanges are
//! told of as spans, it is the span of the call that services see as their parent.

use std::rc::Rc;

use crate::io::Io;
use crate::message::known::Known;
use crate::observe::span::SpanIds;
use crate::protocol::h1::encode;

use super::context::{Context, HeadText};
use super::exchange::Exchange;

/// `00-<trace id>-<span id>-<flags>`.
const LEN: usize = 55;
/// Set in the flags of who tells of its span.
const SAMPLED: u8 = 1;

/// What a caller says of its trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Parent {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// The ids of an exchange that is told of; `None`: nobody wants to know, or its trace is not among
/// those that are told of.
pub(super) fn begin<I: Io>(cx: &Rc<Context<I>>, head: &HeadText) -> Option<SpanIds> {
    let tell = cx.tell.get().filter(|tell| !tell.spans.is_empty())?;
    let HeadText { head, text } = head;
    let parent = head.value(text, Known::Traceparent).and_then(parse);
    if parent.is_some_and(|parent| !parent.sampled) {
        return None;
    }
    let [high, low, own, client] = cx.with_prng(|prng| [0; 4].map(|_: u8| prng.next_u64()));
    let (trace, caller) = match parent {
        Some(parent) => (parent.trace, parent.span),
        None => (u128::from(high | 1) << 64 | u128::from(low), 0),
    };
    let ids = SpanIds { trace, parent: caller, own: own | 1, client: client | 1 };
    (parent.is_some() || ids.is_among(tell.ratio)).then_some(ids)
}

/// The `traceparent` that services see of an exchange that is told of.
pub(super) fn text(ids: &SpanIds) -> [u8; LEN] {
    let mut out = *b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    let [high, low] = [ids.trace >> 64, ids.trace & u128::from(u64::MAX)]
        .map(|half| hex(u64::try_from(half).unwrap_or(0)));
    out[3..19].copy_from_slice(&high);
    out[19..35].copy_from_slice(&low);
    out[36..52].copy_from_slice(&hex(ids.client));
    out
}

/// The `traceparent` that services see of an exchange: its own if it is told of, else what the
/// caller sent, if that is one.
pub(super) fn shown<I: Io>(exchange: &Exchange<'_, I>) -> Option<[u8; LEN]> {
    if let Some(ids) = &exchange.span {
        return Some(text(ids));
    }
    let sent = exchange.head.value(exchange.text, Known::Traceparent)?;
    parse(sent).and_then(|_| sent.try_into().ok())
}

/// The id of the trace in what [`shown`] gives.
pub(super) fn id(shown: &[u8; LEN]) -> Option<&str> {
    str::from_utf8(shown.get(3..35)?).ok()
}

/// Writes the `traceparent` of a request that leaves.
pub(super) fn write<I: Io>(exchange: &Exchange<'_, I>, out: &mut Vec<u8>) {
    if let Some(text) = shown(exchange) {
        encode::known_field(out, Known::Traceparent, &text);
        return;
    }
    let [a, b, c] = exchange.cx.with_prng(|prng| [0; 3].map(|_: u8| prng.next_u64()));
    let mut line = *b"traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-00\r\n";
    line[16..32].copy_from_slice(&hex(a | 1));
    line[32..48].copy_from_slice(&hex(b));
    line[49..65].copy_from_slice(&hex(c | 1));
    out.extend_from_slice(&line);
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
fn parse(value: &[u8]) -> Option<Parent> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    if value.len() != LEN || !value.iter().all(is_digit) {
        return None;
    }
    let mut parts = str::from_utf8(value).ok()?.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || (trace.len(), span.len(), flags.len()) != (32, 16, 2) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    let sampled = u8::from_str_radix(flags, 16).ok()? & SAMPLED != 0;
    Some(Parent { trace, span, sampled })
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
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-701", false);
        check("", false);
    }

    #[track_caller]
    fn check(value: &str, want: bool) {
        assert_eq!(parse(value.as_bytes()).is_some(), want, "{value}");
    }

    #[test]
    fn a_parent_is_read_and_a_child_is_written() {
        let parent = parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02").unwrap();
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        assert_eq!(parent, Parent { trace, span: 0x00f0_67aa_0ba9_02b7, sampled: false });
        let ids = SpanIds { trace, client: 0xab, ..SpanIds::default() };
        let want = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01";
        assert_eq!(text(&ids).as_slice(), want);
    }
}
