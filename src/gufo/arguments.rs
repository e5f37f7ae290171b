//! What a call carries besides its path: from the query, or from the members of a JSON body
//! (SPEC 4.5).

use std::borrow::Cow;

use super::json::{self, JsonError};
use super::path::escape;

/// A named value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument<'a> {
    /// The name: a key of the map `Args`.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: ArgumentValue<'a>,
}

/// A JSON value, written out or to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArgumentValue<'a> {
    /// JSON text that was checked; it is passed on byte for byte.
    Json(&'a str),
    /// A text that becomes a JSON string while it is encoded.
    Text(Cow<'a, str>),
}

impl ArgumentValue<'_> {
    /// Bytes of the text.
    pub(super) fn bytes(&self) -> usize {
        match self {
            ArgumentValue::Json(text) => text.len(),
            ArgumentValue::Text(text) => text.len(),
        }
    }
}

/// Why a query is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryError {
    /// `%` without two hexadecimal digits.
    Escape,
    /// A name or value that is not UTF-8 after decoding.
    NotUtf8,
}

/// The parameters of a query (without its `?`) that occur exactly once and have a value, in the
/// order of their names. Escapes are decoded once, `+` is a space
/// (`application/x-www-form-urlencoded`).
///
/// # Errors
/// See [`QueryError`].
pub fn from_query(query: &[u8]) -> Result<Vec<Argument<'_>>, QueryError> {
    let mut pairs = Vec::new();
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at_checked(at).unwrap_or((pair, &[]));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        pairs.push((decoded(name)?, decoded(value)?));
    }
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let single = pairs.chunk_by(|(a, _), (b, _)| a == b).filter_map(|group| match group {
        [(name, value)] if !value.is_empty() => {
            Some(Argument { name: name.clone(), value: ArgumentValue::Text(value.clone()) })
        }
        _ => None,
    });
    Ok(single.collect())
}

/// The members of the JSON object in a body, in the order of their names, each name once.
///
/// The original takes a body that it cannot decode for one without arguments. Here the caller sees
/// the error and decides.
///
/// # Errors
/// See [`JsonError`].
pub fn from_json(body: &[u8]) -> Result<Vec<Argument<'_>>, JsonError> {
    let members = json::members(body)?;
    let all = members
        .into_iter()
        .map(|member| Argument { name: member.key, value: ArgumentValue::Json(member.value) });
    Ok(all.collect())
}

fn decoded(raw: &[u8]) -> Result<Cow<'_, str>, QueryError> {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| QueryError::NotUtf8);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let byte = match byte {
            b'+' => b' ',
            b'%' => {
                let (value, after) = escape(after).ok_or(QueryError::Escape)?;
                rest = after;
                value
            }
            plain => plain,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| QueryError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_occur_once_with_a_value_are_arguments() {
        check("", &[]);
        check("name=x", &[("name", "x")]);
        check("b=2&a=1", &[("a", "1"), ("b", "2")]);
        check("a=1&b&c=&d=4&&", &[("a", "1"), ("d", "4")]);
        check("a=1&b=2&a=1", &[("b", "2")]);
        check("a=&a=1", &[]);
        check("a=b=c", &[("a", "b=c")]);
        check("=x", &[("", "x")]);
        check("a=1;b=2", &[("a", "1;b=2")]);
    }

    #[test]
    fn names_and_values_are_decoded_once() {
        check("a+b=c+d%2B", &[("a b", "c d+")]);
        check("%61=1&a=2", &[]);
        check("a=%2561", &[("a", "%61")]);
        check("a=%22%0a%C3%A4", &[("a", "\"\nä")]);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        assert_eq!(from_query(b"a=%"), Err(QueryError::Escape));
        assert_eq!(from_query(b"a=%4x"), Err(QueryError::Escape));
        assert_eq!(from_query(b"%ff=1"), Err(QueryError::NotUtf8));
        assert_eq!(from_query(b"a=\xff"), Err(QueryError::NotUtf8));
    }

    #[test]
    fn members_of_a_body_keep_their_text() {
        let arguments = from_json(br#" {"id":12345678901234567890, "x" : [1.10, "\u00e4"]}"#);
        let arguments = arguments.unwrap();
        assert_eq!(arguments[0].value, ArgumentValue::Json("12345678901234567890"));
        assert_eq!(arguments[1].value, ArgumentValue::Json(r#"[1.10, "\u00e4"]"#));
        assert_eq!(from_json(b"[]"), Err(JsonError::NotAnObject));
    }

    #[track_caller]
    fn check(query: &str, want: &[(&str, &str)]) {
        let got = from_query(query.as_bytes()).unwrap();
        let want: Vec<_> = want
            .iter()
            .map(|(name, value)| Argument {
                name: Cow::Borrowed(name),
                value: ArgumentValue::Text(Cow::Borrowed(value)),
            })
            .collect();
        assert_eq!(got, want, "{query}");
    }
}
