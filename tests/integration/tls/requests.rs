//! Requests and bodies over TLS.

use std::io::Write;

use otus::snapshot::server::IoDriver;
use rustls::version::{TLS12, TLS13};

use super::{before, telling};
use crate::support::backend::{Backend, ok_bytes};
use crate::support::client::{Client, head};
use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::tls::{Authority, Offer, Secure};

#[test]
fn requests_are_served_over_both_versions_and_endpoints_are_told() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let gateway = before(io, &files, "", telling());
        for version in [&TLS12, &TLS13] {
            let offer = Offer { versions: &[version], alpn: &["http/1.1"], ..Offer::default() };
            let mut client = authority.client_of(gateway.address, "localhost", &offer).unwrap();
            assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            for round in 0..5 {
                assert_eq!(client.get(&format!("/{round}")), format!("/{round} https true"));
            }
            // Many records of one byte each, and two requests in one record.
            for byte in head("GET", "/drip", &[]).as_bytes() {
                client.send([*byte]);
            }
            assert_eq!(client.reply().1, b"/drip https true");
            client.send(format!("{}{}", head("GET", "/a", &[]), head("GET", "/b", &[])));
            assert_eq!(client.reply().1, b"/a https true");
            assert_eq!(client.reply().1, b"/b https true");
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
        for version in [&TLS12, &TLS13] {
            let offer = Offer { versions: &[version], ..Offer::default() };
            let mut client = authority.client_of(gateway.address, "localhost", &offer).unwrap();
            for len in [0, 1, 16_383, 16_384, 16_385, 70_000, 300_000, 8 << 20] {
                let body = data::bytes(len);
                let length = format!("Content-Length: {len}");
                client.send(head("POST", "/", &[&length]));
                client.send(&body);
                let (_, back) = client.reply();
                assert!(back == body, "{len} bytes");
            }
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_client_that_comes_back_is_known_on_every_shard() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    for version in [&TLS12, &TLS13] {
        let gateway = before(IoDriver::Auto, &files, "", telling());
        let offer = Offer { versions: &[version], ..Offer::default() };
        let config = std::sync::Arc::new(authority.config(&offer));
        for _ in 0..4 {
            let mut client = Secure::connect(gateway.address, "localhost", &config).unwrap();
            assert_eq!(client.get("/"), "/ https true");
            assert!(!client.stream.conn.is_early_data_accepted());
        }
        assert_eq!(gateway.metric("otus_tls_resumptions_total"), 3);
        gateway.finish();
    }
}

#[test]
fn an_end_that_was_not_said_is_no_end() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = before(io, &files, "", backend.address);
        let ask = "GET / HTTP/1.0\r\nHost: x\r\n\r\n";
        // A body until the end of the connection, which the back end finishes: so do we.
        let mut client = authority.client(gateway.address);
        client.send(ask);
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
        let rest = client.rest().unwrap();
        assert!(rest.ends_with(b"\r\n\r\nab"), "{}", rest.escape_ascii());
        // One that the back end cuts off: the client must not take it for whole.
        let mut client = authority.client(gateway.address);
        client.send(ask);
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        visit.reset();
        assert!(client.rest().is_err());
        // A client whose body ends without a word has sent half of it.
        let mut client = authority.client(gateway.address);
        client.send(head("POST", "/", &["Transfer-Encoding: chunked"]));
        client.send("2\r\nab\r\n");
        let (mut visit, _) = backend.asked();
        client.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        visit.closed();
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_second_port_speaks_tls_beside_the_first() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let gateway = {
        let tls = format!("[tls]\nport = 0\n{}", files.text());
        let rest = crate::support::proxy::upstream(&[telling()], "");
        let server = "server.ip = \"127.0.0.1\"\n";
        let text = format!("{server}{tls}{rest}{}", crate::support::proxy::ALL);
        crate::support::proxy::start(IoDriver::Auto, &text)
    };
    assert_eq!(gateway.client().get("/plain").text(), "/plain http true");
    let second = gateway.addresses[1];
    let mut client = authority.client(second);
    assert_eq!(client.get("/sealed"), "/sealed https true");
    // The plain port takes no handshake, and the other no plain request.
    assert!(authority.client_of(gateway.address, "localhost", &Offer::default()).is_err());
    let mut plain = Client::connect(second);
    plain.send(head("GET", "/", &[]));
    assert!(plain.try_reply(false).is_err());
    client.stream.flush().unwrap();
    gateway.finish();
}
