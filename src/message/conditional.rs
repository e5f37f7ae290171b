//! Which part of a resource a request is for, and whether it is for any (RFC 9110 §13, §14).

use super::head::{Method, RequestHead};
use super::known::Known;

/// What tells one state of a resource from another.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// A strong entity tag, with its quotes.
    pub etag: &'a str,
    /// When it was changed, as a field says it: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub modified: &'a str,
}

/// What of a resource is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// These bytes of it, both ends included.
    Range {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Nothing: the client has it (304).
    NotModified,
    /// Nothing: it is not what the client thinks (412).
    Changed,
    /// Nothing: it does not have these bytes (416).
    Unsatisfiable,
}

/// What a GET or HEAD asks for of a resource of `len` bytes. One range is taken; of more, and of
/// what is no range, nothing is taken, and all is sent.
#[must_use]
pub fn part_of(head: &RequestHead, text: &[u8], validators: &Validators<'_>, len: u64) -> Part {
    let value = |known| head.value(text, known);
    let modified = date(validators.modified.as_bytes());
    let is_listed = |known, weak: bool| {
        head.values(text, known).any(|list| is_in_list(list, validators.etag, weak))
    };
    // The order is that of §13.2.2.
    if value(Known::IfMatch).is_some() {
        if !is_listed(Known::IfMatch, false) {
            return Part::Changed;
        }
    } else if let Some(since) = head.by_name(text, "if-unmodified-since").and_then(date)
        && modified.is_some_and(|own| own > since)
    {
        return Part::Changed;
    }
    if value(Known::IfNoneMatch).is_some() {
        if is_listed(Known::IfNoneMatch, true) {
            return Part::NotModified;
        }
    } else if let Some(since) = value(Known::IfModifiedSince).and_then(date)
        && modified.is_some_and(|own| own <= since)
    {
        return Part::NotModified;
    }
    let Some(range) = value(Known::Range).filter(|_| head.method == Method::Get) else {
        return Part::Whole;
    };
    let is_same = value(Known::IfRange).is_none_or(|own| {
        own == validators.etag.as_bytes() || own == validators.modified.as_bytes()
    });
    if is_same { range_of(range, len) } else { Part::Whole }
}

/// Whether a list of entity tags has this one, or is `*`.
fn is_in_list(list: &[u8], etag: &str, weak: bool) -> bool {
    list.split(|byte| *byte == b',').any(|item| {
        let item = item.trim_ascii();
        let plain = item.strip_prefix(b"W/").filter(|_| weak).unwrap_or(item);
        item == b"*" || plain == etag.as_bytes()
    })
}

/// `bytes=0-499`, `bytes=500-`, `bytes=-500` (§14.1.2).
fn range_of(value: &[u8], len: u64) -> Part {
    let text = str::from_utf8(value).unwrap_or_default();
    let Some((unit, range)) = text.split_once('=') else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    let (Some(first), Some(last)) = (bound(first), bound(last)) else { return Part::Whole };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    let end = len.saturating_sub(1);
    match (first, last) {
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), _) if first >= len => Part::Unsatisfiable,
        (Some(first), last) => Part::Range { first, last: last.unwrap_or(end).min(end) },
        (None, Some(count)) if count == 0 || len == 0 => Part::Unsatisfiable,
        (None, Some(count)) => Part::Range { first: len.saturating_sub(count), last: end },
        (None, None) => Part::Whole,
    }
}

/// One end of a range; `None` if it is no number, and no nothing either.
#[expect(clippy::option_option, reason = "an end that is left out is not one that is wrong")]
fn bound(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is behind every end.
    plain.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

/// A date as everybody writes it (`IMF-fixdate`, RFC 9110 §5.6.7), in an order that can be
/// compared. The forms of long ago are no dates to us: they are ignored.
fn date(value: &[u8]) -> Option<[u8; 14]> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let (value, _) = value.split_first_chunk::<29>().filter(|(_, rest)| rest.is_empty())?;
    let part = |start: usize, len: usize| value.get(start..start + len);
    let month = MONTHS.iter().position(|name| part(8, 3) == Some(&name[..]))? + 1;
    let month = [b'0' + u8::try_from(month / 10).ok()?, b'0' + u8::try_from(month % 10).ok()?];
    let mut out = [0; 14];
    let parts = [part(12, 4)?, &month, part(5, 2)?, part(17, 2)?, part(20, 2)?, part(23, 2)?];
    for (place, byte) in out.iter_mut().zip(parts.concat()) {
        *place = byte;
    }
    (out.iter().all(u8::is_ascii_digit) && part(25, 4) == Some(b" GMT")).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::head::{Field, Span};

    const OWN: Validators<'static> =
        Validators { etag: "\"a\"", modified: "Sun, 06 Nov 1994 08:49:37 GMT" };

    fn part(method: Method, fields: &[(&str, &str)]) -> Part {
        let mut text = Vec::new();
        let mut own = Vec::new();
        let mut put = |bytes: &str| {
            let start = text.len();
            text.extend_from_slice(bytes.as_bytes());
            Span::between(start, text.len())
        };
        for (name, value) in fields {
            let known = Known::of(name.as_bytes());
            own.push(Field { name: put(name), value: put(value), known });
        }
        let head = RequestHead { method, fields: own, ..RequestHead::default() };
        part_of(&head, &text, &OWN, 1000)
    }

    #[test]
    fn one_range_of_bytes_is_taken() {
        let range = |first, last| Part::Range { first, last };
        for (value, want) in [
            ("bytes=0-499", range(0, 499)),
            ("Bytes=500-", range(500, 999)),
            ("bytes=-1", range(999, 999)),
            ("bytes=-2000", range(0, 999)),
            ("bytes=999-99999999999999999999999", range(999, 999)),
            ("bytes=1000-", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-1", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(part(Method::Get, &[("range", value)]), want, "{value}");
            assert_eq!(part(Method::Head, &[("range", value)]), Part::Whole, "{value}");
        }
    }

    #[test]
    fn a_range_is_of_the_state_that_the_client_knows() {
        for (value, want) in [
            ("\"a\"", Part::Range { first: 0, last: 0 }),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Part::Range { first: 0, last: 0 }),
            ("\"b\"", Part::Whole),
            ("W/\"a\"", Part::Whole),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Part::Whole),
        ] {
            let fields = [("range", "bytes=0-0"), ("if-range", value)];
            assert_eq!(part(Method::Get, &fields), want, "{value}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (name, value, want) in [
            ("if-none-match", "\"b\", W/\"a\"", Part::NotModified),
            ("if-none-match", "*", Part::NotModified),
            ("if-none-match", "\"b\"", Part::Whole),
            ("if-match", "\"a\"", Part::Whole),
            ("if-match", "W/\"a\"", Part::Changed),
            ("if-match", "\"b\"", Part::Changed),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", Part::NotModified),
            ("if-modified-since", "Thu, 01 Dec 1994 00:00:00 GMT", Part::NotModified),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", Part::Whole),
            ("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT", Part::Whole),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", Part::Changed),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT", Part::Whole),
        ] {
            assert_eq!(part(Method::Get, &[(name, value)]), want, "{name}: {value}");
        }
        // The tag says more than the date.
        let fields = [("if-none-match", "\"b\""), ("if-modified-since", OWN.modified)];
        assert_eq!(part(Method::Get, &fields), Part::Whole);
    }
}
