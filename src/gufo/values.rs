//! What an `Any` within `Data` holds, as JSON text (SPEC 4.4).

use std::borrow::Cow;

use super::json;
use super::request::BYTES_VALUE_FIELD;
use super::wire::{Reader, Value, WireError};
use crate::base::limits;

/// Types of the package `google.protobuf` that can be a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Bytes,
    String,
    Value,
    Struct,
    List,
}

/// Appends the value that `any` holds as JSON. False, with nothing appended, if it is of a type
/// that is no value: such entries are skipped, not refused.
///
/// A `BytesValue` is JSON text and is appended byte for byte; text that is not JSON becomes a JSON
/// string, so that one service's fault cannot break the envelope around it.
///
/// # Errors
/// See [`WireError`]. Something may have been appended then.
pub(super) fn put_any(out: &mut Vec<u8>, any: &[u8]) -> Result<bool, WireError> {
    if let Some(content) = usual(any) {
        put_json(out, content);
        return Ok(true);
    }
    let (url, content) = raw_entry(any)?;
    let start = memchr::memrchr(b'/', url).map_or(0, |at| at + 1);
    let kind = match url.get(start..).unwrap_or_default() {
        b"google.protobuf.BytesValue" => Kind::Bytes,
        b"google.protobuf.StringValue" => Kind::String,
        b"google.protobuf.Value" => Kind::Value,
        b"google.protobuf.Struct" => Kind::Struct,
        b"google.protobuf.ListValue" => Kind::List,
        _ => return Ok(false),
    };
    match kind {
        Kind::Bytes => put_json(out, wrapped(content)?),
        Kind::String => json::put_string(out, text(wrapped(content)?)?),
        Kind::Value => put_value(out, content, 0)?,
        Kind::Struct => put_struct(out, content, 0)?,
        Kind::List => put_list(out, content, 0)?,
    }
    Ok(true)
}

/// The JSON text of an `Any` as almost every service writes it: the type of `BytesValue` under its
/// usual URL, then the value, then nothing. Others are read field by field.
fn usual(any: &[u8]) -> Option<&[u8]> {
    let rest = any.strip_prefix(BYTES_VALUE_FIELD)?;
    let wrapper = only_field(rest, 0x12)?;
    only_field(wrapper, 0x0a)
}

/// The content of a message that is one field with this tag of one byte.
fn only_field(message: &[u8], tag: u8) -> Option<&[u8]> {
    let (len, content) = match message.strip_prefix(&[tag])? {
        [len @ 0..=0x7f, content @ ..] => (usize::from(*len), content),
        [low, high @ 0..=0x7f, content @ ..] => {
            (usize::from(*low & 0x7f) | usize::from(*high) << 7, content)
        }
        _ => return None,
    };
    (content.len() == len).then_some(content)
}

/// The one field of a wrapper; empty if it is left out.
fn wrapped(content: &[u8]) -> Result<&[u8], WireError> {
    let mut found: &[u8] = &[];
    let mut reader = Reader::new(content);
    while let Some((number, value)) = reader.next_field()? {
        if let (1, Value::Bytes(bytes)) = (number, value) {
            found = bytes;
        }
    }
    Ok(found)
}

