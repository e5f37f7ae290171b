//! What a listener with TLS offers: read from files, checked, and made ready once for all shards.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};

use super::certificates::Certificates;
use super::in_place;
use super::spec::{
    About, CertificateSpec, ClientAuth, Remark, RemarkKind, ServerSpec, TicketSecret, Version,
};
use super::tickets::Tickets;
use super::x509;

/// Tickets that a client of TLS 1.3 gets.
const TICKETS_PER_HANDSHAKE: usize = 1;
/// Below so many days, a certificate's end is warned of.
const ENDS_SOON: Duration = Duration::from_hours(14 * 24);
/// Rights that let others than the owner and its group read a file.
const OTHERS: u32 = 0o007;

/// What a file held, and who may read it.
#[derive(Clone, Debug, Default)]
pub struct FileContent {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The mode bits.
    pub mode: u32,
}

/// Reads a file.
pub type ReadFile<'a> = dyn Fn(&Path) -> io::Result<FileContent> + 'a;

/// A certificate that is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// As it is called in the configuration.
    pub name: String,
    /// The names that it is for.
    pub hosts: Vec<String>,
    /// The end of its validity, in seconds since 1970.
    pub until: u64,
}

/// What a listener offers, ready for use. Equal if made from the same words and the same bytes.
#[derive(Clone)]
pub struct ServerTls {
    /// What was asked for.
    pub spec: ServerSpec,
    /// Its certificates.
    pub shown: Vec<Shown>,
    config: Arc<ServerConfig>,
    /// Of all files.
    fingerprint: [u8; 32],
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec && self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads and checks everything; gives warnings beside it, or every fault.
    pub fn build(
        spec: ServerSpec,
        read: &ReadFile<'_>,
        now: u64,
    ) -> Result<(Self, Vec<Remark>), Vec<Remark>> {
        let mut builder = Builder {
            read,
            now,
            provider: Arc::new(provider()),
            remarks: Vec::new(),
            digest: Context::new(&SHA256),
        };
        let (keys, shown) = builder.certificates(&spec.certificates);
        let verifier = builder.client_verifier(&spec.client_auth);
        let faulty = builder.remarks.iter().any(|remark| remark.kind.is_fault());
        let (Some(certificates), false) = (keys, faulty) else { return Err(builder.remarks) };
        let fingerprint = finish(builder.digest.clone());
        let versions: &[_] = match spec.min_version {
            Version::Tls12 => &[&version::TLS13, &version::TLS12],
            Version::Tls13 => &[&version::TLS13],
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&builder.provider))
            .with_protocol_versions(versions);
        let Ok(config) = config else {
            let message = "the versions of TLS cannot be offered".to_owned();
            builder.remark(About::ClientCa, RemarkKind::Malformed, message, "report this");
            return Err(builder.remarks);
        };
        let config = match verifier {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = spec.protocols.iter().map(|p| p.name().to_vec()).collect();
        let secret = spec.ticket_secret.clone().unwrap_or_else(TicketSecret::of_process);
        let purpose = builder.purpose(&spec.client_auth);
        config.ticketer = Arc::new(Tickets::new(secret, purpose));
        // A server that keeps nothing has nothing to lock.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
        // Early data can be sent again by anybody who has seen it.
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        let tls = ServerTls { spec, shown, config: Arc::new(config), fingerprint };
        Ok((tls, builder.remarks))
    }

    /// The same, read anew.
    pub fn again(&self, read: &ReadFile<'_>) -> Result<(Self, Vec<Remark>), Vec<Remark>> {
        ServerTls::build(self.spec.clone(), read, unix_seconds())
    }

    /// All files that it was made from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let certificates = self.spec.certificates.iter();
        certificates
            .flat_map(|spec| [Some(&spec.chain), Some(&spec.key), spec.ocsp.as_ref()])
            .flatten()
            .map(PathBuf::as_path)
            .chain(self.spec.client_auth.authorities())
    }

    /// A copy for one shard: what is counted with each connection is its own.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::new(ServerConfig::clone(&self.config))
    }
}

