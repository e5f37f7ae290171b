//! What is asked of a listener with TLS, and what can be wrong about it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::handshake::Protocol;
use super::server::hash;

/// What operators write about TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSpec {
    /// The first is shown to clients that name no host, or one that no certificate is for.
    pub certificates: Vec<CertificateSpec>,
    /// The least version.
    pub min_version: Version,
    /// What is offered, best first. Clients that offer only others are refused.
    pub protocols: Vec<Protocol>,
    /// From the connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Handshakes of one shard at a time; others wait.
    pub handshakes_max: u32,
    /// What tickets are sealed with; `None`: a secret of this process.
    pub ticket_secret: Option<TicketSecret>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateSpec {
    /// As it is called in the configuration.
    pub name: String,
    /// The chain, PEM, the own certificate first.
    pub chain: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
    /// A stapled OCSP answer, DER.
    pub ocsp: Option<PathBuf>,
}

/// The least version that is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 1.2 and 1.3
    Tls12,
    /// 1.3 only
    Tls13,
}

/// Whether clients show a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They may show one of these authorities (PEM); a wrong one is refused.
    Optional(PathBuf),
    /// They must show one of these authorities (PEM).
    Required(PathBuf),
}

impl ClientAuth {
    pub(super) fn authorities(&self) -> Option<&Path> {
        match self {
            ClientAuth::Off => None,
            ClientAuth::Optional(path) | ClientAuth::Required(path) => Some(path),
        }
    }
}

/// What tickets are sealed with.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret([u8; 32]);

impl TicketSecret {
    /// Wraps the bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        TicketSecret(bytes)
    }

    /// The same secret from the same text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        TicketSecret(hash(&[b"otus ticket secret", text.as_bytes()]))
    }

    /// That of this process: reloads keep it, and no other process knows it.
    pub(super) fn of_process() -> Self {
        static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
        let make = || {
            let mut bytes = [0; 32];
            let filled = SystemRandom::new().fill(&mut bytes);
            assert!(filled.is_ok(), "the kernel gave no random bytes");
            bytes
        };
        TicketSecret(*SECRET.get_or_init(make))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is wrong, or worth knowing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// Where it was asked for.
    pub about: About,
    /// What kind of thing it is.
    pub kind: RemarkKind,
    /// On one line. Never holds a secret.
    pub message: String,
    /// What to do, on one line.
    pub way_out: &'static str,
}

/// What of a [`ServerSpec`] a remark is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// The chain of the certificate of this name.
    Chain(String),
    /// The key of the certificate of this name.
    Key(String),
    /// The OCSP answer of the certificate of this name.
    Ocsp(String),
    /// The authorities of clients.
    ClientCa,
}

/// The kind of a [`Remark`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemarkKind {
    /// A file cannot be read.
    Unreadable,
    /// A file is not what it should be.
    Malformed,
    /// Two files do not go together.
    Mismatch,
    /// Warning: not good now, or not for long.
    Expiry,
    /// Warning: easy to abuse.
    Risky,
}

impl RemarkKind {
    /// Whether nothing can be served because of it.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, RemarkKind::Unreadable | RemarkKind::Malformed | RemarkKind::Mismatch)
    }
}
