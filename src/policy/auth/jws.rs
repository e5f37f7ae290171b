//! A signed token in its compact form (RFC 7515 §7.1): three texts and two full stops.

use serde_json::Value;

use super::algorithm::Algorithm;
use super::object;
use super::verify::Denied;
use crate::base::base64url;

/// Bytes of a token. A head of a request has 16 KiB in all.
pub const TOKEN_BYTES_MAX: usize = 12 * 1024;
/// Bytes of what a token calls its key.
const KEY_NAME_BYTES_MAX: usize = 512;

/// A token in its parts. Nothing of it is believed before its signature is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jws<'a> {
    /// How it says that it is signed.
    pub algorithm: Algorithm,
    /// What it says of its key.
    pub hint: Hint,
    /// What the signature is of.
    pub signed: &'a [u8],
    /// The second text, still encoded.
    pub payload: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

/// Which key a token says that it is signed with: names, never keys or places of keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hint {
    /// `kid`
    pub kid: Option<String>,
    /// `x5t`
    pub x5t: Option<String>,
    /// `x5t#S256`
    pub x5t_s256: Option<String>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    pub fn parse(token: &'a [u8]) -> Result<Self, Denied> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denied::TooLarge);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Denied::Malformed);
        };
        let part = |from: usize, to: usize| token.get(from..to).unwrap_or_default();
        let (header, payload) = (part(0, first), part(first + 1, second));
        let header = base64url::decode(header).ok_or(Denied::Malformed)?;
        let header = object::parse(&header).ok_or(Denied::Malformed)?;
        // What must be understood is not (RFC 7515 §4.1.11); `b64` changes what is signed (RFC
        // 7797), `zip` and `enc` are of tokens that are not read here.
        if ["crit", "b64", "zip", "enc"].iter().any(|name| header.contains_key(*name)) {
            return Err(Denied::Critical);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= KEY_NAME_BYTES_MAX => Ok(Some(text.clone())),
            Some(_) => Err(Denied::Malformed),
        };
        let algorithm = text("alg")?.ok_or(Denied::Malformed)?;
        let algorithm = Algorithm::of(&algorithm).ok_or(Denied::Algorithm)?;
        let hint = Hint { kid: text("kid")?, x5t: text("x5t")?, x5t_s256: text("x5t#S256")? };
        let signature = part(second + 1, token.len());
        let signature = base64url::decode(signature).ok_or(Denied::Malformed)?;
        if signature.is_empty() {
            return Err(Denied::Malformed);
        }
        Ok(Jws { algorithm, hint, signed: part(0, second), payload, signature })
    }

    /// What was signed.
    pub fn content(&self) -> Result<Vec<u8>, Denied> {
        base64url::decode(self.payload).ok_or(Denied::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.e30.AAAA", base64url::encode(header.as_bytes()))
    }

    #[test]
    fn a_token_has_three_parts() {
        let whole = token(r#"{"alg":"RS256","kid":"k","typ":"JWT","jwk":{},"jku":"http://x"}"#);
        let jws = Jws::parse(whole.as_bytes()).unwrap();
        assert_eq!((jws.algorithm, jws.hint.kid.as_deref()), (Algorithm::Rs256, Some("k")));
        assert_eq!(jws.content().unwrap(), b"{}");
        assert_eq!(jws.signed, &whole.as_bytes()[..whole.len() - 5]);
        let parts: Vec<_> = whole.split('.').collect();
        for text in [
            String::new(),
            ".".into(),
            "..".into(),
            parts[..2].join("."),
            format!("{}.e30.", parts[0]),
            format!("{whole}.AAAA"),
            format!("{whole}="),
            format!(" {whole}"),
            format!("{whole}\n"),
            "e30.e30.AAAA".into(),
            "W10.e30.AAAA".into(),
        ] {
            assert_eq!(Jws::parse(text.as_bytes()).err(), Some(Denied::Malformed), "{text}");
        }
        let long = format!("{whole}{}", "A".repeat(TOKEN_BYTES_MAX));
        assert_eq!(Jws::parse(long.as_bytes()).err(), Some(Denied::TooLarge));
    }

    #[test]
    fn headers_that_ask_for_more_are_refused() {
        for (header, denied) in [
            (r#"{"alg":"none"}"#, Denied::Algorithm),
            (r#"{"alg":"NONE"}"#, Denied::Algorithm),
            (r#"{"alg":"rs256"}"#, Denied::Algorithm),
            (r#"{"alg":""}"#, Denied::Algorithm),
            (r#"{"alg":["RS256"]}"#, Denied::Malformed),
            (r#"{"alg":null}"#, Denied::Malformed),
            (r#"{"alg":"RS256","alg":"HS256"}"#, Denied::Malformed),
            (r#"{"alg":"RS256","crit":["exp"],"exp":1}"#, Denied::Critical),
            (r#"{"alg":"RS256","crit":[]}"#, Denied::Critical),
            (r#"{"alg":"RS256","b64":false}"#, Denied::Critical),
            (r#"{"alg":"RS256","b64":true}"#, Denied::Critical),
            (r#"{"alg":"RS256","zip":"DEF"}"#, Denied::Critical),
            (r#"{"alg":"RS256","kid":1}"#, Denied::Malformed),
            (r#"{"alg":"RS256","kid":{"a":1}}"#, Denied::Malformed),
        ] {
            assert_eq!(Jws::parse(token(header).as_bytes()).err(), Some(denied), "{header}");
        }
        let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(513));
        assert_eq!(Jws::parse(token(&long).as_bytes()).err(), Some(Denied::Malformed));
    }
}
