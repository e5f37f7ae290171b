use super::*;
use crate::message::framing::Framing;
use crate::message::target::Form;
use FieldError as F;
use FramingError as M;
use RequestError as E;

#[test]
fn a_plain_request_is_read_whole() {
    let text =
        "GET /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nAccept:  */* \t\r\nX-A:\r\n\r\nrest";
    let (head, len) = ok(text);
    let bytes = text.as_bytes();
    assert_eq!(len, text.len() - "rest".len());
    assert_eq!(
        (head.method, head.version, head.form),
        (Method::Get, Version::Http11, Form::Origin)
    );
    assert_eq!(head.method_text.of(bytes), b"GET");
    assert_eq!(head.target.of(bytes), b"/a/b?c=d");
    assert_eq!(head.path.of(bytes), b"/a/b");
    assert_eq!(head.query.map(|query| query.of(bytes)), Some(&b"c=d"[..]));
    assert_eq!(head.host.of(bytes), b"example.com:8080");
    assert_eq!((head.host_name.of(bytes), head.port), (&b"example.com"[..], Some(8080)));
    assert_eq!(head.fields.len(), 3);
    assert_eq!(head.value(bytes, Known::Accept), Some(&b"*/*"[..]));
    assert_eq!(head.by_name(bytes, "x-a"), Some(&b""[..]));
    assert_eq!(head.framing, Framing::Empty);
    assert!(head.keep_alive && !head.expect_continue && !head.upgrade);
}

