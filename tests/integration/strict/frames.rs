//! Frames and heads of HTTP/2 that the standard forbids: each ends its stream or its connection with
//! the code that it names, and nobody is asked.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::PATIENCE;

use super::{Recorder, before, everything};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
const WHOLE: u8 = END_STREAM | END_HEADERS;
const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "h2.test")];
const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "h2.test")];

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&len[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head[..], payload].concat()
}

/// A block of literals that no table takes: names and values as they are.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            // Texts of these tests are not longer than that.
            out.push(u8::try_from(text.len()).unwrap());
            assert!(text.len() < 127);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn headers(fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    frame(1, flags, 1, &block(fields))
}

fn data(bytes: &[u8], flags: u8) -> Vec<u8> {
    frame(0, flags, 1, bytes)
}

/// How a connection answers: codes of GOAWAY and of `RST_STREAM`, and whether there was a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Answer {
    goaway: Option<u8>,
    reset: Option<u8>,
    head: bool,
    closed: bool,
}

fn told(gateway: &Gateway, bytes: &[u8], enough: fn(&Answer) -> bool) -> Answer {
    let mut client = Client::connect(gateway.address);
    client.send([PREFACE, bytes].concat());
    let (mut all, mut answer) = (Vec::new(), Answer::default());
    for _ in 0..400 {
        let (more, closed) = everything(&mut client, PATIENCE.min(Duration::from_millis(25)));
        all.extend_from_slice(&more);
        answer = Answer { closed, ..read(&all) };
        if closed || enough(&answer) {
            return answer;
        }
    }
    answer
}

fn read(all: &[u8]) -> Answer {
    let (mut rest, mut answer) = (all, Answer::default());
    while rest.len() >= 9 {
        let len = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        if rest.len() < 9 + len {
            break;
        }
        match rest[3] {
            1 => answer.head = true,
            3 => answer.reset = Some(rest[9 + 3]),
            7 if rest[9 + 7] != 0 => answer.goaway = Some(rest[9 + 7]),
            _ => {}
        }
        rest = &rest[9 + len..];
    }
    answer
}

/// The connection ends with this code.
#[track_caller]
fn ends(gateway: &Gateway, recorder: &Recorder, name: &str, bytes: &[u8], code: u8) {
    let answer = told(gateway, bytes, |_| false);
    assert_eq!((answer.goaway, answer.closed), (Some(code), true), "{name}");
    assert!(!recorder.take().contains("\r\n\r\nGET"), "{name}");
}

/// The stream is refused, with a reset or a status, and nobody is asked.
#[track_caller]
fn refused(gateway: &Gateway, recorder: &Recorder, fields: &[(&str, &str)]) {
    let answer = told(gateway, &headers(fields, WHOLE), |a| a.head || a.reset.is_some());
    assert!(answer.head || answer.reset == Some(1), "{answer:?} for {fields:?}");
    assert_eq!(answer.goaway, None, "{fields:?}");
    assert_eq!(recorder.take(), "", "{fields:?}");
}

#[test]
fn a_head_that_is_malformed_reaches_nobody() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        for more in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/y"),
            (":authority", "b"),
            (":status", "200"),
            (":x", "1"),
            ("X-Up", "1"),
            ("x\0", "1"),
            ("x:y", "1"),
            ("x y", "1"),
            ("x\r\ny", "1"),
            ("x\u{80}", "1"),
            ("", "1"),
            ("x(", "1"),
            ("x", "a\r\nhost: evil"),
            ("x", "a\0"),
            ("x", " a"),
            ("x", "a\t"),
            ("x", "a\nb"),
            ("x", "a\x01"),
            ("x", "a\x7f"),
            ("connection", "close"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
            ("keep-alive", "5"),
            ("proxy-connection", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("host", "evil"),
            ("content-length", "5"),
            ("content-length", "-1"),
            ("content-length", "0, 0"),
            ("content-length", "0x0"),
            ("content-length", "0 "),
            ("content-length", ""),
            ("content-length", "99999999999999999999999"),
            ("cookie", "c\0=d"),
            ("expect", "something"),
        ] {
            refused(&gateway, &recorder, &[GET, &[more]].concat());
        }
        for (place, value) in [
            (0, ""),
            (0, "G T"),
            (0, "GET:"),
            (0, "CONNECT"),
            (1, ""),
            (1, "ftp"),
            (1, "http://x"),
            (2, ""),
            (2, "x"),
            (2, "http://b/x"),
            (2, "/x#y"),
            (2, "/x y"),
            (2, "/x\ty"),
            (2, "*"),
            (2, "/x HTTP/1.1\r\nhost: evil\r\n\r\nGET /y"),
            (2, "/\u{ff}"),
            (2, "/\x7f"),
            (3, "a b"),
            (3, "u@h2.test"),
            (3, "a,b"),
            (3, "a/b"),
            (3, "a:99999"),
            (3, "a\0"),
            (3, ""),
        ] {
            let mut fields = GET.to_vec();
            fields[place].1 = value;
            refused(&gateway, &recorder, &fields);
        }
        for left_out in 0..4 {
            let mut fields = GET.to_vec();
            fields.remove(left_out);
            refused(&gateway, &recorder, &fields);
        }
        let late = [GET[0], ("x", "y"), GET[1], GET[2], GET[3]];
        refused(&gateway, &recorder, &late);
        let twice = [("content-length", "0"), ("content-length", "0")];
        refused(&gateway, &recorder, &[GET, &twice].concat());
        gateway.is_clean();
    });
}

