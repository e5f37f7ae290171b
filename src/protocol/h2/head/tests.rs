use super::*;
use crate::protocol::h2::hpack::decode::Decoder;
use crate::protocol::h2::hpack::encode::Block;

const GET: &str = ":method=GET|:scheme=https|:path=/|:authority=a.example";

#[test]
fn well_formed_requests_pass() {
    check(GET, Ok(None));
    check(":method=GET|:scheme=http|:path=/a?b=%20c|host=a.example", Ok(None));
    check(":method=OPTIONS|:scheme=http|:path=*|:authority=a", Ok(None));
    check(":method=CONNECT|:authority=a.example:443", Ok(None));
    check(&with("te=trailers|cookie=a=1|cookie=b=2|x-empty="), Ok(None));
    check(&with("content-length=0012|host=A.example"), Ok(Some(12)));
    check(&with("x-latin=\u{e4} tab\there"), Ok(None));
}

#[test]
fn fields_that_http_1_would_read_otherwise_are_refused() {
    check(&with("Upper=a"), Err(Malformed::Name));
    check(&with("=a"), Err(Malformed::Name));
    check(&with("a b=c"), Err(Malformed::Name));
    check(&with("transfer-encoding =chunked"), Err(Malformed::Name));
    check(&with("x\u{80}y=1"), Err(Malformed::Name));
    check(&with("a:b=1"), Err(Malformed::Name));
    for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", " a", "a ", "\ta", "a\t", "\x7f", "\x1b[0m"]
    {
        check(&with(&format!("x={value}")), Err(Malformed::Value));
    }
    for name in
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"]
    {
        check(&with(&format!("{name}=close")), Err(Malformed::ConnectionField));
    }
    check(&with("te=Trailers"), Err(Malformed::ConnectionField));
    for length in ["+3", "-1", "", "1,1", "0x1", "1 1", "99999999999999999999"] {
        check(&with(&format!("content-length={length}")), Err(Malformed::Length));
    }
    check(&with("content-length=1|content-length=1"), Err(Malformed::Length));
}

#[test]
fn pseudo_header_fields_stand_once_in_front_and_are_known() {
    check(&with(":path=/b"), Err(Malformed::PseudoTwice));
    check(&with(":status=200"), Err(Malformed::PseudoUnknown));
    check(&with(":protocol=websocket"), Err(Malformed::PseudoUnknown));
    check(&with(":foo=y"), Err(Malformed::PseudoUnknown));
    check(&with(":=y"), Err(Malformed::PseudoUnknown));
    check(":method=GET|:scheme=http|:path=/|x=y|:authority=a", Err(Malformed::PseudoLate));
    check(":scheme=http|:path=/|:authority=a", Err(Malformed::PseudoMissing));
    check(":method=GET|:path=/|:authority=a", Err(Malformed::PseudoMissing));
    check(":method=GET|:scheme=http|:authority=a", Err(Malformed::PseudoMissing));
    check("", Err(Malformed::PseudoMissing));
}

#[test]
fn a_request_line_cannot_be_injected() {
    for method in ["GET /x HTTP/1.1", "GET?", "", "G,T"] {
        let head = format!(":method={method}|:scheme=http|:path=/|:authority=a");
        check(&head, Err(Malformed::Method));
    }
    for scheme in ["https://evil.example/x?", "", "1http", "ht tp"] {
        let head = format!(":method=GET|:scheme={scheme}|:path=/|:authority=a");
        check(&head, Err(Malformed::Scheme));
    }
    for path in ["", "*", "a", "/a b", "/a#b", "/a\tb", "http://b/"] {
        let head = format!(":method=GET|:scheme=http|:path={path}|:authority=a");
        check(&head, Err(Malformed::Path));
    }
    for authority in ["", "a/x", "u@a", "a?b", "a b", "a\\b", "a,b"] {
        let head = format!(":method=GET|:scheme=http|:path=/|:authority={authority}");
        check(&head, Err(Malformed::Authority));
    }
    check(":method=GET|:scheme=http|:path=/", Err(Malformed::Authority));
    check(":method=GET|:scheme=http|:path=/|host=a|host=b", Err(Malformed::Host));
    check(&with("host=evil.example"), Err(Malformed::Host));
}

#[test]
fn connect_has_an_authority_only() {
    check(":method=CONNECT|:authority=a|:path=/", Err(Malformed::PseudoUnknown));
    check(":method=CONNECT|:authority=a|:scheme=http|:path=/", Err(Malformed::PseudoUnknown));
    check(":method=CONNECT|host=a", Err(Malformed::PseudoMissing));
}

#[test]
fn extended_connect_needs_its_offer() {
    let head = ":method=CONNECT|:protocol=websocket|:scheme=https|:path=/chat|:authority=a";
    check(head, Err(Malformed::PseudoUnknown));
    assert_eq!(request(&fields(head), true), Ok(Facts::default()));
    assert_eq!(
        request(&fields(&head.replace("CONNECT", "GET")), true),
        Err(Malformed::PseudoUnknown)
    );
    let bare = ":method=CONNECT|:protocol=websocket|:authority=a";
    assert_eq!(request(&fields(bare), true), Err(Malformed::PseudoMissing));
}

#[test]
fn a_response_has_a_status_of_three_digits() {
    let status = |head: &str| response(&fields(head)).map(|facts| facts.status);
    assert_eq!(status(":status=200|server=x"), Ok(200));
    assert_eq!(status(":status=999"), Ok(999));
    for text in ["20", "2000", "099", "+20", "2x0", ""] {
        assert_eq!(status(&format!(":status={text}")), Err(Malformed::Status), "{text}");
    }
    assert_eq!(status("server=x"), Err(Malformed::PseudoMissing));
    assert_eq!(status(":status=200|:path=/"), Err(Malformed::PseudoUnknown));
    assert_eq!(status(":status=200|connection=close"), Err(Malformed::ConnectionField));
}

#[test]
fn trailers_have_no_pseudo_header_fields() {
    let check = |head: &str| trailers(&fields(head)).map(|_| ());
    assert_eq!(check("grpc-status=0|grpc-message="), Ok(()));
    assert_eq!(check(":path=/smuggled"), Err(Malformed::PseudoUnknown));
    assert_eq!(check(":status=200"), Err(Malformed::PseudoUnknown));
    assert_eq!(check("transfer-encoding=chunked"), Err(Malformed::ConnectionField));
}

fn with(more: &str) -> String {
    format!("{GET}|{more}")
}

#[track_caller]
fn check(head: &str, want: Result<Option<u64>, Malformed>) {
    let seen = request(&fields(head), false).map(|facts| facts.content_length);
    assert_eq!(seen, want, "{head:?}");
}

/// Fields from `name=value|name=value`; the name ends at the first `=`.
fn fields(head: &str) -> Fields {
    let mut block = Block::new();
    for field in head.split('|').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap();
        block = block.field(name.as_bytes(), value.as_bytes());
    }
    let mut fields = Fields::new(65_536);
    Decoder::new(0).decode(block.as_slice(), &mut fields).unwrap();
    fields
}