#[test]
fn one_empty_line_may_come_first() {
    let (head, len) = ok("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((head.method, len), (Method::Get, 29));
    for text in ["\r\n\r\nGET / HTTP/1.1\r\n", "\nGET", "\rGET", "\r\n\nGET", "\r\n\rGET", "\r\r\n"]
    {
        err(text, E::LeadingLine);
    }
}

#[test]
fn a_method_is_a_token_of_at_most_32_bytes() {
    let line = |method: &str| format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(ok(&line("get")).0.method, Method::Other);
    assert_eq!(ok(&line("M-SEARCH!#$%&'*+.^_`|~09")).0.method, Method::Other);
    ok(&line(&"A".repeat(32)));
    for method in
        [&"A".repeat(33)[..], "", "G/T", "G(T", "G\tT", "G\0T", "GE\u{e9}T", "\u{16}\u{3}\u{1}"]
    {
        err(&line(method), E::Method);
    }
    err(&"9".repeat(5000), E::Method);
    err(" GET / HTTP/1.1\r\n", E::Method);
    err("GET\r\n\r\n", E::Method);
}

#[test]
fn a_target_is_visible_ascii_between_single_spaces() {
    let line = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    for target in
        ["/\"lovely\"?a=\\\"b\\\"", "/a?b=|{}^`<>", "/a\\b", "/%0d%0a", "/%zz", "//", "/a?b?c"]
    {
        ok(&line(target));
    }
    for target in ["/\t", "/a\0", "/\u{e4}", "/a#b", "/#", "/a\u{7f}", "/a\rb", "/a\n"] {
        err(&line(target), E::Target(TargetError::Byte));
    }
    err("GET  / HTTP/1.1\r\n", E::Target(TargetError::Empty));
    err("GET / x HTTP/1.1\r\n", E::Version);
    err("GET /\r\n\r\n", E::Target(TargetError::Byte));
    err(&line("a"), E::Target(TargetError::Form));
    err(&line("*"), E::Target(TargetError::Method));
    err(&line("h:80"), E::Target(TargetError::Form));
    err(
        "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n",
        E::Target(TargetError::Authority(AuthorityError::Byte)),
    );
    assert_eq!(ok("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").0.form, Form::Asterisk);
}

#[test]
fn a_target_is_bounded_and_the_bound_comes_first() {
    let small = HeadLimits { bytes: 200, target: 10, fields: 3 };
    let line = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(with(small, &line("/123456789")).is_ok());
    assert_eq!(with(small, &line("/1234567890")), Err(E::TargetTooLong));
    assert_eq!(with(small, &line("/1234567890\0")), Err(E::TargetTooLong));
    assert_eq!(with(small, &line("/12345678\0")), Err(E::Target(TargetError::Byte)));
    let wide = HeadLimits { bytes: 200, target: 1000, fields: 3 };
    assert_eq!(with(wide, &line(&"/".repeat(300))), Err(E::TargetTooLong));
}

#[test]
fn only_http_1_0_and_1_1_are_spoken() {
    assert_eq!(ok("GET / HTTP/1.0\r\n\r\n").0.version, Version::Http10);
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9"] {
        err(&format!("GET / {version}\r\nHost: h\r\n\r\n"), E::VersionUnsupported);
    }
    for version in [
        "",
        "http/1.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/1.1 ",
        " HTTP/1.1",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        "HTTP/1.1\t",
        "ICE/1.0",
        "RTSP/1.0",
        "HTTPS/1.1",
        "HTTP 1.1",
        "HTTP/1.1\r",
        "HTTP/+1.1",
        "x",
    ] {
        err(&format!("GET / {version}\r\nHost: h\r\n\r\n"), E::Version);
    }
    err("GET / HTTP/1.1\nHost: h\r\n\r\n", E::Version);
    err("GET / HTTP/1.1\rHost: h\r\n\r\n", E::Version);
    err("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E::VersionUnsupported);
}

#[test]
fn field_lines_end_in_crlf_only() {
    field("A: b\nC: d", F::BareLf);
    field("A: b\rC: d", F::BareCr);
    field("A: b\r\r", F::BareCr);
    field("A\n", F::BareLf);
    field("A: b\n", F::BareLf);
    field("\n", F::BareLf);
    field("\rA: b", F::BareCr);
    field("A:\n", F::BareLf);
}

#[test]
fn folded_lines_are_refused() {
    field("A: b\r\n c", F::Folded);
    field("A: b\r\n\tc", F::Folded);
    field("A: b\r\n ", F::Folded);
    err("GET / HTTP/1.1\r\n Host: h\r\n\r\n", E::Field(F::Folded));
    field("A:\r\n b", F::Folded);
    let text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n";
    err(text, E::Framing(M::CodingInvalid));
}

#[test]
fn names_are_tokens_and_the_colon_follows_at_once() {
    field("A : b", F::SpaceBeforeColon);
    field("A\t: b", F::SpaceBeforeColon);
    field("A b: c", F::SpaceBeforeColon);
    field(": b", F::NameEmpty);
    field("A", F::ColonMissing);
    field("A\r\nB: c", F::ColonMissing);
    for name in ["A\0", "\0", "A\u{e4}", "A(", "A/", "A@", "A[", "\"A\"", "A\u{b}", "A\u{7f}", "A,"]
    {
        field(&format!("{name}: b"), F::NameByte);
    }
    ok("GET / HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~09az: b\r\n\r\n");
}

#[test]
fn values_hold_no_controls_but_tabs() {
    for byte in (0..32).chain([127]).filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n')) {
        for value in [&[byte][..], &[b'a', byte], &[b'a', byte, b'b'], &[b' ', byte, b' ']] {
            let value = str::from_utf8(value).unwrap();
            field(&format!("A: {value}"), F::ValueByte);
        }
    }
    let text = "GET / HTTP/1.1\r\nHost: h\r\nA: \t b\tc\u{fc} \t\r\n\r\n";
    assert_eq!(ok(text).0.by_name(text.as_bytes(), "a"), Some("b\tc\u{fc}".as_bytes()));
}

#[test]
fn fields_are_counted() {
    let small = HeadLimits { bytes: 1000, target: 10, fields: 3 };
    let lines = |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(with(small, &lines(2)).is_ok());
    assert_eq!(with(small, &lines(3)), Err(E::Field(F::TooMany)));
    assert_eq!(E::Field(F::TooMany).kind(), FaultKind::HeadTooLarge);
}

