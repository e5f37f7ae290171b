//! Field lines up to the empty line that ends them (RFC 9112 §5), resumable at every byte.

use crate::message::head::{Field, Span};
use crate::message::known::Known;

use super::scan;

/// Why a field section is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldError {
    /// More fields than the limit.
    TooMany,
    /// A line begins with a space or tab: obs-fold, or whitespace before the first field
    /// (RFC 9112 §2.2, §5.2).
    Folded,
    /// A line begins with a colon.
    NameEmpty,
    /// A byte in a name that is not `tchar`.
    NameByte,
    /// A space or tab between a name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// A line without a colon.
    ColonMissing,
    /// A control character in a value.
    ValueByte,
    /// CR without LF (RFC 9112 §2.2).
    BareCr,
    /// LF without CR.
    BareLf,
    /// A name that some readers take for `content-length` or `transfer-encoding`, such as
    /// `content_length`.
    NameAliasesFraming,
}

/// Where in a line the scan stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    LineStart,
    Name,
    /// In the whitespace behind the colon.
    Gap,
    Value,
    /// Behind the CR of a field line.
    LineFeed,
    /// Behind the CR of the empty line.
    LastLineFeed,
}

/// Scans field lines. Every byte is looked at once, however it arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldScanner {
    place: Place,
    /// The next byte to look at.
    at: usize,
    /// Where the name or the value begins that is being scanned.
    start: usize,
    name: Span,
}

impl FieldScanner {
    /// A scanner for the lines that begin at offset `at`.
    pub(super) const fn new(at: usize) -> Self {
        FieldScanner { place: Place::LineStart, at, start: at, name: Span::EMPTY }
    }

    /// Gives each whole field of `bytes` to `take`, and then the offset behind the empty line.
    /// `None` means that more bytes are needed.
    #[inline]
    pub(super) fn scan<E: From<FieldError>>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Field) -> Result<(), E>,
    ) -> Result<Option<usize>, E> {
        loop {
            let fast =
                if self.place == Place::LineStart { whole_line(bytes, self.at) } else { None };
            let line = match fast {
                Some((next, line)) => {
                    self.at = next;
                    line
                }
                None => match self.step(bytes)? {
                    Some(Step::Line(line)) => line,
                    Some(Step::End(at)) => return Ok(Some(at)),
                    None => return Ok(None),
                },
            };
            let known = Known::of(line.name.of(bytes));
            if known == Known::Other && aliases_framing(line.name.of(bytes)) {
                return Err(FieldError::NameAliasesFraming.into());
            }
            take(Field { name: line.name, value: line.value, known })?;
        }
    }

    /// Goes on byte by byte to the end of a line, which may not be there yet.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<Step>, FieldError> {
        while let Some(rest) = bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            match self.place {
                Place::LineStart => {
                    self.start = self.at;
                    self.place = Place::Name;
                    if rest.first() == Some(&b'\r') {
                        self.at += 1;
                        self.place = Place::LastLineFeed;
                    }
                }
                Place::Name => {
                    let len = scan::token_len(rest);
                    self.at += len;
                    let Some(stop) = rest.get(len) else { continue };
                    if *stop != b':' || self.at == self.start {
                        return Err(name_error(*stop, self.at == self.start));
                    }
                    self.name = Span::between(self.start, self.at);
                    self.at += 1;
                    self.place = Place::Gap;
                }
                Place::Gap => {
                    let gap = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
                    self.at += gap.unwrap_or(rest.len());
                    self.start = self.at;
                    self.place = if gap.is_some() { Place::Value } else { Place::Gap };
                }
                Place::Value => {
                    let len = scan::value_len(rest);
                    self.at += len;
                    match rest.get(len) {
                        None => continue,
                        Some(b'\r') => {}
                        Some(b'\n') => return Err(FieldError::BareLf),
                        Some(_) => return Err(FieldError::ValueByte),
                    }
                    let line = Line { name: self.name, value: trimmed(bytes, self.start, self.at) };
                    self.at += 1;
                    self.place = Place::LineFeed;
                    return Ok(Some(Step::Line(line)));
                }
                Place::LineFeed | Place::LastLineFeed => {
                    if rest.first() != Some(&b'\n') {
                        return Err(FieldError::BareCr);
                    }
                    self.at += 1;
                    if self.place == Place::LastLineFeed {
                        return Ok(Some(Step::End(self.at)));
                    }
                    self.place = Place::LineStart;
                }
            }
        }
        Ok(None)
    }
}