#[test]
fn content_that_contradicts_its_head_never_looks_whole() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        let five = [POST, &[("content-length", "5")]].concat();
        let five = headers(&five, END_HEADERS);
        let none = headers(&[POST, &[("content-length", "0")]].concat(), END_HEADERS);
        let any = headers(POST, END_HEADERS);
        let trailers = |fields: &[(&str, &str)], flags| headers(fields, flags);
        for (name, frames) in [
            ("short", [five.clone(), data(b"abc", END_STREAM)].concat()),
            ("long", [five.clone(), data(b"abcdef", END_STREAM)].concat()),
            ("one more", [five.clone(), data(b"abcde", 0), data(b"f", END_STREAM)].concat()),
            ("short, trailers", [five, data(b"abc", 0), trailers(&[("x", "y")], WHOLE)].concat()),
            ("not empty", [none, data(b"a", END_STREAM)].concat()),
            ("pseudo", [any.clone(), data(b"abc", 0), trailers(&[(":path", "/")], WHOLE)].concat()),
            ("no end", [any.clone(), data(b"a", 0), trailers(&[("x", "y")], END_HEADERS)].concat()),
            ("upper", [any.clone(), data(b"abc", 0), trailers(&[("X", "y")], WHOLE)].concat()),
            ("hop", [any, data(b"abc", 0), trailers(&[("connection", "y")], WHOLE)].concat()),
        ] {
            let answer = told(&gateway, &frames, |answer| answer.reset.is_some());
            assert_eq!((answer.reset, answer.head), (Some(1), false), "{name}");
            let seen = recorder.take();
            assert!(!seen.contains("\r\n0\r\n") && !seen.ends_with("abcde"), "{name}: {seen}");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_frame_that_breaks_the_protocol_ends_the_connection_with_its_code() {
    on_both_drivers(|io| {
        let (gateway, recorder) = before(io);
        let get = headers(GET, WHOLE);
        let parts = block(GET);
        let (first, rest) = parts.split_at(10);
        let begun = frame(1, END_STREAM, 1, first);
        for (name, bytes, code) in [
            ("even stream", frame(1, WHOLE, 2, &parts), 1),
            ("HEADERS of the connection", frame(1, WHOLE, 0, &parts), 1),
            (
                "a lower stream",
                [frame(1, WHOLE, 5, &parts), frame(1, WHOLE, 3, &parts)].concat(),
                1,
            ),
            ("DATA of the connection", frame(0, 1, 0, b"x"), 1),
            ("DATA of an idle stream", frame(0, 1, 7, b"x"), 1),
            ("RST of an idle stream", frame(3, 0, 7, &[0; 4]), 1),
            ("RST of the connection", frame(3, 0, 0, &[0; 4]), 1),
            ("short RST", [get.clone(), frame(3, 0, 1, &[0; 3])].concat(), 6),
            ("short PING", frame(6, 0, 0, &[0; 7]), 6),
            ("PING of a stream", frame(6, 0, 1, &[0; 8]), 1),
            ("SETTINGS of a stream", frame(4, 0, 1, &[]), 1),
            ("short SETTINGS", frame(4, 0, 0, &[0; 5]), 6),
            ("SETTINGS that say yes and more", frame(4, 1, 0, &[0; 6]), 6),
            ("a push that is 2", frame(4, 0, 0, &[0, 2, 0, 0, 0, 2]), 1),
            ("a window of 2^31", frame(4, 0, 0, &[0, 4, 0x80, 0, 0, 0]), 3),
            ("frames of one byte", frame(4, 0, 0, &[0, 5, 0, 0, 0, 1]), 1),
            ("frames of 2^24", frame(4, 0, 0, &[0, 5, 1, 0, 0, 0]), 1),
            ("a CONNECT that is 2", frame(4, 0, 0, &[0, 8, 0, 0, 0, 2]), 1),
            ("a window that grows by none", frame(8, 0, 0, &[0; 4]), 1),
            ("short WINDOW_UPDATE", frame(8, 0, 0, &[0; 3]), 6),
            ("a window beyond 2^31", frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), 3),
            ("a window of an idle stream", frame(8, 0, 9, &[0, 0, 0, 1]), 1),
            ("PRIORITY of the connection", frame(2, 0, 0, &[0, 0, 0, 1, 0]), 1),
            ("a push by a client", frame(5, 4, 1, &[&[0, 0, 0, 2], &parts[..]].concat()), 1),
            ("CONTINUATION of nothing", frame(9, 4, 1, &parts), 1),
            ("PING in a head", [begun.clone(), frame(6, 0, 0, &[0; 8])].concat(), 1),
            ("another stream in a head", [begun.clone(), frame(9, 4, 3, rest)].concat(), 1),
            ("an unknown frame in a head", [begun, frame(0xbb, 0, 1, b"x")].concat(), 1),
            ("a frame beyond the limit", frame(0, 0, 1, &vec![0; 20_000]), 6),
            ("padding beyond the frame", frame(1, WHOLE | PADDED, 1, b"\xffabc"), 1),
            ("index 0", frame(1, WHOLE, 1, b"\x80"), 9),
            ("an index beyond the table", frame(1, WHOLE, 1, b"\xff\x49"), 9),
            ("a table beyond the limit", frame(1, WHOLE, 1, b"\x3f\xe1\xff\x03\x82"), 9),
            ("a table that grows too late", frame(1, WHOLE, 1, &[&parts[..], b"\x20"].concat()), 9),
            ("half a block", frame(1, WHOLE, 1, &parts[..parts.len() - 2]), 9),
            ("a number without end", frame(1, WHOLE, 1, &[0xff; 14]), 9),
            ("wrong padding of Huffman", frame(1, WHOLE, 1, b"\0\x81\0\x81\0"), 9),
            ("the end in Huffman", frame(1, WHOLE, 1, b"\0\x84\xff\xff\xff\xff\x01a"), 9),
            ("GOAWAY of a stream", frame(7, 0, 1, &[0; 8]), 1),
            ("short GOAWAY", frame(7, 0, 0, &[0; 4]), 6),
        ] {
            ends(&gateway, &recorder, name, &bytes, code);
        }
        gateway.is_clean();
    });
}