#[test]
fn a_head_may_fill_its_limit_and_not_pass_it() {
    let text = "GET / HTTP/1.1\r\nHost: h\r\nA: bcdefgh\r\n\r\n";
    let limit = |bytes| HeadLimits { bytes, target: 100, fields: 10 };
    assert!(with(limit(text.len()), text).is_ok());
    assert!(with(limit(text.len()), &format!("{text}{text}")).is_ok());
    for bytes in 18..text.len() {
        assert_eq!(with(limit(bytes), text), Err(E::HeadTooLarge), "{bytes}");
    }
}

#[test]
fn host_is_there_once_and_names_one_host() {
    let hosts = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    err(&hosts(""), E::HostMissing);
    err(&hosts("Host: h\r\nhost: h\r\n"), E::HostRepeated);
    err(&hosts("Host:\r\n"), E::Host(AuthorityError::Empty));
    err(&hosts("Host: a, b\r\n"), E::Host(AuthorityError::Byte));
    err(&hosts("Host: u@h\r\n"), E::Host(AuthorityError::Byte));
    err(&hosts("Host: h/p\r\n"), E::Host(AuthorityError::Byte));
    err(&hosts("Host: h:99999\r\n"), E::Host(AuthorityError::Port));
    err(&hosts("Host: http://h\r\n"), E::Host(AuthorityError::Port));
    ok("GET / HTTP/1.0\r\n\r\n");
    err("GET / HTTP/1.0\r\nHost:\r\n\r\n", E::Host(AuthorityError::Empty));
    err("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", E::HostRepeated);
}

#[test]
fn an_absolute_target_and_host_agree() {
    let text = "GET http://H:80/a HTTP/1.1\r\nHost: h:80\r\n\r\n";
    let head = ok(text).0;
    assert_eq!(head.host.of(text.as_bytes()), b"H:80");
    assert_eq!(head.path.of(text.as_bytes()), b"/a");
    err("GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", E::HostDiffers);
    err("GET http://h:80/ HTTP/1.1\r\nHost: h\r\n\r\n", E::HostDiffers);
    err("GET http://h/ HTTP/1.1\r\n\r\n", E::HostMissing);
    let text = "GET http://h:81/a HTTP/1.0\r\n\r\n";
    assert_eq!(ok(text).0.port, Some(81));
    err(
        "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        E::Target(TargetError::Authority(AuthorityError::Byte)),
    );
}

#[test]
fn ambiguous_lengths_are_refused() {
    post("Content-Length: 5\r\n", Ok(Framing::Length(5)));
    post("Content-Length:\t5 \r\n", Ok(Framing::Length(5)));
    post("Content-Length: 0\r\n", Ok(Framing::Length(0)));
    post("", Ok(Framing::Empty));
    post("Transfer-Encoding: Chunked \r\n", Ok(Framing::Chunked));
    post("Content-Length: 5\r\nContent-Length: 5\r\n", Err(M::LengthRepeated));
    post("Content-Length: 5, 5\r\n", Err(M::LengthInvalid));
    post("Content-Length: +5\r\n", Err(M::LengthInvalid));
    post("Content-Length:\r\n", Err(M::LengthInvalid));
    post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(M::LengthAndCoding));
    post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(M::LengthAndCoding));
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(M::CodingRepeated));
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", Err(M::CodingRepeated));
    post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", Err(M::CodingRepeated));
    post("Transfer-Encoding: gzip\r\n", Err(M::CodingUnsupported));
    post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Err(M::LengthAndCoding));
    post("Transfer-Encoding: gzip, chunked\r\n", Err(M::CodingInvalid));
    post("Transfer-Encoding: chunked, \r\n", Err(M::CodingInvalid));
    post("Transfer-Encoding:\r\n", Err(M::CodingInvalid));
    err("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", E::Framing(M::CodingBeforeHttp11));
}

