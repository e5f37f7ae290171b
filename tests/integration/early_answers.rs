//! Answers before the body, and `Expect: 100-continue` (RFC 9110 §10.1.1).

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::Service;

const EXPECT: &str = "Expect: 100-continue";

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
        let down = snapshot.add_module("down", "127.0.0.1:1".parse().unwrap());
        snapshot.upstreams[down.index()].retry.attempts_max = 1;
        snapshot.limits.upload_bytes = Some(200 << 20);
        snapshot.limits.json_body_bytes = 1000;
    });
    (gateway, service)
}

#[test]
fn a_client_that_waits_is_asked_for_its_body() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut client = gateway.client();
        let body = data::bytes(300_000);
        for _ in 0..3 {
            let length = format!("Content-Length: {}", body.len());
            client.head("PUT", "/api/v3/storage/upload", &[EXPECT, &length]);
            assert_eq!(client.reply().status, 100);
            client.send(&body);
            let reply = client.reply();
            assert_eq!(reply.data()["files"][0]["sha256"], data::sha256(&body));
            assert!(reply.keeps());
        }
        client.head("POST", "/api/v3/storage/x", &[EXPECT, "Content-Length: 7"]);
        assert_eq!(client.reply().status, 100);
        client.send("{\"a\":1}");
        assert_eq!(client.reply().data()["a"], 1);
        assert_eq!(service.journal.stored(0).chunk_max, 65_536);
    });
}

#[test]
fn a_client_that_does_not_wait_is_not_asked() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        let mut bytes = crate::support::client::head(
            "PUT",
            "/api/v3/storage/u",
            &[EXPECT, "Content-Length: 2"],
        );
        bytes.push_str("ab");
        client.send(bytes);
        assert_eq!(client.reply().status, 200);
    });
}

#[test]
fn a_refused_request_is_told_without_being_asked_for_its_body() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        for (method, path, length, status) in [
            ("PUT", "/api/v3/nobody/upload", "Content-Length: 100", 404),
            ("PUT", "/api/v3/down/upload", "Content-Length: 100", 502),
            ("PUT", "/api/v3/storage/upload", "Content-Length: 209715201", 413),
            ("POST", "/api/v3/storage/x", "Content-Length: 1001", 413),
            ("PUT", "/elsewhere", "Content-Length: 100", 404),
        ] {
            let mut client = gateway.client();
            client.head(method, path, &[EXPECT, length]);
            let reply = client.reply();
            assert_eq!(reply.status, status, "{path} {length}: {}", reply.text());
            assert!(!reply.keeps(), "{path}: the body may still come");
        }
        let mut client = gateway.client();
        client.head("PUT", "/api/v3/storage/upload", &["Expect: 200-ok", "Content-Length: 1"]);
        assert_eq!(client.reply().status, 417);
        assert_eq!(service.journal.mark(), 0, "no call was made");
    });
}

#[test]
fn a_body_is_asked_for_only_when_its_stream_is_open() {
    on_both_drivers(|io| {
        let (deaf, _crowd) = deaf();
        let gateway = Gateway::start(io, |snapshot| {
            let id = snapshot.add_module("storage", deaf);
            let upstream = &mut snapshot.upstreams[id.index()];
            upstream.connect_timeout = Duration::from_millis(400);
            upstream.retry.attempts_max = 1;
        });
        let mut client = gateway.client();
        let began = Instant::now();
        client.head("PUT", "/api/v3/storage/upload", &[EXPECT, "Content-Length: 100"]);
        assert!(client.is_quiet_for(Duration::from_millis(200)), "asked without a stream");
        assert_eq!(client.reply().status, 504);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    });
}

/// An address whose queue of connections is full: the kernel answers no further ones.
fn deaf() -> (SocketAddr, (socket2::Socket, Vec<TcpStream>)) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let patience = Duration::from_millis(100);
    let mut crowd = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
        crowd.push(stream);
    }
    (address, (socket, crowd))
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let length = 100 << 20;
        for (path, status) in [
            ("/api/v3/storage/early/409", 409),
            ("/api/v3/storage/early", 502),
            ("/api/v3/storage/status/8", 429),
            ("/api/v3/storage/status/16", 401),
            ("/api/v3/nobody/upload", 404),
            ("/api/v3/down/upload", 502),
        ] {
            let mut client = gateway.client();
            client.head("PUT", path, &[&format!("Content-Length: {length}")]);
            let mut sender = client.stream.try_clone().unwrap();
            let sending = std::thread::spawn(move || {
                let chunk = data::bytes(1 << 20);
                // It fails as soon as the gateway has had enough.
                (0..100).all(|_| std::io::Write::write_all(&mut sender, &chunk).is_ok())
            });
            let reply = client.reply();
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            assert!(!reply.keeps() && reply.json().is_object(), "{path}");
            sending.join().unwrap();
            client.closed();
        }
        gateway.is_clean();
    });
}

#[test]
fn an_upload_beyond_its_limit_is_refused_early() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
            snapshot.limits.upload_bytes = Some(1 << 20);
        });
        let body = data::bytes((1 << 20) + 1);
        assert_eq!(gateway.client().put("/api/v3/storage/upload", &[], &body).status, 413);
        assert_eq!(service.journal.mark(), 0, "the length said it all");
        let mut client: Client = gateway.client();
        client.head("PUT", "/api/v3/storage/upload", &["Transfer-Encoding: chunked"]);
        assert_eq!(client.send_aside(&data::chunked(&body, &[70_000])).status, 413);
        service.journal.left(0);
        let reply = gateway.client().put("/api/v3/storage/upload", &[], &body[1..]);
        assert_eq!(reply.status, 200, "the limit itself is allowed");
        gateway.is_clean();
    });
}
