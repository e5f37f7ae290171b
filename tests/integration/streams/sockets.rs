//! `WebSocket`s to a module.

use std::time::Duration;

use otus::gufo::dialect::Dialect;
use otus::snapshot::Snapshot;
use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2;
use crate::support::journal::{PATIENCE, SOON};

use super::service::{Streams, Told};

/// The handshake of RFC 6455 §1.3.
const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

fn start(io: IoDriver, change: impl FnOnce(&mut Snapshot)) -> (Gateway, Streams) {
    let streams = Streams::start();
    let gateway = streams.gateway(io, Dialect::B, change);
    (gateway, streams)
}

/// A WebSocket that was taken.
#[track_caller]
fn open(gateway: &Gateway, path: &str) -> Client {
    let mut client = gateway.client();
    client.head("GET", &format!("/api/v3/streams/{path}"), &HANDSHAKE);
    let reply = client.reply();
    assert_eq!(reply.status, 101);
    assert_eq!(reply.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

/// A frame as a client sends it; the first byte has the opcode and the bit of the end.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            out.push(0xfe);
            out.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            out.push(0xff);
            out.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// The next frame of the gateway: opcode and payload.
#[track_caller]
fn next(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.try_exactly(2).unwrap();
    assert_eq!(head[0] & 0xf0, 0x80, "each frame is a whole message");
    let len = match head[1] {
        126 => u64::from(u16::from_be_bytes(client.try_exactly(2).unwrap().try_into().unwrap())),
        127 => u64::from_be_bytes(client.try_exactly(8).unwrap().try_into().unwrap()),
        len => u64::from(len),
    };
    (head[0] & 15, client.try_exactly(usize::try_from(len).unwrap()).unwrap())
}

/// Waits for the gateway's close and answers it; its code.
#[track_caller]
fn closed(client: &mut Client) -> Option<u16> {
    let (opcode, payload) = next(client);
    assert_eq!(opcode, CLOSE, "{}", payload.escape_ascii());
    client.send(frame(0x88, &payload));
    client.closed();
    payload.first_chunk().map(|code| u16::from_be_bytes(*code))
}

#[track_caller]
fn first(streams: &Streams) {
    assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::First(_) | Told::Packaged(_)));
}

#[test]
fn messages_keep_their_bytes_and_their_kind_both_ways() {
    on_both_drivers(|io| {
        for dialect in [Dialect::B, Dialect::C] {
            let streams = Streams::start();
            let gateway = streams.gateway(io, dialect, |_| {});
            let mut client = open(&gateway, "echo/room?x=1");
            match streams.told.recv_timeout(SOON).unwrap() {
                Told::First(first) => {
                    assert_eq!(first.param_id.as_deref(), Some("room"));
                    assert!(first.args.contains_key("x") && first.sign.is_some());
                }
                Told::Packaged(first) => assert_eq!(first.query["x"], "1"),
                other => panic!("{other:?}"),
            }
            let large = data::bytes(700_000);
            for (opcode, payload) in
                [(TEXT, "hä".as_bytes()), (BINARY, b"\xff\0"), (BINARY, b""), (BINARY, &large)]
            {
                client.send(frame(0x80 | opcode, payload));
                let (got, echoed) = next(&mut client);
                assert!(got == opcode && echoed == payload, "{} bytes", payload.len());
            }
            // In parts, with a ping between them.
            client.send(frame(TEXT, "ä".as_bytes().split_at(1).0));
            client.send(frame(0x89, b"ping"));
            assert_eq!(next(&mut client), (10, b"ping".to_vec()));
            client.send(frame(0x80, &"ä!".as_bytes()[1..]));
            assert_eq!(next(&mut client), (TEXT, "ä!".as_bytes().to_vec()));
            // A close is the end of what the service hears, not of what it says.
            client.send(frame(0x88, &4001_u16.to_be_bytes()));
            assert_eq!(next(&mut client), (BINARY, b"last".to_vec()));
            assert_eq!(next(&mut client), (CLOSE, 4001_u16.to_be_bytes().to_vec()));
            client.closed();
            assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Ended));
            gateway.is_clean();
        }
    });
}

#[test]
fn a_service_that_ends_or_fails_closes_with_the_code_that_says_so() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, |_| {});
        for (path, code) in [("bye", 1000), ("fail", 1011)] {
            let mut client = open(&gateway, path);
            client.send(frame(0x81, b"x"));
            assert_eq!(closed(&mut client), Some(code), "{path}");
            first(&streams);
            assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Ended));
        }
        let mut client = open(&gateway, "values");
        assert_eq!(next(&mut client), (TEXT, br#"{"hello":[1.10]}"#.to_vec()));
        drop(client);
        gateway.is_clean();
    });
}

