//! Certificates that are believed for their public key as well.

use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::server::provider;
use super::x509;
use crate::base::base64url;

/// SHA-256 of a public key as it stands in a certificate (`SubjectPublicKeyInfo`).
pub type Pin = [u8; 32];

/// Reads a pin: base64url, with padding or without.
#[must_use]
pub fn pin(text: &str) -> Option<Pin> {
    let bare = text.strip_suffix('=').unwrap_or(text);
    base64url::decode(bare.as_bytes())?.try_into().ok()
}

/// Verifies as usual, and then that one of the certificates by which that can be done has a key
/// that is pinned.
#[derive(Debug)]
pub(super) struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
}

impl Pinned {
    pub(super) fn new(roots: Arc<RootCertStore>, pins: Vec<Pin>) -> Result<Self, String> {
        Ok(Pinned { usual: verifier(roots)?, pins })
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        x509::public_key(certificate).is_some_and(|key| {
            let digest = digest(&SHA256, key);
            self.pins.iter().any(|pin| digest.as_ref() == pin)
        })
    }
}

fn verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::new(provider()));
    builder.build().map_err(|error| error.to_string())
}

/// Believes in one certificate alone.
fn verifier_by(certificate: &CertificateDer<'_>) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).ok()?;
    verifier(Arc::new(roots)).ok()
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let check = |verifier: &WebPkiServerVerifier| {
            let (name, ocsp) = (server_name, ocsp_response);
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        };
        let verified = check(&self.usual)?;
        if self.is_pinned(end_entity) {
            return Ok(verified);
        }
        // Anybody can send a certificate of somebody else along: it counts only if the first one
        // comes of it.
        let mut others = intermediates.iter().filter(|certificate| self.is_pinned(certificate));
        if others.any(|other| verifier_by(other).is_some_and(|by| check(&by).is_ok())) {
            return Ok(verified);
        }
        Err(Error::Other(OtherError(Arc::new(Unpinned))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// No certificate of the chain has a key that is pinned.
#[derive(Debug)]
struct Unpinned;

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("none of the certificates that it shows has one of the fingerprints")
    }
}

impl std::error::Error for Unpinned {}

#[cfg(test)]
mod tests;
