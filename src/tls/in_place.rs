//! Records are opened where they lie, and their payload stays there.
//!
//! rustls opens a record within the bytes that it is given, copies the payload into memory that it
//! takes for each record, and hands that out: for us to copy it once more. It takes its ciphers
//! from whoever makes the configuration, though, and here they are those of aws-lc-rs with one
//! difference: while [`within`] asks, they note where a payload lies, and hand on its first byte.
//! All the rest of a connection, its states, keys, alerts and limits, stays rustls' affair. It has
//! to see that there was payload, because it counts records that have none.

use std::cell::Cell;
use std::sync::LazyLock;

use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};

/// Bytes of a payload that rustls gets to see.
pub(super) const TOKEN_BYTES: usize = 1;

/// Where the payload of a record lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Of its first byte. Never used but to be compared with that of the buffer.
    address: usize,
    len: usize,
}

impl Place {
    /// Its beginning and its length within `bytes`; `None`: it lies elsewhere.
    pub(super) fn in_bytes(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let start = self.address.checked_sub(bytes.as_ptr().addr())?;
        let end = start.checked_add(self.len)?;
        (end <= bytes.len()).then_some((start, self.len))
    }
}

/// What the ciphers of a thread do with payload.
#[derive(Clone, Copy)]
enum Asked {
    /// They hand it on: whoever runs rustls wants it from there.
    No,
    /// They note where it lies.
    Yes,
    /// They did.
    Noted(Place),
}

thread_local! {
    /// rustls makes the ciphers, and has no way to tell one whose they are.
    static ASKED: Cell<Asked> = const { Cell::new(Asked::No) };
}

/// Runs rustls on one connection until it has opened one record of payload, and says where that
/// payload lies.
pub(super) fn within<T>(run: impl FnOnce() -> T) -> (T, Option<Place>) {
    ASKED.set(Asked::Yes);
    let outcome = run();
    match ASKED.replace(Asked::No) {
        Asked::Noted(place) => (outcome, Some(place)),
        Asked::No | Asked::Yes => (outcome, None),
    }
}

/// The ciphers of aws-lc-rs, as the head of this file has it.
pub(super) fn cipher_suites() -> Vec<SupportedCipherSuite> {
    // rustls wants them to live for ever. They are made once.
    static SUITES: LazyLock<Vec<SupportedCipherSuite>> = LazyLock::new(|| {
        let suites = rustls::crypto::aws_lc_rs::default_provider().cipher_suites;
        suites.into_iter().map(wrapped).collect()
    });
    SUITES.clone()
}

fn wrapped(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match suite {
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: Box::leak(Box::new(Aead12(suite.aead_alg))),
            })))
        }
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: Box::leak(Box::new(Aead13(suite.aead_alg))),
                quic: None,
            })))
        }
    }
}

fn common(of: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: of.suite,
        hash_provider: of.hash_provider,
        confidentiality_limit: of.confidentiality_limit,
    }
}

struct Aead12(&'static dyn Tls12AeadAlgorithm);

impl Tls12AeadAlgorithm for Aead12 {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv, extra)
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Opener(self.0.decrypter(key, iv)))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        self.0.key_block_shape()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv, explicit)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

struct Aead13(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Aead13 {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Opener(self.0.decrypter(key, iv)))
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// Opens records, and leaves payload where it is if it is asked to.
struct Opener(Box<dyn MessageDecrypter>);

impl MessageDecrypter for Opener {
    fn decrypt<'a>(
        &mut self,
        message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let mut opened = self.0.decrypt(message, seq)?;
        if opened.typ == ContentType::ApplicationData
            && matches!(ASKED.get(), Asked::Yes)
            && let Some(token) = opened.payload.get(..TOKEN_BYTES)
        {
            let place =
                Place { address: opened.payload.as_ptr().addr(), len: opened.payload.len() };
            ASKED.set(Asked::Noted(place));
            opened.payload = token;
        }
        Ok(opened)
    }
}
