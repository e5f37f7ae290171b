//! What is no call of a service, and what must not reach HTTP from here, or this from HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use otus::proto::reverse::Request;
use otus::snapshot::server::IoDriver;
use prost::Message;

use super::{own, request, start};
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::h2::{Client, Reply, framed, status};
use crate::support::journal::PATIENCE;
use crate::support::service::Service;

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

fn before(io: IoDriver) -> (Gateway, Service, Client) {
    let (gateway, service) = start(io, |_| ());
    let client = Client::connect(own(&gateway));
    (gateway, service, client)
}

fn send(client: &Client, path: &str, body: &[u8]) -> Reply {
    client.send("POST", path, &CALL, body)
}

#[test]
fn a_message_that_cannot_be_understood_is_a_status_of_grpc() {
    on_both_drivers(|io| {
        let (gateway, service, client) = before(io);
        let good = framed(&request("echo", "hello").encode_to_vec());
        let twice = [good.clone(), good.clone()].concat();
        let mut compressed = good.clone();
        compressed[0] = 1;
        let long = Request { path: Some("x".repeat(5 << 20)), ..request("echo", "hello") };
        for path in ["/Reverse/Do", "/gufo.Reverse/Do"] {
            for (body, want) in [
                (framed(b"\x0a\x7fx"), "3"),
                (twice.clone(), "3"),
                (Vec::new(), "3"),
                (good[..9].to_vec(), "3"),
                (compressed.clone(), "12"),
                (framed(&long.encode_to_vec()), "8"),
            ] {
                let reply = send(&client, path, &body);
                assert_eq!((reply.status, status(&reply)), (200, want), "{path}");
            }
        }
        assert!(service.journal.since(0).is_empty());
        assert_eq!(status(&send(&client, "/Reverse/Do", &good)), "0");
        gateway.is_clean();
    });
}

#[test]
fn nothing_of_http_is_served_here() {
    on_both_drivers(|io| {
        let (gateway, service, client) = before(io);
        for path in ["/api/v3/echo/hello", "/healthz", "/readyz", "/api/v3/health", "/Reverse/Do"] {
            assert_eq!(client.get(path).status, 404, "{path}");
        }
        let sign = [("x-sign", SIGN), ("content-type", "application/json")];
        assert_eq!(client.send("POST", "/Reverse/Do", &sign, b"{}").status, 404);
        for path in ["/api/v3/echo/hello", "/Reverse/Other", "/gufo.Other/Do", "/reverse/do"] {
            assert_eq!(status(&send(&client, path, &framed(b""))), "12", "{path}");
        }
        assert!(service.journal.since(0).is_empty());
        let health = framed(b"");
        let reply = send(&client, "/grpc.health.v1.Health/Check", &health);
        assert_eq!((status(&reply), &reply.body[..]), ("0", &b"\0\0\0\0\x02\x08\x01"[..]));
        gateway.is_clean();
    });
}

#[test]
fn who_speaks_http_1_is_told_nothing_of_http_1() {
    on_both_drivers(|io| {
        let (gateway, service, _client) = before(io);
        let mut old = TcpStream::connect(own(&gateway)).unwrap();
        old.set_read_timeout(Some(PATIENCE)).unwrap();
        old.write_all(b"GET /api/v3/echo/hello HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut said = Vec::new();
        // The end may be a reset: what it sent was not wanted.
        let _ = old.read_to_end(&mut said);
        assert!(!said.windows(5).any(|bytes| bytes == b"HTTP/"), "{said:?}");
        assert!(service.journal.since(0).is_empty());
        gateway.is_clean();
    });
}

#[test]
fn nothing_of_this_is_served_over_http() {
    on_both_drivers(|io| {
        let (gateway, service, _client) = before(io);
        let client = Client::connect(gateway.address);
        let good = framed(&request("echo", "hello").encode_to_vec());
        for path in ["/Reverse/Do", "/gufo.Reverse/Do", "/Reverse/Stream"] {
            assert_eq!(status(&send(&client, path, &good)), "12", "{path}");
        }
        assert!(service.journal.since(0).is_empty());
        gateway.is_clean();
    });
}

#[test]
fn a_drain_says_goodbye_and_finishes_what_is_under_way() {
    on_both_drivers(|io| {
        let (gateway, service, mut client) = before(io);
        let mut call = client.begin("POST", "/Reverse/Stream", &CALL, false);
        let first = Request { module: None, ..request("", "") };
        call.send(&framed(&first.encode_to_vec()), false).unwrap();
        let mut head = call.head().unwrap();
        assert!(call.data(&mut head.body).is_some());
        gateway.stopper.stop();
        call.send(&[], true).unwrap();
        assert_eq!(status(&call.rest(head).unwrap()), "0");
        drop(call);
        client.ended().unwrap();
        assert!(service.journal.since(0).is_empty());
    });
}

#[test]
fn pings_without_calls_are_echoed() {
    on_both_drivers(|io| {
        let (gateway, _service, _client) = before(io);
        let mut stream = TcpStream::connect(own(&gateway)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        for number in 0..20_u8 {
            stream.write_all(b"\0\0\x08\x06\0\0\0\0\0").unwrap();
            stream.write_all(&[number; 8]).unwrap();
        }
        let mut echoed = 0;
        while echoed < 20 {
            let mut head = [0; 9];
            stream.read_exact(&mut head).unwrap();
            let mut payload = vec![0; usize::from(head[2])];
            stream.read_exact(&mut payload).unwrap();
            assert_ne!(head[3], 7, "a GOAWAY");
            if head[3..5] == [6, 1] {
                assert_eq!(payload, [echoed; 8]);
                echoed += 1;
            }
        }
        gateway.is_clean();
    });
}