/// One field line in its parts.
#[derive(Clone, Copy, Debug)]
struct Line {
    name: Span,
    value: Span,
}

enum Step {
    Line(Line),
    /// The empty line ends before this offset.
    End(usize),
}

/// The line at `at`, and where the next one begins. `None` if it is not whole or not right, which
/// [`FieldScanner::step`] then finds out; this way only saves its bookkeeping.
#[inline]
fn whole_line(bytes: &[u8], at: usize) -> Option<(usize, Line)> {
    let line = bytes.get(at..)?;
    let colon = scan::token_len(line);
    let (gap, value) = match line.get(colon..)? {
        [b':', b' ', value @ ..] => (2, value),
        [b':', value @ ..] => (1, value),
        _ => return None,
    };
    if colon == 0 || matches!(value.first(), Some(b' ' | b'\t')) {
        return None;
    }
    let len = scan::value_len(value);
    let (text, [b'\r', b'\n', ..]) = value.split_at_checked(len)? else { return None };
    let name = Span::between(at, at + colon);
    let start = at + colon + gap;
    let end = start + len;
    let is_trimmed = !matches!(text.last(), Some(b' ' | b'\t'));
    let value = if is_trimmed { Span::between(start, end) } else { trimmed(bytes, start, end) };
    Some((end + 2, Line { name, value }))
}

/// The value between `start` and `end` without the whitespace at its end.
#[inline]
fn trimmed(bytes: &[u8], start: usize, end: usize) -> Span {
    let mut end = end;
    while end > start && matches!(bytes.get(end - 1), Some(b' ' | b'\t')) {
        end -= 1;
    }
    Span::between(start, end)
}

/// What is wrong with a name that ends before `stop`.
#[cold]
fn name_error(stop: u8, empty: bool) -> FieldError {
    match (stop, empty) {
        (b' ' | b'\t', true) => FieldError::Folded,
        (b' ' | b'\t', false) => FieldError::SpaceBeforeColon,
        (b':', _) => FieldError::NameEmpty,
        (b'\n', _) => FieldError::BareLf,
        (b'\r', _) => FieldError::ColonMissing,
        (_, _) => FieldError::NameByte,
    }
}

/// Whether the letters of a name spell a framing field. CGI and its heirs read `_` and other marks
/// as `-`, and some filters drop what they do not like from a name.
#[inline]
fn aliases_framing(name: &[u8]) -> bool {
    match name.first() {
        Some(b'a'..=b'b' | b'd'..=b's' | b'u'..=b'z' | b'A'..=b'B' | b'D'..=b'S' | b'U'..=b'Z') => {
            false
        }
        _ => spells(name, b"contentlength") || spells(name, b"transferencoding"),
    }
}

fn spells(name: &[u8], letters: &[u8]) -> bool {
    let spelt = name.iter().filter(|byte| byte.is_ascii_alphabetic());
    spelt.map(u8::to_ascii_lowercase).eq(letters.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_spell_framing_fields_are_aliases() {
        for name in [
            "content_length",
            "Content_Length",
            "CONTENT.LENGTH",
            "contentlength",
            "_content-length",
            "content-length-",
            "content-length0",
            "1content-length",
            "transfer_encoding",
            "Transfer~Encoding",
            "transferencoding",
            "transfer--encoding",
            "'transfer-encoding",
        ] {
            assert!(aliases_framing(name.as_bytes()), "{name}");
        }
        for name in [
            "content-lengths",
            "x-content-length",
            "content-type",
            "te",
            "content-lengt",
            "-",
            "_0",
        ] {
            assert!(!aliases_framing(name.as_bytes()), "{name}");
        }
    }
}
