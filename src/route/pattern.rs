//! Which paths a route is for.

use std::fmt;

use crate::base::limits::{
    ROUTE_LITERAL_BYTES_MAX, ROUTE_PARAMS_MAX, ROUTE_SEGMENTS_MAX, ROUTE_STRING_BYTES_MAX,
};
use crate::message::path::escaped;

/// Which paths a route is for. Literals are compared with what escapes stand for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PathPattern {
    /// These segments and no more. Wins over every prefix.
    Exact {
        /// The segments; none: `/`.
        segments: Vec<Segment>,
        /// Whether the path must end with a slash; else it may.
        slash: bool,
    },
    /// These segments and all below them. The longest wins.
    Prefix {
        /// The segments; none: every path.
        segments: Vec<Segment>,
        /// The name by which a rewrite calls the rest.
        rest: Option<String>,
    },
    /// Every path that begins with this text, decoded, even in the middle of a segment, as older
    /// gateways compare them. The longest wins; a prefix of segments of the same length wins over
    /// it.
    Text(String),
}

/// A part of a path between slashes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// This one, decoded. Wins over a parameter.
    Literal(Vec<u8>),
    /// Any that is not empty, by this name.
    Param(String),
}

/// Why a text is no [`PathPattern`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// It does not begin with a slash.
    NotAbsolute,
    /// A character that no path has: a query, a fragment, a backslash, a space or a control.
    Character,
    /// `%` without two hexadecimal digits, or an escape that no path is forwarded with.
    Escape,
    /// Two slashes without anything between them.
    EmptySegment,
    /// `.` or `..`
    Dots,
    /// A brace that is not the first or the last character of a segment.
    Brace,
    /// A name of a parameter that has other characters than letters, digits and `_`.
    Name,
    /// Two parameters of one name.
    NameTwice,
    /// `{*rest}` that is not the last segment.
    RestInside,
    /// Parameters where there can be none.
    ParamsInText,
    /// Longer than a bound.
    TooLong,
}

impl PatternError {
    /// In words that follow the key in a message.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            PatternError::NotAbsolute => "does not begin with a slash",
            PatternError::Character => "has a character that no path has",
            PatternError::Escape => "has an escape that no path is forwarded with",
            PatternError::EmptySegment => "has two slashes in a row",
            PatternError::Dots => "has a segment . or ..",
            PatternError::Brace => "has a brace inside of a segment",
            PatternError::Name => "has a parameter without a proper name",
            PatternError::NameTwice => "has two parameters of one name",
            PatternError::RestInside => "has {*...} before its end",
            PatternError::ParamsInText => "is compared as a string and has a parameter",
            PatternError::TooLong => "is too long",
        }
    }
}

impl PathPattern {
    /// Reads `/a/{id}/b`, which is exact, or `/a/{*rest}`, which is a prefix.
    pub fn path(text: &str) -> Result<PathPattern, PatternError> {
        PathPattern::read(text, segment)
    }

    /// The same for a new path, in which `{JWT.sub}` is a parameter of that name: no path that is
    /// matched has one with a full stop.
    pub(super) fn template(text: &str) -> Result<PathPattern, PatternError> {
        let with_claims = |text: &str| match inside_braces(text) {
            Some(name) if claim(name).is_some() => Ok(Segment::Param(name.to_owned())),
            _ => segment(text),
        };
        PathPattern::read(text, with_claims)
    }

    fn read(
        text: &str,
        segment: impl Fn(&str) -> Result<Segment, PatternError>,
    ) -> Result<PathPattern, PatternError> {
        let (mut segments, slash) = parse(text, segment)?;
        let rest = match segments.last() {
            Some(Segment::Param(name)) if name.starts_with('*') => {
                Some(name.trim_start_matches('*').to_owned())
            }
            _ => None,
        };
        match rest {
            Some(_) if slash => Err(PatternError::RestInside),
            Some(name) => {
                segments.pop();
                check(&segments)?;
                let known = segments.iter().any(|segment| segment.name() == Some(name.as_str()));
                if known && !name.is_empty() {
                    return Err(PatternError::NameTwice);
                }
                Ok(PathPattern::Prefix { segments, rest: Some(name).filter(|n| !n.is_empty()) })
            }
            None => {
                check(&segments)?;
                Ok(PathPattern::Exact { segments, slash })
            }
        }
    }