#[test]
fn what_a_client_may_not_send_ends_the_call() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, |snapshot| {
            snapshot.limits.socket_message_bytes = 1000;
        });
        for (bytes, code) in [
            (b"\x81\x01x".to_vec(), 1002),
            (frame(0xc1, b"x"), 1002),
            (frame(0x81, b"\xff"), 1007),
            (frame(0x82, &[0; 1001]), 1009),
        ] {
            let mut client = open(&gateway, "deaf");
            client.send(bytes);
            assert_eq!(closed(&mut client), Some(code));
            first(&streams);
            assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Left));
        }
        gateway.is_clean();
    });
}

#[test]
fn a_client_that_leaves_ends_the_call() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, |_| {});
        for leave in [drop, Client::reset] {
            let client = open(&gateway, "echo");
            first(&streams);
            leave(client);
            // The service cannot tell an end from a reset, but it hears of one.
            let told = streams.told.recv_timeout(SOON).unwrap();
            assert!(matches!(told, Told::Left | Told::Ended), "{told:?}");
        }
        gateway.is_clean();
    });
}

#[test]
fn an_idle_socket_and_one_of_a_drain_are_closed() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, |snapshot| {
            snapshot.gufo.modules_mut()[0].stream_timeout = Duration::from_millis(700);
        });
        assert_eq!(closed(&mut open(&gateway, "echo")), Some(1001));
        let (gateway, _streams) = start(io, |_| {});
        let mut client = open(&gateway, "echo");
        client.send(frame(0x81, b"x"));
        next(&mut client);
        gateway.stopper.stop();
        assert_eq!(closed(&mut client), Some(1001));
    });
}

#[test]
fn a_service_that_does_not_read_stops_its_client() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, |_| {});
        let mut client = open(&gateway, "deaf");
        let message = frame(0x82, &vec![7; 64 * 1024]).repeat(256);
        let taken = client.push(&message, Duration::from_millis(500));
        assert!(taken < message.len(), "{taken} bytes were taken");
        first(&streams);
        // An orderly end would wait behind what was sent.
        client.reset();
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Left));
        gateway.is_clean();
    });
}

#[test]
fn a_socket_that_cannot_be_had_is_refused_in_http() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, |snapshot| {
            let down = snapshot.add_module("down", "127.0.0.1:1".parse().unwrap());
            snapshot.upstreams[down.index()].retry.attempts_max = 1;
        });
        let mut client = gateway.client();
        for (path, status) in [("down/x", 502), ("nobody/x", 404)] {
            client.head("GET", &format!("/api/v3/{path}"), &HANDSHAKE);
            assert_eq!(client.reply().status, status, "{path}");
        }
        let (gateway, streams) = start(io, |snapshot| {
            snapshot.gufo.modules_mut()[0].websocket = false;
        });
        let mut client = gateway.client();
        client.head("GET", "/api/v3/streams/inline", &HANDSHAKE);
        assert_eq!(client.reply().status, 200, "it is a call as any other");
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Do));
    });
}

#[test]
fn a_stream_of_http_2_carries_a_socket() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, |snapshot| snapshot.server.http2.cleartext = true);
        let client = h2::Client::connect(gateway.address);
        let version = [("sec-websocket-version", "13")];
        let mut call = client.tunnel("websocket", "/api/v3/streams/echo", &version);
        let mut head = call.head().unwrap();
        assert_eq!(head.status, 200);
        assert!(!head.fields.contains_key("sec-websocket-accept"));
        first(&streams);
        let payload = vec![7; 300_000];
        call.send(&frame(0x82, &payload), false).unwrap();
        let mut got = Vec::new();
        while got.len() < 10 + payload.len() {
            got.extend_from_slice(&call.data(&mut head.body).unwrap().unwrap());
        }
        assert!(got[10..] == payload);
        call.send(&frame(0x88, b"\x03\xe8"), false).unwrap();
        let mut rest = Vec::new();
        while let Some(data) = call.data(&mut head.body) {
            rest.extend_from_slice(&data.unwrap());
        }
        assert_eq!(rest, b"\x82\x04last\x88\x02\x03\xe8");
        assert!(matches!(streams.told.recv_timeout(PATIENCE).unwrap(), Told::Ended));
        gateway.is_clean();
    });
}
