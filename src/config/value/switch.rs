//! Keys that are on, off, or on in a way that a word names.

use super::{Raw, Read, Value, boolean, complain, wrong_type};
use crate::config::fault::Code;

/// `true` or `false` become what they are; a word stays one.
pub(super) fn read(raw: &Raw<'_>, words: &[&'static str]) -> Read {
    if let Ok(value) = boolean(raw) {
        return Ok(value);
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let way_out = format!("write true, false or {}", quoted.join(" or "));
    let (Raw::Untyped(text) | Raw::Text(text)) = raw else { return wrong_type(raw, &way_out) };
    match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => Ok(Value::Text((*word).to_owned())),
        None => complain(Code::Malformed, "is neither true, nor false, nor its word", way_out),
    }
}
