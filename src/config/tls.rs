//! From `[tls]` to what listeners offer, with what is wrong about it.

use std::path::PathBuf;

use super::fault::{Code, Finding};
use super::source;
use super::values::Config;
use crate::tls::client::{ClientPart, ClientSpec, ClientTls};
use crate::tls::handshake::Protocol;
use crate::tls::server::{ServerTls, unix_seconds};
use crate::tls::spec::{
    About, CertificateSpec, ClientAuth, Remark, RemarkKind, ServerSpec, TicketSecret, Version,
};

/// Below so many characters, a secret can be guessed.
const SECRET_CHARACTERS_MIN: usize = 32;

impl Config {
    /// What is missing. What the files hold is found when the configuration is compiled.
    pub(super) fn check_tls(&self, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let tables = self.certificate_tables();
        for table in &tables {
            let (cert, key) = (format!("{table}.cert"), format!("{table}.key"));
            match (self.is_given(&cert), self.is_given(&key)) {
                (true, false) => {
                    let message = format!("`{cert}` has no `key`");
                    find(Code::Missing, &cert, &message, "write key = \"key.pem\" beside it");
                }
                (false, true) => {
                    let message = format!("`{key}` has no `cert`");
                    find(Code::Missing, &key, &message, "write cert = \"cert.pem\" beside it");
                }
                (false, false) => {
                    let message = format!("`{table}` has neither `cert` nor `key`");
                    let way_out = "write cert = \"cert.pem\" and key = \"key.pem\"";
                    find(Code::Missing, &self.first_below(table), &message, way_out);
                }
                (true, true) => {}
            }
        }
        // Defaults that are written out ask for nothing.
        let asking = ["tls.port", "tls.client_ca"].into_iter().find(|key| self.is_given(key));
        if let (true, Some(path)) = (tables.is_empty(), asking) {
            let way_out = "write cert = \"cert.pem\" and key = \"key.pem\" in [tls]";
            find(Code::Missing, path, "`[tls]` has no certificate", way_out);
        }
        let asks = self.is_given("tls.client_auth") && !self.is_given("tls.client_ca");
        if asks && !tables.is_empty() {
            let message = "`client_auth` means nothing without `client_ca`: nobody is asked";
            let way_out = "write client_ca = \"authorities.pem\"";
            find(Code::Missing, "tls.client_auth", message, way_out);
        }
        let protocols = self.tls_protocols();
        for text in protocols.iter().filter_map(|protocol| protocol.as_ref().err()) {
            let message = format!("`protocols`: \"{text}\" is not spoken");
            let way_out = "write protocols = [\"h2\", \"http/1.1\"]";
            find(Code::Malformed, "tls.protocols", &message, way_out);
        }
        if protocols.is_empty() {
            let way_out = "write protocols = [\"h2\", \"http/1.1\"]";
            find(Code::Missing, "tls.protocols", "`protocols` is empty", way_out);
        }
        let secret = self.secret("tls.ticket_secret");
        if secret.is_some_and(|secret| secret.expose().chars().count() < SECRET_CHARACTERS_MIN) {
            let message = "`ticket_secret` is short enough to be guessed";
            let way_out = "write 32 characters or more; `openssl rand -hex 32` makes 64";
            find(Code::Risky, "tls.ticket_secret", message, way_out);
        }
    }

    /// What is offered; a text that is no protocol is an error.
    fn tls_protocols(&self) -> Vec<Result<Protocol, String>> {
        let protocol = |text: String| match text.as_str() {
            "h2" => Ok(Protocol::Http2),
            "http/1.1" => Ok(Protocol::Http1),
            _ => Err(text),
        };
        self.texts("tls.protocols").into_iter().map(protocol).collect()
    }

    /// Where certificates are written; the default comes first.
    fn certificate_tables(&self) -> Vec<String> {
        let own = ["tls.cert", "tls.key", "tls.ocsp"].iter().any(|key| self.is_given(key));
        let own = own.then(|| "tls".to_owned());
        let more = self.names("tls.certificates");
        let more = more.into_iter().map(|name| format!("tls.certificates.{name}"));
        own.into_iter().chain(more).collect()
    }

