use super::*;
use crate::message::framing::Framing;
use FieldError as F;
use FramingError as M;
use ResponseError as E;

#[test]
fn a_plain_response_is_read_whole() {
    let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nServer: a\r\n\r\nhello";
    let (head, len) = ok(Method::Get, text);
    assert_eq!(len, text.len() - 5);
    assert_eq!(
        (head.status, head.version, head.framing),
        (404, Version::Http11, Framing::Length(5))
    );
    assert_eq!(head.reason.of(text.as_bytes()), b"Not Found");
    assert_eq!(head.value(text.as_bytes(), Known::Server), Some(&b"a"[..]));
    assert!(head.keep_alive && !head.upgrade && !head.is_interim());
    assert_eq!(head.length, Some(5));
}

#[test]
fn a_status_line_has_a_version_and_three_digits() {
    for status in [100, 200, 299, 304, 599] {
        assert_eq!(ok(Method::Get, &format!("HTTP/1.1 {status} x\r\n\r\n")).0.status, status);
    }
    for line in [
        "",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/2 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1200 OK",
        " HTTP/1.1 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "HTTP/11 200 OK",
    ] {
        err(&format!("{line}\r\n\r\n"), E::Version);
    }
    for status in
        ["", "20", "20x", "2 0", "+20", " 200", "099", "000", "600", "999", "2000", "200x", "200\t"]
    {
        err(&format!("HTTP/1.1 {status} OK\r\n\r\n"), E::Status);
    }
}

#[test]
fn a_reason_may_be_empty_or_missing_with_its_space() {
    let reason = |text: &str| {
        let (head, _) = ok(Method::Get, text);
        String::from_utf8(head.reason.of(text.as_bytes()).to_vec()).unwrap()
    };
    assert_eq!(reason("HTTP/1.1 200 \r\n\r\n"), "");
    assert_eq!(reason("HTTP/1.1 200\r\n\r\n"), "");
    assert_eq!(reason("HTTP/1.1 200 a\tb \u{fc}\r\n\r\n"), "a\tb \u{fc}");
    for text in [
        "HTTP/1.1 200 a\nb\r\n",
        "HTTP/1.1 200 a\rb\r\n",
        "HTTP/1.1 200 \0\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 \u{7f}\r\n",
        "HTTP/1.1 200\r\r\n",
    ] {
        err(text, E::Reason);
    }
    err("HTTP/1.1 200\n\n", E::Status);
}

#[test]
fn field_lines_are_as_strict_as_in_requests() {
    let line =
        |line: &str, want| err(&format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n"), E::Field(want));
    line("A: b\nC: d", F::BareLf);
    line("A: b\rC: d", F::BareCr);
    line("A: b\r\n c", F::Folded);
    line("A : b", F::SpaceBeforeColon);
    line("A", F::ColonMissing);
    line(": b", F::NameEmpty);
    line("A\u{e4}: b", F::NameByte);
    line("A: b\0", F::ValueByte);
    line("Content_Length: 5", F::NameAliasesFraming);
}

#[test]
fn the_end_of_the_body_follows_method_status_and_fields() {
    let framing = |method, line: &str, lines: &str| {
        ok(method, &format!("HTTP/1.1 {line}\r\n{lines}\r\n")).0.framing
    };
    assert_eq!(framing(Method::Get, "200 OK", "Content-Length: 5\r\n"), Framing::Length(5));
    assert_eq!(framing(Method::Get, "200 OK", "Transfer-Encoding: chunked\r\n"), Framing::Chunked);
    assert_eq!(framing(Method::Get, "200 OK", ""), Framing::UntilClose);
    assert_eq!(framing(Method::Head, "200 OK", "Content-Length: 5\r\n"), Framing::Empty);
    assert_eq!(framing(Method::Head, "200 OK", ""), Framing::Empty);
    assert_eq!(framing(Method::Get, "304 x", "Content-Length: 5\r\n"), Framing::Empty);
    assert_eq!(framing(Method::Get, "204 x", ""), Framing::Empty);
    assert_eq!(framing(Method::Get, "100 x", ""), Framing::Empty);
}

#[test]
fn ambiguous_lengths_are_refused() {
    let bad = |lines: &str, want| {
        err(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), E::Framing(want));
    };
    bad("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", M::LengthAndCoding);
    bad("Content-Length: 5\r\nContent-Length: 5\r\n", M::LengthRepeated);
    bad("Content-Length: 5, 5\r\n", M::LengthInvalid);
    bad("Content-Length: -1\r\n", M::LengthInvalid);
    bad("Transfer-Encoding: gzip\r\n", M::CodingUnsupported);
    bad("Transfer-Encoding: gzip, chunked\r\n", M::CodingInvalid);
    err("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", E::Framing(M::CodingBeforeHttp11));
    err("HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n", E::Framing(M::BodyForbidden));
}

