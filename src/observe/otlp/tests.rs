use std::net::SocketAddr;

use super::super::access_log::Times;
use super::super::span::SpanIds;
use super::*;
use crate::base::text::Text;
use crate::base::time::UnixTime;

/// The parts of a message, read without knowing what they mean: number, and bytes or digits.
fn parts(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => varint(&mut bytes).to_be_bytes().to_vec(),
            1 => {
                let (value, rest) = bytes.split_at(8);
                bytes = rest;
                value.iter().rev().copied().collect()
            }
            2 => {
                let len = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(len);
                bytes = rest;
                value.to_vec()
            }
            other => panic!("wire type {other}"),
        };
        out.push((tag >> 3, value));
    }
    out
}

fn all(bytes: &[u8], number: u64) -> Vec<Vec<u8>> {
    parts(bytes).into_iter().filter(|(own, _)| *own == number).map(|(_, value)| value).collect()
}

fn one(bytes: &[u8], number: u64) -> Vec<u8> {
    let mut found = all(bytes, number);
    assert_eq!(found.len(), 1, "field {number}");
    found.pop().unwrap()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// The attribute with this key as text.
fn attribute(span: &[u8], field: u64, key: &str) -> Option<String> {
    let pair = all(span, field).into_iter().find(|pair| one(pair, 1) == key.as_bytes())?;
    let value = one(&pair, 2);
    let (kind, value) = parts(&value).pop().unwrap();
    Some(match kind {
        1 => String::from_utf8(value).unwrap(),
        3 => number(&value).to_string(),
        other => panic!("kind {other} of {key}"),
    })
}

fn record() -> SpanRecord {
    SpanRecord {
        ids: SpanIds { trace: 0xabcd, parent: 7, own: 8, client: 9 },
        secure: true,
        access: AccessRecord {
            time: UnixTime(Duration::from_secs(1_000)),
            method: Text::new(b"PUT"),
            path: Text::new(b"/api/v3/storage/x"),
            route: Text::new(b"storage"),
            upstream: Text::new(b"storage"),
            version: "2",
            status: 200,
            grpc_status: Some(0),
            attempts: 2,
            times: Times {
                total: Duration::from_millis(50),
                upstream_ttfb: Some(Duration::from_millis(20)),
                ..Times::default()
            },
            ..AccessRecord::default()
        },
        called: Some(Duration::from_millis(10)),
        server: Some(SocketAddr::from(([10, 0, 0, 1], 4802))),
        grpc: true,
    }
}

#[test]
fn an_exchange_is_a_span_and_its_call_is_a_child_of_it() {
    let body = encode(&[record()], "gufo-gateway", "0.1.0");
    let of_resource = one(&body, 1);
    let resource = one(&of_resource, 1);
    assert_eq!(attribute(&resource, 1, "service.name").unwrap(), "gufo-gateway");
    let spans = all(&one(&of_resource, 2), 2);
    let [server, client] = &spans[..] else { panic!("{} spans", spans.len()) };
    let trace = 0xabcd_u128.to_be_bytes();
    for (span, own, parent, kind, start, end) in [
        (server, 8_u64, 7_u64, 2, 1_000_000_000_000_u64, 1_000_050_000_000),
        (client, 9, 8, 3, 1_000_010_000_000, 1_000_030_000_000),
    ] {
        assert_eq!(one(span, 1), trace);
        assert_eq!(one(span, 2), own.to_be_bytes());
        assert_eq!(one(span, 4), parent.to_be_bytes());
        assert_eq!(number(&one(span, 6)), kind);
        assert_eq!((number(&one(span, 7)), number(&one(span, 8))), (start, end));
        assert!(all(span, 15).is_empty(), "nothing failed");
    }
    assert_eq!(one(server, 5), b"PUT storage");
    for (key, want) in [
        ("http.request.method", "PUT"),
        ("url.path", "/api/v3/storage/x"),
        ("url.scheme", "https"),
        ("http.route", "storage"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "2"),
    ] {
        assert_eq!(attribute(server, 9, key).as_deref(), Some(want), "{key}");
    }
    for (key, want) in [
        ("rpc.system", "grpc"),
        ("rpc.grpc.status_code", "0"),
        ("server.address", "10.0.0.1"),
        ("server.port", "4802"),
        ("http.request.resend_count", "1"),
    ] {
        assert_eq!(attribute(client, 9, key).as_deref(), Some(want), "{key}");
    }
}

#[test]
fn what_failed_says_so_and_without_a_call_there_is_one_span() {
    let mut record = record();
    record.access.method = Text::new(b"BREW");
    record.access.status = 502;
    record.access.reason = "connect_refused";
    record.access.route = Text::EMPTY;
    record.called = None;
    record.ids.parent = 0;
    let body = encode(&[record], "a", "b");
    let spans = all(&one(&one(&body, 1), 2), 2);
    let [server] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!(one(server, 5), b"HTTP");
    assert!(all(server, 4).is_empty());
    assert_eq!(number(&one(&one(server, 15), 3)), 2);
    assert_eq!(attribute(server, 9, "error.type").unwrap(), "connect_refused");
    assert_eq!(attribute(server, 9, "http.request.method").unwrap(), "_OTHER");
    assert_eq!(attribute(server, 9, "http.request.method_original").unwrap(), "BREW");
}
