//! Heads of HTTP/1 that are refused before anybody is asked, and end their connection.

use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::PATIENCE;

use super::{Recorder, before, everything, statuses};

/// What would be a request of its own if the one before ended elsewhere.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[track_caller]
fn refused(gateway: &Gateway, recorder: &Recorder, request: &[u8]) {
    let name = String::from_utf8_lossy(request).into_owned();
    let mut client = Client::connect(gateway.address);
    client.send([request, SMUGGLED].concat());
    let (all, closed) = everything(&mut client, PATIENCE);
    let found = statuses(&all);
    assert!(matches!(found[..], [400..=499 | 501 | 505]), "{found:?} for {name:?}");
    assert!(closed, "{name:?}");
    assert_eq!(recorder.take(), "", "{name:?}");
}

#[test]
fn a_line_that_is_none_is_refused() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for line in [
            "GET  /x HTTP/1.1",
            "GET /x  HTTP/1.1",
            "GET\t/x\tHTTP/1.1",
            "GET /x HTTP/1.1 ",
            " GET /x HTTP/1.1",
            "GET\x0b/x HTTP/1.1",
            "GET /x",
            "GET /x HTTP/0.9",
            "GET /x HTTP/2.0",
            "GET /x HTTP/1.10",
            "GET /x HTTP/01.1",
            "GET /x http/1.1",
            "GET /x HTTP/1.",
            "GET /x HTTP/1",
            "GET /x HTTPS/1.1",
            "GET /x ICAP/1.0",
            "GET /x HTTP/1,1",
            "G(T /x HTTP/1.1",
            " /x HTTP/1.1",
            "PRI * HTTP/1.1",
            "GET x HTTP/1.1",
            "GET * HTTP/1.1",
            "OPTIONS *x HTTP/1.1",
            "GET  HTTP/1.1",
            "GET /x#y HTTP/1.1",
            "GET /x\0 HTTP/1.1",
            "GET /x\ty HTTP/1.1",
            "GET /x\x7f HTTP/1.1",
            "GET a.test:80 HTTP/1.1",
            "GET http://b.test/x HTTP/1.1",
            "GET http://u:p@a.test/x HTTP/1.1",
            "GET ftp://a.test/x HTTP/1.1",
            "GET http:///x HTTP/1.1",
            "GET http://a.test/x#y HTTP/1.1",
            "GET http://a.test:81/x HTTP/1.1",
            "GET http://b.test HTTP/1.1",
            "CONNECT /x HTTP/1.1",
            "CONNECT a.test HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /x?\u{ff} HTTP/1.1",
        ] {
            refused(&gateway, &recorder, format!("{line}\r\nHost: a.test\r\n\r\n").as_bytes());
        }
        let long = "G".repeat(300);
        refused(&gateway, &recorder, format!("{long} /x HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        gateway.is_clean();
    });
}

#[test]
fn a_host_that_two_could_read_differently_is_refused() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for host in [
            "a.test, b.test",
            "u@a.test",
            "a.test:0x50",
            "a.test:99999",
            "a.test:-1",
            "a.test:80:80",
            "a.test/y",
            "a.test?y",
            "a.test#y",
            "a%2ftest",
            "a%zz",
            "[::1",
            "::1",
            "[zz]",
            "[::1]x",
            "\u{e9}.test",
            "a\\b",
            "a b",
            "\"a\"",
            "<a>",
            "a\r\n b",
            "a\0",
            "a.test\r\nHost: a.test",
            "a.test\r\nHost: b.test",
            "a.test\r\nhost:",
        ] {
            let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
            refused(&gateway, &recorder, request.as_bytes());
        }
        for request in [
            "GET /x HTTP/1.1\r\nX: y\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost : a.test\r\n\r\n",
            "GET /x HTTP/1.1\r\n Host: a.test\r\n\r\n",
            "GET http://a.test/x HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost:\r\n a.test\r\n\r\n",
        ] {
            refused(&gateway, &recorder, request.as_bytes());
        }
        gateway.is_clean();
    });
}

#[test]
fn a_field_that_is_none_is_refused() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for field in [
            &b"X@y: z"[..],
            b": z",
            b"X\xc3\xa9: z",
            b"X\0: z",
            b"X: \0",
            b"X: a\rb",
            b"X: a\x7fb",
            b"X: a\x01b",
            b"XY",
            b":path: /y",
            b"\rX: y",
            b"X: a\r\n b",
            b"X: a\r\n\tb",
            b"X y: z",
            b"X\t: z",
            b"X : z",
            b"\x0bX: y",
            b"Connection: \"close\"",
            b"Connection: close;x",
            b"Expect: 200-ok\r\nContent-Length: 5",
            b"Expect:\r\nContent-Length: 5",
        ] {
            let head = b"POST /x HTTP/1.1\r\nHost: a.test\r\n";
            refused(&gateway, &recorder, &[head, field, b"\r\n\r\n"].concat());
        }
        for request in [
            &b"GET /x HTTP/1.1\nHost: a.test\n\n"[..],
            b"GET /x HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a.test\r\nX: y\n\r\n",
            b"GET /x HTTP/1.1\r\r\nHost: a.test\r\n\r\n",
            b"GET /x HTTP/1.1\rHost: a.test\r\r",
            b"\nGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ] {
            refused(&gateway, &recorder, request);
        }
        gateway.is_clean();
    });
}

#[test]
fn framing_that_two_could_read_differently_is_refused() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for framing in [
            &b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"[..],
            b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: chunked, gzip",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: \"chunked\"",
            b"Transfer-Encoding: chunked;q=1",
            b"Transfer-Encoding: ,chunked",
            b"Transfer-Encoding: chunked,",
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: chunked\0",
            b"Transfer-Encoding:\xa0chunked",
            b"Transfer-Encoding:\x0bchunked",
            b"Transfer-Encoding:\r\n chunked",
            b"Transfer-Encoding\r: chunked",
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding: chunk",
            b"Transfer-Encoding:",
            b"Transfer-Encoding: identity",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5",
            b"Transfer-Encoding: chunked\r\nContent-Length: 0",
            b"Content-Length: 5\r\nContent-Length: 5",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Content-Length: 5, 5",
            b"Content-Length: 5,",
            b"Content-Length: -5",
            b"Content-Length: +5",
            b"Content-Length: 5.0",
            b"Content-Length: 0x5",
            b"Content-Length: 1e1",
            b"Content-Length: 18446744073709551621",
            b"Content-Length: \xd9\xa5",
            b"Content-Length:\r\n 5",
            b"Content-Length: 5\0",
            b"Content-Length: 5;",
            b"Content-Length: 1_0",
            b"Content-Length: \x0b5",
            b"Content-Length : 5",
            b"Content-Length\t: 5",
            b"Content-Length:",
            b"Content-Length: 5 5",
        ] {
            let head = b"POST /x HTTP/1.1\r\nHost: a.test\r\n";
            let body = b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            refused(&gateway, &recorder, &[head, framing, body].concat());
        }
        let old = b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        refused(&gateway, &recorder, old);
        for body in
            ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
        {
            for method in ["CONNECT a.test:80", "TRACE /x"] {
                let request = format!("{method} HTTP/1.1\r\nHost: a.test:80\r\n{body}");
                refused(&gateway, &recorder, request.as_bytes());
            }
        }
        gateway.is_clean();
    });
}
