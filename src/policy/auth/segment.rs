//! A claim as one segment of a path.

use serde_json::Value;

use super::propagate::{VALUE_BYTES_MAX, scalar};
use crate::message::path::{self, Reader};

/// How back ends may read a path that are more lenient than we are.
const READERS: [Reader; 3] =
    [Reader::CuttingWithoutDots, Reader::KeepingWithoutDots, Reader::Ending];

/// The segment that a text, a number or a truth becomes, in normal form and without a slash.
///
/// `None` for what is too long or has control characters, and for what somebody could take for no
/// segment or for `..`, however often he decodes it: the path would be another one.
#[must_use]
pub fn segment(value: &Value) -> Option<Vec<u8>> {
    let text = scalar(value)?;
    if text.len() > VALUE_BYTES_MAX || text.chars().any(char::is_control) {
        return None;
    }
    let mut out = b"/".to_vec();
    for (number, part) in text.split(';').enumerate() {
        // It would begin parameters, which some back ends cut off.
        out.extend_from_slice(if number > 0 { b"%3B" } else { b"" });
        path::encode(part.as_bytes(), &mut out);
    }
    let mut read = Vec::new();
    let is_plain = |reader| path::lenient(&out, reader, &mut read).is_ok() && read != b"/";
    READERS.into_iter().all(is_plain).then(|| out.split_off(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(value: &Value) -> Option<String> {
        segment(value).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_claim_becomes_one_segment() {
        for (claim, want) in [
            (json!("alice"), "alice"),
            (json!("a b"), "a%20b"),
            (json!("a/b"), "a%2Fb"),
            (json!("a%2fb"), "a%252fb"),
            (json!("100%"), "100%25"),
            (json!("a?b#c"), "a%3Fb%23c"),
            (json!("a;b"), "a%3Bb"),
            (json!("a\\b"), "a%5Cb"),
            (json!("{JWT.sub}"), "%7BJWT.sub%7D"),
            (json!("auth0|17"), "auth0%7C17"),
            (json!("a@b.example"), "a@b.example"),
            (json!("é"), "%C3%A9"),
            (json!("..."), "..."),
            (json!("..a"), "..a"),
            (json!(17), "17"),
            (json!(true), "true"),
        ] {
            assert_eq!(told(&claim).as_deref(), Some(want), "{claim}");
        }
        let long = "é".repeat(VALUE_BYTES_MAX / 2);
        assert_eq!(told(&json!(long)).unwrap().len(), 3 * VALUE_BYTES_MAX);
    }

    #[test]
    fn what_would_be_another_path_is_none() {
        for text in [
            "",
            ".",
            "..",
            "../..",
            "a/../b",
            "a/..",
            "..\\a",
            "%2e%2e",
            "%252e.",
            "..;a",
            "..?a",
            "..#",
            "?",
            "#a",
            ";a",
            "/",
            "//",
            "%2f",
            "\u{ff0e}\u{ff0e}",
            "\u{2025}",
            "a\u{ff0f}..",
            "a\0b",
            "a\nb",
            "a\r",
            "a\tb",
            "\u{7f}",
            "\u{85}",
            "%00",
            "%250a",
            "%c0%af",
        ] {
            assert_eq!(told(&json!(text)), None, "{text:?}");
        }
        for value in [json!(null), json!(["a"]), json!({"a": 1}), json!([])] {
            assert_eq!(told(&value), None, "{value}");
        }
        assert_eq!(told(&json!("x".repeat(VALUE_BYTES_MAX + 1))), None);
    }
}