#[test]
fn a_connection_is_kept_only_if_its_next_byte_is_known() {
    let keep = |method, text: &str| ok(method, &format!("HTTP/{text}\r\n\r\n")).0.keep_alive;
    assert!(keep(Method::Get, "1.1 200 OK\r\nContent-Length: 5"));
    assert!(keep(Method::Head, "1.1 200 OK"));
    assert!(keep(Method::Get, "1.1 204 OK"));
    assert!(!keep(Method::Get, "1.1 204 OK\r\nContent-Length: 5"));
    assert!(!keep(Method::Get, "1.1 204 OK\r\nTransfer-Encoding: chunked"));
    assert!(keep(Method::Get, "1.1 304 OK\r\nContent-Length: 5"));
    assert!(!keep(Method::Get, "1.1 200 OK"));
    assert!(!keep(Method::Get, "1.1 200 OK\r\nContent-Length: 5\r\nConnection: close"));
    assert!(!keep(Method::Get, "1.0 200 OK\r\nContent-Length: 5"));
    assert!(keep(Method::Get, "1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive"));
    assert!(!keep(Method::Connect, "1.1 200 OK"));
}

#[test]
fn a_101_says_to_what_it_switches() {
    let (head, _) =
        ok(Method::Get, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(head.upgrade && !head.keep_alive && !head.is_interim());
    err("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", E::Upgrade);
    err("HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n", E::Upgrade);
    err("HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", E::Upgrade);
    let (head, _) = ok(
        Method::Get,
        "HTTP/1.1 200 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(!head.upgrade && head.keep_alive);
}

#[test]
fn an_interim_response_is_followed_by_another() {
    let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n";
    let mut parser = ResponseParser::new(HeadLimits::default(), Method::Post);
    let mut head = ResponseHead::default();
    let mut rest = &text[..];
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let Ok(Progress::Done { len }) = parser.parse(rest, &mut head) else { panic!("{seen:?}") };
        seen.push((head.status, head.is_interim()));
        rest = &rest[len..];
        parser.reset(Method::Post);
    }
    assert_eq!(seen, [(100, true), (103, true), (204, false)]);
}

#[test]
fn heads_are_bounded() {
    let text = "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    let limit = |bytes, fields| HeadLimits { bytes, target: 0, fields };
    assert!(with(limit(text.len(), 2), Method::Get, text).is_ok());
    assert_eq!(with(limit(text.len(), 1), Method::Get, text), Err(E::Field(F::TooMany)));
    for bytes in 1..text.len() {
        assert_eq!(with(limit(bytes, 2), Method::Get, text), Err(E::HeadTooLarge));
    }
}

#[track_caller]
fn err(text: &str, want: ResponseError) {
    assert_eq!(with(HeadLimits::default(), Method::Get, text), Err(want), "{text:?}");
}

#[track_caller]
fn ok(method: Method, text: &str) -> (ResponseHead, usize) {
    match with(HeadLimits::default(), method, text) {
        Ok((Progress::Done { len }, head)) => (head, len),
        other => panic!("{text:?}: {other:?}"),
    }
}

/// Parses the text whole, in two pieces cut at every byte, and byte by byte: all must agree.
#[track_caller]
fn with(
    limits: HeadLimits,
    method: Method,
    text: &str,
) -> Result<(Progress, ResponseHead), ResponseError> {
    let bytes = text.as_bytes();
    let run = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut parser = ResponseParser::new(limits, method);
        let mut head = ResponseHead::default();
        for cut in cuts {
            match parser.parse(&bytes[..cut], &mut head) {
                Ok(Progress::NeedMore) => {}
                other => return other.map(|progress| (progress, head)),
            }
        }
        parser.parse(bytes, &mut head).map(|progress| (progress, head))
    };
    let whole = run(&mut std::iter::empty());
    for cut in 0..=bytes.len() {
        assert_eq!(run(&mut std::iter::once(cut)), whole, "{text:?} cut at {cut}");
    }
    assert_eq!(run(&mut (0..bytes.len())), whole, "{text:?} byte by byte");
    whole
}
