use super::*;
use crate::base::prng::Prng;

#[test]
fn values_are_taken_as_they_are_written() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "10",
        "-1.50",
        "1e5",
        "1E+05",
        "0.1e-9",
        "\"\"",
        "[]",
        "{}",
        "[1,2]",
        "[ 1 , [ ] , { } ]",
        "{\"a\":1}",
        "{ \"a\" : [ { \"b\" : null } ] }",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
        "\"\u{7f}\u{e4}\u{1f600}\"",
        "\"\\ud800\"",
        "12345678901234567890123",
        "\"long enough for more than one step of eight\"",
    ] {
        check(text, Ok(text));
        check(&format!(" \t\r\n{text}\n "), Ok(text));
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "+1",
        "01",
        "-01",
        "1a",
        ".5",
        "0x1",
        "tru e",
        "nul1",
        "True",
        "'a'",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{\"a\":,}",
        "]",
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"a\u{1f}\"",
        "1 2",
        "{} {}",
        "// a\n1",
        "1.e5",
        "1.-",
        "-a",
        "NaN",
        "Infinity",
        "\u{a0}1",
        "\"12345678\t\"",
        "[1]]",
    ] {
        check(text, Err(JsonError::Unexpected));
    }
    for text in ["", " ", "-", "1.", "1e", "1e+", "t", "\"", "\"\\", "\"\\u00", "[", "[1", "{"] {
        check(text, Err(JsonError::Truncated));
    }
    assert_eq!(value(b"\"\xff\""), Err(JsonError::NotUtf8));
    assert_eq!(value(b"\xef\xbb\xbf1"), Err(JsonError::NotUtf8));
}

#[test]
fn nesting_is_bounded() {
    let depth = usize::try_from(limits::JSON_DEPTH_MAX).unwrap();
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    check(&nested(depth), Ok(&nested(depth)));
    check(&objects(depth), Ok(&objects(depth)));
    check(&nested(depth + 1), Err(JsonError::TooDeep));
    check(&objects(depth + 1), Err(JsonError::TooDeep));
    assert!(members(objects(depth).as_bytes()).is_ok());
    assert_eq!(members(objects(depth + 1).as_bytes()), Err(JsonError::TooDeep));
    check(&"[".repeat(1_000_000), Err(JsonError::TooDeep));
}

#[test]
fn no_prefix_of_an_object_is_an_object() {
    let text = br#" {"a\n": [1, -2.5e3, "\u00e4x"], "b": {"c": {}}, "d": null } "#;
    assert_eq!(members(text).unwrap().len(), 3);
    for cut in 0..text.len() - 1 {
        let front = members(&text[..cut]);
        assert_eq!(front, Err(JsonError::Truncated), "cut at {cut}");
    }
}

