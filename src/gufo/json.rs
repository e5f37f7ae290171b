//! JSON as raw text: checked strictly (RFC 8259), cut into members, never turned into numbers.
//!
//! A value that passes through keeps each byte it came with, so 64-bit ids and `1.10` survive.

use std::borrow::Cow;

use crate::base::limits;

/// Why a text is not JSON that we take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonError {
    /// The text ends too early.
    Truncated,
    /// A byte that cannot stand at its place; also anything after the value.
    Unexpected,
    /// Not UTF-8 (RFC 8259 §8.1), or a byte order mark.
    NotUtf8,
    /// More levels than [`limits::JSON_DEPTH_MAX`].
    TooDeep,
    /// More members than [`limits::JSON_MEMBERS_MAX`].
    TooManyMembers,
    /// The text is a value, but not an object.
    NotAnObject,
    /// A key that contains half of a surrogate pair, so that it is not a text.
    KeyNotText,
}

/// One member of an object: its name, and its value as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member<'a> {
    /// The name, with escapes replaced.
    pub key: Cow<'a, str>,
    /// The value's text without the space around it.
    pub value: &'a str,
}

/// The members of the object that `text` is, each key once, in the order of their keys.
///
/// Of several members with one key the last counts, as in the decoders of most languages. Members
/// are passed on only after that choice, so no service behind us can choose otherwise.
///
/// # Errors
/// See [`JsonError`].
pub fn members(text: &[u8]) -> Result<Vec<Member<'_>>, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.space();
    if scanner.peek() != Some(b'{') {
        return Err(scanner.nested(0).map_or_else(|error| error, |()| JsonError::NotAnObject));
    }
    let mut members = Vec::with_capacity(8);
    scanner.at += 1;
    scanner.space();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
    } else {
        while scanner.member(&mut members)? {}
    }
    scanner.end()?;
    // The sort is stable: members of one key stay in their order.
    members.sort_by(|a, b| a.key.cmp(&b.key));
    members.dedup_by(|later, earlier| {
        let same = later.key == earlier.key;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    Ok(members)
}

/// The text of the one value that `text` is, without the space around it.
///
/// # Errors
/// See [`JsonError`].
pub fn value(text: &[u8]) -> Result<&str, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.space();
    let start = scanner.at;
    scanner.nested(0)?;
    let end = scanner.at;
    scanner.end()?;
    scanner.text.get(start..end).ok_or(JsonError::Truncated)
}

/// Whether `text` is surely one JSON string: plain ASCII without escapes, as most values are.
/// Without a branch for each byte; what is no such string may be JSON all the same.
pub(super) fn is_plain_string(text: &[u8]) -> bool {
    let [b'"', inner @ .., b'"'] = text else { return false };
    let odd = |byte: u8| !(0x20..=0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
    !inner.iter().fold(false, |found, byte| found | odd(*byte))
}

/// The text that a JSON string stands for; `None` if `value` is not one string, or holds half of a
/// surrogate pair.
#[must_use]
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    unescaped(inner)
}

/// Bytes that [`put_string`] writes for `text`.
#[must_use]
pub fn string_len(text: &str) -> usize {
    let extra: usize = text.bytes().map(|byte| escape_len(byte) - 1).sum();
    text.len() + extra + 2
}

/// Writes `text` as a JSON string.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Writes bytes that are known to be UTF-8 as a JSON string.
pub(super) fn put_bytes(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| escape_len(*byte) != 1) {
        let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else { break };
        put_escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

const fn escape_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..=0x1f | 0x7f => 6,
        _ => 1,
    }
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// The inside of a string that the scanner has accepted, with escapes replaced.
fn unescaped(inner: &str) -> Option<Cow<'_, str>> {
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Some(Cow::Borrowed(inner));
    };
    let (plain, mut rest) = inner.split_at_checked(first)?;
    let mut out = String::with_capacity(inner.len());
    out.push_str(plain);
    while let Some(after) = rest.strip_prefix('\\') {
        let mut chars = after.chars();
        let replaced = match chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unescaped_unit(&mut chars)?,
            plain @ ('"' | '\\' | '/') => plain,
            _ => return None,
        };
        out.push(replaced);
        rest = chars.as_str();
        let (plain, after) = rest.split_at_checked(rest.find('\\').unwrap_or(rest.len()))?;
        out.push_str(plain);
        rest = after;
    }
    Some(Cow::Owned(out))
}

/// The character behind `\u`, which may take a second escape (RFC 8259 §7).
fn unescaped_unit(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let high = hex4(chars)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high);
    }
    if chars.next()? != '\\' || chars.next()? != 'u' {
        return None;
    }
    let low = hex4(chars)?;
    if !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

fn hex4(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + chars.next()?.to_digit(16)?;
    }
    Some(value)
}

/// Walks over a text once. Nesting is a bit for each level, so nothing is allocated and no text
/// can make it recurse.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

