//! Many requests on one connection.

use otus::snapshot::server::IoDriver;

use crate::support::client::head;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::service::Service;

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("echo", service.address);
        snapshot.add_module("storage", service.address);
    });
    (gateway, service)
}

#[test]
fn a_connection_carries_one_request_after_the_other() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        for number in 0..50 {
            let reply = client.get(&format!("/api/v3/echo/x?n={number}"));
            assert_eq!(reply.data()["n"], number.to_string());
            let body = data::bytes(1000 * number);
            let reply = client.put("/api/v3/storage/upload", &[], &body);
            assert_eq!(reply.data()["files"][0]["sha256"], data::sha256(&body));
            assert!(reply.keeps());
        }
        assert_eq!(gateway.metric("otus_connections_accepted_total"), 1);
        let upstream = gateway.metric("otus_upstream_connections_opened_total");
        assert!(upstream <= 2, "{upstream} connections for calls in a row");
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        let body = data::bytes(100_000);
        let length = format!("Content-Length: {}", body.len());
        let mut bytes = Vec::new();
        for number in 0..20 {
            let path = format!("/api/v3/echo/x?n={number}");
            bytes.extend_from_slice(head("GET", &path, &[]).as_bytes());
            bytes.extend_from_slice(head("PUT", "/api/v3/storage/u", &[&length]).as_bytes());
            bytes.extend_from_slice(&body);
            let json = format!("{{\"p\":{number}}}");
            let length = format!("Content-Length: {}", json.len());
            bytes.extend_from_slice(head("POST", "/api/v3/echo/x", &[&length]).as_bytes());
            bytes.extend_from_slice(json.as_bytes());
            bytes.extend_from_slice(head("HEAD", "/api/v3/health", &[]).as_bytes());
        }
        let mut sender = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &bytes));
        for number in 0..20 {
            assert_eq!(client.reply().data()["n"], number.to_string());
            assert_eq!(client.reply().data()["files"][0]["sha256"], data::sha256(&body));
            assert_eq!(client.reply().data()["p"], number);
            assert_eq!(client.reply_to_head().status, 200);
        }
        sending.join().unwrap().unwrap();
        gateway.is_clean();
    });
}

#[test]
fn requests_may_arrive_byte_by_byte() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        let mut bytes = head("PUT", "/api/v3/storage/u", &["Content-Length: 5"]).into_bytes();
        bytes.extend_from_slice(b"hello");
        bytes.extend_from_slice(head("GET", "/api/v3/echo/x?n=1", &[]).as_bytes());
        for byte in bytes {
            client.send([byte]);
        }
        assert_eq!(client.reply().data()["files"][0]["bytes"], 5);
        assert_eq!(client.reply().data()["n"], "1");
    });
}

#[test]
fn head_is_answered_as_get_without_the_body() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        for path in ["/api/v3/echo/x?n=1", "/api/v3/health", "/healthz", "/api/v3/nobody"] {
            let got = client.get(path);
            client.head("HEAD", path, &[]);
            let headed = client.reply_to_head();
            assert_eq!(headed.status, got.status, "{path}");
            assert_eq!(headed.field("content-length"), got.field("content-length"), "{path}");
            assert_eq!(headed.field("content-type"), got.field("content-type"), "{path}");
        }
    });
}

#[test]
fn a_connection_is_closed_where_the_client_asks_for_it() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        client.head("GET", "/api/v3/echo/x", &["Connection: close"]);
        assert!(!client.reply().keeps());
        client.closed();
        let mut client = gateway.client();
        client.send("GET /api/v3/echo/x HTTP/1.0\r\nHost: gateway.test\r\n\r\n");
        assert_eq!(client.reply().status, 200);
        client.closed();
    });
}
