//! WebSocket over a stream (RFC 8441), to back ends that speak it over HTTP/1.1.

use std::process::ExitCode;
use std::time::Duration;

use h2::Reason;
use otus::protocol::h2::hpack::encode::Block;
use otus::protocol::websocket::accept;
use otus::snapshot::server::IoDriver;

use crate::support::backend::{Backend, Seen, Visit, nobody};
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::{Call, Client, Head};
use crate::support::proxy::{ALL, before_one, snapshot, start, upstream};

const FIELDS: [(&str, &str); 3] = [
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "chat"),
    ("origin", "http://example.com"),
];

/// What a back end that takes the handshake answers.
fn taken(seen: &Seen) -> String {
    let key = seen.field("sec-websocket-key").unwrap();
    let accept = accept(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        str::from_utf8(&accept).unwrap()
    )
}

/// A tunnel that the back end has taken, with bytes right behind its answer.
#[track_caller]
fn open<'a>(client: &'a Client, backend: &Backend) -> (Call<'a>, Head, Visit) {
    let mut call = client.tunnel("websocket", "/chat?a=b", &FIELDS);
    let (mut visit, seen) = backend.asked();
    assert_eq!((&*seen.method, &*seen.target), ("GET", "/chat?a=b"));
    for (name, value) in FIELDS {
        assert_eq!(seen.field(name), Some(value));
    }
    assert_eq!(seen.field("connection"), Some("upgrade"));
    assert_eq!(seen.field("upgrade"), Some("websocket"));
    assert_eq!((seen.field("transfer-encoding"), seen.field("content-length")), (None, None));
    visit.send(format!("{}early", taken(&seen)));
    let mut head = call.head().unwrap();
    assert_eq!(
        (head.status, head.fields["sec-websocket-protocol"].as_bytes()),
        (200, &b"chat"[..])
    );
    for name in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert!(!head.fields.contains_key(name), "{name}");
    }
    assert_eq!(exactly(&call, &mut head, 5), b"early");
    (call, head, visit)
}

/// So many bytes of a tunnel; they come in frames that end there.
#[track_caller]
fn exactly(call: &Call<'_>, head: &mut Head, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        all.extend_from_slice(&call.data(&mut head.body).unwrap().unwrap());
    }
    assert_eq!(all.len(), len);
    all
}

/// How a tunnel ends of which nothing more comes.
#[track_caller]
fn end(call: &Call<'_>, mut head: Head) -> Result<(), h2::Error> {
    while let Some(data) = call.data(&mut head.body) {
        assert!(data?.is_empty(), "nothing more was sent");
    }
    Ok(())
}

/// The status of a tunnel that is refused.
#[track_caller]
fn refused(client: &Client, protocol: &str, path: &str, fields: &[(&str, &str)]) -> u16 {
    client.tunnel(protocol, path, fields).reply().status
}

fn with_upgrades(io: IoDriver, upgrade: &str, more: &str) -> Gateway {
    let route = format!("[[route]]\nid = \"all\"\nupstream = \"a\"\n{upgrade}\n");
    start(io, &format!("{}{route}", upstream(&[nobody()], more)))
}

