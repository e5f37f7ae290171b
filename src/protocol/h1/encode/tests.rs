use std::time::Duration;

use super::*;

#[test]
fn chunk_heads_are_written_in_hexadecimal() {
    for size in [1, 9, 10, 15, 16, 255, 256, 65_536, 0x0123_4567_89ab_cdef, u64::MAX] {
        let text = written(|out| chunk_head(out, size));
        assert_eq!(text, format!("{size:x}\r\n"));
        assert!(text.len() <= CHUNK_HEAD_BYTES_MAX);
    }
}

#[test]
fn a_status_line_has_its_reason_or_a_space() {
    assert_eq!(written(|out| status_line(out, 200)), "HTTP/1.1 200 OK\r\n");
    assert_eq!(written(|out| status_line(out, 299)), "HTTP/1.1 299 \r\n");
    assert_eq!(written(|out| status_line(out, 0)), "HTTP/1.1 500 Internal Server Error\r\n");
    assert_eq!(written(|out| status_line(out, 1000)), "HTTP/1.1 500 Internal Server Error\r\n");
}

#[test]
fn a_value_can_never_end_its_line() {
    for byte in 0..=255_u8 {
        let mut out = Vec::new();
        assert!(field(&mut out, b"a", &[b'x', byte, b'y']));
        let kept = if byte == b'\t' || !byte.is_ascii_control() { byte } else { b' ' };
        assert_eq!(out, [b'a', b':', b' ', b'x', kept, b'y', b'\r', b'\n']);
    }
    let text = written(|out| assert!(field(out, b"a", b"b\r\nset-cookie: c\r\n\r\n")));
    assert_eq!(text, "a: b  set-cookie: c    \r\n");
}

#[test]
fn a_name_that_is_no_token_is_left_out() {
    for name in ["", "a b", "a:", "a\r\nb", "\u{e4}", "a\0"] {
        assert_eq!(written(|out| assert!(!field(out, name.as_bytes(), b"v"))), "");
    }
    assert_eq!(written(|out| assert!(!known_field(out, Known::Other, b"v"))), "");
    assert_eq!(written(|out| assert!(known_field(out, Known::Etag, b"v"))), "etag: v\r\n");
}

#[test]
fn a_request_line_has_a_method_a_path_and_a_query() {
    let ok = |path: &str, query: Option<&str>, want: &str| {
        let text = written(|out| {
            let query = query.map(str::as_bytes);
            assert_eq!(request_line(out, b"GET", path.as_bytes(), query), Ok(()));
        });
        assert_eq!(text, want);
    };
    ok("/", None, "GET / HTTP/1.1\r\n");
    ok("/a", Some("b=c?d"), "GET /a?b=c?d HTTP/1.1\r\n");
    ok("/a", Some(""), "GET /a? HTTP/1.1\r\n");
    ok("*", None, "GET * HTTP/1.1\r\n");
}

#[test]
fn a_request_line_that_could_be_read_otherwise_is_not_written() {
    let mut out = Vec::new();
    for path in ["", "/a b", "/a\r\n", "/a\0", "/\u{e4}", "/a#b", "/a?b", "/a\u{7f}", "/\t"] {
        let got = request_line(&mut out, b"GET", path.as_bytes(), None);
        assert_eq!(got, Err(RequestLineError::Target), "{path:?}");
    }
    let got = request_line(&mut out, b"GET", b"/", Some(b"a b"));
    assert_eq!(got, Err(RequestLineError::Target));
    for method in [&b""[..], b"GE T", b"GET\r\n"] {
        assert_eq!(request_line(&mut out, method, b"/", None), Err(RequestLineError::Method));
    }
    assert!(out.is_empty());
}

#[test]
fn dates_are_written_as_http_wants_them() {
    for (seconds, want) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let text = http_date(UnixTime(Duration::from_secs(seconds)));
        assert_eq!(str::from_utf8(&text).unwrap(), want);
    }
    let text = written(|out| date(out, UnixTime(Duration::from_secs(0))));
    assert_eq!(text, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
}

#[test]
fn what_is_written_is_read_back() {
    use crate::message::framing::Framing;
    use crate::message::head::{Method, RequestHead, ResponseHead};
    use crate::protocol::h1::request::{HeadLimits, Progress, RequestParser};
    use crate::protocol::h1::response::ResponseParser;

    let mut out = Vec::new();
    request_line(&mut out, b"POST", b"/a", Some(b"b")).unwrap();
    field(&mut out, b"Host", b"h");
    chunked(&mut out);
    connection_close(&mut out);
    end(&mut out);
    let mut head = RequestHead::default();
    let got = RequestParser::new(HeadLimits::default()).parse(&out, &mut head);
    assert_eq!(got, Ok(Progress::Done { len: out.len() }));
    assert_eq!((head.framing, head.keep_alive), (Framing::Chunked, false));

    out.clear();
    status_line(&mut out, 404);
    content_length(&mut out, 12);
    end(&mut out);
    let mut head = ResponseHead::default();
    let got = ResponseParser::new(HeadLimits::default(), Method::Get).parse(&out, &mut head);
    assert_eq!(got, Ok(Progress::Done { len: out.len() }));
    assert_eq!((head.status, head.framing), (404, Framing::Length(12)));
    assert_eq!(head.reason.of(&out), b"Not Found");
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}