    /// Reads a prefix of segments: `/a/{id}`. A slash at the end changes nothing.
    pub fn prefix(text: &str) -> Result<PathPattern, PatternError> {
        match PathPattern::path(text)? {
            PathPattern::Exact { segments, .. } => Ok(PathPattern::Prefix { segments, rest: None }),
            other => Ok(other),
        }
    }

    /// Reads a prefix that is compared as a string.
    pub fn string(text: &str) -> Result<PathPattern, PatternError> {
        let (segments, _) = parse(text, segment)?;
        if segments.iter().any(|segment| segment.name().is_some()) {
            return Err(PatternError::ParamsInText);
        }
        let decoded = decode_literal(text)?;
        let Ok(text) = String::from_utf8(decoded) else { return Err(PatternError::Escape) };
        if text.len() > ROUTE_STRING_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        Ok(PathPattern::Text(text))
    }

    /// The segments; none of a text.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        match self {
            PathPattern::Exact { segments, .. } | PathPattern::Prefix { segments, .. } => segments,
            PathPattern::Text(_) => &[],
        }
    }

    /// The names of the parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments().iter().filter_map(Segment::name)
    }

    /// The pattern without the names of its parameters: two of one shape match the same paths with
    /// the same rank.
    #[must_use]
    pub fn shape(&self) -> String {
        let nameless = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(text.clone()),
            Segment::Param(_) => Segment::Param(String::new()),
        };
        let segments: Vec<_> = self.segments().iter().map(nameless).collect();
        match self {
            PathPattern::Exact { slash, .. } => {
                PathPattern::Exact { segments, slash: *slash }.to_string()
            }
            PathPattern::Prefix { .. } => PathPattern::Prefix { segments, rest: None }.to_string(),
            PathPattern::Text(_) => self.to_string(),
        }
    }

    /// How many bytes of a normal path this matches; `None`: it does not. Slow and plain, for
    /// explanations; [`Table`](super::table::Table) does not use it.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> Option<usize> {
        match self {
            PathPattern::Exact { segments, slash } => {
                let end = walk(segments, path)?;
                let rest = path.get(end..)?;
                let fits = if *slash || segments.is_empty() {
                    rest == b"/"
                } else {
                    matches!(rest, b"" | b"/")
                };
                fits.then_some(path.len())
            }
            PathPattern::Prefix { segments, .. } => Some(walk(segments, path)?.max(1)),
            PathPattern::Text(text) => raw_len(path, text.as_bytes()),
        }
    }
}

/// Where in a path these segments end.
fn walk(segments: &[Segment], path: &[u8]) -> Option<usize> {
    let mut at = 0;
    for segment in segments {
        let rest = path.get(at..)?.strip_prefix(b"/")?;
        let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let own = rest.get(..len)?;
        let fits = match segment {
            Segment::Literal(literal) => {
                decoded(own, &mut [0; ROUTE_LITERAL_BYTES_MAX]) == Some(literal)
            }
            Segment::Param(_) => !own.is_empty(),
        };
        if !fits {
            return None;
        }
        at += 1 + len;
    }
    Some(at)
}

/// How many bytes of a path stand for this decoded text; `None`: it does not begin with it.
pub(super) fn raw_len(path: &[u8], text: &[u8]) -> Option<usize> {
    let mut rest = path;
    for want in text {
        let (byte, tail) = match rest {
            [b'%', high, low, tail @ ..] => (escaped(*high, *low)?, tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return None,
        };
        if byte != *want {
            return None;
        }
        rest = tail;
    }
    Some(path.len() - rest.len())
}

/// A segment with its escapes decoded, in a buffer of the caller if it has any; `None` if it is
/// longer than any literal of a route.
#[inline]
pub(super) fn decoded<'b>(segment: &'b [u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    if !segment.contains(&b'%') {
        return Some(segment);
    }
    let mut rest = segment;
    let mut len = 0;
    while let Some((byte, tail)) = rest.split_first() {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => (escaped(*high, *low)?, after),
            (byte, _) => (*byte, tail),
        };
        *buffer.get_mut(len)? = byte;
        len += 1;
        rest = tail;
    }
    buffer.get(..len)
}

