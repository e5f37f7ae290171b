//! Upgrades other than WebSocket, on routes that list them.

use crate::support::backend::Backend;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::proxy::{refuses_each, start, upstream};

use otus::snapshot::server::IoDriver;

const SWITCH: [&str; 2] = ["Connection: Upgrade", "Upgrade: SPDY/3.1"];
const TAKEN: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: SPDY/3.1\r\nX-Stream: 1\r\n\r\n";

/// A gateway whose only route has this list.
fn with(io: IoDriver, upgrade: &str) -> (Gateway, Backend) {
    let backend = Backend::listen();
    let route = format!("[[route]]\nid = \"all\"\nupstream = \"a\"\nupgrade = {upgrade}\n");
    (start(io, &format!("{}{route}", upstream(&[backend.address], ""))), backend)
}

#[test]
fn a_listed_protocol_becomes_a_tunnel() {
    on_both_drivers(|io| {
        let (gateway, backend) = with(io, "[\"websocket\", \"spdy/3.1\"]");
        for (method, more) in [("GET", &[][..]), ("POST", &["Content-Length: 0"])] {
            let mut client = gateway.client();
            client.head(method, "/exec", &[&SWITCH, more].concat());
            let (mut visit, seen) = backend.asked();
            assert_eq!(seen.field("connection"), Some("upgrade"));
            assert_eq!(seen.field("upgrade"), Some("SPDY/3.1"));
            visit.send(format!("{TAKEN}early"));
            let reply = client.reply();
            assert_eq!((reply.status, reply.field("x-stream")), (101, Some("1")));
            assert_eq!(reply.field("upgrade"), Some("SPDY/3.1"));
            assert_eq!(client.try_exactly(5).unwrap(), b"early");
            client.send("up");
            assert_eq!(visit.exactly(2), b"up");
            visit.send("down");
            assert_eq!(client.try_exactly(4).unwrap(), b"down");
            client.half_close();
            visit.half_close();
            client.closed();
        }
        gateway.is_clean();
    });
}

#[test]
fn a_switch_to_something_else_is_502() {
    on_both_drivers(|io| {
        let (gateway, backend) = with(io, "\"spdy/3.1\"");
        let answers = [
            TAKEN.replace("SPDY/3.1", "h2c"),
            TAKEN.replace("SPDY/3.1", "SPDY/3.1, h2c"),
            TAKEN.replace("X-Stream: 1", "Upgrade: h2c"),
            TAKEN.replace("Connection: Upgrade", "Connection: close"),
        ];
        refuses_each(&gateway, &backend, ("/", &SWITCH), &answers);
        gateway.is_clean();
    });
}

#[test]
fn what_is_not_listed_is_a_request_like_any_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = with(io, "\"spdy/3.1\"");
        let socket = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        for fields in [
            &socket[..],
            &["Connection: Upgrade", "Upgrade: spdy/3.2"],
            &["Connection: Upgrade", "Upgrade: spdy/3.1, h2c"],
            &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
            &["Upgrade: spdy/3.1"],
        ] {
            let mut client = gateway.client();
            client.head("GET", "/", fields);
            let (mut visit, seen) = backend.asked();
            for name in ["connection", "upgrade", "http2-settings"] {
                assert_eq!(seen.field(name), None, "{fields:?}");
            }
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            assert_eq!(client.reply().text(), "ok");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_body_is_not_for_the_next_protocol() {
    on_both_drivers(|io| {
        let (gateway, backend) = with(io, "\"spdy/3.1\"");
        let mut client = gateway.client();
        client.head("POST", "/", &[&SWITCH[..], &["Content-Length: 3"]].concat());
        client.send("abc");
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("upgrade"), None);
        assert_eq!(visit.exactly(3), b"abc");
        visit.send(TAKEN);
        assert_eq!(client.reply().status, 502);
        gateway.is_clean();
    });
}