#[test]
fn bytes_go_both_ways() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let client = Client::connect(gateway.address);
        let (mut call, mut head, mut visit) = open(&client, &backend);
        for number in 0..20 {
            let text = format!("message {number}");
            call.send(text.as_bytes(), false).unwrap();
            assert_eq!(visit.exactly(text.len()), text.as_bytes());
            visit.send(&text);
            assert_eq!(exactly(&call, &mut head, text.len()), text.as_bytes());
        }
        let body = data::bytes(4 << 20);
        std::thread::scope(|scope| {
            let mut other = visit.stream.try_clone().unwrap();
            let body = &body;
            scope.spawn(move || std::io::Write::write_all(&mut other, body).unwrap());
            assert!(exactly(&call, &mut head, body.len()) == *body);
        });
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(visit.exactly(body.len()) == body));
            call.send(&body, false).unwrap();
        });
        // The connection carries others meanwhile.
        let mut get = client.begin("GET", "/next", &[], true);
        let (mut next, _) = backend.asked();
        next.answer("next");
        assert_eq!(get.reply().text(), "next");
        drop((get, head, call));
        visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn each_side_may_finish_before_the_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let client = Client::connect(gateway.address);
        let (mut call, mut head, mut visit) = open(&client, &backend);
        call.send(b"last", true).unwrap();
        assert_eq!(visit.exactly(4), b"last");
        assert_eq!(visit.stream.peek(&mut [0]).unwrap(), 0, "the end comes through");
        visit.send("still here");
        assert_eq!(exactly(&call, &mut head, 10), b"still here");
        drop(visit);
        assert!(end(&call, head).is_ok(), "an orderly end");
        let (mut call, mut head, mut visit) = open(&client, &backend);
        visit.send("last");
        visit.half_close();
        assert_eq!(exactly(&call, &mut head, 4), b"last");
        assert!(end(&call, head).is_ok(), "the end comes through");
        call.send(b"still here", true).unwrap();
        assert_eq!(visit.exactly(10), b"still here");
        visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn a_side_that_dies_ends_the_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let client = Client::connect(gateway.address);
        let (mut call, _head, mut visit) = open(&client, &backend);
        call.body.send_reset(Reason::CANCEL);
        visit.closed();
        let (call, head, visit) = open(&client, &backend);
        visit.reset();
        assert_eq!(end(&call, head).unwrap_err().reason(), Some(Reason::CANCEL));
        let (_call, _head, mut visit) = open(&client, &backend);
        client_leaves(&gateway, &backend);
        // The connection of the others goes on.
        visit.send("x");
        gateway.is_clean();
    });
}

/// A connection that is lost ends its tunnels.
fn client_leaves(gateway: &Gateway, backend: &Backend) {
    let client = Client::connect(gateway.address);
    let (call, head, mut visit) = open(&client, backend);
    drop((call, head));
    client.leave();
    visit.closed();
}

