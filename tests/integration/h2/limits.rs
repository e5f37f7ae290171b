//! What a client may not do, byte by byte.

use crate::support::client;
use crate::support::gateway::on_both_drivers;
use crate::support::h2::Client;

use super::before;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Sends bytes behind a good beginning, and gives the code of the GOAWAY that ends the connection.
fn goaway(client: &mut client::Client, bytes: &[u8]) -> u8 {
    client.send([PREFACE, bytes].concat());
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(len @ 1..) = client.read(&mut chunk) {
        all.extend_from_slice(&chunk[..len]);
    }
    let mut rest = &all[..];
    let mut code = None;
    while rest.len() >= 9 {
        let len = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        if rest[3] == 7 {
            code = Some(rest[9 + 7]);
        }
        rest = &rest[9 + len..];
    }
    code.expect("a GOAWAY")
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_why() {
    on_both_drivers(|io| {
        let (gateway, _backend) = before(io, "");
        // DATA on a stream that nobody has opened.
        assert_eq!(goaway(&mut gateway.client(), b"\0\0\x01\0\0\0\0\0\x01x"), 1);
        // A frame beyond the limit.
        assert_eq!(goaway(&mut gateway.client(), b"\xff\xff\xff\0\0\0\0\0\x01"), 6);
        // A block that no decoder understands.
        assert_eq!(goaway(&mut gateway.client(), b"\0\0\x01\x01\x05\0\0\0\x01\xff"), 9);
        gateway.is_clean();
    });
}

#[test]
fn floods_end_their_connection() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let pings = b"\0\0\x08\x06\0\0\0\0\0abcdefgh".repeat(3000);
        assert_eq!(goaway(&mut gateway.client(), &pings), 11);
        let settings = b"\0\0\0\x04\0\0\0\0\0".repeat(500);
        assert_eq!(goaway(&mut gateway.client(), &settings), 11);
        // Streams that are opened and reset at once.
        let mut resets = Vec::new();
        for id in (1_u32..2000).step_by(2) {
            resets.extend_from_slice(b"\0\0\x07\x01\x05");
            resets.extend_from_slice(&id.to_be_bytes());
            resets.extend_from_slice(b"\x82\x84\x86\x01\x02h2");
            resets.extend_from_slice(b"\0\0\x04\x03\0");
            resets.extend_from_slice(&id.to_be_bytes());
            resets.extend_from_slice(b"\0\0\0\x08");
        }
        assert_eq!(goaway(&mut gateway.client(), &resets), 11);
        assert!(backend.is_unvisited(), "nothing of it reached the endpoint");
        assert_eq!(gateway.client().get("/here").status, 204);
        gateway.is_clean();
    });
}

#[test]
fn a_head_that_never_ends_ends_in_time() {
    on_both_drivers(|io| {
        let (gateway, _backend) = before(io, "timeouts.head = \"1s\"");
        // HEADERS of 100 bytes, of which three come.
        assert_eq!(goaway(&mut gateway.client(), b"\0\0\x64\x01\x04\0\0\0\x01\x82\x84\x86"), 0);
        // A block whose CONTINUATION does not come.
        assert_eq!(goaway(&mut gateway.client(), b"\0\0\x01\x01\0\0\0\0\x01\x82"), 0);
        gateway.is_clean();
    });
}

#[test]
fn heads_have_the_bounds_of_http1() {
    on_both_drivers(|io| {
        let limits = "limits.head = \"4KiB\"\nlimits.target = \"1KiB\"\nlimits.head_fields = 20\n";
        let (gateway, backend) = before(io, limits);
        let client = Client::connect(gateway.address);
        let long = "v".repeat(3000);
        let status = |path: &str, fields: &[(&str, &str)]| {
            client.begin("GET", path, fields, true).reply().status
        };
        assert_eq!(status("/", &[("x", &long), ("y", &long)]), 431);
        assert_eq!(status("/", &[("x", "y"); 30]), 431);
        assert_eq!(status(&format!("/{long}"), &[]), 414);
        assert_eq!(status("/", &[("expect", "miracles")]), 417);
        assert!(backend.is_unvisited());
        assert_eq!(status("/here", &[]), 204, "the connection goes on");
        gateway.is_clean();
    });
}

#[test]
fn no_more_streams_than_allowed_are_open() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "listener.http2.streams = 2");
        let client = Client::connect(gateway.address);
        assert_eq!(client.get("/here").status, 204);
        let mut calls: Vec<_> = (0..2).map(|_| client.begin("GET", "/", &[], true)).collect();
        let mut visits: Vec<_> = calls.iter().map(|_| backend.asked().0).collect();
        assert!(backend.is_unvisited());
        for visit in &mut visits {
            visit.answer("x");
        }
        for call in &mut calls {
            assert_eq!(call.reply().text(), "x");
        }
        gateway.is_clean();
    });
}
