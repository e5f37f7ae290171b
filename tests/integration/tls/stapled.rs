//! OCSP answers that are stapled to certificates.

use std::fs;
use std::sync::{Arc, Mutex};

use otus::snapshot::server::IoDriver;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::{before, telling};
use crate::support::gateway::Gateway;
use crate::support::journal::eventually;
use crate::support::tls::{Authority, Offer, Secure};

/// Checks certificates as ever, and keeps what was stapled to the last.
#[derive(Debug)]
struct Curious {
    inner: Arc<WebPkiServerVerifier>,
    stapled: Arc<Mutex<Vec<u8>>>,
}

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.stapled.lock().unwrap() = ocsp_response.to_vec();
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What a client of this host sees stapled, with each version of TLS.
fn seen(authority: &Authority, gateway: &Gateway, host: &str) -> [Vec<u8>; 2] {
    [&TLS12, &TLS13].map(|version| {
        let stapled = Arc::default();
        let mut config = authority.config(&Offer { versions: &[version], ..Offer::default() });
        let inner = authority.verifier();
        let verifier = Curious { inner, stapled: Arc::clone(&stapled) };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        let mut client = Secure::connect(gateway.address, host, &Arc::new(config)).unwrap();
        assert_eq!(client.get("/"), "/ https true");
        std::mem::take(&mut *stapled.lock().unwrap())
    })
}

/// DER that begins as an answer does; what it says is for clients to judge.
fn answer(text: &str) -> Vec<u8> {
    [&[0x30, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

#[test]
fn each_certificate_comes_with_its_answer_and_a_new_one_is_taken() {
    let authority = Authority::new();
    let main = authority.leaf("main", &["localhost"]);
    let (other, bare) = (authority.leaf("other", &["a.test"]), authority.leaf("bare", &["b.test"]));
    let file = |name: &str| authority.directory.join(name);
    fs::write(file("main.ocsp"), answer("first")).unwrap();
    fs::write(file("other.ocsp"), answer("of the other")).unwrap();
    let more = format!(
        "ocsp = \"{}\"\n[tls.certificates.other]\n{}ocsp = \"{}\"\n[tls.certificates.bare]\n{}",
        file("main.ocsp").display(),
        other.text(),
        file("other.ocsp").display(),
        bare.text(),
    );
    let gateway = before(IoDriver::Auto, &main, &more, telling());
    assert_eq!(seen(&authority, &gateway, "localhost"), [answer("first"), answer("first")]);
    assert_eq!(seen(&authority, &gateway, "a.test")[1], answer("of the other"));
    assert_eq!(seen(&authority, &gateway, "b.test"), [b"", b""]);
    fs::write(file("main.ocsp"), answer("second")).unwrap();
    eventually("the new answer", || {
        (seen(&authority, &gateway, "localhost")[1] == answer("second")).then_some(())
    });
    assert_eq!(seen(&authority, &gateway, "a.test")[1], answer("of the other"));
    gateway.finish();
}
