//! Module paths: `<base>/<module>[/<param>[/<id>[/<idd>]]]` (SPEC 5.1).
//!
//! Each element is percent-decoded once and checked; nothing is stripped or repaired. What an
//! element may not hold after decoding: control characters, `/` and `\`, bytes that are not UTF-8,
//! and it may not be `.` or `..`. Any other text passes, `<` and `&` too: the element travels as a
//! protobuf string, and whoever writes it into HTML has to escape it there.

use std::borrow::Cow;

/// Where the process may be asked to end, in debug mode only (SPEC 5.1). Stands under no base.
pub const EXIT_PATH: &[u8] = b"/exit";

/// Names that are no modules but parts of the gateway (SPEC 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reserved {
    /// `health`: says that the gateway runs.
    Health,
    /// `info`: version and registration.
    Info,
    /// `heartbeat`: services say that they run.
    Heartbeat,
    /// `entrypoint`: always refused.
    Entrypoint,
    /// `exit`: reserved, so that no module hides [`EXIT_PATH`].
    Exit,
}

impl Reserved {
    /// The reserved name that `module` is, in the exact letters.
    #[must_use]
    pub fn from_name(module: &str) -> Option<Self> {
        match module {
            "health" => Some(Reserved::Health),
            "info" => Some(Reserved::Info),
            "heartbeat" => Some(Reserved::Heartbeat),
            "entrypoint" => Some(Reserved::Entrypoint),
            "exit" => Some(Reserved::Exit),
            _ => None,
        }
    }
}

/// A path below a base, in its elements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModulePath<'a> {
    /// Which base it stands under: the place in the list that was given.
    pub base: usize,
    /// The first element behind the base. Never empty.
    pub module: Cow<'a, str>,
    /// The second element; empty if there is none.
    pub param: Cow<'a, str>,
    /// The third element.
    pub param_id: Option<Cow<'a, str>>,
    /// The fourth element.
    pub param_idd: Option<Cow<'a, str>>,
    /// What follows the fourth element, raw: checked like the others, but not decoded. Empty or
    /// beginning with `/`.
    pub rest: &'a [u8],
    /// Set if `module` is not a module.
    pub reserved: Option<Reserved>,
}

/// Why a path under a base is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// Nothing stands behind the base.
    TooShort,
    /// Two slashes in a row.
    EmptyElement,
    /// `%` without two hexadecimal digits.
    Escape,
    /// Not UTF-8 after decoding.
    NotUtf8,
    /// A control character, NUL among them.
    Control,
    /// A slash or backslash that was encoded, or a raw backslash.
    Separator,
    /// An element that is `.` or `..`.
    DotSegment,
}

/// The elements of `path` (without its query) if it stands under one of `bases`; `Ok(None)` if
/// it does not. Of several bases the longest counts. A base is a path such as `/api/v3`, without
/// escapes and without a slash at its end; the API's version is the base's affair.
///
/// # Errors
/// See [`PathError`]. One slash at the end is no error.
pub fn parse<'b, 'p>(
    bases: impl IntoIterator<Item = &'b str>,
    path: &'p [u8],
) -> Result<Option<ModulePath<'p>>, PathError> {
    let under = bases.into_iter().enumerate().filter_map(|(at, base)| {
        let rest = path.strip_prefix(base.as_bytes())?;
        matches!(rest.first(), None | Some(b'/')).then_some((base.len(), at, rest))
    });
    let Some((_, base, below)) = under.max_by_key(|(len, _, _)| *len) else {
        return Ok(None);
    };
    let below = below.strip_suffix(b"/").unwrap_or(below);
    let mut elements = Elements { rest: below };
    let module = elements.next_element()?.ok_or(PathError::TooShort)?;
    let param = elements.next_element()?.unwrap_or_default();
    let param_id = elements.next_element()?;
    let param_idd = elements.next_element()?;
    let rest = elements.rest;
    while elements.next_element()?.is_some() {}
    let reserved = Reserved::from_name(&module);
    Ok(Some(ModulePath { base, module, param, param_id, param_idd, rest, reserved }))
}

struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// What stands between the next slash and the one behind it.
    fn next_element(&mut self) -> Result<Option<Cow<'a, str>>, PathError> {
        let Some(rest) = self.rest.strip_prefix(b"/") else {
            return Ok(None);
        };
        let len = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (raw, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        self.rest = rest;
        element(raw).map(Some)
    }
}

fn element(raw: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if raw.is_empty() {
        return Err(PathError::EmptyElement);
    }
    // Nearly all elements are words that need no second look.
    if raw.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| PathError::NotUtf8);
    }
    let text = decoded(raw)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    if text.contains(['/', '\\']) {
        return Err(PathError::Separator);
    }
    if text == "." || text == ".." {
        return Err(PathError::DotSegment);
    }
    Ok(text)
}

fn decoded(raw: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if memchr::memchr(b'%', raw).is_none() {
        return str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| PathError::NotUtf8);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let byte = if byte == b'%' {
            let (value, after) = escape(after).ok_or(PathError::Escape)?;
            rest = after;
            value
        } else {
            byte
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| PathError::NotUtf8)
}

