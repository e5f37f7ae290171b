//! The algorithms that signatures are made with (RFC 7518 §3.1, RFC 8037), and what keys fit them.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature as sign;

/// How a token is signed. There is no `none`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the names are those of RFC 7518")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

/// What sort of key an algorithm takes. A key fits algorithms of its own sort alone, which is why
/// a public key is never taken for a shared secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// RSA, 2,048 to 8,192 bits.
    Rsa,
    /// A curve of NIST.
    Ec(Curve),
    /// Ed25519.
    Ed25519,
    /// A shared secret.
    Secret,
}

/// A curve of NIST.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of RFC 7518")]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// Bytes of a coordinate.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 13] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
    ];

    /// As `alg` says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
        }
    }

    /// The algorithm of this name, in this case (RFC 7515 §4.1.1).
    #[must_use]
    pub fn of(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The sort of key that it takes.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Family::Rsa,
            Algorithm::Es256 => Family::Ec(Curve::P256),
            Algorithm::Es384 => Family::Ec(Curve::P384),
            Algorithm::Es512 => Family::Ec(Curve::P521),
            Algorithm::EdDsa => Family::Ed25519,
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Family::Secret,
        }
    }

    /// Whether the key is shared with who signs.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self.family() == Family::Secret
    }

    /// Of signatures by others.
    pub(super) fn public(self) -> Option<&'static dyn sign::VerificationAlgorithm> {
        Some(match self {
            Algorithm::Rs256 => &sign::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &sign::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &sign::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &sign::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &sign::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &sign::RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 => &sign::ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &sign::ECDSA_P384_SHA384_FIXED,
            Algorithm::Es512 => &sign::ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDsa => &sign::ED25519,
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return None,
        })
    }

    /// Of a shared secret, and how many bytes the secret must have at least (RFC 7518 §3.2).
    pub(super) fn shared(self) -> Option<(hmac::Algorithm, usize)> {
        match self {
            Algorithm::Hs256 => Some((hmac::HMAC_SHA256, 32)),
            Algorithm::Hs384 => Some((hmac::HMAC_SHA384, 48)),
            Algorithm::Hs512 => Some((hmac::HMAC_SHA512, 64)),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::of(algorithm.name()), Some(algorithm));
            assert_eq!(algorithm.public().is_none(), algorithm.shared().is_some());
        }
        for name in ["none", "None", "", "rs256", "RS256 ", "ES521", "ES256K", "Ed25519"] {
            assert_eq!(Algorithm::of(name), None, "{name}");
        }
    }
}
