//! Clients that send too much, too slowly or nonsense, and those that do not read.

use std::time::{Duration, Instant};

use otus::snapshot::Snapshot;
use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::Service;

fn start(io: IoDriver, change: impl FnOnce(&mut Snapshot)) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
        change(snapshot);
    });
    (gateway, service)
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A request of these bytes is answered so, and the connection ends.
#[track_caller]
fn check(gateway: &Gateway, bytes: &[u8], status: u16) {
    let mut client = gateway.client();
    client.send(bytes);
    let reply = client.reply();
    assert_eq!((reply.status, reply.keeps()), (status, false), "{}", reply.text());
    assert_eq!(reply.field("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["status"], status);
    client.half_close();
    client.closed();
}

#[test]
fn a_head_beyond_its_limits_is_refused() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |_| {});
        let get = |target: &str, fields: &str| {
            format!("GET /{target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
        };
        check(&gateway, &get(&"x".repeat(9000), ""), 414);
        check(&gateway, &get("", &format!("A: {}\r\n", "x".repeat(17_000))), 431);
        check(&gateway, &get("", &"A: b\r\n".repeat(101)), 431);
        check(&gateway, &format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(20_000)).into_bytes(), 431);
        let mut client = gateway.client();
        client.send(get("healthz", &"A: b\r\n".repeat(99)));
        assert_eq!(client.reply().status, 200);
    });
}

#[test]
fn what_is_ambiguous_is_refused() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| {});
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +1",
            "Content-Length : 1",
            "Transfer-Encoding: chunked, chunked",
            "Host: b",
            "A: b\r\n c",
        ] {
            let head = format!("PUT /api/v3/storage/u HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            check(&gateway, head.as_bytes(), 400);
        }
        let head = "PUT /api/v3/storage/u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n";
        check(&gateway, head.as_bytes(), 501);
        check(&gateway, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
        check(&gateway, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400);
        assert_eq!(service.journal.mark(), 0);
    });
}

#[test]
fn a_broken_chunk_is_refused_and_cancels_the_stream() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| {});
        for body in ["5\r\nhello\r\nxyz\r\n", "5\r\nhello!\r\n", "5\nhello\r\n", "-1\r\n"] {
            let (mark, mut client) = (service.journal.mark(), gateway.client());
            client.head("PUT", "/api/v3/storage/u", &["Transfer-Encoding: chunked"]);
            client.send("3\r\nabc\r\n");
            service.journal.begun(mark);
            client.send(body);
            let reply = client.reply();
            assert_eq!((reply.status, reply.keeps()), (400, false), "{body:?}");
            service.journal.left(mark);
        }
        gateway.is_clean();
    });
}

#[test]
fn a_slow_head_ends() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| snapshot.timeouts.head = millis(800));
        let mut client = gateway.client();
        client.send("GET /healthz HTT");
        let began = Instant::now();
        let reply = client.reply();
        assert_eq!((reply.status, reply.keeps()), (408, false));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        // Bytes now and then do not buy time.
        let mut client = gateway.client();
        let began = Instant::now();
        let head = crate::support::client::head("GET", "/healthz", &[&"A: b\r\n".repeat(99)]);
        assert_eq!(drip(&mut client, head.as_bytes()), 408);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        // Nor does silence from the start.
        let mut client = gateway.client();
        assert!(client.closed() < SOON);
    });
}

#[test]
fn an_idle_connection_ends() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| snapshot.timeouts.idle = millis(700));
        let mut client = gateway.client();
        assert!(client.get("/healthz").keeps());
        assert!(client.closed() < SOON);
    });
}

#[test]
fn a_body_that_stops_ends_and_cancels_the_stream() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |snapshot| snapshot.timeouts.body_idle = millis(300));
        let mut client = gateway.client();
        client.head("PUT", "/api/v3/storage/u", &["Content-Length: 1000"]);
        client.send("some");
        let began = Instant::now();
        let reply = client.reply();
        assert_eq!((reply.status, reply.keeps()), (408, false));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        service.journal.left(0);
        let mut client = gateway.client();
        client.head("POST", "/api/v3/storage/x", &["Content-Length: 1000"]);
        client.send("{");
        assert_eq!(client.reply().status, 408);
        gateway.is_clean();
    });
}

/// Sends a byte every few milliseconds until the gateway answers; the status of its answer.
#[track_caller]
fn drip(client: &mut Client, bytes: &[u8]) -> u16 {
    let bytes = bytes.to_vec();
    let mut sender = client.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        for byte in bytes {
            std::thread::sleep(millis(10));
            if std::io::Write::write_all(&mut sender, &[byte]).is_err() {
                return;
            }
        }
    });
    let status = client.reply().status;
    let _ = client.stream.shutdown(std::net::Shutdown::Both);
    dripping.join().unwrap();
    status
}

#[test]
fn a_body_below_its_rate_ends_however_steady() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |snapshot| {
            snapshot.timeouts.body_rate_bytes = 10_000;
            snapshot.timeouts.body_rate_window = millis(300);
        });
        let mut client = gateway.client();
        client.head("PUT", "/api/v3/storage/u", &["Content-Length: 100000"]);
        let began = Instant::now();
        assert_eq!(drip(&mut client, &[b'x'; 500]), 408);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        service.journal.left(0);
        gateway.is_clean();
    });
}

#[test]
fn time_that_the_service_takes_is_not_the_clients() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |snapshot| {
            snapshot.timeouts.body_rate_bytes = 10_000;
            snapshot.timeouts.body_rate_window = millis(500);
            snapshot.timeouts.body_idle = millis(500);
            snapshot.gufo.modules_mut()[0].stream_timeout = millis(1500);
        });
        let mut client = gateway.client();
        let began = Instant::now();
        let reply = client.put("/api/v3/storage/stall", &[], &data::bytes(3 << 20));
        assert_eq!(reply.status, 504, "{}", reply.text());
        assert!(began.elapsed() >= millis(1400), "{:?}", began.elapsed());
        service.journal.left(0);
    });
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.timeouts.write = millis(300);
            snapshot.server.listeners[0].transport.send_buffer = Some(16 * 1024);
        });
        let mut client = Client::connect_narrow(gateway.address, 16 * 1024);
        client.head("GET", "/api/v3/storage/big/3", &[]);
        gateway.wait_metric("otus_downstream_timeouts_total", 1);
        let began = Instant::now();
        assert!(client.try_reply(false).is_err(), "a cut answer must not look whole");
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        gateway.is_clean();
    });
}

#[test]
fn a_client_that_reads_slowly_but_steadily_gets_its_answer() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.timeouts.write = millis(1000);
            snapshot.server.listeners[0].transport.send_buffer = Some(16 * 1024);
        });
        let mut client = Client::connect_narrow(gateway.address, 16 * 1024);
        client.head("GET", "/api/v3/storage/big/2", &[]);
        let mut read = 0;
        let mut chunk = vec![0; 8 * 1024];
        let began = Instant::now();
        while read < 2 << 20 {
            let len = client.read(&mut chunk).unwrap();
            assert!(len > 0, "cut off at {read} bytes after {:?}", began.elapsed());
            read += len;
            std::thread::sleep(millis(6));
        }
        assert!(began.elapsed() > millis(1200), "too fast to show anything");
    });
}