/// The byte that the two hexadecimal digits at the start of `bytes` say, and what follows them.
pub(super) fn escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = bytes.split_first_chunk::<2>()?;
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    Some((u8::try_from(high * 16 + low).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [&str; 3] = ["/api/v3", "/api/v1", "/api/v3/inner"];

    #[test]
    fn elements_follow_the_base() {
        check("/api/v3/storage", Some((0, &["storage", ""])));
        check("/api/v3/storage/", Some((0, &["storage", ""])));
        check("/api/v1/storage/upload", Some((1, &["storage", "upload"])));
        check("/api/v1/a/b/c", Some((1, &["a", "b", "c"])));
        check("/api/v1/a/b/c/d", Some((1, &["a", "b", "c", "d"])));
        check("/api/v1/a/b/c/d/e%20f/g", Some((1, &["a", "b", "c", "d", "/e%20f/g"])));
        check("/api/v3/inner/a", Some((2, &["a", ""])));
        check("/api/v3/innermost", Some((0, &["innermost", ""])));
    }

    #[test]
    fn other_paths_are_not_ours() {
        for path in ["", "/", "*", "/api", "/api/v2/a", "/api/v33/a", "/%61pi/v3/a", "/exit"] {
            check(path, None);
        }
    }

    #[test]
    fn elements_are_decoded_once() {
        check("/api/v3/a%20b/%C3%A4", Some((0, &["a b", "ä"])));
        check("/api/v3/a/%252e%252e", Some((0, &["a", "%2e%2e"])));
        check("/api/v3/a+b/<\"'&>", Some((0, &["a+b", "<\"'&>"])));
        check("/api/v3/.../a..b", Some((0, &["...", "a..b"])));
    }

    #[test]
    fn paths_that_others_could_read_otherwise_are_refused() {
        for (path, want) in [
            ("/api/v3", PathError::TooShort),
            ("/api/v3/", PathError::TooShort),
            ("/api/v3//", PathError::EmptyElement),
            ("/api/v3//a", PathError::EmptyElement),
            ("/api/v3/a//b", PathError::EmptyElement),
            ("/api/v3/a//", PathError::EmptyElement),
            ("/api/v3/a/b/c/d//e", PathError::EmptyElement),
            ("/api/v3/.", PathError::DotSegment),
            ("/api/v3/a/../b", PathError::DotSegment),
            ("/api/v3/a/%2e%2E/b", PathError::DotSegment),
            ("/api/v3/a/.%2e", PathError::DotSegment),
            ("/api/v3/a/b/c/d/e/../f", PathError::DotSegment),
            ("/api/v3/a%2fb", PathError::Separator),
            ("/api/v3/a%5Cb", PathError::Separator),
            ("/api/v3/a\\b", PathError::Separator),
            ("/api/v3/a%00b", PathError::Control),
            ("/api/v3/a%0d%0ab", PathError::Control),
            ("/api/v3/a\x7f", PathError::Control),
            ("/api/v3/a%c2%85", PathError::Control),
            ("/api/v3/a%ff", PathError::NotUtf8),
            ("/api/v3/a%c0%af", PathError::NotUtf8),
            ("/api/v3/a%", PathError::Escape),
            ("/api/v3/a%4", PathError::Escape),
            ("/api/v3/a%4g", PathError::Escape),
            ("/api/v3/a%+4", PathError::Escape),
        ] {
            assert_eq!(parse(BASES, path.as_bytes()), Err(want), "{path}");
        }
        assert_eq!(parse(BASES, b"/api/v3/a\xff"), Err(PathError::NotUtf8));
    }

    #[test]
    fn names_of_the_gateway_are_no_modules() {
        for (path, want) in [
            ("/api/v3/health", Some(Reserved::Health)),
            ("/api/v3/info", Some(Reserved::Info)),
            ("/api/v3/heartbeat/x", Some(Reserved::Heartbeat)),
            ("/api/v3/entrypoint", Some(Reserved::Entrypoint)),
            ("/api/v3/e%78it", Some(Reserved::Exit)),
            ("/api/v3/Health", None),
            ("/api/v3/healthy", None),
        ] {
            let parsed = parse(BASES, path.as_bytes()).unwrap().unwrap();
            assert_eq!(parsed.reserved, want, "{path}");
        }
    }

    #[track_caller]
    fn check(path: &str, want: Option<(usize, &[&str])>) {
        let got = parse(BASES, path.as_bytes()).unwrap();
        let got = got.map(|p| {
            let mut all = vec![p.module.to_string(), p.param.to_string()];
            all.extend(p.param_id.map(String::from));
            all.extend(p.param_idd.map(String::from));
            if !p.rest.is_empty() {
                all.push(String::from_utf8(p.rest.to_vec()).unwrap());
            }
            (p.base, all)
        });
        let want = want.map(|(base, all)| (base, all.iter().map(|e| (*e).to_string()).collect()));
        assert_eq!(got, want, "{path}");
    }
}
