//! Bodies in chunks: what cannot be read in one way only ends the connection, and what lies behind
//! it is nobody's request.

use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::PATIENCE;

use super::{Recorder, before, everything, statuses};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
const HEAD: &str = "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n";

#[track_caller]
fn refused(gateway: &Gateway, recorder: &Recorder, body: &[u8]) {
    let name = String::from_utf8_lossy(&body[..body.len().min(99)]).into_owned();
    let mut client = Client::connect(gateway.address);
    client.send([HEAD.as_bytes(), b"\r\n", body, SMUGGLED.as_bytes()].concat());
    let (all, closed) = everything(&mut client, PATIENCE);
    let found = statuses(&all);
    assert!(matches!(found[..], [] | [400..=499]), "{found:?} for {name:?}");
    assert!(closed, "{name:?}");
    let seen = recorder.take();
    assert!(!seen.contains("smuggled") && !seen.contains("\r\n0\r\n"), "{name:?}: {seen}");
}

#[test]
fn the_size_of_a_chunk_is_hexadecimal_digits_and_nothing_else() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for size in [
            &b"0x5"[..],
            b"5 ",
            b"5\t",
            b" 5",
            b"-5",
            b"+5",
            b"",
            b";a",
            b"5g",
            b"5_0",
            b"5,5",
            b"FFFFFFFFFFFFFFFF1",
            b"10000000000000005",
            b"5\x0b",
            b"5\x0c",
            b"5\x85",
            b"\xef\xbc\x95",
            b"5;a=\0",
            b"5;a=\x7f",
            b"5;a\rb",
            b"5;a\nb",
            b"5\n",
            b"5\r",
            b"5;a\n",
        ] {
            refused(&gateway, &recorder, &[size, b"\r\nhello\r\n0\r\n\r\n"].concat());
        }
        let long = "a".repeat(70_000);
        let body = format!("5;{long}\r\nhello\r\n0\r\n\r\n");
        refused(&gateway, &recorder, body.as_bytes());
        // Extensions without end beside bytes without number.
        let body = format!("1;{}\r\nx\r\n", &long[..4000]).repeat(200);
        refused(&gateway, &recorder, body.as_bytes());
        gateway.is_clean();
    });
}

#[test]
fn a_chunk_ends_where_it_says_and_a_body_with_an_empty_line() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for body in [
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            "5\r\nhello\r\n0\r\n\r",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "6\r\nhello\r\n0\r\n\r\n",
        ] {
            refused(&gateway, &recorder, body.as_bytes());
        }
        gateway.is_clean();
    });
}

#[test]
fn trailers_are_fields_and_none_that_frame_or_route() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for trailer in [
            "abc",
            "A : b",
            "A: b\r\n c",
            ": b",
            "A: \0",
            "A: b\rC: d",
            "A: b\nC: d",
            " A: b",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Host: evil",
        ] {
            let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n");
            let mut client = Client::connect(gateway.address);
            client.send(format!("{HEAD}\r\n{body}{SMUGGLED}"));
            let (all, closed) = everything(&mut client, PATIENCE);
            assert!(matches!(statuses(&all)[..], [] | [400]) && closed, "{trailer:?}");
            assert!(!recorder.take().contains("smuggled"), "{trailer:?}");
        }
        // Well made, and not for who is behind us.
        for trailer in [
            "Authorization: x",
            "Trailer: a",
            "Connection: close",
            "X-Forwarded-For: 1.1.1.1",
            "TE: trailers",
            "Cookie: a=b",
            "Expect: 100-continue",
            "Upgrade: x",
            "X-User-Id: 1",
            "Content-Encoding: gzip",
            "Set-Cookie: a",
            "Forwarded: for=1.1.1.1",
        ] {
            let (name, _) = trailer.split_once(':').unwrap();
            let mut client = gateway.client();
            let fields = format!("TE: trailers\r\nTrailer: {name}, X-Sum\r\nConnection: te\r\n");
            let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\nX-Sum: 1\r\n\r\n");
            client.send(format!("{HEAD}{fields}\r\n{body}"));
            assert_eq!(client.reply().status, 200, "{trailer}");
            let seen = recorder.take().to_ascii_lowercase();
            let (_, trailers) = seen.split_once("\r\n0\r\n").unwrap();
            assert_eq!(trailers, "x-sum: 1\r\n\r\n", "{trailer}");
        }
        gateway.is_clean();
    });
}
