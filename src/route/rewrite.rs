//! The path that an endpoint gets, made of the one that was matched.

use super::pattern::{self, PathPattern, PatternError, Segment};
use super::rule::Match;
use crate::message::path;

/// How the path is changed before it is forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Rewrite {
    /// Not at all.
    #[default]
    Keep,
    /// Its beginning is cut off where it is this: decoded, and compared as the route's path is.
    Strip {
        /// The text, without a slash at its end.
        prefix: String,
        /// Whether it may end inside of a segment.
        inside: bool,
    },
    /// The part that the route matched is replaced by these; what follows it stays.
    Replace(Vec<Piece>),
    /// The same, and claims of the token are in it. Among the pieces they are texts as they were
    /// written, `{JWT.sub}`, which no normal path has: [`fill`] puts the values in their place
    /// once it is known who asks.
    Claimed {
        /// What replaces it.
        pieces: Vec<Piece>,
        /// The names of the claims, in their order.
        claims: Vec<String>,
    },
}

/// A part of a new path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// This text, in normal form. Of a prefix that is compared as a string, it may end in a slash.
    Text(String),
    /// What matched the parameter with this number.
    Param(usize),
}

/// Why a text is no [`Rewrite`] of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewriteError {
    /// It is no path.
    Pattern(PatternError),
    /// A parameter that the pattern does not have.
    UnknownParam,
    /// The pattern cannot begin with this, so that it would never be cut off.
    NotAPrefix,
    /// It ends in a claim that the rest of a path would be added to, within one segment: clients
    /// could make `alice-admin` of `alice`.
    OpenClaim,
}

impl RewriteError {
    /// In words that follow the key in a message.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            RewriteError::Pattern(error) => error.text(),
            RewriteError::UnknownParam => "has a parameter that the route's path has not",
            RewriteError::NotAPrefix => "is not how the route's path begins",
            RewriteError::OpenClaim => {
                "ends in a claim that what the client wrote would be added to"
            }
        }
    }
}

/// The new path would have dot segments or the like: it is not forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsafe;

impl Rewrite {
    /// Cuts `text` off the paths that a pattern matches.
    pub fn strip(text: &str, pattern: &PathPattern) -> Result<Rewrite, RewriteError> {
        let parsed = PathPattern::string(text).map_err(RewriteError::Pattern)?;
        let PathPattern::Text(decoded) = parsed else { return Err(RewriteError::NotAPrefix) };
        let prefix = decoded.trim_end_matches('/').to_owned();
        let (begins, inside) = if let PathPattern::Text(own) = pattern {
            (own.starts_with(&prefix), true)
        } else {
            let own = PathPattern::prefix(text).map_err(RewriteError::Pattern)?;
            (pattern.segments().starts_with(own.segments()), false)
        };
        if !begins {
            return Err(RewriteError::NotAPrefix);
        }
        Ok(if prefix.is_empty() { Rewrite::Keep } else { Rewrite::Strip { prefix, inside } })
    }

    /// Replaces what a pattern matches by `text`, which may name its parameters: `/v2/{id}`, and
    /// claims of the token: `/users/{JWT.sub}`. A `{*rest}` at the end stands for what follows a
    /// prefix, and may be left out.
    pub fn replace(text: &str, own: &PathPattern) -> Result<Rewrite, RewriteError> {
        let new = PathPattern::template(text).map_err(RewriteError::Pattern)?;
        let slash = match (&new, own) {
            // What follows a prefix of segments begins with a slash of its own.
            (PathPattern::Exact { slash, .. }, own) => {
                *slash && !matches!(own, PathPattern::Prefix { .. })
            }
            (PathPattern::Prefix { rest, .. }, own) => {
                let known = match own {
                    PathPattern::Prefix { rest: own, .. } => own.is_some() && own == rest,
                    _ => false,
                };
                if rest.is_some() && !known {
                    return Err(RewriteError::UnknownParam);
                }
                false
            }
            (PathPattern::Text(_), _) => false,
        };
        let last = new.segments().last().and_then(Segment::name);
        let is_open = !slash && matches!(own, PathPattern::Text(_));
        if is_open && last.is_some_and(|name| pattern::claim(name).is_some()) {
            return Err(RewriteError::OpenClaim);
        }
        pieces(&new, slash, own)
    }

    /// The names of the claims that are in it.
    #[must_use]
    pub fn claims(&self) -> &[String] {
        match self {
            Rewrite::Claimed { claims, .. } => claims,
            _ => &[],
        }
    }

