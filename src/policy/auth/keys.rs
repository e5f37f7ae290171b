//! A set of keys (RFC 7517 §5), and which of them a token may be of.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::algorithm::Algorithm;
use super::jwk::Key;
use super::jws::{Hint, Jws};
use super::object;
use super::verify::Denied;

/// Keys of one set. Issuers publish two to six.
pub const KEYS_MAX: usize = 64;
/// Keys that one token is tried with. Each costs a verification, which anybody may ask for.
pub const TRIES_MAX: usize = 8;
/// Bytes of the text of a set.
pub const SET_BYTES_MAX: usize = 1024 * 1024;

/// By what a token says which key it is of (SPEC 10.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyBy {
    /// `kid`
    #[default]
    Kid,
    /// `x5t`, the SHA-1 of a certificate.
    X5t,
    /// `x5t#S256`
    X5tS256,
    /// `kid` and `x5t`, both.
    KidX5t,
}

impl KeyBy {
    /// The strategy of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<KeyBy> {
        Some(match name {
            "kid" => KeyBy::Kid,
            "x5t" => KeyBy::X5t,
            "x5t#s256" => KeyBy::X5tS256,
            "kid_x5t" => KeyBy::KidX5t,
            _ => return None,
        })
    }

    fn name_in(self, hint: &Hint) -> Option<(&str, &str)> {
        let (kid, x5t) = (filled(hint.kid.as_ref()), filled(hint.x5t.as_ref()));
        match self {
            KeyBy::Kid => Some((kid?, "")),
            KeyBy::X5t => Some((x5t?, "")),
            KeyBy::X5tS256 => Some((filled(hint.x5t_s256.as_ref())?, "")),
            KeyBy::KidX5t => Some((kid?, x5t?)),
        }
    }
}

fn filled(name: Option<&String>) -> Option<&str> {
    name.map(String::as_str).filter(|name| !name.is_empty())
}

/// Keys that an operator named, or that the place which an operator named has published.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// There is one key, and tokens need not name it.
    is_single: bool,
    /// The SHA-256 of the text that it was read from.
    print: [u8; 32],
}

/// A key that is not used, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub place: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl KeySet {
    /// The one key of an operator.
    #[must_use]
    pub fn single(key: Key) -> KeySet {
        KeySet { keys: vec![key], is_single: true, print: [0; 32] }
    }

    /// Reads a set, or a single key. Keys that are not for us are passed over and told of; a set
    /// without any is an error. `secrets`: whether shared ones may be among them.
    pub fn parse(text: &[u8], secrets: bool) -> Result<(KeySet, Vec<Skipped>), &'static str> {
        if text.len() > SET_BYTES_MAX {
            return Err("it is too large");
        }
        let object = object::parse(text).ok_or("it is no JSON object, or says a name twice")?;
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        let list = match object.get("keys") {
            Some(Value::Array(list)) => list.clone(),
            Some(_) => return Err("its `keys` are no list"),
            None if object.contains_key("kty") => vec![Value::Object(object)],
            None => return Err("it has no `keys`"),
        };
        for (place, jwk) in list.iter().enumerate() {
            let key = match jwk {
                _ if keys.len() >= KEYS_MAX => Err("there are too many keys"),
                Value::Object(jwk) => Key::of(jwk, secrets),
                _ => Err("it is no object"),
            };
            match key {
                Ok(key) => keys.push(key),
                Err(why) => {
                    skipped.push(Skipped { place, why });
                    if skipped.len() >= 2 * KEYS_MAX {
                        break;
                    }
                }
            }
        }
        if keys.is_empty() {
            return Err(skipped.first().map_or("it has no keys", |skipped| skipped.why));
        }
        let print = digest(&SHA256, text).as_ref().try_into().unwrap_or_default();
        Ok((KeySet { keys, is_single: false, print }, skipped))
    }

    /// Whether both were read from the same text.
    #[must_use]
    pub fn is_same(&self, other: &KeySet) -> bool {
        self.print == other.print
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether one of our keys has signed the token. [`Denied::KeyUnknown`]: it names one that is
    /// not here, or names none and is of none of these: there may be another by now.
    pub fn verify(&self, jws: &Jws<'_>, by: KeyBy, name_needed: bool) -> Result<(), Denied> {
        let named = if self.is_single { None } else { by.name_in(&jws.hint) };
        if named.is_none() && name_needed && !self.is_single {
            return Err(Denied::KeyUnnamed);
        }
        let of_name = |key: &&Key| named.is_none() || by.name_in(&key.names) == named;
        let mut known = false;
        let mut tries = 0;
        for key in self.keys.iter().filter(of_name) {
            known = true;
            if !key.fits(jws.algorithm) {
                continue;
            }
            tries += 1;
            if tries > TRIES_MAX {
                break;
            }
            if key.verify(jws.algorithm, jws.signed, &jws.signature) {
                return Ok(());
            }
        }
        match (known, tries) {
            (false, _) if named.is_some() => Err(Denied::KeyUnknown),
            _ if named.is_none() && !self.is_single => Err(Denied::KeyUnknown),
            (_, 0) => Err(Denied::Algorithm),
            _ => Err(Denied::Signature),
        }
    }

    /// Whether there is a key for one of these.
    #[must_use]
    pub fn fits_any(&self, algorithms: &[Algorithm]) -> bool {
        self.keys.iter().any(|key| algorithms.iter().any(|algorithm| key.fits(*algorithm)))
    }
}