fn put_json(out: &mut Vec<u8>, bytes: &[u8]) {
    if json::is_plain_string(bytes) || is_plain_scalar(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    match json::value(bytes) {
        Ok(text) => out.extend_from_slice(text.as_bytes()),
        Err(_) => json::put_string(out, &String::from_utf8_lossy(bytes)),
    }
}

/// Whether `bytes` are surely one JSON value: a word, or a number, as most short values are.
fn is_plain_scalar(bytes: &[u8]) -> bool {
    match bytes {
        b"true" | b"false" | b"null" => true,
        [b'1'..=b'9', rest @ ..] => {
            let whole = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match rest.get(whole..) {
                Some([b'.', digits @ ..]) => {
                    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
                }
                other => other.is_some_and(<[u8]>::is_empty),
            }
        }
        _ => false,
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, WireError> {
    str::from_utf8(bytes).map_err(|_| WireError::NotUtf8)
}

fn deeper(depth: u32) -> Result<u32, WireError> {
    if depth < limits::JSON_DEPTH_MAX { Ok(depth + 1) } else { Err(WireError::TooDeep) }
}

/// `google.protobuf.Value`: null, number, string, bool, struct or list in the fields 1 to 6. Of
/// several the last counts.
fn put_value(out: &mut Vec<u8>, content: &[u8], depth: u32) -> Result<(), WireError> {
    let mut last = None;
    let mut reader = Reader::new(content);
    while let Some(field) = reader.next_field()? {
        if (1..=6).contains(&field.0) {
            last = Some(field);
        }
    }
    match last {
        Some((2, Value::Fixed64(bytes))) => put_double(out, f64::from_le_bytes(bytes)),
        Some((3, Value::Bytes(bytes))) => json::put_string(out, text(bytes)?),
        Some((4, Value::Varint(0))) => out.extend_from_slice(b"false"),
        Some((4, Value::Varint(_))) => out.extend_from_slice(b"true"),
        Some((5, Value::Bytes(bytes))) => put_struct(out, bytes, depth)?,
        Some((6, Value::Bytes(bytes))) => put_list(out, bytes, depth)?,
        _ => out.extend_from_slice(b"null"),
    }
    Ok(())
}

/// `google.protobuf.Struct`: a map in field 1. Keys in their order, the last of equal ones counts.
fn put_struct(out: &mut Vec<u8>, content: &[u8], depth: u32) -> Result<(), WireError> {
    let depth = deeper(depth)?;
    let mut entries = Vec::new();
    let mut reader = Reader::new(content);
    while let Some((number, value)) = reader.next_field()? {
        if let (1, Value::Bytes(bytes)) = (number, value) {
            entries.push(entry(bytes)?);
        }
    }
    entries.sort_by_key(|(key, _)| *key);
    out.push(b'{');
    let mut is_first = true;
    for group in entries.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((key, value)) = group.last() else { continue };
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        json::put_string(out, key);
        out.push(b':');
        put_value(out, value, depth)?;
    }
    out.push(b'}');
    Ok(())
}

/// Key and value of an entry of a map from text to a message.
pub(super) fn entry(content: &[u8]) -> Result<(&str, &[u8]), WireError> {
    let (key, any) = raw_entry(content)?;
    Ok((text(key)?, any))
}

/// The same; the key is UTF-8, but not told to be.
pub(super) fn entry_bytes(content: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (key, any) = match usual_entry(content) {
        Some(entry) => entry,
        None => raw_entry(content)?,
    };
    if !key.is_ascii() {
        text(key)?;
    }
    Ok((key, any))
}

/// An entry as almost every service writes it: a short key, then the message, then nothing.
fn usual_entry(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, len @ 0..=0x7f, rest @ ..] = content else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((key, only_field(rest, 0x12)?))
}

/// What stands for an `Any` in a signature: the text of a `BytesValue`; of all others the type, a
/// zero byte and the value as it came.
pub(super) fn signed(any: &[u8]) -> Result<Cow<'_, [u8]>, WireError> {
    let (url, content) = raw_entry(any)?;
    if url.ends_with(b"/google.protobuf.BytesValue") {
        return Ok(Cow::Borrowed(wrapped(content)?));
    }
    Ok(Cow::Owned([url, b"\0", content].concat()))
}

/// The bytes in the fields 1 and 2, of an entry or of an `Any`.
fn raw_entry(content: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mut key, mut content_of): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(content);
    while let Some((number, value)) = reader.next_field()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(bytes)) => content_of = bytes,
            _ => {}
        }
    }
    Ok((key, content_of))
}

fn put_list(out: &mut Vec<u8>, content: &[u8], depth: u32) -> Result<(), WireError> {
    let depth = deeper(depth)?;
    out.push(b'[');
    let mut is_first = true;
    let mut reader = Reader::new(content);
    while let Some((number, value)) = reader.next_field()? {
        if let (1, Value::Bytes(bytes)) = (number, value) {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            put_value(out, bytes, depth)?;
        }
    }
    out.push(b']');
    Ok(())
}

/// The shortest text that gives the same double. What JSON has no number for is null.
fn put_double(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        let plain = number == 0.0 || (1e-5..1e17).contains(&number.abs());
        let text = if plain { format!("{number}") } else { format!("{number:e}") };
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests;