#[test]
fn what_the_back_end_does_not_take_the_client_cannot_send() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let client = Client::connect(gateway.address);
        let (mut call, head, mut visit) = open(&client, &backend);
        let piece = vec![7; 16 * 1024];
        let mut sent = 0;
        loop {
            call.body.reserve_capacity(piece.len());
            let Some(room) = call.room_soon() else { break };
            let len = room.min(piece.len());
            call.send(&piece[..len], false).unwrap();
            sent += len;
            assert!(sent < 64 << 20, "nothing holds the client up");
        }
        // Another stream is not held up with it.
        let mut get = client.begin("GET", "/next", &[], true);
        let (mut next, _) = backend.asked();
        next.answer("next");
        assert_eq!(get.reply().text(), "next");
        assert_eq!(visit.exactly(sent).len(), sent);
        drop((get, head, call));
        visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn a_back_end_that_does_not_take_it_is_heard_but_never_with_a_success() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let client = Client::connect(gateway.address);
        let wrong = "101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        for (answer, status) in [
            ("403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 403),
            ("200 OK\r\nContent-Length: 2\r\n\r\nno", 502),
            ("204 No Content\r\n\r\n", 502),
            ("101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
            (wrong, 502),
        ] {
            let mut call = client.tunnel("websocket", "/chat", &FIELDS);
            let (mut visit, _) = backend.asked();
            visit.send(format!("HTTP/1.1 {answer}"));
            assert_eq!(call.reply().status, status, "{answer}");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_tunnel_is_made_only_where_the_route_lets_it_through() {
    on_both_drivers(|io| {
        for (upgrade, more) in
            [("upgrade = []", ""), ("upgrade = \"spdy/3.1\"", ""), ("", "protocol = \"grpc\"")]
        {
            let gateway = with_upgrades(io, upgrade, more);
            let client = Client::connect(gateway.address);
            assert_eq!(refused(&client, "websocket", "/chat", &FIELDS), 501, "{upgrade} {more}");
            gateway.is_clean();
        }
        let here = "[[route]]\nid = \"here\"\nmatch = { path = \"/here\" }\nreply = 204\n";
        let gateway = start(io, here);
        let client = Client::connect(gateway.address);
        assert_eq!(refused(&client, "websocket", "/here", &FIELDS), 501, "a success would lie");
        assert_eq!(refused(&client, "websocket", "/else", &FIELDS), 404);
        assert_eq!(refused(&client, "websocket", "/healthz", &FIELDS), 501);
    });
}

#[test]
fn what_is_no_handshake_is_refused() {
    on_both_drivers(|io| {
        let gateway = with_upgrades(io, "upgrade = [\"websocket\", \"tcp\"]", "");
        let client = Client::connect(gateway.address);
        for protocol in ["connect-udp", "tcp", "websockets", "h2c"] {
            assert_eq!(refused(&client, protocol, "/chat", &FIELDS), 501, "{protocol}");
        }
        assert_eq!(refused(&client, "websocket", "/chat", &[]), 400, "no version");
        assert_eq!(refused(&client, "websocket", "/chat", &[("sec-websocket-version", "8")]), 400);
        assert_eq!(refused(&client, "WebSocket", "/chat", &FIELDS), 502, "nobody is there");
        // A plain CONNECT asks for a tunnel to anywhere.
        let mut call = client.begin("CONNECT", "", &[], false);
        assert!(call.reply().status >= 400);
        gateway.is_clean();
    });
}

#[test]
fn a_malformed_one_is_reset() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let block = |fields: &[(&str, &str)]| {
            let add = |block: Block, (name, value): &(&str, &str)| {
                block.field(name.as_bytes(), value.as_bytes())
            };
            fields.iter().fold(Block::new(), add).into_vec()
        };
        let whole = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/chat"),
            (":authority", "h"),
        ];
        let without = |name: &str| {
            let left: Vec<_> = whole.into_iter().filter(|field| field.0 != name).collect();
            block(&left)
        };
        let mut get = whole;
        get[0].1 = "GET";
        let mut twice = whole.to_vec();
        twice.insert(1, (":protocol", "websocket"));
        let mut upgrade = whole.to_vec();
        upgrade.push(("upgrade", "websocket"));
        for bad in [
            without(":scheme"),
            without(":path"),
            without(":authority"),
            block(&get),
            block(&twice),
            block(&upgrade),
        ] {
            let mut client = gateway.client();
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
            let len = u8::try_from(bad.len()).unwrap();
            client.send([&[0, 0, len, 1, 4, 0, 0, 0, 1], &bad[..]].concat());
            let (kind, code) = loop {
                let head = client.try_exactly(9).unwrap();
                let payload = client.try_exactly(usize::from(head[2])).unwrap();
                if matches!(head[3], 1 | 3 | 7) {
                    break (head[3], payload.last().copied());
                }
            };
            assert_eq!((kind, code), (3, Some(1)), "RST_STREAM(PROTOCOL_ERROR)");
        }
        assert!(backend.is_unvisited());
        gateway.is_clean();
    });
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_reset() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "idle_timeout = \"400ms\"");
        let client = Client::connect(gateway.address);
        let (mut call, mut head, mut visit) = open(&client, &backend);
        for round in 0..8 {
            // One direction is enough.
            if round < 4 {
                visit.send("x");
                assert_eq!(exactly(&call, &mut head, 1), b"x");
            } else {
                call.send(b"y", false).unwrap();
                assert_eq!(visit.exactly(1), b"y");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(end(&call, head).unwrap_err().reason(), Some(Reason::CANCEL));
        visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn a_drain_closes_a_tunnel_after_its_grace() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let mut snapshot = snapshot(io, &format!("{}{ALL}", upstream(&[backend.address], "")));
        snapshot.server.shutdown_grace = Duration::from_millis(500);
        let mut gateway = Gateway::start(io, |own| *own = snapshot);
        let client = Client::connect(gateway.address);
        let (mut call, head, mut visit) = open(&client, &backend);
        gateway.stopper.stop();
        call.send(b"during", false).unwrap();
        assert_eq!(visit.exactly(6), b"during");
        let _ = end(&call, head);
        visit.closed();
        assert_eq!(gateway.ended().0, ExitCode::from(3));
    });
}
