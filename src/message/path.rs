//! One normal form of a request path, decided once: it is what routes match and what is forwarded
//! (RFC 3986 §6.2.2, §5.2.4).
//!
//! What two back ends could still read differently in the normal form is told by [`Oddities`];
//! a route's [`PathPolicy`] says what becomes of such a path. [`lenient`] gives the path as the
//! most lenient back end would read it.

pub mod oddities;

use oddities::Oddities;

/// What becomes of a path that two back ends could read differently.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PathPolicy {
    /// It is refused.
    #[default]
    Strict,
    /// It is replaced by what the most lenient back end would read, and routed as that: escapes
    /// are decoded to the end, `\` is `/`, and `;parameters` are cut off.
    Decode,
    /// It is forwarded in its normal form with its escapes kept, if every lenient reading of it
    /// has no dot segments and leads to the same route.
    Passthrough,
}

impl PathPolicy {
    /// The names that a configuration uses.
    pub const NAMES: &'static [&'static str] = &["strict", "decode", "passthrough"];

    /// The policy of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<PathPolicy> {
        match name {
            "strict" => Some(PathPolicy::Strict),
            "decode" => Some(PathPolicy::Decode),
            "passthrough" => Some(PathPolicy::Passthrough),
            _ => None,
        }
    }

    /// The name that a configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PathPolicy::Strict => "strict",
            PathPolicy::Decode => "decode",
            PathPolicy::Passthrough => "passthrough",
        }
    }

    /// What of a path is refused, whatever it leads to. Query delimiters are never in it: see
    /// [`Oddities::DELIMITER`].
    #[must_use]
    pub const fn refuses(self) -> Oddities {
        match self {
            PathPolicy::Strict => Oddities::ALL.without(Oddities::DELIMITER),
            PathPolicy::Decode => Oddities::CONTROL.with(Oddities::NOT_UTF8).with(Oddities::ALIKE),
            PathPolicy::Passthrough => Oddities::NONE,
        }
    }
}

/// Why a path is refused under every policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// It does not begin with a slash.
    NotAbsolute,
    /// A byte that no target has: not visible ASCII, `?` or `#`.
    Byte,
    /// `%` without two hexadecimal digits, `%u0041` among them.
    Escape,
    /// An escaped NUL, CR or LF.
    Break,
    /// An escaped UTF-8 sequence that is longer than it need be, such as `%c0%af` for `/`.
    Overlong,
    /// `..` above the root.
    AboveRoot,
}

impl PathError {
    /// In words, for operators.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            PathError::NotAbsolute => "it does not begin with a slash",
            PathError::Byte => "it has a byte that no path has",
            PathError::Escape => "it has a % without two hexadecimal digits",
            PathError::Break => "it has an escaped NUL, CR or LF",
            PathError::Overlong => "it has an overlong UTF-8 sequence",
            PathError::AboveRoot => "its .. leads above the root",
        }
    }
}

/// A path in its normal form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Normal<'a> {
    /// Begins with a slash; visible ASCII; no empty segments but the last, no dot segments;
    /// unreserved characters stand for themselves and all escapes are in capitals.
    pub text: &'a [u8],
    /// What in the path as it was sent two back ends could read differently, also in segments
    /// that `..` took away.
    pub oddities: Oddities,
}

/// Brings a path, without its query, into its normal form; `buffer` holds it unless `raw` is
/// normal already, which costs one look at each byte.
///
/// Escaped unreserved characters are decoded, other escapes get capitals, what must be escaped is;
/// empty segments are dropped, then dot segments are resolved (RFC 3986 §5.2.4).
pub fn normalise<'a>(raw: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Normal<'a>, PathError> {
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    if is_plain(raw) {
        return Ok(Normal { text: raw, oddities: Oddities::NONE });
    }
    buffer.clear();
    for byte in raw {
        if !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#') {
            return Err(PathError::Byte);
        }
    }
    let mut oddities = Oddities::NONE;
    let mut segments = raw.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let start = buffer.len();
        buffer.push(b'/');
        oddities = oddities.with(canonical(segment, buffer)?);
        if matches!(buffer.get(start + 1..), Some(b"." | b"..")) {
            oddities = oddities.with(Oddities::DOTS);
        }
        settle(buffer, start, segments.peek().is_none(), Dots::Resolve)?;
    }
    Ok(Normal { text: buffer, oddities })
}

/// Whether a path is its own normal form and has no escapes and oddities.
fn is_plain(raw: &[u8]) -> bool {
    let (mut seen, mut previous) = (0, 0);
    for byte in raw {
        let class = class_of(*byte);
        // A slash or a dot behind a slash.
        seen |= (class & ODD) | (class & BEHIND_SLASH & (previous & SLASH).wrapping_mul(2));
        previous = class;
    }
    seen == 0
}