    /// What listeners with TLS offer; `None`: there are none, or something is wrong.
    pub(super) fn server_tls(&self, findings: &mut Vec<Finding>) -> Option<ServerTls> {
        let path = |key: String| self.text(&key).map(PathBuf::from);
        let certificate = |table: String| {
            let chain = path(format!("{table}.cert"))?;
            let (key, ocsp) = (path(format!("{table}.key"))?, path(format!("{table}.ocsp")));
            Some(CertificateSpec { name: table, chain, key, ocsp })
        };
        let certificates: Vec<_> =
            self.certificate_tables().into_iter().filter_map(certificate).collect();
        if certificates.is_empty() {
            return None;
        }
        let client_auth = match path("tls.client_ca".to_owned()) {
            None => ClientAuth::Off,
            Some(file) if self.text("tls.client_auth").as_deref() == Some("optional") => {
                ClientAuth::Optional(file)
            }
            Some(file) => ClientAuth::Required(file),
        };
        let spec = ServerSpec {
            certificates,
            min_version: match self.text("tls.min_version").as_deref() {
                Some("1.3") => Version::Tls13,
                _ => Version::Tls12,
            },
            protocols: self.tls_protocols().into_iter().filter_map(Result::ok).collect(),
            handshake_timeout: self.duration("tls.handshake_timeout"),
            handshakes_max: self.small("tls.handshakes"),
            ticket_secret: self
                .secret("tls.ticket_secret")
                .map(|secret| TicketSecret::from_text(secret.expose())),
            client_auth,
        };
        let (tls, remarks) = match ServerTls::build(spec, &source::read_file, unix_seconds()) {
            Ok((tls, remarks)) => (Some(tls), remarks),
            Err(remarks) => (None, remarks),
        };
        let found = remarks.iter().map(|remark| self.tls_finding(remark, "tls.client_ca"));
        findings.extend(found);
        tls
    }

    /// What does not go together in the TLS to the endpoints of `table`.
    pub(super) fn check_client_tls(&self, table: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("{table}.{key}");
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let is_on = self.speaks_tls(table);
        let parts = ["tls.ca", "tls.name", "tls.cert", "tls.key"];
        let given = parts.into_iter().find(|part| self.is_given(&key(part)));
        if let (false, Some(part)) = (is_on, given) {
            let message = format!("`{part}` means nothing: TLS is off");
            find(Code::Contradiction, &key(part), &message, "write tls.on = true beside it");
        }
        for (one, other) in [("tls.cert", "tls.key"), ("tls.key", "tls.cert")] {
            if self.is_given(&key(one)) && !self.is_given(&key(other)) {
                let message = format!("`{one}` has no `{other}`");
                find(Code::Missing, &key(one), &message, "write both, or none");
            }
        }
    }

    /// Whether TLS is spoken with the endpoints of `table`. Where certificates are what services
    /// believe, that need not be said.
    fn speaks_tls(&self, table: &str) -> bool {
        let key = format!("{table}.tls.on");
        let mtls = || self.text("security.mode").as_deref() == Some("mtls");
        if self.is_given(&key) {
            self.boolean(&key) == Some(true)
        } else {
            table.starts_with("microservices.") && mtls()
        }
    }

    /// The key that says a part of the TLS to the endpoints of `table`: its own, or that of all
    /// microservices.
    fn tls_key(&self, table: &str, part: &str) -> String {
        let own = format!("{table}.tls.{part}");
        // Certificate and key are a pair.
        let decides = if part == "ca" { "ca" } else { "cert" };
        let of_all = if part == "ca" { "ca_cert" } else { part };
        let is_own = self.is_given(&format!("{table}.tls.{decides}"));
        if is_own || !table.starts_with("microservices.") {
            own
        } else {
            format!("security.{of_all}")
        }
    }

    /// Whether the endpoints of `table` are shown a certificate.
    pub(super) fn has_client_certificate(&self, table: &str) -> bool {
        self.is_given(&self.tls_key(table, "cert"))
    }

    /// How TLS is spoken with the endpoints of `table`, if it is.
    pub(super) fn client_tls(&self, table: &str, findings: &mut Vec<Finding>) -> Option<ClientTls> {
        let key = |key: &str| format!("{table}.tls.{key}");
        let path = |part: &str| self.text(&self.tls_key(table, part)).map(PathBuf::from);
        if !self.speaks_tls(table) {
            return None;
        }
        let spec = ClientSpec {
            authorities: path("ca"),
            name: self.text(&key("name")),
            certificate: path("cert").zip(path("key")),
            pins: Vec::new(),
        };
        match ClientTls::build(spec, &source::read_file) {
            Ok(tls) => Some(tls),
            Err((part, message)) => {
                let authorities = self.tls_key(table, "ca");
                let place = match part {
                    ClientPart::Authorities if self.is_given(&authorities) => authorities,
                    ClientPart::Authorities => key("on"),
                    ClientPart::Name => key("name"),
                    ClientPart::Chain => self.tls_key(table, "cert"),
                    ClientPart::Key => self.tls_key(table, "key"),
                };
                let way_out = "check the path, its rights, and that it is PEM";
                findings.push(self.finding(Code::Malformed, &place, &message, way_out));
                None
            }
        }
    }