    /// Appends the path to forward to `out`: normal, and beginning with a slash.
    ///
    /// `path` is the normal path in which `found` was found. Where claims are in it, [`fill`] has
    /// to follow.
    pub fn apply(&self, path: &[u8], found: &Match, out: &mut Vec<u8>) -> Result<(), Unsafe> {
        let start = out.len();
        let inside = match self {
            Rewrite::Keep => {
                out.extend_from_slice(path);
                return Ok(());
            }
            Rewrite::Strip { prefix, inside } => {
                let cut = super::pattern::raw_len(path, prefix.as_bytes()).unwrap_or(0);
                push_rest(path.get(cut..).unwrap_or_default(), start, out);
                *inside
            }
            Rewrite::Replace(pieces) => {
                push_pieces(pieces, path, found, out);
                true
            }
            // It is looked at when it is whole.
            Rewrite::Claimed { pieces, .. } => {
                push_pieces(pieces, path, found, out);
                false
            }
        };
        // Where a text is cut inside of a segment, `/a../x` can become `../x`.
        if inside && !is_normal(out.get(start..).unwrap_or_default()) {
            out.truncate(start);
            return Err(Unsafe);
        }
        Ok(())
    }
}

/// Puts values in the place of the claims of a path that [`Rewrite::apply`] has made, in their
/// order. They are segments in normal form.
pub fn fill(values: &[Vec<u8>], path: &mut Vec<u8>) -> Result<(), Unsafe> {
    let mut whole = Vec::with_capacity(path.len());
    let (mut rest, mut values) = (path.as_slice(), values.iter());
    while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
        let (before, named) = rest.split_at(at);
        let end = named.iter().position(|byte| *byte == b'}').ok_or(Unsafe)?;
        whole.extend_from_slice(before);
        whole.extend_from_slice(values.next().ok_or(Unsafe)?);
        rest = named.get(end + 1..).unwrap_or_default();
    }
    whole.extend_from_slice(rest);
    if values.next().is_some() || !is_normal(&whole) {
        return Err(Unsafe);
    }
    *path = whole;
    Ok(())
}

fn is_normal(written: &[u8]) -> bool {
    path::normalise(written, &mut Vec::new()).is_ok_and(|normal| normal.text == written)
}

/// What the segments of a new path are made of.
fn pieces(new: &PathPattern, slash: bool, old: &PathPattern) -> Result<Rewrite, RewriteError> {
    let (mut pieces, mut claims, mut buffer) = (Vec::new(), Vec::new(), String::new());
    for segment in new.segments() {
        buffer.push('/');
        match segment {
            Segment::Literal(literal) => push_literal(literal, &mut buffer)?,
            Segment::Param(name) => {
                if let Some(claim) = pattern::claim(name) {
                    claims.push(claim.to_owned());
                    buffer.extend(["{", name, "}"]);
                    continue;
                }
                let number = old.names().position(|own| own == name);
                let number = number.ok_or(RewriteError::UnknownParam)?;
                pieces.push(Piece::Text(std::mem::take(&mut buffer)));
                pieces.push(Piece::Param(number));
            }
        }
    }
    if slash {
        buffer.push('/');
    }
    if !buffer.is_empty() {
        pieces.push(Piece::Text(buffer));
    }
    let is_claimed = !claims.is_empty();
    Ok(if is_claimed { Rewrite::Claimed { pieces, claims } } else { Rewrite::Replace(pieces) })
}

fn push_pieces(pieces: &[Piece], path: &[u8], found: &Match, out: &mut Vec<u8>) {
    let (start, spans) = (out.len(), found.params.spans());
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Param(number) => {
                let span = spans.get(*number).copied().unwrap_or_default();
                out.extend_from_slice(span.of(path));
            }
        }
    }
    let rest = path.get(found.matched.end()..).unwrap_or_default();
    push_rest(rest, start, out);
}

/// Appends what follows a prefix, with one slash between the two where there would be none at the
/// beginning, or two.
fn push_rest(rest: &[u8], start: usize, out: &mut Vec<u8>) {
    let ends_with_slash = out.len() > start && out.last() == Some(&b'/');
    match rest {
        [b'/', tail @ ..] if ends_with_slash => out.extend_from_slice(tail),
        _ => {
            if out.len() == start && rest.first() != Some(&b'/') {
                out.push(b'/');
            }
            out.extend_from_slice(rest);
        }
    }
}

/// Appends a literal in normal form.
fn push_literal(literal: &[u8], out: &mut String) -> Result<(), RewriteError> {
    let mut bytes = Vec::new();
    path::encode(literal, &mut bytes);
    // It is ASCII: all else was escaped.
    let text = String::from_utf8(bytes);
    out.push_str(&text.map_err(|_| RewriteError::Pattern(PatternError::Character))?);
    Ok(())
}

#[cfg(test)]
mod tests;
