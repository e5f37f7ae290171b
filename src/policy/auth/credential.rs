//! Where in a request a token stands.

use crate::message::head::RequestHead;
use crate::message::known::Known;
use crate::message::token;

use crate::base::base64url;

/// What of a request may hold a token: fields first, in this order, then cookies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// Names of fields, in lower case.
    pub fields: Vec<String>,
    /// Names of cookies.
    pub cookies: Vec<String>,
    /// Whether the password of `Basic` is a token as well.
    pub basic: bool,
}

impl Default for Places {
    fn default() -> Self {
        let fields = vec![Known::Authorization.name().to_owned()];
        Places { fields, cookies: Vec::new(), basic: false }
    }
}

/// What a request brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Brought<'a> {
    /// Nothing in any of the places.
    Nothing,
    /// What stands where a token should. Who takes it for one looks at its bytes.
    Token(&'a [u8]),
    /// The same, decoded.
    Decoded(Vec<u8>),
    /// Something that is no such token. It is never taken for nothing.
    Malformed,
}

impl Brought<'_> {
    /// The token, if it is one.
    #[must_use]
    pub fn token(&self) -> Option<&[u8]> {
        match self {
            Brought::Token(token) => Some(token),
            Brought::Decoded(token) => Some(token),
            Brought::Nothing | Brought::Malformed => None,
        }
    }
}

impl Places {
    /// Looks for a token. A field or cookie that comes twice is malformed: endpoints may read
    /// another of the two.
    #[must_use]
    pub fn find<'a>(&self, head: &RequestHead, text: &'a [u8]) -> Brought<'a> {
        for name in &self.fields {
            match one(fields(head, text, name.as_bytes())) {
                Ok(None) => {}
                Ok(Some(value)) => return self.token_in(name, value),
                Err(Twice) => return Brought::Malformed,
            }
        }
        for name in &self.cookies {
            match one(cookies(head, text, name.as_bytes())) {
                Ok(None | Some(b"")) => {}
                Ok(Some(value)) => return Brought::Token(value),
                Err(Twice) => return Brought::Malformed,
            }
        }
        Brought::Nothing
    }

    fn token_in<'a>(&self, name: &str, value: &'a [u8]) -> Brought<'a> {
        let (scheme, rest) = match memchr::memchr(b' ', value) {
            Some(space) => value.split_at(space),
            // Only where the field holds nothing else may the scheme be left out.
            None if name != Known::Authorization.name() && !value.is_empty() => {
                return Brought::Token(value);
            }
            None => return Brought::Malformed,
        };
        let rest = rest.trim_ascii_start();
        if scheme.eq_ignore_ascii_case(b"bearer") && !rest.is_empty() {
            return Brought::Token(rest);
        }
        if self.basic && scheme.eq_ignore_ascii_case(b"basic") {
            let pair = base64url::decode_standard(rest).unwrap_or_default();
            let colon = memchr::memchr(b':', &pair).map(|colon| pair.split_at(colon + 1).1);
            if let Some(password) = colon.filter(|password| !password.is_empty()) {
                return Brought::Decoded(password.to_vec());
            }
        }
        Brought::Malformed
    }
}

/// Whether a request brings anything at all that speaks for somebody.
#[must_use]
pub fn is_anonymous(head: &RequestHead, text: &[u8], places: &[&Places]) -> bool {
    let is_absent = |places: &&Places| places.find(head, text) == Brought::Nothing;
    head.value(text, Known::Authorization).is_none() && places.iter().all(is_absent)
}

struct Twice;

fn one<T>(mut all: impl Iterator<Item = T>) -> Result<Option<T>, Twice> {
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        _ => Err(Twice),
    }
}

fn fields<'a>(head: &RequestHead, text: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let is_it =
        move |field: &&crate::message::head::Field| field.name.of(text).eq_ignore_ascii_case(name);
    head.fields.iter().filter(is_it).map(|field| field.value.of(text))
}

fn cookies<'a>(head: &RequestHead, text: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let lines = head.fields.iter().filter(|field| field.known == Known::Cookie);
    let pairs = lines.flat_map(move |field| field.value.of(text).split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let (own, value) = pair.split_at(memchr::memchr(b'=', pair)?);
        (own == name).then(|| value.get(1..).unwrap_or_default())
    })
}

/// Whether a field or a cookie may have this name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    token::is_token(text.as_bytes())
}

/// `b64token` of RFC 6750 §2.1.
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    let digits = text.iter().take_while(|byte| is_digit(byte)).count();
    let padding = text.get(digits..).unwrap_or_default();
    digits > 0 && padding.iter().all(|byte| *byte == b'=')
}

#[cfg(test)]
mod tests;