impl Segment {
    /// The name of a parameter.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Segment::Literal(_) => None,
            Segment::Param(name) => Some(name),
        }
    }
}

/// The segments of a text, and whether a slash ends it. `{*rest}` is a parameter named `*rest`.
fn parse(
    text: &str,
    segment: impl Fn(&str) -> Result<Segment, PatternError>,
) -> Result<(Vec<Segment>, bool), PatternError> {
    let inner = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
    let odd = |c: char| c.is_control() || c == ' ' || matches!(c, '?' | '#' | '\\' | ';');
    if text.contains(odd) {
        return Err(PatternError::Character);
    }
    if inner.is_empty() {
        return Ok((Vec::new(), false));
    }
    let (inner, slash) = match inner.strip_suffix('/') {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    let segments = inner.split('/').map(segment).collect::<Result<_, _>>()?;
    Ok((segments, slash))
}

fn segment(text: &str) -> Result<Segment, PatternError> {
    match text {
        "" => return Err(PatternError::EmptySegment),
        "." | ".." => return Err(PatternError::Dots),
        _ => {}
    }
    if let Some(name) = inside_braces(text) {
        let word = name.strip_prefix('*').unwrap_or(name);
        let proper = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if proper && !name.is_empty() {
            Ok(Segment::Param(name.to_owned()))
        } else {
            Err(PatternError::Name)
        };
    }
    if text.contains(['{', '}']) {
        return Err(PatternError::Brace);
    }
    let literal = decode_literal(text)?;
    if literal.contains(&b'/') || matches!(literal.as_slice(), b"." | b"..") {
        return Err(PatternError::Escape);
    }
    if literal.len() > ROUTE_LITERAL_BYTES_MAX {
        return Err(PatternError::TooLong);
    }
    Ok(Segment::Literal(literal))
}

fn inside_braces(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The claim of a token that a parameter of a new path names: `sub` of `JWT.sub`.
pub(super) fn claim(name: &str) -> Option<&str> {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let claim = name.strip_prefix("JWT.")?;
    (!claim.is_empty() && claim.bytes().all(proper)).then_some(claim)
}

/// The bytes that a text of a configuration stands for.
fn decode_literal(text: &str) -> Result<Vec<u8>, PatternError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => {
                let byte = escaped(*high, *low).ok_or(PatternError::Escape)?;
                if byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b';') {
                    return Err(PatternError::Escape);
                }
                (byte, after)
            }
            (b'%', _) => return Err(PatternError::Escape),
            (byte, _) => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
    Ok(out)
}

/// What must hold of all segments together.
fn check(segments: &[Segment]) -> Result<(), PatternError> {
    let mut names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
    if names.iter().any(|name| name.starts_with('*')) {
        return Err(PatternError::RestInside);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    if names.len() != count {
        return Err(PatternError::NameTwice);
    }
    if count > ROUTE_PARAMS_MAX || segments.len() > ROUTE_SEGMENTS_MAX {
        return Err(PatternError::TooLong);
    }
    Ok(())
}

/// As it would be written in a configuration.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in self.segments() {
            match segment {
                Segment::Literal(text) => write!(f, "/{}", String::from_utf8_lossy(text))?,
                Segment::Param(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match self {
            PathPattern::Exact { segments, slash } if *slash || segments.is_empty() => {
                f.write_str("/")
            }
            PathPattern::Exact { .. } => Ok(()),
            PathPattern::Prefix { rest, .. } => {
                write!(f, "/{{*{}}}", rest.as_deref().unwrap_or_default())
            }
            PathPattern::Text(text) => write!(f, "{text}*"),
        }
    }
}

#[cfg(test)]
mod tests;