    /// `authorities` is the key that names those of clients.
    pub(super) fn tls_finding(&self, remark: &Remark, authorities: &str) -> Finding {
        let path = match &remark.about {
            About::Chain(table) => format!("{table}.cert"),
            About::Key(table) => format!("{table}.key"),
            About::Ocsp(table) => format!("{table}.ocsp"),
            About::ClientCa => authorities.to_owned(),
        };
        let code = match remark.kind {
            RemarkKind::Unreadable => Code::Unreadable,
            RemarkKind::Malformed => Code::Malformed,
            RemarkKind::Mismatch => Code::Contradiction,
            RemarkKind::Expiry => Code::Expiry,
            RemarkKind::Risky => Code::Risky,
        };
        self.finding(code, &path, &remark.message, remark.way_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;
    use crate::config::source::Source;

    const NEEDED: &str = "server = { sign = \"0123456789abcdef\", session = false }\n\
                          security.mode = \"sign\"\n";

    /// What is wrong with this `[tls]`: place, code and message of each finding.
    fn found(text: &str) -> Vec<String> {
        let path = "s.toml".to_owned();
        let source = Source { path, text: format!("{NEEDED}{text}"), ..Source::default() };
        let compiled = load(source).and_then(|(config, notes)| {
            let (_, more) = config.compile(1, &source::leave)?;
            Ok([notes, more].concat())
        });
        let findings = compiled.unwrap_or_else(|faults| faults.list().to_vec());
        findings.iter().map(Finding::line).collect()
    }

    #[test]
    fn what_is_missing_is_told_with_its_place() {
        for (text, want) in [
            ("[tls]\ncert = \"a\"", "s.toml:4:8: OT0201: `tls.cert` has no `key`; write key = "),
            ("[tls]\nkey = \"a\"", "s.toml:4:7: OT0201: `tls.key` has no `cert`; write cert = "),
            ("[tls]\nport = 1", "s.toml:4:8: OT0201: `[tls]` has no certificate; write cert = "),
            ("[tls.certificates.x]\nocsp = \"a\"", "s.toml:4:8: OT0201: `tls.certificates.x` has"),
        ] {
            let found = found(text);
            assert!(found.len() == 1 && found[0].starts_with(want), "{found:?}");
        }
        let found = found("[tls]\ncert = \"a\"\nkey = \"b\"\nclient_auth = \"optional\"");
        assert!(found[0].contains("means nothing without `client_ca`"), "{found:?}");
    }

    #[test]
    fn what_the_files_hold_is_told_with_its_place() {
        let directory = std::env::temp_dir().join(format!("otus-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            format!("{} = \"{}\"\n", if name == "cert" { "cert" } else { "key" }, path.display())
        };
        let made = || rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let cert = write("cert", &one.cert.pem());
        let check = |key: &str, wants: &[&str]| {
            let found = found(&format!("[tls]\n{cert}{key}"));
            for want in wants {
                assert!(found.iter().any(|line| line.contains(want)), "{want}: {found:?}");
            }
        };
        let key = write("key", &one.signing_key.serialize_pem());
        check(&key, &["s.toml:5:7: OT0306: everybody can read the key in"]);
        let wrong = write("wrong", &other.signing_key.serialize_pem());
        check(&wrong, &["s.toml:5:7: OT0203: the key in", "is not that of the certificate"]);
        check(&write("none", "nothing"), &["s.toml:5:7: OT0106:", "holds no private key"]);
        check("key = \"/nowhere/key\"", &["s.toml:5:7: OT0107: /nowhere/key cannot be read"]);
        let mut old = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        old.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let old = old.self_signed(&one.signing_key).unwrap();
        write("cert", &old.pem());
        check(&key, &["s.toml:4:8: OT0307: the certificate in", "has expired"]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