const _: () = assert!(limits::JSON_DEPTH_MAX <= u128::BITS, "one bit for each level");

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Result<Self, JsonError> {
        let text = str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
        if text.starts_with('\u{feff}') {
            return Err(JsonError::NotUtf8);
        }
        Ok(Scanner { text, at: 0 })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.peek().is_none() { Ok(()) } else { Err(JsonError::Unexpected) }
    }

    /// One member of the outermost object and what follows it. False after the last.
    fn member(&mut self, members: &mut Vec<Member<'a>>) -> Result<bool, JsonError> {
        if members.len() >= limits::JSON_MEMBERS_MAX {
            return Err(JsonError::TooManyMembers);
        }
        let (key, is_plain) = self.key()?;
        let key = if is_plain { Some(Cow::Borrowed(key)) } else { unescaped(key) };
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') | None => self.nested(1)?,
            Some(first) => {
                self.at += 1;
                self.scalar(first)?;
            }
        }
        let value = self.text.get(start..self.at).ok_or(JsonError::Truncated)?;
        members.push(Member { key: key.ok_or(JsonError::KeyNotText)?, value });
        self.space();
        match self.take()? {
            b',' => {
                self.space();
                Ok(true)
            }
            b'}' => Ok(false),
            _ => Err(JsonError::Unexpected),
        }
    }

    /// A key with the colon behind it: the inside of its quotes, and whether that has no escapes.
    fn key(&mut self) -> Result<(&'a str, bool), JsonError> {
        if self.take()? != b'"' {
            return Err(JsonError::Unexpected);
        }
        let start = self.at;
        let is_plain = self.string()?;
        let key = self.text.get(start..self.at - 1).ok_or(JsonError::Truncated)?;
        self.space();
        if self.take()? == b':' { Ok((key, is_plain)) } else { Err(JsonError::Unexpected) }
    }

    /// A value that stands below `depth` levels already.
    fn nested(&mut self, depth: u32) -> Result<(), JsonError> {
        let floor = depth;
        let mut depth = depth;
        // Bit 0 tells of the innermost level: 1 is an object, 0 an array.
        let mut levels: u128 = 0;
        loop {
            self.space();
            let opened = match self.take()? {
                open @ (b'{' | b'[') => {
                    if depth == limits::JSON_DEPTH_MAX {
                        return Err(JsonError::TooDeep);
                    }
                    depth += 1;
                    levels = (levels << 1) | u128::from(open == b'{');
                    true
                }
                first => {
                    self.scalar(first)?;
                    false
                }
            };
            if !self.after(opened, floor, &mut depth, &mut levels)? {
                return Ok(());
            }
        }
    }

    /// What stands between two values: closing brackets, a comma, a key. False when the outermost
    /// value is whole. `opened`: the last that was read is an opening bracket.
    fn after(
        &mut self,
        opened: bool,
        floor: u32,
        depth: &mut u32,
        levels: &mut u128,
    ) -> Result<bool, JsonError> {
        let mut opened = opened;
        while *depth > floor {
            let is_object = *levels & 1 == 1;
            self.space();
            let close = if is_object { b'}' } else { b']' };
            let next = self.peek().ok_or(JsonError::Truncated)?;
            if next == close {
                self.at += 1;
                *depth -= 1;
                *levels >>= 1;
                opened = false;
                continue;
            }
            if !opened {
                if next != b',' {
                    return Err(JsonError::Unexpected);
                }
                self.at += 1;
                self.space();
            }
            if is_object {
                self.key()?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn scalar(&mut self, first: u8) -> Result<(), JsonError> {
        match first {
            b'"' => self.string().map(|_| ()),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            b'-' | b'0'..=b'9' => self.number(first),
            _ => Err(JsonError::Unexpected),
        }
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), JsonError> {
        for byte in rest {
            if self.take()? != *byte {
                return Err(JsonError::Unexpected);
            }
        }
        Ok(())
    }

    /// RFC 8259 §6: no leading zeros, digits on both sides of a point.
    fn number(&mut self, first: u8) -> Result<(), JsonError> {
        let first = if first == b'-' { self.take()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(JsonError::Unexpected),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        if !self.take()?.is_ascii_digit() {
            return Err(JsonError::Unexpected);
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// The rest of a string, its closing quote included. Whether it has no escapes.
    fn string(&mut self) -> Result<bool, JsonError> {
        let mut is_plain = true;
        loop {
            self.at += plain_len(self.rest());
            match self.take()? {
                b'"' => return Ok(is_plain),
                b'\\' => {
                    self.escape()?;
                    is_plain = false;
                }
                0..=0x1f => return Err(JsonError::Unexpected),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.take()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    if !self.take()?.is_ascii_hexdigit() {
                        return Err(JsonError::Unexpected);
                    }
                }
                Ok(())
            }
            _ => Err(JsonError::Unexpected),
        }
    }
}

/// Bytes at the start of `bytes` that are neither quote, backslash nor control.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = bytes.as_chunks::<8>();
    let mut len = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        // A byte below `n` borrows from its high bit ("determine if a word has a byte less than
        // n", S. Anderson, Bit Twiddling Hacks). A borrow can only raise a false alarm above a
        // true one, so the lowest alarm is true.
        let small = word.wrapping_sub(ONES * 0x20) & !word;
        let alarms = small
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash);
        let alarms = alarms & HIGHS;
        if alarms != 0 {
            return len + usize::try_from(alarms.trailing_zeros() / 8).unwrap_or(0);
        }
        len += 8;
    }
    let is_special = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
    len + tail.iter().position(is_special).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests;
