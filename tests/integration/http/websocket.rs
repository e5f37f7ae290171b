//! WebSocket: the handshake goes through, then bytes both ways.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Seen, Visit, asked_of};
use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::proxy::{
    ALL, before_one, before_two, refuses_each, snapshot, start_to_reload, upstream,
};

/// The handshake of RFC 6455 §1.3.
const HANDSHAKE: [&str; 6] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: chat",
    "Origin: http://example.com",
];
const ACCEPT: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                      Sec-WebSocket-Protocol: chat\r\n\r\n";

/// A handshake that the back end has accepted, with bytes right behind its answer.
#[track_caller]
fn open(gateway: &Gateway, backend: &Backend) -> (Client, Visit, Seen) {
    let mut client = gateway.client();
    client.head("GET", "/chat", &HANDSHAKE);
    let (mut visit, seen) = backend.asked();
    visit.send(format!("{ACCEPT}early"));
    let reply = client.reply();
    assert_eq!(reply.status, 101);
    assert_eq!(reply.field("upgrade"), Some("websocket"));
    assert_eq!(reply.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(reply.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(reply.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(client.try_exactly(5).unwrap(), b"early");
    (client, visit, seen)
}

/// An end would look like one that was meant.
#[track_caller]
fn is_reset(stream: &mut TcpStream) {
    let read = loop {
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {} // Another test's signal.
            read => break read,
        }
    };
    assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[test]
fn bytes_go_both_ways_after_the_handshake() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (mut client, mut visit, seen) = open(&gateway, &backend);
        for field in &HANDSHAKE[1..] {
            let (name, value) = field.split_once(": ").unwrap();
            assert_eq!(seen.field(&name.to_ascii_lowercase()), Some(value));
        }
        assert_eq!(seen.field("connection"), Some("upgrade"));
        for number in 0..20 {
            let text = format!("message {number}");
            client.send(&text);
            assert_eq!(visit.exactly(text.len()), text.as_bytes());
            visit.send(&text);
            assert_eq!(client.try_exactly(text.len()).unwrap(), text.as_bytes());
        }
        let body = data::bytes(4 << 20);
        std::thread::scope(|scope| {
            let mut sender = client.stream.try_clone().unwrap();
            let mut other = visit.stream.try_clone().unwrap();
            let body = &body;
            scope.spawn(move || std::io::Write::write_all(&mut sender, body).unwrap());
            scope.spawn(move || std::io::Write::write_all(&mut other, body).unwrap());
            scope.spawn(|| assert!(visit.exactly(body.len()) == *body));
            assert!(client.try_exactly(body.len()).unwrap() == *body);
        });
        drop(client);
        visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn each_side_may_finish_before_the_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (mut client, mut visit, _) = open(&gateway, &backend);
        client.send("last");
        client.half_close();
        assert_eq!(visit.exactly(4), b"last");
        assert_eq!(visit.stream.peek(&mut [0]).unwrap(), 0, "the end comes through");
        visit.send("still here");
        assert_eq!(client.try_exactly(10).unwrap(), b"still here");
        drop(visit);
        client.closed();
        let (mut client, mut visit, _) = open(&gateway, &backend);
        visit.send("last");
        visit.half_close();
        assert_eq!(client.try_exactly(4).unwrap(), b"last");
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end comes through");
        client.send("still here");
        assert_eq!(visit.exactly(10), b"still here");
        drop(client);
        visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn a_side_that_dies_resets_the_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (client, mut visit, _) = open(&gateway, &backend);
        client.reset();
        is_reset(&mut visit.stream);
        let (mut client, visit, _) = open(&gateway, &backend);
        visit.reset();
        is_reset(&mut client.stream);
        gateway.is_clean();
    });
}

/// The back end may have switched, and take an end for the client's.
#[test]
fn a_handshake_without_an_answer_ends_in_a_reset() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "first_byte_timeout = \"300ms\"");
        let mut client = gateway.client();
        client.head("GET", "/chat", &HANDSHAKE);
        let (mut visit, _) = backend.asked();
        assert_eq!(client.reply().status, 504);
        is_reset(&mut visit.stream);
        client.head("GET", "/chat", &HANDSHAKE);
        let (mut visit, _) = backend.asked();
        drop(client);
        is_reset(&mut visit.stream);
        gateway.is_clean();
    });
}

/// It has the answer and some of what followed, and must not think that this was all.
#[test]
fn a_client_that_does_not_take_what_follows_the_answer_is_reset() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let mut snapshot = snapshot(io, &format!("{}{ALL}", upstream(&[backend.address], "")));
        snapshot.timeouts.write = Duration::from_millis(300);
        snapshot.server.listeners[0].transport.send_buffer = Some(4096);
        let gateway = Gateway::start(io, |own| *own = snapshot);
        let mut client = Client::connect_narrow(gateway.address, 4096);
        client.head("GET", "/chat", &HANDSHAKE);
        let (mut visit, _) = backend.asked();
        visit.send(ACCEPT.to_owned() + &"x".repeat(100_000));
        is_reset(&mut visit.stream);
        let mut all = Vec::new();
        let read = client.stream.read_to_end(&mut all);
        assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
        assert!(all.starts_with(b"HTTP/1.1 101"), "{}", all.escape_ascii());
        gateway.is_clean();
    });
}