struct Builder<'a> {
    read: &'a ReadFile<'a>,
    now: u64,
    provider: Arc<CryptoProvider>,
    remarks: Vec<Remark>,
    digest: Context,
}

impl Builder<'_> {
    fn remark(&mut self, about: About, kind: RemarkKind, message: String, way_out: &'static str) {
        self.remarks.push(Remark { about, kind, message, way_out });
    }

    fn file(&mut self, path: &Path, about: &About) -> Option<FileContent> {
        match (self.read)(path) {
            Ok(content) => {
                let len = u64::try_from(content.bytes.len()).unwrap_or(u64::MAX);
                self.digest.update(&len.to_be_bytes());
                self.digest.update(&content.bytes);
                Some(content)
            }
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                let way_out = "check its path and rights";
                self.remark(about.clone(), RemarkKind::Unreadable, message, way_out);
                None
            }
        }
    }

    fn certificates(&mut self, specs: &[CertificateSpec]) -> (Option<Certificates>, Vec<Shown>) {
        let mut certificates: Option<Certificates> = None;
        let mut all = Vec::new();
        for spec in specs {
            let Some((key, shown)) = self.certificate(spec) else { continue };
            let key = Arc::new(key);
            let known = certificates.get_or_insert_with(|| Certificates::new(Arc::clone(&key)));
            for host in &shown.hosts {
                known.add(host, &key);
            }
            all.push(shown);
        }
        (certificates, all)
    }

    fn certificate(&mut self, spec: &CertificateSpec) -> Option<(CertifiedKey, Shown)> {
        let (about_chain, about_key) =
            (About::Chain(spec.name.clone()), About::Key(spec.name.clone()));
        let chain = self.chain(&spec.chain, &about_chain);
        let key = self.key(&spec.key, &about_key);
        let ocsp = spec.ocsp.as_ref().map(|path| self.ocsp(path, &spec.name));
        let (chain, key) = (chain?, key?);
        let shown = self.shown(spec, chain.first()?, &about_chain)?;
        let provider = Arc::clone(&self.provider);
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(mut certified) => {
                certified.ocsp = ocsp.flatten();
                Some((certified, shown))
            }
            Err(rustls::Error::InconsistentKeys(_)) => {
                let (key, chain) = (spec.key.display(), spec.chain.display());
                let message = format!("the key in {key} is not that of the certificate in {chain}");
                let way_out = "name the key that the certificate was requested with";
                self.remark(about_key, RemarkKind::Mismatch, message, way_out);
                None
            }
            Err(error) => {
                let message = format!("{} cannot be used: {error}", spec.key.display());
                let way_out = "use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more";
                self.remark(about_key, RemarkKind::Malformed, message, way_out);
                None
            }
        }
    }

    fn chain(&mut self, path: &Path, about: &About) -> Option<Vec<CertificateDer<'static>>> {
        let content = self.file(path, about)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content.bytes).collect();
        let way_out = "write the certificate and those between it and the authority, as PEM";
        match chain {
            Ok(chain) if !chain.is_empty() => Some(chain),
            Ok(_) => {
                let message = format!("{} holds no certificate", path.display());
                self.remark(about.clone(), RemarkKind::Malformed, message, way_out);
                None
            }
            Err(error) => {
                let message = format!("{} is no PEM: {error}", path.display());
                self.remark(about.clone(), RemarkKind::Malformed, message, way_out);
                None
            }
        }
    }

    fn key(&mut self, path: &Path, about: &About) -> Option<PrivateKeyDer<'static>> {
        let content = self.file(path, about)?;
        if content.mode & OTHERS != 0 {
            let message = format!("everybody can read the key in {}", path.display());
            let way_out = "chmod 600, or 640 with a group of the gateway's own";
            self.remark(about.clone(), RemarkKind::Risky, message, way_out);
        }
        let key = PrivateKeyDer::from_pem_slice(&content.bytes).ok();
        if key.is_none() {
            let message = format!("{} holds no private key", path.display());
            let way_out = "write the key as PEM, without a pass phrase";
            self.remark(about.clone(), RemarkKind::Malformed, message, way_out);
        }
        key
    }

    fn ocsp(&mut self, path: &Path, name: &str) -> Option<Vec<u8>> {
        let about = About::Ocsp(name.to_owned());
        let content = self.file(path, &about)?;
        if content.bytes.first() != Some(&0x30) {
            let message = format!("{} is no OCSP answer", path.display());
            let way_out = "write the answer as DER: `openssl ocsp -respout` makes one";
            self.remark(about, RemarkKind::Malformed, message, way_out);
            return None;
        }
        Some(content.bytes)
    }

    fn shown(
        &mut self,
        spec: &CertificateSpec,
        certificate: &CertificateDer<'static>,
        about: &About,
    ) -> Option<Shown> {
        let path = spec.chain.display();
        let parsed = webpki::EndEntityCert::try_from(certificate);
        let (Ok(parsed), Some(validity)) = (parsed, x509::validity(certificate)) else {
            let message = format!("{path} holds something that is no certificate");
            let way_out = "write an X.509 certificate of version 3";
            self.remark(about.clone(), RemarkKind::Malformed, message, way_out);
            return None;
        };
        let hosts: Vec<String> = parsed.valid_dns_names().map(str::to_owned).collect();
        let text = if self.now >= validity.until {
            Some("has expired; clients will refuse it")
        } else if self.now < validity.from {
            Some("is not good yet; clients will refuse it")
        } else if validity.until - self.now < ENDS_SOON.as_secs() {
            Some("ends in less than 14 days")
        } else {
            None
        };
        if let Some(text) = text {
            let message = format!("the certificate in {path} {text}");
            let way_out = "put a new one in its place: it is taken without a restart";
            self.remark(about.clone(), RemarkKind::Expiry, message, way_out);
        }
        Some(Shown { name: spec.name.clone(), hosts, until: validity.until })
    }

    fn client_verifier(
        &mut self,
        auth: &ClientAuth,
    ) -> Option<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
        let path = auth.authorities()?;
        let chain = self.chain(path, &About::ClientCa)?;
        let mut roots = RootCertStore::empty();
        for certificate in chain {
            if roots.add(certificate).is_err() {
                let message = format!("{} holds something that is no authority", path.display());
                let way_out = "write the certificates of authorities only";
                self.remark(About::ClientCa, RemarkKind::Malformed, message, way_out);
                return None;
            }
        }
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = match auth {
            ClientAuth::Optional(_) => verifier.allow_unauthenticated(),
            _ => verifier,
        };
        verifier.build().ok()
    }

    /// Who may come back with a ticket: only who was asked the same.
    fn purpose(&self, auth: &ClientAuth) -> [u8; 32] {
        let kind: &[u8] = match auth {
            ClientAuth::Off => return hash(&[b"off"]),
            ClientAuth::Optional(_) => b"optional",
            ClientAuth::Required(_) => b"required",
        };
        let content = auth.authorities().and_then(|path| (self.read)(path).ok());
        hash(&[kind, &content.unwrap_or_default().bytes])
    }
}

/// What the cryptography is made of. The first key exchange also holds against computers that do
/// not exist yet, and costs no more than the others.
pub(super) fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1];
    let cipher_suites = in_place::cipher_suites();
    CryptoProvider { kx_groups, cipher_suites, ..aws_lc_rs::default_provider() }
}

pub(super) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    finish(context)
}

fn finish(context: Context) -> [u8; 32] {
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// The calendar, for what lives for hours.
pub fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
