//! The boundary that a `Content-Type` of `multipart/*` names (RFC 2046 §5.1.1).

use crate::base::limits;

/// Why a content type gives no boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BoundaryError {
    /// The type is not `multipart/*`.
    NotMultipart,
    /// It has no parameter `boundary`.
    Missing,
    /// It has two.
    Repeated,
    /// Empty, longer than 70 bytes, with a character that a boundary may not have, or ending with
    /// a space.
    Invalid,
    /// The parameters cannot be read.
    Malformed,
}

/// Whether `content_type` is `multipart/*`, in either case of letters.
#[must_use]
pub fn is_multipart(content_type: &[u8]) -> bool {
    content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
}

/// The boundary that `content_type` names, without quotes.
///
/// # Errors
/// See [`BoundaryError`].
pub fn boundary(content_type: &[u8]) -> Result<&[u8], BoundaryError> {
    if !is_multipart(content_type) {
        return Err(BoundaryError::NotMultipart);
    }
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    let (subtype, mut rest) = content_type.split_at_checked(end).unwrap_or_default();
    if !is_token(subtype.get(10..).unwrap_or_default().trim_ascii_end()) {
        return Err(BoundaryError::Malformed);
    }
    let mut found = None;
    while let Some(parameters) = rest.strip_prefix(b";") {
        let (name, value, after) = parameter(parameters).ok_or(BoundaryError::Malformed)?;
        if name.eq_ignore_ascii_case(b"boundary") && found.replace(value).is_some() {
            return Err(BoundaryError::Repeated);
        }
        rest = after;
    }
    let boundary = found.ok_or(BoundaryError::Missing)?;
    let fits = (1..=limits::BOUNDARY_BYTES_MAX).contains(&boundary.len());
    if fits && boundary.iter().all(|byte| is_boundary_byte(*byte)) && !boundary.ends_with(b" ") {
        Ok(boundary)
    } else {
        Err(BoundaryError::Invalid)
    }
}

/// Name, value without quotes, and what follows: nothing or a semicolon.
fn parameter(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let (name, value) = text.split_at_checked(memchr::memchr(b'=', text)?)?;
    let value = value.get(1..)?;
    if !is_token(name) {
        return None;
    }
    let (value, rest) = if let Some(quoted) = value.strip_prefix(b"\"") {
        let (value, rest) = quoted.split_at_checked(quoted_len(quoted)?)?;
        (value, rest.get(1..)?)
    } else {
        // Clients leave the quotes away even where the grammar asks for them (`=`, `/`, `:`).
        let end = value.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
        value.split_at_checked(end.unwrap_or(value.len()))?
    };
    let rest = rest.trim_ascii_start();
    matches!(rest.first(), None | Some(b';')).then_some((name, value, rest))
}

/// Bytes before the closing quote. A boundary has no use for escapes; other parameters may have
/// some, and keep them.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_tchar)
}

/// `bchars` of RFC 2046 §5.1.1.
const fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'\''
                | b'('
                | b')'
                | b'+'
                | b'_'
                | b','
                | b'-'
                | b'.'
                | b'/'
                | b':'
                | b'='
                | b'?'
                | b' '
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_with_and_without_quotes() {
        check("multipart/form-data; boundary=abc", Ok("abc"));
        check("Multipart/Form-Data;BOUNDARY=aBc", Ok("aBc"));
        check("multipart/mixed ; charset=utf-8 ; boundary=\"a b\" ; x=y", Ok("a b"));
        check(
            "multipart/form-data; boundary=----WebKitFormBoundaryA1",
            Ok("----WebKitFormBoundaryA1"),
        );
        check("multipart/form-data; boundary===a/b:c", Ok("==a/b:c"));
        check("multipart/x; a=\"\\\";boundary=no\"; boundary=yes", Ok("yes"));
        let longest = "x".repeat(70);
        check(&format!("multipart/x; boundary={longest}"), Ok(&longest));
    }

    #[test]
    fn what_names_no_boundary_is_refused() {
        check("", Err(BoundaryError::NotMultipart));
        check("text/plain; boundary=a", Err(BoundaryError::NotMultipart));
        check("multipart", Err(BoundaryError::NotMultipart));
        check("multipart/form-data", Err(BoundaryError::Missing));
        check("multipart/form-data; x=y", Err(BoundaryError::Missing));
        check("multipart/x; boundary=a; boundary=a", Err(BoundaryError::Repeated));
        check("multipart/x; boundary=", Err(BoundaryError::Invalid));
        check("multipart/x; boundary=\"\"", Err(BoundaryError::Invalid));
        check("multipart/x; boundary=\"a \"", Err(BoundaryError::Invalid));
        check("multipart/x; boundary=a*b", Err(BoundaryError::Invalid));
        check("multipart/x; boundary=\"a\\b\"", Err(BoundaryError::Invalid));
        check(&format!("multipart/x; boundary={}", "x".repeat(71)), Err(BoundaryError::Invalid));
        check("multipart/; boundary=a", Err(BoundaryError::Malformed));
        check("multipart/a b; boundary=a", Err(BoundaryError::Malformed));
        check("multipart/x; boundary", Err(BoundaryError::Malformed));
        check("multipart/x; boundary=\"a", Err(BoundaryError::Malformed));
        check("multipart/x; boundary=\"a\"b", Err(BoundaryError::Malformed));
        check("multipart/x; boundary=a b", Err(BoundaryError::Malformed));
        check("multipart/x; boundary=a;", Err(BoundaryError::Malformed));
        check("multipart/x; =a", Err(BoundaryError::Malformed));
    }

    #[track_caller]
    fn check(content_type: &str, want: Result<&str, BoundaryError>) {
        assert_eq!(boundary(content_type.as_bytes()), want.map(str::as_bytes), "{content_type}");
    }
}
