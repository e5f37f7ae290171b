//! HTTP/2 over TLS: agreed on by ALPN, and what requests and uploads are then.

use std::io::Read;
use std::sync::Arc;

use otus::snapshot::server::IoDriver;
use rustls::version::{TLS12, TLS13};

use super::{before, telling};
use crate::support::backend::{Backend, Seen, ok, ok_bytes};
use crate::support::client::head;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::Client;
use crate::support::proxy;
use crate::support::service::Service;
use crate::support::tls::{Authority, Files, Offer};

const BOTH: [&str; 2] = ["h2", "http/1.1"];

fn secure(authority: &Authority, gateway: &Gateway, offer: &Offer<'_>) -> Client {
    Client::secure(gateway.address, &Arc::new(authority.config(offer)))
}

#[test]
fn requests_are_those_of_https_in_both_versions() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let gateway = before(io, &files, "", telling());
        for version in [&TLS12, &TLS13] {
            let offer = Offer { versions: &[version], alpn: &BOTH, ..Offer::default() };
            let client = secure(&authority, &gateway, &offer);
            for round in 0..5 {
                let want = format!("/{round} https true");
                assert_eq!(client.get(&format!("/{round}")).text(), want);
            }
            let calls: Vec<_> = (0..20).map(|n| format!("/beside/{n}")).collect();
            let mut begun: Vec<_> =
                calls.iter().map(|path| client.begin("GET", path, &[], true)).collect();
            for (call, path) in begun.iter_mut().zip(&calls) {
                assert_eq!(call.reply().text(), format!("{path} https true"));
            }
        }
        assert_eq!(gateway.metric("otus_tls_handshakes_total"), 2);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn bodies_arrive_whole_in_both_directions() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let (backend, _) = Backend::listen().serve(|_, body| ok_bytes(body));
        let gateway = before(io, &files, "", backend);
        let client = secure(&authority, &gateway, &Offer { alpn: &BOTH, ..Offer::default() });
        for len in [1, 16_375, 16_384, 70_000, 300_000, 8 << 20] {
            let body = data::bytes(len);
            let length = len.to_string();
            let reply = client.send("POST", "/", &[("content-length", &length)], &body);
            assert!(reply.body == body, "{len} bytes, {}", reply.status);
        }
        gateway.is_clean();
        gateway.finish();
    });
}

/// A gateway with TLS before the module `storage`.
fn before_service(io: IoDriver, files: &Files) -> (Gateway, Service) {
    let service = Service::start();
    let module = format!(
        "[microservices.storage]\nhost = \"{}\"\nport = {}\n",
        service.address.ip(),
        service.address.port()
    );
    (proxy::start(io, &format!("[tls]\n{}{module}", files.text())), service)
}

#[test]
fn uploads_arrive_whole_over_both_protocols() {
    const PATH: &str = "/api/v3/storage/upload";
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let (gateway, service) = before_service(io, &files);
        let check = |mark, body: &[u8]| {
            let stored = service.journal.stored(mark);
            assert_eq!(stored.files.len(), 1);
            assert_eq!(stored.files[0].name, "a.iso");
            assert_eq!(stored.files[0].sha256, data::sha256(body), "{} bytes", body.len());
        };
        let two = secure(&authority, &gateway, &Offer { alpn: &BOTH, ..Offer::default() });
        let mut one = authority.client(gateway.address);
        for len in [0, 10, 16_385, 65_537, 262_145, (5 << 20) + 1] {
            let body = data::bytes(len);
            let mark = service.journal.mark();
            let reply = two.send("PUT", PATH, &[("x-filename", "a.iso")], &body);
            assert_eq!(reply.status, 200, "{}", reply.text());
            check(mark, &body);
            let mark = service.journal.mark();
            one.send(head("PUT", PATH, &["X-Filename: a.iso", &format!("Content-Length: {len}")]));
            one.send(&body);
            assert!(one.reply().0.starts_with("http/1.1 200"));
            check(mark, &body);
            let mark = service.journal.mark();
            let fields = ["X-Filename: a.iso", "Transfer-Encoding: chunked"];
            one.send(head("PUT", PATH, &fields));
            one.send(data::chunked(&body, &[1, 16_384, 70_000]));
            assert!(one.reply().0.starts_with("http/1.1 200"));
            check(mark, &body);
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn what_was_agreed_on_is_what_is_spoken() {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let gateway = before(io, &files, "", telling());
        let connect = |alpn| {
            let offer = Offer { alpn, ..Offer::default() };
            authority.client_of(gateway.address, "localhost", &offer).unwrap()
        };
        // Who agreed on HTTP/2 and speaks HTTP/1.1 is told in HTTP/2.
        let mut client = connect(&["h2"]);
        client.send(head("GET", "/", &[]));
        let mut said = Vec::new();
        let _ = client.stream.read_to_end(&mut said);
        let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(said.ends_with(&go_away), "{}", said.escape_ascii());
        // Who agreed on HTTP/1.1, or on nothing, and speaks HTTP/2 is told in HTTP/1.1.
        for alpn in [&["http/1.1"][..], &[]] {
            let mut client = connect(alpn);
            client.send(PREFACE);
            assert!(client.reply().0.starts_with("http/1.1 505"), "{alpn:?}");
        }
        // Who offers both in any order gets HTTP/2; the listener decides.
        let mut client = connect(&["http/1.1"]);
        assert_eq!(client.get("/"), "/ https true");
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn endpoints_are_told_of_the_certificate_of_a_client_of_http2() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let own = authority.leaf("client", &["c"]);
    let answer =
        |seen: &Seen, _: &[u8]| ok(seen.field("client-cert").unwrap_or("none")).into_bytes();
    let (backend, _) = Backend::listen().serve(answer);
    let more =
        format!("client_ca = \"{}\"\nclient_auth = \"optional\"\n", authority.file().display());
    let gateway = before(IoDriver::Auto, &files, &more, backend);
    let pem = std::fs::read_to_string(&own.cert).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for (certificate, want) in [(Some(&own), format!(":{body}:")), (None, "none".to_owned())] {
        let client =
            secure(&authority, &gateway, &Offer { certificate, alpn: &BOTH, ..Offer::default() });
        let reply = client.begin("GET", "/", &[("client-cert", ":AAAA:")], true).reply();
        assert_eq!(reply.text(), want);
    }
    gateway.finish();
}