#[test]
fn members_have_unescaped_keys_and_raw_values() {
    check_members("{}", &[]);
    check_members(" { } ", &[]);
    check_members(r#"{"a":1,"b" : [ 1 ] }"#, &[("a", "1"), ("b", "[ 1 ]")]);
    check_members(r#"{"\u0061\"":"x"}"#, &[("a\"", "\"x\"")]);
    check_members(r#"{"":{"a":1}}"#, &[("", r#"{"a":1}"#)]);
    check_members(r#"{"\ud83d\ude00":0}"#, &[("😀", "0")]);
}

#[test]
fn the_last_of_equal_keys_counts() {
    check_members(r#"{"b":0,"a":1,"a":2,"\u0061":3}"#, &[("a", "3"), ("b", "0")]);
}

#[test]
fn bodies_that_are_no_objects_are_refused() {
    for (text, want) in [
        ("[]", JsonError::NotAnObject),
        ("1", JsonError::NotAnObject),
        ("\"{}\"", JsonError::NotAnObject),
        ("[", JsonError::Truncated),
        ("", JsonError::Truncated),
        ("{}x", JsonError::Unexpected),
        ("{\"a\":1}}", JsonError::Unexpected),
        ("{\"\\ud800\":1}", JsonError::KeyNotText),
        ("{\"\\ud800\\u0061\":1}", JsonError::KeyNotText),
        ("{\"\\udc00\":1}", JsonError::KeyNotText),
    ] {
        assert_eq!(members(text.as_bytes()), Err(want), "{text}");
    }
}

#[test]
fn members_are_bounded() {
    let object = |n: usize| {
        let all: Vec<_> = (0..n).map(|n| format!("\"{n}\":0")).collect();
        format!("{{{}}}", all.join(","))
    };
    let max = limits::JSON_MEMBERS_MAX;
    assert_eq!(members(object(max).as_bytes()).unwrap().len(), max);
    assert_eq!(members(object(max + 1).as_bytes()), Err(JsonError::TooManyMembers));
}

#[test]
fn strings_are_read_as_they_were_written() {
    for text in ["", "a", "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}", "äöü 😀", "plain, longer"]
    {
        let mut out = Vec::new();
        put_string(&mut out, text);
        assert_eq!(out.len(), string_len(text));
        let json = String::from_utf8(out).unwrap();
        assert_eq!(value(json.as_bytes()), Ok(json.as_str()));
        assert_eq!(string(&json).as_deref(), Some(text));
    }
    assert_eq!(string("1"), None);
    assert_eq!(string("\""), None);
    assert_eq!(string("\"\\ud800\""), None);
}

#[test]
fn the_quick_scan_stops_where_the_slow_one_would() {
    let mut prng = Prng::new(3);
    for _ in 0..20_000 {
        let mut bytes = [b'a'; 40];
        let mut any = [0u8; 2];
        prng.fill(&mut any);
        bytes[usize::from(any[0]) % 40] = any[1];
        bytes[usize::from(any[0] / 5) % 40] = any[1].wrapping_add(1);
        let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
        let first = bytes.iter().position(special).unwrap_or(40);
        assert_eq!(plain_len(&bytes), first, "{bytes:?}");
    }
}

/// Deletes, doubles and changes bytes of valid texts; the scanner must agree with a slow reading of
/// the grammar by a parser that knows no tricks.
#[test]
fn damaged_texts_are_judged_as_by_the_grammar() {
    let seed = br#"{"a":[1,-2.5e+3,true,null,"x\n\u0041"],"b":{"c":{},"d":[]}}"#;
    let mut prng = Prng::new(9);
    for _ in 0..50_000 {
        let mut text = seed.to_vec();
        for _ in 0..=prng.below(2) {
            let at = usize::try_from(prng.below(u64::try_from(text.len()).unwrap())).unwrap();
            let other = seed[usize::try_from(prng.below(60)).unwrap() % seed.len()];
            match prng.below(3) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, other),
                _ => text[at] = other,
            }
        }
        let slow = grammar::value(&text) == Some(text.len());
        assert_eq!(value(&text).is_ok(), slow, "{}", String::from_utf8_lossy(&text));
    }
}

/// RFC 8259 as recursive functions: each gives where the thing at the start of the bytes ends.
mod grammar {
    fn space(text: &[u8]) -> usize {
        text.iter().take_while(|b| b" \t\r\n".contains(b)).count()
    }

    pub(super) fn value(text: &[u8]) -> Option<usize> {
        let start = space(text);
        let rest = &text[start..];
        let len = match rest.first()? {
            b'{' => list(rest, b'}', |text| {
                let at = space(text);
                let at = at + string(&text[at..])?;
                let at = at + space(&text[at..]);
                (*text.get(at)? == b':').then_some(())?;
                Some(at + 1 + value(&text[at + 1..])?)
            })?,
            b'[' => list(rest, b']', value)?,
            b'"' => string(rest)?,
            b't' => rest.starts_with(b"true").then_some(4)?,
            b'f' => rest.starts_with(b"false").then_some(5)?,
            b'n' => rest.starts_with(b"null").then_some(4)?,
            _ => number(rest)?,
        };
        Some(start + len + space(&rest[len..]))
    }

    fn list(text: &[u8], close: u8, item: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        let mut at = 1 + space(&text[1..]);
        if *text.get(at)? == close {
            return Some(at + 1);
        }
        loop {
            at += item(&text[at..])?;
            at += space(&text[at..]);
            match *text.get(at)? {
                b',' => at += 1,
                byte => return (byte == close).then_some(at + 1),
            }
        }
    }

    fn string(text: &[u8]) -> Option<usize> {
        (*text.first()? == b'"').then_some(())?;
        let mut at = 1;
        loop {
            match *text.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' if *text.get(at + 1)? == b'u' => {
                    let digits = text.get(at + 2..at + 6)?;
                    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                    at += 6;
                }
                b'\\' if b"\"\\/bfnrt".contains(text.get(at + 1)?) => at += 2,
                b'\\' | 0..=0x1f => return None,
                _ => at += 1,
            }
        }
    }

    fn number(text: &[u8]) -> Option<usize> {
        let digits = |at: usize| text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut at = usize::from(text.first() == Some(&b'-'));
        let whole = digits(at);
        (whole == 1 || whole > 1 && text[at] != b'0').then_some(())?;
        at += whole;
        if text.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            (fraction > 0).then_some(())?;
            at += 1 + fraction;
        }
        if matches!(text.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            (exponent > 0).then_some(())?;
            at += exponent;
        }
        Some(at)
    }
}

#[track_caller]
fn check(text: &str, want: Result<&str, JsonError>) {
    assert_eq!(value(text.as_bytes()), want, "{text}");
}

#[track_caller]
fn check_members(text: &str, want: &[(&str, &str)]) {
    let got = members(text.as_bytes()).unwrap();
    let got: Vec<_> = got.iter().map(|m| (m.key.as_ref(), m.value)).collect();
    assert_eq!(got, want, "{text}");
}