/// The byte needs a closer look wherever it stands.
const ODD: u8 = 1;
/// The byte is a slash.
const SLASH: u8 = 2;
/// The byte needs a closer look behind a slash: a slash or a dot. Twice [`SLASH`].
const BEHIND_SLASH: u8 = 4;

/// What each byte is in a path.
#[expect(clippy::indexing_slicing, clippy::as_conversions, reason = "const; 256 is in range")]
static CLASSES: [u8; 256] = {
    let mut out = [ODD; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        if is_pchar(byte) && byte != b';' {
            out[byte as usize] = 0;
        }
        byte += 1;
    }
    out[b'/' as usize] = SLASH | BEHIND_SLASH;
    out[b'.' as usize] = BEHIND_SLASH;
    out
};

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
fn class_of(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Whether a byte may stand for itself in a segment (RFC 3986 §3.3).
const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// Whether an escape of this byte means the byte itself (RFC 3986 §2.3).
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends a segment with its escapes in normal form, and says what is odd about it.
fn canonical(segment: &[u8], out: &mut Vec<u8>) -> Result<Oddities, PathError> {
    let start = out.len();
    let mut oddities = Oddities::NONE;
    let mut high = false;
    let mut rest = segment;
    while let Some((byte, tail)) = rest.split_first() {
        let (byte, is_escape) = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                (escaped(*high, *low).ok_or(PathError::Escape)?, true)
            }
            (b'%', _) => return Err(PathError::Escape),
            (byte, _) => {
                rest = tail;
                (*byte, false)
            }
        };
        oddities = oddities.with(oddity_of(byte)?);
        high |= !byte.is_ascii();
        if is_unreserved(byte) || (!is_escape && is_pchar(byte)) {
            out.push(byte);
        } else {
            push_escape(byte, out);
        }
    }
    let written = out.get(start..).unwrap_or_default();
    if has_double_escape(written) {
        oddities = oddities.with(Oddities::DOUBLE);
    }
    if high {
        oddities = oddities.with(high_oddities(written)?);
    }
    Ok(oddities)
}

/// What is odd about a byte of a segment, decoded once.
const fn oddity_of(byte: u8) -> Result<Oddities, PathError> {
    match byte {
        0 | b'\r' | b'\n' => Err(PathError::Break),
        1..=0x1f | 0x7f => Ok(Oddities::CONTROL),
        b'/' => Ok(Oddities::SLASH),
        b'\\' => Ok(Oddities::BACKSLASH),
        b';' => Ok(Oddities::PARAMETER),
        b'?' | b'#' => Ok(Oddities::DELIMITER),
        _ => Ok(Oddities::NONE),
    }
}

/// Whether an escaped percent sign is followed by two hexadecimal digits.
fn has_double_escape(segment: &[u8]) -> bool {
    segment.windows(5).any(|five| match five {
        [b'%', b'2', b'5', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
}

/// What is odd about a normal segment with bytes above ASCII.
fn high_oddities(segment: &[u8]) -> Result<Oddities, PathError> {
    let mut bytes = Vec::with_capacity(segment.len());
    decode_once(segment, &mut bytes);
    if is_overlong(&bytes) {
        return Err(PathError::Overlong);
    }
    let Ok(text) = str::from_utf8(&bytes) else { return Ok(Oddities::NOT_UTF8) };
    let folded: String = text.chars().map(fold).collect();
    let slash = text.chars().any(|c| !c.is_ascii() && matches!(fold(c), '/' | '\\'));
    let dots = folded.replace('\u{2025}', "..");
    let alike = slash || matches!(dots.as_str(), "." | "..");
    Ok(if alike { Oddities::ALIKE } else { Oddities::NONE })
}

/// Whether a decoded segment has a UTF-8 sequence that is longer than it need be (RFC 3629 §3).
fn is_overlong(segment: &[u8]) -> bool {
    let begins_one =
        |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, _] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]);
    segment.windows(2).any(begins_one)
}

/// The ASCII character that some back ends fold this one to (Unicode NFKC, IDNA).
const fn fold(character: char) -> char {
    match character {
        '\u{ff0f}' => '/',
        '\u{ff3c}' | '\u{fe68}' => '\\',
        '\u{ff0e}' | '\u{fe52}' | '\u{2024}' | '\u{3002}' | '\u{ff61}' => '.',
        other => other,
    }
}

