//! API keys: what is asked about one, and what the answer says (SPEC 10.3, 14.1). The key itself is
//! neither kept nor sent, nor written anywhere.

use std::fmt;

use prost::Message;
use ring::digest::{SHA256, digest};

use crate::base::hex;

/// What stands for a key: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Of a key as the client sent it.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key).as_ref());
        KeyHash(hash)
    }

    /// The bytes of the digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// In lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::text(&self.0)
    }

    /// The message that asks about it.
    #[must_use]
    pub fn question(&self) -> Vec<u8> {
        Question { key_hash: self.hex() }.encode_to_vec()
    }
}

/// Who has the hash could look for the key.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// The method that is called where none is configured.
pub const METHOD: &str = "/foldforge.orchestrator.v1.OrchestratorService/AuthenticateApiKey";

/// `AuthenticateApiKeyRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    key_hash: String,
}

/// `AuthenticateApiKeyResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Answer {
    #[prost(bool, tag = "1")]
    allowed: bool,
    #[prost(string, tag = "2")]
    principal: String,
    #[prost(string, tag = "3")]
    deny_reason: String,
}

/// Bytes of a principal.
const PRINCIPAL_BYTES_MAX: usize = 256;

/// The answer is none, or names nobody whom an endpoint could be told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unintelligible;

/// Reads an answer: whom the key belongs to; `None`: it is refused. Why is for the service's log.
pub fn answer(message: &[u8]) -> Result<Option<String>, Unintelligible> {
    let answer = Answer::decode(message).map_err(|_| Unintelligible)?;
    if !answer.allowed {
        return Ok(None);
    }
    let principal = answer.principal;
    // It becomes a field: what is not plain text there could be read as something else.
    let is_plain = principal.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = (1..=PRINCIPAL_BYTES_MAX).contains(&principal.len());
    if is_plain && fits { Ok(Some(principal)) } else { Err(Unintelligible) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_asked_about_by_its_hash() {
        let hash = KeyHash::of(b"abc"); // FIPS 180-2, B.1
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.hex(), hex);
        assert_eq!(hash.question(), [b"\x0a\x40", hex.as_bytes()].concat());
        assert!(!format!("{hash:?}").contains("ba"));
    }

    #[test]
    fn answers_say_whom_a_key_belongs_to() {
        let of = |allowed, principal: &str| {
            let deny_reason = "expired".to_owned();
            let message = Answer { allowed, principal: principal.to_owned(), deny_reason };
            answer(&message.encode_to_vec())
        };
        assert_eq!(of(true, "org_1"), Ok(Some("org_1".to_owned())));
        assert_eq!(of(false, ""), Ok(None));
        assert_eq!(answer(b""), Ok(None), "allowed is false where it is not said");
        for bad in ["", "a\r\nb", "a b", "ü", &"x".repeat(257)] {
            assert_eq!(of(true, bad), Err(Unintelligible), "{bad:?}");
        }
        assert_eq!(answer(b"\x0a"), Err(Unintelligible));
    }
}