#[test]
fn clients_that_die_say_nothing_of_the_endpoint() {
    on_both_drivers(|io| {
        let (gateway, backends) = before_two(io, "outlier = { failures = 1 }");
        for _ in 0..4 {
            let mut client = gateway.client();
            client.head("GET", "/chat", &HANDSHAKE);
            let (_, mut visit, _) = asked_of(&backends);
            visit.send(ACCEPT);
            assert_eq!(client.reply().status, 101);
            client.reset();
            visit.closed();
        }
        gateway.is_clean();
        assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 0);
    });
}

#[test]
fn a_handshake_may_be_refused() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("GET", "/chat", &HANDSHAKE);
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let reply = client.reply();
        assert_eq!((reply.status, reply.text().as_str(), reply.keeps()), (403, "no", true));
        client.head("GET", "/next", &[]);
        assert_eq!(visit.request().target, "/next");
        visit.answer("");
        assert_eq!(client.reply().status, 200);
        gateway.is_clean();
    });
}

#[test]
fn an_acceptance_that_is_none_is_502() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let answers = [
            ACCEPT.replace("s3pP", "s3pQ"),
            ACCEPT.replace("Sec-WebSocket-Accept", "X-Accept"),
            ACCEPT.replace("Upgrade: websocket", "Upgrade: h2c"),
            ACCEPT.replace("Connection: Upgrade", "Connection: close"),
            ACCEPT.replace("chat\r\n", "chat\r\nSec-WebSocket-Accept: x\r\n"),
        ];
        refuses_each(&gateway, &backend, ("/chat", &HANDSHAKE), &answers);
        gateway.is_clean();
    });
}

#[test]
fn a_switch_that_nobody_asked_for_is_502() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for fields in [
            &[][..],
            &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
            &["Connection: Upgrade", "Upgrade: websocket"],
        ] {
            let mut client = gateway.client();
            client.head("GET", "/chat", fields);
            let (mut visit, seen) = backend.asked();
            assert_eq!(seen.field("upgrade"), None);
            visit.send(ACCEPT);
            assert_eq!(client.reply().status, 502, "{fields:?}");
            visit.closed();
        }
        gateway.is_clean();
    });
}

#[test]
fn bytes_behind_a_handshake_that_has_no_answer_yet_are_not_lost_in_a_tunnel() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.send(crate::support::client::head("GET", "/chat", &HANDSHAKE) + "frame");
        let (mut visit, seen) = backend.asked();
        if seen.field("upgrade").is_some() {
            visit.send(ACCEPT);
            assert_eq!(client.reply().status, 101);
            assert_eq!(visit.exactly(5), b"frame");
        } else {
            visit.send(ACCEPT);
            assert_eq!(client.reply().status, 502, "nobody asked for it");
        }
        gateway.is_clean();
    });
}

#[test]
fn no_other_upgrade_is_passed_on() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head(
            "GET",
            "/",
            &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
        );
        let (mut visit, seen) = backend.asked();
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(seen.field(name), None);
        }
        visit.answer("plain");
        assert_eq!(client.reply().text(), "plain");
        gateway.is_clean();
    });
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "idle_timeout = \"1s\"");
        let (mut client, mut visit, _) = open(&gateway, &backend);
        for _ in 0..10 {
            // One direction is enough.
            visit.send("x");
            assert_eq!(client.try_exactly(1).unwrap(), b"x");
            std::thread::sleep(Duration::from_millis(150));
        }
        assert!(client.closed() < SOON);
        assert!(visit.closed() < SOON);
        gateway.is_clean();
    });
}

#[test]
fn a_drain_resets_a_tunnel_after_its_grace() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let mut snapshot = snapshot(io, &format!("{}{ALL}", upstream(&[backend.address], "")));
        snapshot.server.shutdown_grace = Duration::from_millis(1500);
        let mut gateway = Gateway::start(io, |own| *own = snapshot);
        let (mut client, mut visit, _) = open(&gateway, &backend);
        let began = Instant::now();
        gateway.stopper.stop();
        client.send("during");
        assert_eq!(visit.exactly(6), b"during");
        is_reset(&mut client.stream);
        is_reset(&mut visit.stream);
        assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
        assert_eq!(gateway.ended().0, ExitCode::from(3));
    });
}

#[test]
fn a_reload_leaves_a_tunnel_alone() {
    on_both_drivers(|io| {
        let (old, new) = (Backend::listen(), Backend::listen());
        let (gateway, next) =
            start_to_reload(io, &format!("{}{ALL}", upstream(&[old.address], "")));
        let (mut client, mut visit, _) = open(&gateway, &old);
        *next.lock().unwrap() = snapshot(io, &format!("{}{ALL}", upstream(&[new.address], "")));
        gateway.stopper.reload();
        gateway.wait_metric("otus_shard_generation", 2);
        client.send("after");
        assert_eq!(visit.exactly(5), b"after");
        visit.send("after");
        assert_eq!(client.try_exactly(5).unwrap(), b"after");
        drop(client);
        visit.closed();
        gateway.is_clean();
    });
}
