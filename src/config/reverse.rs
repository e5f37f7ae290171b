//! The listener that services call (SPEC 4.8): off unless `server.grpc_port` is written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::fault::{Code, Finding};
use super::source;
use super::values::Config;
use crate::snapshot::server::{Listener, Serves};
use crate::snapshot::transport::Transport;
use crate::tls::handshake::Protocol;
use crate::tls::server::{ServerTls, unix_seconds};
use crate::tls::spec::{CertificateSpec, ClientAuth, ServerSpec, Version};

const PORT: &str = "server.grpc_port";
const TLS: &str = "server.grpc_tls_enabled";
const MTLS: &str = "server.grpc_mtls_enabled";
/// The table of the certificate.
const TABLE: &str = "security";
const CERT: &str = "security.cert";
const KEY: &str = "security.key";
const CA: &str = "security.ca_cert";

impl Config {
    fn is_on(&self, path: &str) -> bool {
        self.boolean(path) == Some(true)
    }

    /// Where services call, if they can.
    fn reverse_address(&self) -> Option<SocketAddr> {
        let port = self.integer(PORT).and_then(|port| u16::try_from(port).ok())?;
        let ip = self.ip("server.grpc_ip").or_else(|| self.ip("server.ip"));
        Some(SocketAddr::new(ip.unwrap_or(IpAddr::from([127, 0, 0, 1])), port))
    }

    /// What is missing, or does not go together.
    pub(super) fn check_reverse(&self, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let sealed = [TLS, MTLS].into_iter().find(|path| self.is_on(path));
        let Some(own) = self.reverse_address() else {
            let asking = sealed.or(self.is_given("server.grpc_ip").then_some("server.grpc_ip"));
            if let Some(path) = asking {
                let message = format!("`{path}` means nothing: services have no port to call");
                find(Code::Missing, path, &message, "write grpc_port = 4890 in [server]");
            }
            return;
        };
        for other in ["server.port", "tls.port", "server.admin"] {
            let address = match other {
                "server.admin" => self.address(other),
                _ => self
                    .integer(other)
                    .and_then(|port| u16::try_from(port).ok())
                    .and_then(|port| Some(SocketAddr::new(self.ip("server.ip")?, port))),
            };
            let meets = |address: SocketAddr| {
                let everywhere = own.ip().is_unspecified() || address.ip().is_unspecified();
                own.port() == address.port() && (everywhere || own.ip() == address.ip())
            };
            if own.port() != 0 && address.is_some_and(meets) {
                let message = format!("`{PORT}` is that of `{other}`");
                find(Code::Contradiction, PORT, &message, "write another port");
            }
        }
        if let Some(path) = sealed {
            for (key, line) in [(CERT, "cert = \"cert.pem\""), (KEY, "key = \"key.pem\"")] {
                if !self.is_given(key) {
                    let message = format!("`{path}` asks for TLS, and `{key}` is not set");
                    find(Code::Missing, path, &message, &format!("write {line} in [security]"));
                }
            }
        }
        if self.is_on(MTLS) && !self.is_given(CA) {
            let message = format!("`{MTLS}` asks for certificates, and `{CA}` is not set");
            let way_out = "write ca_cert = \"ca.pem\" in [security]";
            find(Code::Missing, MTLS, &message, way_out);
        }
        if self.text("security.mode").as_deref() == Some("mtls") && !self.is_on(MTLS) {
            let message = "mode \"mtls\" knows services by certificates, and nobody asks for them";
            find(Code::Missing, PORT, message, "write grpc_mtls_enabled = true in [server]");
        }
    }

    /// The listener that services call, if it is wanted.
    pub(super) fn reverse_listener(
        &self,
        transport: Transport,
        findings: &mut Vec<Finding>,
    ) -> Option<Listener> {
        let address = self.reverse_address()?;
        let tls = if self.is_on(TLS) || self.is_on(MTLS) {
            // What is missing or wrong was told: then there is no snapshot.
            Some(self.reverse_tls(findings)?)
        } else {
            None
        };
        let (name, serves) = ("grpc".to_owned(), Serves::Reverse);
        Some(Listener { name, address, transport, tls, serves })
    }

    fn reverse_tls(&self, findings: &mut Vec<Finding>) -> Option<ServerTls> {
        let path = |key| self.text(key).map(PathBuf::from);
        let (chain, key) = (path(CERT)?, path(KEY)?);
        let certificate = CertificateSpec { name: TABLE.to_owned(), chain, key, ocsp: None };
        let client_auth =
            if self.is_on(MTLS) { ClientAuth::Required(path(CA)?) } else { ClientAuth::Off };
        let spec = ServerSpec {
            certificates: vec![certificate],
            min_version: Version::Tls12,
            protocols: vec![Protocol::Http2],
            handshake_timeout: self.duration("tls.handshake_timeout"),
            handshakes_max: self.small("tls.handshakes"),
            ticket_secret: None,
            client_auth,
        };
        let (tls, remarks) = match ServerTls::build(spec, &source::read_file, unix_seconds()) {
            Ok((tls, remarks)) => (Some(tls), remarks),
            Err(remarks) => (None, remarks),
        };
        findings.extend(remarks.iter().map(|remark| self.tls_finding(remark, CA)));
        tls
    }
}
