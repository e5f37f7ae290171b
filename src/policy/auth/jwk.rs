//! One key (RFC 7517): what it is for, and what verifies with it.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Curve, Family};
use super::jws::Hint;
use crate::base::base64url;

/// Bytes of a modulus: 2,048 to 8,192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of a public exponent. Real ones are 65,537.
const EXPONENT_BYTES_MAX: usize = 4;

/// A key that verifies, and nothing more: private parts are never kept.
#[derive(Debug)]
pub struct Key {
    /// What tokens call it.
    pub names: Hint,
    verifiers: Vec<(Algorithm, Verifier)>,
}

enum Verifier {
    Public(ParsedPublicKey),
    Shared(Box<hmac::Key>),
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verifier::Public(_) => "public",
            Verifier::Shared(_) => "***",
        })
    }
}

impl Key {
    /// A shared secret, for one algorithm. It must be as long as its hash (RFC 7518 §3.2).
    pub fn shared(algorithm: Algorithm, secret: &[u8]) -> Result<Key, &'static str> {
        let (_, min) = algorithm.shared().ok_or("the algorithm takes no secret")?;
        if secret.len() < min {
            return Err("the secret is shorter than the hash of its algorithm");
        }
        Key::of_secret(&[algorithm], secret)
    }

    /// A shared secret of any length but none, for some algorithms: old issuers have short ones.
    pub fn of_secret(algorithms: &[Algorithm], secret: &[u8]) -> Result<Key, &'static str> {
        if secret.is_empty() {
            return Err("the secret is empty");
        }
        let verifier = |algorithm: &Algorithm| {
            let (hash, _) = algorithm.shared()?;
            Some((*algorithm, Verifier::Shared(Box::new(hmac::Key::new(hash, secret)))))
        };
        let verifiers = algorithms.iter().filter_map(verifier).collect();
        Ok(Key { names: Hint::default(), verifiers })
    }

    /// Reads a key. `secrets`: whether it may be a shared secret, which nobody publishes.
    pub fn of(jwk: &Map<String, Value>, secrets: bool) -> Result<Key, &'static str> {
        is_for_signatures(jwk)?;
        let text = |name: &str| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err("a member is no text"),
        };
        let bound = text("alg")?.map(|name| Algorithm::of(name).ok_or("its `alg` is unknown"));
        let bound = bound.transpose()?;
        let kty = text("kty")?.ok_or("it has no `kty`")?;
        let crv = text("crv")?;
        let bytes = |name| {
            let value = text(name)?.ok_or("a part of the key is missing")?;
            base64url::decode(value.as_bytes()).ok_or("a part of the key is no base64url")
        };
        if kty != "oct" && jwk.contains_key("d") {
            return Err("it holds a private key");
        }
        let (family, material) = match (kty, crv) {
            ("RSA", _) => (Family::Rsa, rsa(&bytes("n")?, &bytes("e")?)?),
            ("EC", Some(name)) => {
                let curve = curve(name).ok_or("its curve is not supported")?;
                (Family::Ec(curve), point(curve, &bytes("x")?, &bytes("y")?)?)
            }
            ("OKP", Some("Ed25519")) => (Family::Ed25519, bytes("x")?),
            ("oct", _) if secrets => (Family::Secret, bytes("k")?),
            ("oct", _) => return Err("it is a shared secret, but was published"),
            ("EC" | "OKP", _) => return Err("its curve is not supported"),
            _ => return Err("its `kty` is not supported"),
        };
        let fits = |algorithm: &Algorithm| {
            algorithm.family() == family && bound.is_none_or(|bound| bound == *algorithm)
        };
        let mut verifiers = Vec::new();
        for algorithm in Algorithm::ALL.into_iter().filter(fits) {
            if let Some(verifier) = verifier(algorithm, &material) {
                verifiers.push((algorithm, verifier));
            }
        }
        if verifiers.is_empty() {
            return Err("the key is none for its algorithm");
        }
        let own = |name| text(name).map(|text| text.map(str::to_owned));
        let names = Hint { kid: own("kid")?, x5t: own("x5t")?, x5t_s256: own("x5t#S256")? };
        Ok(Key { names, verifiers })
    }

    /// Whether the key may be used with this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }

    /// Whether the signature is by this key.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let own = self.verifiers.iter().find(|(own, _)| *own == algorithm);
        match own.map(|(_, verifier)| verifier) {
            Some(Verifier::Public(key)) => key.verify_sig(signed, signature).is_ok(),
            // In constant time.
            Some(Verifier::Shared(key)) => hmac::verify(key, signed, signature).is_ok(),
            None => false,
        }
    }
}

fn verifier(algorithm: Algorithm, material: &[u8]) -> Option<Verifier> {
    if let Some((hash, min)) = algorithm.shared() {
        let is_long = material.len() >= min;
        return is_long.then(|| Verifier::Shared(Box::new(hmac::Key::new(hash, material))));
    }
    // That a point lies on its curve is looked at here.
    ParsedPublicKey::new(algorithm.public()?, material).ok().map(Verifier::Public)
}

/// `use` and `key_ops` (RFC 7517 §4.2, §4.3): a key for something else verifies nothing.
fn is_for_signatures(jwk: &Map<String, Value>) -> Result<(), &'static str> {
    match jwk.get("use") {
        None => {}
        Some(Value::String(text)) if text == "sig" => {}
        Some(_) => return Err("its `use` is not `sig`"),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(list)) if list.iter().any(|item| item == "verify") => Ok(()),
        Some(_) => Err("its `key_ops` do not list `verify`"),
    }
}

fn curve(name: &str) -> Option<Curve> {
    match name {
        "P-256" => Some(Curve::P256),
        "P-384" => Some(Curve::P384),
        "P-521" => Some(Curve::P521),
        _ => None,
    }
}

/// An uncompressed point (SEC 1 §2.3.3). Coordinates have their full length (RFC 7518 §6.2.1.2).
fn point(curve: Curve, x: &[u8], y: &[u8]) -> Result<Vec<u8>, &'static str> {
    if x.len() != curve.bytes() || y.len() != curve.bytes() {
        return Err("a coordinate has not the length of its curve");
    }
    Ok([&[4][..], x, y].concat())
}

/// An `RSAPublicKey` (RFC 8017 §A.1.1).
fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let bits_ok = modulus.len() > *MODULUS_BYTES.start() || modulus.first() >= Some(&0x80);
    if !MODULUS_BYTES.contains(&modulus.len()) || !bits_ok {
        return Err("its modulus has fewer than 2,048 bits or more than 8,192");
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if exponent == [1] || exponent.len() > EXPONENT_BYTES_MAX || !is_odd(exponent) {
        return Err("its exponent is none");
    }
    if !is_odd(modulus) {
        return Err("its modulus is even");
    }
    let mut both = integer(modulus);
    both.extend(integer(exponent));
    Ok(element(0x30, &both))
}

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let Some((0, rest)) = number.split_first() {
        number = rest;
    }
    number
}

fn integer(number: &[u8]) -> Vec<u8> {
    // A first bit would be a sign.
    let sign: &[u8] = if number.first() >= Some(&0x80) { &[0] } else { &[] };
    element(0x02, &[sign, number].concat())
}

/// An element of DER of at most 65,535 bytes.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut out = match (high, low) {
        (0, ..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend_from_slice(content);
    out
}