/// What to do with `..`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    /// Drop it with the segment before it.
    Resolve,
    /// Refuse it, and `.` as well.
    Refuse,
}

/// Drops the segment that was just written from `start`, a slash, if it is empty or a dot segment.
/// One that is the last leaves its slash.
fn settle(out: &mut Vec<u8>, start: usize, is_last: bool, dots: Dots) -> Result<(), PathError> {
    let keep = match out.get(start + 1..).unwrap_or_default() {
        b"." | b".." if dots == Dots::Refuse => return Err(PathError::AboveRoot),
        b"" | b"." => start,
        b".." => {
            let above = out.get(..start).unwrap_or_default();
            above.iter().rposition(|byte| *byte == b'/').ok_or(PathError::AboveRoot)?
        }
        _ => return Ok(()),
    };
    out.truncate(keep);
    if is_last {
        out.push(b'/');
    }
    Ok(())
}

/// Which lenient back end reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Cuts off `;parameters` and resolves dot segments; folds no character but `\`, so that the
    /// result can be forwarded.
    Cutting,
    /// Cuts off `;parameters`; a path with dot segments is an error.
    CuttingWithoutDots,
    /// Keeps `;parameters`; a path with dot segments is an error.
    KeepingWithoutDots,
    /// Ends the path at an escaped `?` or `#`; a path with dot segments is an error.
    Ending,
}

/// Writes into `out` the normal path, without oddities of escapes, that a lenient back end makes
/// of a normal path: escapes decoded until none is left, `\` taken as `/`, and its likes where it
/// says so.
pub fn lenient(normal: &[u8], reader: Reader, out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut bytes = Vec::with_capacity(normal.len());
    decode_wholly(normal, &mut bytes);
    if reader == Reader::Ending {
        let end = bytes.iter().position(|byte| matches!(byte, b'?' | b'#'));
        bytes.truncate(end.unwrap_or(bytes.len()));
    }
    if reader == Reader::Cutting {
        bytes.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    } else {
        fold_bytes(&mut bytes);
    }
    let dots = if reader == Reader::Cutting { Dots::Resolve } else { Dots::Refuse };
    out.clear();
    let mut segments = bytes.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // It came to light only when escapes of escapes were decoded.
        if is_overlong(segment) {
            return Err(PathError::Overlong);
        }
        let cut = match reader {
            Reader::KeepingWithoutDots => None,
            _ => segment.iter().position(|byte| *byte == b';'),
        };
        let segment = segment.get(..cut.unwrap_or(segment.len())).unwrap_or_default();
        let start = out.len();
        out.push(b'/');
        if segment.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err(PathError::Break);
        }
        encode(segment, out);
        settle(out, start, segments.peek().is_none(), dots)?;
    }
    Ok(())
}

/// Appends a segment with escapes for what cannot stand for itself.
pub fn encode(segment: &[u8], out: &mut Vec<u8>) {
    for byte in segment {
        if is_pchar(*byte) {
            out.push(*byte);
        } else {
            push_escape(*byte, out);
        }
    }
}

/// Turns what some back ends fold to a slash, a backslash or a dot into `/` or `.`.
fn fold_bytes(bytes: &mut Vec<u8>) {
    if let Ok(text) = str::from_utf8(bytes)
        && !text.is_ascii()
    {
        let folded: String = text.chars().map(fold).collect();
        *bytes = folded.replace('\u{2025}', "..").into_bytes();
    }
    bytes.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
}

/// Appends the bytes of a normal path with its escapes decoded once.
fn decode_once(mut normal: &[u8], out: &mut Vec<u8>) {
    while let Some((byte, tail)) = normal.split_first() {
        let escape = match (byte, tail) {
            (b'%', [high, low, ..]) => escaped(*high, *low),
            _ => None,
        };
        out.push(escape.unwrap_or(*byte));
        normal = normal.get(if escape.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
}

/// Appends the bytes of a normal path with escapes decoded until there are none. Each byte that
/// is written may complete an escape with those before it, so that one pass is enough.
fn decode_wholly(normal: &[u8], out: &mut Vec<u8>) {
    for byte in normal {
        out.push(*byte);
        while let [.., b'%', high, low] = out.as_slice()
            && let Some(decoded) = escaped(*high, *low)
        {
            out.truncate(out.len() - 3);
            out.push(decoded);
        }
    }
}

/// The byte that two hexadecimal digits stand for.
#[inline]
#[must_use]
pub fn escaped(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn push_escape(byte: u8, out: &mut Vec<u8>) {
    let hex = |digit: u8| if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
    out.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
}

#[cfg(test)]
mod tests;