#[test]
fn names_that_alias_framing_fields_are_refused() {
    for name in ["Content_Length", "transfer_encoding", "Transfer.Encoding", "ContentLength"] {
        field(&format!("{name}: 5"), F::NameAliasesFraming);
    }
    ok("GET / HTTP/1.1\r\nHost: h\r\nX_Y: 1\r\nContent_Type: a\r\n\r\n");
}

#[test]
fn connections_are_kept_by_default_only_from_http_11_on() {
    let keep = |text: &str| ok(text).0.keep_alive;
    assert!(keep("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: close\r\n\r\n"));
    assert!(!keep("GET / HTTP/1.0\r\n\r\n"));
    assert!(keep("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(keep("GET / HTTP/1.1\r\nHost: h\r\nProxy-Connection: close\r\n\r\n"));
    err(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: a b\r\n\r\n",
        E::Connection(ConnectionError::NotAToken),
    );
}

#[test]
fn an_upgrade_is_both_listed_and_named() {
    let upgrade = |version: &str, lines: &str| {
        ok(&format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n")).0.upgrade
    };
    assert!(upgrade("1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"));
    assert!(!upgrade("1.1", "Upgrade: websocket\r\n"));
    assert!(!upgrade("1.1", "Connection: Upgrade\r\n"));
    assert!(!upgrade("1.1", "Connection: Upgrade\r\nUpgrade:\r\n"));
    assert!(!upgrade("1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
}

#[test]
fn only_100_continue_is_expected_and_only_with_a_body() {
    let expect = |version: &str, lines: &str| {
        ok(&format!("POST / HTTP/{version}\r\nHost: h\r\n{lines}\r\n")).0.expect_continue
    };
    assert!(expect("1.1", "Expect: 100-Continue\r\nContent-Length: 5\r\n"));
    assert!(expect("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
    assert!(!expect("1.1", "Expect: 100-continue\r\n"));
    assert!(!expect("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n"));
    assert!(!expect("1.0", "Expect: 100-continue\r\nContent-Length: 5\r\n"));
    for value in ["200-ok", "", "100-continue, x", "100-continue;q"] {
        err(&format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: {value}\r\n\r\n"), E::Expectation);
    }
}

#[test]
fn errors_map_to_what_the_client_should_be_told() {
    assert_eq!(E::TargetTooLong.kind(), FaultKind::TargetTooLong);
    assert_eq!(E::HeadTooLarge.kind(), FaultKind::HeadTooLarge);
    assert_eq!(E::VersionUnsupported.kind(), FaultKind::VersionUnsupported);
    assert_eq!(E::Expectation.kind(), FaultKind::ExpectationUnsupported);
    assert_eq!(E::Framing(M::CodingUnsupported).kind(), FaultKind::CodingUnsupported);
    assert_eq!(E::Framing(M::CodingInvalid).kind(), FaultKind::Malformed);
    assert_eq!(E::Version.kind(), FaultKind::Malformed);
}

#[test]
fn a_parser_says_the_same_until_it_is_reset() {
    let mut parser = RequestParser::new(HeadLimits::default());
    let mut head = RequestHead::default();
    assert_eq!(parser.parse(b"G(", &mut head), Err(E::Method));
    assert_eq!(parser.parse(b"GET / HTTP/1.0\r\n\r\n", &mut head), Err(E::Method));
    parser.reset();
    assert!(parser.is_idle());
    assert_eq!(parser.parse(b"\r\n", &mut head), Ok(Progress::NeedMore));
    assert!(parser.is_idle());
    parser.reset();
    let done = Ok(Progress::Done { len: 18 });
    assert_eq!(parser.parse(b"GET / HTTP/1.0\r\n\r\n", &mut head), done);
    assert_eq!(parser.parse(b"GET / HTTP/1.0\r\n\r\nmore", &mut head), done);
    assert!(!parser.is_idle());
}

#[test]
fn nothing_of_one_request_is_left_in_the_next() {
    let mut parser = RequestParser::new(HeadLimits::default());
    let mut head = RequestHead::default();
    let first = b"POST /?q HTTP/1.1\r\nHost: h:1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\
        Connection: upgrade\r\nUpgrade: x\r\n\r\n";
    assert!(matches!(parser.parse(first, &mut head), Ok(Progress::Done { .. })));
    assert!(head.upgrade && head.expect_continue && head.port == Some(1));
    parser.reset();
    assert!(matches!(
        parser.parse(b"GET / HTTP/1.0\r\n\r\n", &mut head),
        Ok(Progress::Done { .. })
    ));
    assert!(head.fields.is_empty() && head.framing == Framing::Empty && head.query.is_none());
    assert!(!head.upgrade && !head.expect_continue && !head.keep_alive);
    assert!(head.host.is_empty() && head.port.is_none());
}

/// Whatever comes, nothing panics, and one byte at a time gives what the whole gives.
#[test]
fn chance_heads_are_read_alike_in_any_pieces() {
    let words = [
        "GET",
        "POST",
        " ",
        "/",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\r",
        "\n",
        "Host",
        ": ",
        ":",
        "h",
        "\t",
        "Content-Length",
        "5",
        "Transfer-Encoding",
        "chunked",
        "\0",
        ",",
        "http://h",
        "*",
        "?",
        "#",
        "GET / HTTP/1.1\r\n",
        "Host: h\r\n",
        "\r\n\r\n",
        "Connection: close\r\n",
    ];
    let mut prng = crate::base::prng::Prng::new(5);
    let limits = HeadLimits { bytes: 60, target: 20, fields: 3 };
    let mut done = 0;
    for _ in 0..20_000 {
        let mut text =
            String::from(if prng.one_in(4) { "" } else { "GET / HTTP/1.1\r\nHost: h\r\n" });
        for _ in 0..prng.below(9) {
            let bound = u64::try_from(words.len()).unwrap();
            text.push_str(words[usize::try_from(prng.below(bound)).unwrap()]);
        }
        done += usize::from(matches!(with(limits, &text), Ok((Progress::Done { .. }, _))));
    }
    assert!(done > 500, "{done}");
}

/// One field line, after `host`, is refused.
#[track_caller]
fn field(line: &str, want: FieldError) {
    err(&format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n"), E::Field(want));
}

#[track_caller]
fn post(lines: &str, want: Result<Framing, FramingError>) {
    let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let got = with(HeadLimits::default(), &text).map(|(_, head)| head.framing);
    assert_eq!(got, want.map_err(E::Framing), "{lines:?}");
}

#[track_caller]
fn err(text: &str, want: RequestError) {
    assert_eq!(with(HeadLimits::default(), text).map(|_| ()), Err(want), "{text:?}");
}

#[track_caller]
fn ok(text: &str) -> (RequestHead, usize) {
    match with(HeadLimits::default(), text) {
        Ok((Progress::Done { len }, head)) => (head, len),
        other => panic!("{text:?}: {other:?}"),
    }
}

/// Parses the text whole, in two pieces cut at every byte, and byte by byte: all must agree.
#[track_caller]
fn with(limits: HeadLimits, text: &str) -> Result<(Progress, RequestHead), RequestError> {
    let bytes = text.as_bytes();
    let run = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut parser = RequestParser::new(limits);
        let mut head = RequestHead::default();
        for cut in cuts {
            match parser.parse(&bytes[..cut], &mut head) {
                Ok(Progress::NeedMore) => {}
                other => return other.map(|progress| (progress, head)),
            }
        }
        parser.parse(bytes, &mut head).map(|progress| (progress, head))
    };
    let whole = run(&mut std::iter::empty());
    if bytes.len() < 300 {
        for cut in 0..=bytes.len() {
            assert_eq!(run(&mut std::iter::once(cut)), whole, "{text:?} cut at {cut}");
        }
    }
    assert_eq!(run(&mut (0..bytes.len())), whole, "{text:?} byte by byte");
    whole
}
