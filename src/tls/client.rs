//! How endpoints are spoken to with TLS: whom we believe, and who we say that we are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::handshake::Protocol;
use super::pinned::{Pin, Pinned};
use super::server::{FileContent, ReadFile, provider};

/// Sessions of endpoints that one shard remembers.
const SESSIONS_MAX: usize = 256;

/// What operators write about TLS to an upstream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientSpec {
    /// The authorities that are believed (PEM); `None`: those of the system.
    pub authorities: Option<PathBuf>,
    /// The name that the certificate must be for; `None`: the host of the endpoint.
    pub name: Option<String>,
    /// Our own certificate and its key (PEM), for endpoints that ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Keys of which a certificate of the chain must have one, besides all else; none: any will do.
    pub pins: Vec<Pin>,
}

/// What of a [`ClientSpec`] a fault is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientPart {
    /// The authorities.
    Authorities,
    /// The name.
    Name,
    /// Our own certificate.
    Chain,
    /// Its key.
    Key,
}

/// What is wrong with a part, on one line.
pub type ClientFault = (ClientPart, String);

/// TLS to the endpoints of an upstream, ready for use. Equal if made from the same words and bytes.
#[derive(Clone)]
pub struct ClientTls {
    /// What was asked for.
    pub spec: ClientSpec,
    config: Arc<ClientConfig>,
    fingerprint: [u8; 32],
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec && self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads and checks everything.
    pub fn build(spec: ClientSpec, read: &ReadFile<'_>) -> Result<Self, ClientFault> {
        let mut digest = Context::new(&SHA256);
        let mut file = |part, path: &Path| -> Result<FileContent, ClientFault> {
            let content = read(path)
                .map_err(|error| (part, format!("{} cannot be read: {error}", path.display())))?;
            digest.update(&content.bytes);
            Ok(content)
        };
        if let Some(name) = &spec.name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err((ClientPart::Name, format!("\"{name}\" is no host name")));
        }
        let roots = match &spec.authorities {
            Some(path) => roots(path, &file(ClientPart::Authorities, path)?)?,
            None => system_roots()?,
        };
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&versions)
            .map_err(|error| (ClientPart::Chain, error.to_string()))?;
        let config = if spec.pins.is_empty() {
            config.with_root_certificates(roots)
        } else {
            let pinned = Pinned::new(Arc::new(roots), spec.pins.clone());
            let pinned = pinned.map_err(|error| (ClientPart::Authorities, error))?;
            // It verifies as the other does, and asks for more.
            config.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        };
        let mut config = match &spec.certificate {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = chain_of(chain, &file(ClientPart::Chain, chain)?)?;
                let content = file(ClientPart::Key, key)?;
                let named =
                    |error: String| (ClientPart::Key, format!("{}: {error}", key.display()));
                let key = PrivateKeyDer::from_pem_slice(&content.bytes)
                    .map_err(|_| named("it holds no private key".to_owned()))?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| named(error.to_string()))?
            }
        };
        config.enable_early_data = false;
        let fingerprint = digest.finish().as_ref().try_into().unwrap_or_default();
        Ok(ClientTls { spec, config: Arc::new(config), fingerprint })
    }

    /// A copy for one shard, with sessions of its own, that offers this protocol and no other.
    #[must_use]
    pub fn config(&self, protocol: Protocol) -> Arc<ClientConfig> {
        self.config_for(Some(protocol))
    }

    /// The same for a protocol that is none of HTTP: nothing is offered, for it has no name.
    #[must_use]
    pub fn config_for(&self, protocol: Option<Protocol>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocol.map(|one| one.name().to_vec()).into_iter().collect();
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Arc::new(config)
    }

    /// What the certificate of an endpoint must be for; `None`: its host is no name.
    #[must_use]
    pub fn name_of(&self, host: &str) -> Option<ServerName<'static>> {
        let name = self.spec.name.as_deref().unwrap_or(host);
        ServerName::try_from(name.trim_end_matches('.').to_owned()).ok()
    }
}

fn chain_of(
    path: &Path,
    content: &FileContent,
) -> Result<Vec<CertificateDer<'static>>, ClientFault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content.bytes).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    chain.ok_or_else(|| (ClientPart::Chain, format!("{} holds no certificate", path.display())))
}

fn roots(path: &Path, content: &FileContent) -> Result<RootCertStore, ClientFault> {
    let wrong = |text: &str| (ClientPart::Authorities, format!("{} {text}", path.display()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content.bytes).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let mut roots = RootCertStore::empty();
    for certificate in chain.ok_or_else(|| wrong("holds no certificate"))? {
        roots.add(certificate).map_err(|_| wrong("holds something that is no authority"))?;
    }
    Ok(roots)
}

/// What the system believes. Certificates in it that cannot be read are passed over.
fn system_roots() -> Result<RootCertStore, ClientFault> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let text = "the system has no authorities: name a file in `tls.ca`".to_owned();
        return Err((ClientPart::Authorities, text));
    }
    Ok(roots)
}
