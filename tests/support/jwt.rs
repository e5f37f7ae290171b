//! An issuer of tokens: keys of its own, and whatever it is told to write into a token.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};
use otus::base::base64url::encode;
use otus::policy::auth::algorithm::{Algorithm, Curve, Family};
use serde_json::{Value, json};

/// A key that signs.
pub(crate) struct Signer {
    algorithm: Algorithm,
    kid: String,
    key: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    /// A new key.
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let ec = |algorithm| Pair::Ec(EcdsaKeyPair::generate(algorithm).unwrap());
        let key = match algorithm.family() {
            Family::Rsa => {
                Pair::Rsa(Box::new(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap()))
            }
            Family::Ec(Curve::P256) => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Family::Ec(Curve::P384) => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Family::Ec(Curve::P521) => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Family::Ed25519 => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            Family::Secret => Pair::Secret(format!("{kid:_<64}").into_bytes()),
        };
        Signer { algorithm, kid: kid.to_owned(), key }
    }

    /// A shared secret.
    pub(crate) fn of_secret(algorithm: Algorithm, secret: &[u8]) -> Self {
        Signer { algorithm, kid: "secret".into(), key: Pair::Secret(secret.to_vec()) }
    }

    /// The same key under another name, or with another algorithm of its sort.
    pub(crate) fn renamed(self, algorithm: Algorithm, kid: &str) -> Self {
        Signer { algorithm, kid: kid.to_owned(), ..self }
    }

    /// What may be published of it, without `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Pair::Rsa(pair) => {
                let (n, e) = rsa_parts(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": encode(&n), "e": encode(&e)})
            }
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = match x.len() {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
            Pair::Secret(secret) => json!({"kty": "oct", "k": encode(secret)}),
        };
        jwk["kid"] = json!(self.kid);
        jwk
    }

    /// The public part as PEM-less bytes, which algorithm confusion takes for a secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Secret(secret) => secret.clone(),
        }
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm.name(), "kid": self.kid, "typ": "JWT"});
        self.token_with(&header.to_string(), &claims.to_string())
    }

    /// A token of this header and these claims, as they are.
    pub(crate) fn token_with(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Pair::Rsa(pair) => {
                let padding: &dyn signature::RsaEncoding = match self.algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, signed, &mut out).unwrap();
                out
            }
            Pair::Ec(pair) => pair.sign(&random, signed).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(signed).as_ref().to_vec(),
            Pair::Secret(secret) => {
                let hash = match self.algorithm {
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    Algorithm::Hs512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, secret), signed).as_ref().to_vec()
            }
        }
    }
}

/// A set of these keys, as it is published.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// The modulus and the exponent of an `RSAPublicKey`.
fn rsa_parts(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (len, rest) = match der[1] {
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), &der[4..]),
            0x81 => (usize::from(der[2]), &der[3..]),
            len => (usize::from(len), &der[2..]),
        };
        rest.split_at(len)
    }
    let (whole, _) = element(der);
    let (n, rest) = element(whole);
    let (e, _) = element(rest);
    let bare = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    (bare(n), bare(e))
}
