//! TLS towards gRPC services: the endpoint is a gateway that passes calls through to a service.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use otus::snapshot::server::IoDriver;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::upstreams::tls;
use crate::support::backend::Backend;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::{Client, framed, status};
use crate::support::proxy::{self, ALL, upstream};
use crate::support::service::Service;
use crate::support::tls::{Authority, Files};

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// A gateway with TLS before a service.
fn far(io: IoDriver, files: &Files, more: &str) -> (Gateway, Service) {
    let service = Service::start();
    let upstream = upstream(&[service.address], "protocol = \"grpc\"");
    let tls = format!("[tls]\n{}{more}\n", files.text());
    (proxy::start(io, &format!("{tls}{upstream}{ALL}")), service)
}

/// A gateway with this endpoint as the microservice `echo`, and as the upstream of all else.
fn near(io: IoDriver, endpoint: SocketAddr, keys: &str) -> Gateway {
    let module = format!(
        "[microservices.echo]\nhost = \"{}\"\nport = {}\n{keys}",
        endpoint.ip(),
        endpoint.port()
    );
    let passed = upstream(&[endpoint], &format!("protocol = \"grpc\"\n{keys}"));
    proxy::start(io, &format!("gufo.strict_legacy_status = false\n{module}{passed}{ALL}"))
}

/// The status of a call that is passed through.
fn passed(gateway: &Gateway) -> String {
    let client = Client::connect(gateway.address);
    let mut call = client.begin("POST", "/Reverse/Do", &CALL, false);
    // One that is refused may be answered before all was sent.
    let _ = call.send(&framed(b""), true);
    status(&call.reply()).to_owned()
}

#[test]
fn calls_uploads_and_passed_calls_go_on_over_tls() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["127.0.0.1"]);
    on_both_drivers(|io| {
        let (far, service) = far(io, &files, "");
        let near = near(io, far.address, &tls(&authority, None, "pool.connections = 1"));
        let mut client = near.client();
        for round in 0..5 {
            let reply = client.get(&format!("/api/v3/echo/hello?round={round}"));
            assert_eq!(reply.data()["round"], round.to_string(), "{}", reply.text());
        }
        for len in [0, 10, 16_375, 65_537, (5 << 20) + 1] {
            let (mark, body) = (service.journal.mark(), data::bytes(len));
            let reply = client.put("/api/v3/echo/store", &["X-Filename: a"], &body);
            assert_eq!(reply.status, 200, "{}", reply.text());
            let stored = service.journal.stored(mark);
            assert_eq!(stored.files[0].sha256, data::sha256(&body));
        }
        assert_eq!(near.metric("otus_upstream_connections_opened_total"), 1);
        assert_eq!(passed(&near), "0");
        near.is_clean();
        near.finish();
        far.finish();
    });
}

#[test]
fn a_service_that_is_somebody_else_or_no_http2_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = authority.leaf("main", &["127.0.0.1"]);
    on_both_drivers(|io| {
        let (h2, _one) = far(io, &files, "");
        let (h1, _two) = far(io, &files, "protocols = [\"http/1.1\"]");
        let plain = Service::start();
        let (silent, wordless) = (Backend::listen(), without_alpn(&files));
        let good = tls(&authority, None, "");
        for (endpoint, keys, http, reason) in [
            (h2.address, &tls(&stranger, None, ""), 502, "tls_untrusted"),
            (h2.address, &tls(&authority, None, "tls.name = \"o.test\""), 502, "tls_untrusted"),
            (h1.address, &good, 502, "tls_failed"),
            (plain.address, &good, 502, "tls_failed"),
            (wordless, &good, 502, "tls_without_http2"),
            (silent.address, &good, 504, "connect_timed_out"),
        ] {
            let patience = if reason == "connect_timed_out" { "300ms" } else { "5s" };
            let keys = format!("{keys}retry.attempts = 1\nconnect_timeout = \"{patience}\"\n");
            let near = near(io, endpoint, &keys);
            let reply = near.client().get("/api/v3/echo/x");
            assert_eq!(reply.status, http, "{reason}: {}", reply.text());
            assert_eq!(passed(&near), "14", "{reason}");
            let series = format!("otus_rejected_total{{reason=\"{reason}\"}}");
            near.wait_metric(&series, 2);
            near.is_clean();
            near.finish();
        }
    });
}

#[test]
fn our_own_certificate_is_shown_to_services_that_ask_for_it() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["127.0.0.1"]);
    let own = authority.leaf("client", &["c"]);
    let ca = format!("client_ca = \"{}\"\n", authority.file().display());
    on_both_drivers(|io| {
        let (far, _service) = far(io, &files, &ca);
        for (own, http, grpc) in [(Some(&own), 200, "0"), (None, 502, "14")] {
            let keys = tls(&authority, own, "retry.attempts = 1");
            let near = near(io, far.address, &keys);
            assert_eq!(near.client().get("/api/v3/echo/x").status, http);
            assert_eq!(passed(&near), grpc);
            near.is_clean();
            near.finish();
        }
        far.finish();
    });
}

/// The address of a server that takes part in handshakes, and agrees on no protocol.
fn without_alpn(files: &Files) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(&files.cert).unwrap().map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process: nobody else knows the address.
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
            let _ = socket.read(&mut [0; 1024]);
        }
    });
    address
}
