//! An authority with its certificates, and a client of HTTPS.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::client::head;
use super::journal::PATIENCE;

/// An authority in a directory of its own, which goes with it.
pub(crate) struct Authority {
    pub(crate) directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate and its key.
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    /// As it is written in the configuration.
    pub(crate) fn text(&self) -> String {
        format!("cert = \"{}\"\nkey = \"{}\"\n", self.cert.display(), self.key.display())
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("otus-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.join("ca.pem"), certificate.pem()).unwrap();
        let root = certificate.der().clone();
        Authority { directory, issuer: Issuer::new(params, key), root }
    }

    /// A certificate for these names, under a file name of its own; made anew if it is there.
    pub(crate) fn leaf(&self, file: &str, names: &[&str]) -> Files {
        self.leaf_with(file, names, |_| {})
    }

    /// The same, changed.
    pub(crate) fn leaf_with(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Files {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            cert: self.directory.join(format!("{file}.pem")),
            key: self.directory.join(format!("{file}.key")),
        };
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&files.cert, certificate.pem()).unwrap();
        files
    }

    /// The file with its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// What a client that trusts it offers.
    pub(crate) fn config(&self, offer: &Offer<'_>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(offer.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match offer.certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain = CertificateDer::pem_file_iter(&files.cert).unwrap();
                let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
                let chain = chain.map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = offer.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// What checks certificates of it.
    pub(crate) fn verifier(&self) -> Arc<WebPkiServerVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.build().unwrap()
    }

    /// A client of `localhost` that offers what most do.
    pub(crate) fn client(&self, address: SocketAddr) -> Secure {
        self.client_of(address, "localhost", &Offer::default()).unwrap()
    }

    /// A client of this host.
    pub(crate) fn client_of(
        &self,
        address: SocketAddr,
        host: &str,
        offer: &Offer<'_>,
    ) -> io::Result<Secure> {
        Secure::connect(address, host, &Arc::new(self.config(offer)))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What a client offers.
pub(crate) struct Offer<'a> {
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) alpn: &'a [&'a str],
    pub(crate) certificate: Option<&'a Files>,
}

impl Default for Offer<'_> {
    fn default() -> Self {
        Offer { versions: rustls::ALL_VERSIONS, alpn: &[], certificate: None }
    }
}

/// A connection of HTTPS.
pub(crate) struct Secure {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    held: Vec<u8>,
}

impl Secure {
    /// Connects, and waits for the end of the handshake.
    pub(crate) fn connect(
        address: SocketAddr,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Secure { stream: StreamOwned::new(connection, socket), held: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The body of the answer to a GET.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(head("GET", path, &[]));
        let (_, body) = self.reply();
        String::from_utf8(body).unwrap()
    }

    /// The body of the answer to a GET, if one comes.
    pub(crate) fn try_get(&mut self, path: &str) -> io::Result<String> {
        self.stream.write_all(head("GET", path, &[]).as_bytes())?;
        if self.fill()? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (_, body) = self.reply();
        Ok(String::from_utf8(body).unwrap())
    }

    /// The head and the body, of known length, of the next answer.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> (String, Vec<u8>) {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill().unwrap() > 0, "no answer");
        };
        let head: Vec<u8> = self.held.drain(..end).collect();
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        while self.held.len() < length {
            assert!(self.fill().unwrap() > 0, "{} of {length} bytes", self.held.len());
        }
        (head, self.held.drain(..length).collect())
    }

    /// Everything until the end, which must be said and not only happen.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.held);
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = vec![0; 64 * 1024];
        let len = self.stream.read(&mut chunk)?;
        self.held.extend_from_slice(&chunk[..len]);
        Ok(len)
    }
}
