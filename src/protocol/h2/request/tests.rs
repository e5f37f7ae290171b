use super::*;
use crate::protocol::h2::hpack::decode::Decoder;

type Made = Result<(RequestHead, Vec<u8>), FaultKind>;

fn made(list: &[(&str, &str)], end_stream: bool) -> Made {
    let mut block = Vec::new();
    for (name, value) in list {
        crate::protocol::h2::hpack::encode::field(&mut block, name.as_bytes(), value.as_bytes());
    }
    let mut fields = Fields::new(64 * 1024);
    Decoder::new(4096).decode(&block, &mut fields).unwrap();
    let (mut head, mut text) = (RequestHead::default(), Vec::new());
    let limits = HeadLimits { bytes: 2048, target: 100, fields: 10 };
    request(&fields, end_stream, limits, &mut head, &mut text)?;
    Ok((head, text))
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "h:1"), (":path", "/a?b")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    GET.iter().chain(more).copied().collect()
}

#[test]
fn a_request_reads_as_if_http1_had_brought_it() {
    let (head, text) = made(&with(&[("x-a", "1"), ("accept", "*/*")]), true).unwrap();
    assert_eq!(text, b"GET /a?b HTTP/2\r\nhost: h:1\r\nx-a: 1\r\naccept: */*\r\n\r\n");
    assert_eq!((head.method, head.version, head.port), (Method::Get, Version::Http2, Some(1)));
    assert_eq!(head.path.of(&text), b"/a");
    assert_eq!(head.query.unwrap().of(&text), b"b");
    assert_eq!((head.host.of(&text), head.host_name.of(&text)), (&b"h:1"[..], &b"h"[..]));
    assert_eq!(head.by_name(&text, "X-A"), Some(&b"1"[..]));
    assert_eq!(head.value(&text, Known::Accept), Some(&b"*/*"[..]));
    assert_eq!(head.framing, Framing::Empty);
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade);
}

#[test]
fn crumbs_become_one_cookie() {
    let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
    let (head, text) = made(&with(&crumbs), true).unwrap();
    assert!(text.ends_with(b"x: y\r\ncookie: a=1; b=2; c=3\r\n\r\n"));
    let cookies: Vec<_> = head.values(&text, Known::Cookie).collect();
    assert_eq!(cookies, [b"a=1; b=2; c=3"]);
}

#[test]
fn a_host_field_stands_in_for_the_authority_and_is_told_once() {
    let list = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "h")];
    let (head, text) = made(&list, true).unwrap();
    assert_eq!(head.host.of(&text), b"h");
    let (_, text) = made(&with(&[("host", "h:1")]), true).unwrap();
    assert_eq!(text, b"GET /a?b HTTP/2\r\nhost: h:1\r\n\r\n");
}

#[test]
fn the_end_of_a_body_is_known_by_its_length_or_by_the_stream() {
    let framing = |more: &[_], end| made(&with(more), end).unwrap().0.framing;
    assert_eq!(framing(&[], true), Framing::Empty);
    assert_eq!(framing(&[], false), Framing::Chunked);
    assert_eq!(framing(&[("content-length", "7")], false), Framing::Length(7));
    assert_eq!(framing(&[("content-length", "0")], true), Framing::Length(0));
    assert_eq!(framing(&[("content-length", "0")], false), Framing::Chunked);
    assert!(made(&with(&[("expect", "100-continue")]), false).unwrap().0.expect_continue);
    assert!(!made(&with(&[("expect", "100-continue")]), true).unwrap().0.expect_continue);
}

#[test]
fn what_http1_would_not_have_brought_is_refused() {
    let changed = |name: &'static str, value| {
        let mut list = GET.to_vec();
        list.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value);
        made(&list, true).map(|_| ())
    };
    let malformed = Err(FaultKind::Malformed);
    assert_eq!(changed(":path", "/ä"), malformed);
    assert_eq!(changed(":path", "*"), malformed);
    assert_eq!(changed(":path", "http://h/"), malformed);
    assert_eq!(changed(":authority", "u@h"), malformed);
    assert_eq!(changed(":authority", "h:x"), malformed);
    assert_eq!(changed(":scheme", "ftp"), malformed);
    assert_eq!(changed(":method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"), malformed);
    assert_eq!(made(&with(&[("expect", "x")]), true).map(|_| ()), {
        Err(FaultKind::ExpectationUnsupported)
    });
    let trace = [(":method", "TRACE"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
    assert_eq!(made(&trace, false).map(|_| ()), malformed);
}

#[test]
fn bounds_are_those_of_http1() {
    let long = format!("/{}", "a".repeat(100));
    let list = [GET[0], GET[1], GET[2], (":path", &*long)];
    assert_eq!(made(&list, true).unwrap_err(), FaultKind::TargetTooLong);
    let value = "v".repeat(2048);
    assert_eq!(made(&with(&[("x", &value)]), true).unwrap_err(), FaultKind::HeadTooLarge);
    let many = with(&[("x", "y"); 10]);
    assert_eq!(made(&many, true).unwrap_err(), FaultKind::HeadTooLarge);
}

#[test]
fn connect_names_an_authority() {
    let list = [(":method", "CONNECT"), (":authority", "h:443")];
    let (head, text) = made(&list, true).unwrap();
    assert_eq!((head.form, head.path), (Form::Authority, Span::EMPTY));
    assert_eq!(head.target.of(&text), b"h:443");
}

#[test]
fn an_extended_connect_reads_as_the_handshake_that_stands_for_it() {
    let list = |more: &[(&'static str, &'static str)]| {
        let head = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/chat?a"),
            (":authority", "h"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "theirs"),
        ];
        head.into_iter().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    for end in [false, true] {
        let (mut head, mut text) = made(&list(&[]), end).unwrap();
        assert_eq!(
            text,
            b"GET /chat?a HTTP/2\r\nhost: h\r\nsec-websocket-version: 13\r\nconnection: upgrade\r\n\
              upgrade: websocket\r\n\r\n"
        );
        assert_eq!((head.method, head.framing), (Method::Get, Framing::Empty));
        assert!(head.is_extended_connect());
        assert!(!crate::protocol::websocket::is_asked_for(&head, &text), "it has no key");
        add_key(&mut head, &mut text, b"the sample nonce");
        let key = head.value(&text, Known::SecWebSocketKey);
        assert_eq!(key, Some(&b"dGhlIHNhbXBsZSBub25jZQ=="[..]));
        assert!(crate::protocol::websocket::is_asked_for(&head, &text));
    }
    let malformed = Err(FaultKind::Malformed);
    assert_eq!(made(&list(&[("content-length", "0")]), true).map(|_| ()), malformed);
    let mut other = list(&[]);
    other[1].1 = "a b";
    assert_eq!(made(&other, false).map(|_| ()), malformed);
    assert!(!made(&GET, true).unwrap().0.is_extended_connect());
}