#[test]
fn what_is_odd_and_allowed_is_answered() {
    on_both_drivers(|io| {
        let (gateway, _recorder) = before(io);
        let parts = block(GET);
        let (first, rest) = parts.split_at(10);
        let padded = [&[2][..], &parts, &[0, 0]].concat();
        let weighed = [&[0, 0, 0, 3, 9][..], &parts].concat();
        let five = headers(&[POST, &[("content-length", "5")]].concat(), END_HEADERS);
        let chopped =
            [frame(1, END_STREAM, 1, first), frame(9, 0, 1, b""), frame(9, 4, 1, rest)].concat();
        for (name, bytes) in [
            ("an unknown frame", [frame(0xbb, 0xff, 0, b"hi"), headers(GET, WHOLE)].concat()),
            ("a head in three frames", chopped),
            ("a reserved bit", frame(1, WHOLE, 0x8000_0001, &parts)),
            ("padding", frame(1, WHOLE | PADDED, 1, &padded)),
            ("a weight", frame(1, WHOLE | PRIORITY, 1, &weighed)),
            ("padded DATA", [five, frame(0, END_STREAM | PADDED, 1, b"\x03abcde\0\0\0")].concat()),
            (
                "an unknown setting",
                [frame(4, 0, 0, &[9, 9, 0, 0, 0, 1]), headers(GET, WHOLE)].concat(),
            ),
        ] {
            let answer = told(&gateway, &bytes, |answer| answer.head);
            assert_eq!((answer.head, answer.goaway, answer.reset), (true, None, None), "{name}");
        }
        gateway.is_clean();
    });
}
