//! What the published cases of llhttp (nodejs/llhttp, `test/request/*.md`, `test/response/*.md`) are
//! about, in words of our own: their names, messages made for us, and what we say to each. Requests
//! of HTTP/1.1 have a `host` here, which llhttp does not ask for.

use otus::message::head::{Method, RequestHead, ResponseHead};
use otus::protocol::h1::body::{BodyDecoder, BodyEvent};
use otus::protocol::h1::request::{HeadLimits, Progress, RequestParser};
use otus::protocol::h1::response::ResponseParser;

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// So many bytes of body, and the whole input is used up but for so many bytes.
    Taken(usize, usize),
    /// The head, or the body, is refused.
    Refused,
    /// It has no end.
    Open,
}
use Fate::{Open, Refused, Taken};

const REQUESTS: &[(&str, &str, Fate)] = &[
    // sample.md
    (
        "sample: simple",
        "OPTIONS /url HTTP/1.1\r\nHost: a\r\nH1: V1\r\nH2:\t V2\r\n\r\n",
        Taken(0, 0),
    ),
    ("sample: several", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", Taken(0, 18)),
    ("sample: no fields", "GET /get_no_headers HTTP/1.0\r\n\r\n", Taken(0, 0)),
    ("sample: no body", "GET /x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", Taken(0, 0)),
    ("sample: quotes", "GET /with_\"lovely\"_quotes?foo=\"b\" HTTP/1.0\r\n\r\n", Taken(0, 0)),
    ("sample: line folding", "GET / HTTP/1.1\r\nHost: a\r\nL: abc\r\n\tdef\r\n\r\n", Refused),
    ("sample: no CR", "GET / HTTP/1.1\nHost: a\n\n", Refused),
    ("sample: missing version", "GET /\r\n\r\n", Refused),
    ("sample: two versions", "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    // method.md
    ("method: REPORT", "REPORT /test HTTP/1.1\r\nHost: a\r\n\r\n", Taken(0, 0)),
    ("method: M-SEARCH", "M-SEARCH * HTTP/1.1\r\nHost: a:1900\r\n\r\n", Refused),
    ("method: CONNECT", "CONNECT a.example:443 HTTP/1.0\r\n\r\n", Taken(0, 0)),
    ("method: CONNECT, more", "CONNECT a.example:443 HTTP/1.0\r\n\r\nblarf", Taken(0, 5)),
    ("method: lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", Taken(0, 0)),
    ("method: not a token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("method: of RTSP", "PUT / RTSP/1.0\r\n\r\n", Refused),
    ("method: of ICE", "GET /music/sweet/music ICE/1.0\r\nHost: a\r\n\r\n", Refused),
    // uri.md
    ("uri: question mark", "GET /test.cgi?foo=bar?baz HTTP/1.0\r\n\r\n", Taken(0, 0)),
    ("uri: no path", "GET http://a.example?x=y HTTP/1.1\r\nHost: a.example\r\n\r\n", Taken(0, 0)),
    ("uri: host and port", "GET http://a:1234/x HTTP/1.1\r\nHost: a:1234\r\n\r\n", Taken(0, 0)),
    ("uri: another host", "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n", Refused),
    ("uri: UTF-8", "GET /\u{3b4}/x HTTP/1.0\r\n\r\n", Refused),
    ("uri: fragment", "GET /forums/1/topics/2375?page=1#posts HTTP/1.0\r\n\r\n", Refused),
    ("uri: user", "CONNECT a:b@c.example:443 HTTP/1.0\r\n\r\n", Refused),
    ("uri: space", "GET /foo bar/ HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("uri: no slash", "GET a HTTP/1.0\r\n\r\n", Refused),
    // content-length.md
    ("length: zero", "PUT / HTTP/1.0\r\nContent-Length: 000\r\n\r\n", Taken(0, 0)),
    ("length: funky", "GET / HTTP/1.0\r\nconTENT-Length: 5\r\n\r\nHELLO", Taken(5, 0)),
    (
        "length: twice",
        "PUT / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        Refused,
    ),
    (
        "length: the same twice",
        "PUT / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        Refused,
    ),
    (
        "length: too large",
        "PUT / HTTP/1.0\r\nContent-Length: 1000000000000000000000\r\n\r\n",
        Refused,
    ),
    ("length: space within", "PUT / HTTP/1.0\r\nContent-Length: 4 2\r\n\r\n", Refused),
    ("length: space before colon", "PUT / HTTP/1.0\r\nContent-Length : 1\r\n\r\na", Refused),
    ("length: blanks round", "PUT / HTTP/1.0\r\nContent-Length:  1 \r\n\r\na", Taken(1, 0)),
    ("length: minus", "PUT / HTTP/1.0\r\nContent-Length: -1\r\n\r\n", Refused),
    ("length: empty", "PUT / HTTP/1.0\r\nContent-Length:\r\n\r\n", Refused),
    ("length: hexadecimal", "PUT / HTTP/1.0\r\nContent-Length: 0x1\r\n\r\na", Refused),
    // invalid.md
    ("invalid: version", "GET / HTTP/5.6\r\nHost: a\r\n\r\n", Refused),
    ("invalid: CR between fields", "GET / HTTP/1.1\r\nHost: a\rBar: 2\r\n\r\n", Refused),
    ("invalid: LF between fields", "GET / HTTP/1.1\r\nHost: a\nBar: 2\r\n\r\n", Refused),
    (
        "invalid: CR and more",
        "GET / HTTP/1.1\r\nHost: a\r\n\rZGET /evil: HTTP/1.1\r\n\r\n",
        Refused,
    ),
    ("invalid: name with @", "GET / HTTP/1.1\r\nHost: a\r\nFo@: b\r\n\r\n", Refused),
    (
        "invalid: name with controls",
        "GET / HTTP/1.1\r\nHost: a\r\nFoo\u{1}\test: Bar\r\n\r\n",
        Refused,
    ),
    ("invalid: no name", "GET / HTTP/1.1\r\nHost: a\r\n: Bar\r\n\r\n", Refused),
    ("invalid: folded name", "GET / HTTP/1.1\r\nHost: a\r\nname\r\n : value\r\n\r\n", Refused),
    ("invalid: no colon", "GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", Refused),
    ("invalid: space first", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused),
    ("invalid: no newline", "GET / HTTP/1.1\r\nHost: a\r\nX: y", Open),
    ("invalid: space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refused),
    (
        "invalid: smuggled",
        "POST / HTTP/1.1\r\nHost: a\r\nDummy: x\nContent-Length: 3\r\n\r\nabc",
        Refused,
    ),
    // connection.md
    ("connection: empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Taken(0, 0)),
    (
        "connection: two options",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n",
        Taken(0, 0),
    ),
];

const CODED: &[(&str, &str, Fate)] = &[
    // transfer-encoding.md: all are requests with the fields that `coded` writes.
    ("chunked: all", "1e\r\nall your base are belong to us\r\n0\r\n\r\n", Taken(30, 0)),
    ("chunked: two, zeros", "5\r\nhello\r\n006\r\n world\r\n000\r\n\r\n", Taken(11, 0)),
    ("chunked: upper case", "1E\r\nall your base are belong to us\r\n0\r\n\r\n", Taken(30, 0)),
    (
        "chunked: trailers",
        "1\r\na\r\n0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n",
        Taken(1, 0),
    ),
    ("chunked: extensions", "5;ilove;somuch=123\r\nhello\r\n0;x=\"y\"\r\n\r\n", Taken(5, 0)),
    ("chunked: quoted", "5;a=\"\\\"b;\\\"\";c=\"\"\r\nhello\r\n0\r\n\r\n", Taken(5, 0)),
    ("chunked: quote not closed", "5;a=\"b\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: no extension", "5;\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: odd extension", "5;a b\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: space behind size", "5 \r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: LF behind size", "5\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: CR behind size", "5\r;x\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: no CRLF behind data", "5\r\nhello0\r\n\r\n", Refused),
    ("chunked: LF behind data", "5\r\nhello\n0\r\n\r\n", Refused),
    ("chunked: no size", ";x\r\n\r\n0\r\n\r\n", Refused),
    ("chunked: not hexadecimal", "g\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: prefix", "0x5\r\nhello\r\n0\r\n\r\n", Refused),
    ("chunked: too large", "FFFFFFFFFFFFFFFFF\r\nhello", Refused),
    ("chunked: trailer folded", "0\r\nVary: *\r\n x\r\n\r\n", Refused),
    ("chunked: trailer that frames", "0\r\nContent-Length: 5\r\n\r\n", Refused),
    ("chunked: open", "5\r\nhello\r\n0\r\n", Open),
];

/// Values of `transfer-encoding` and what else stands beside it.
const CODINGS: &[(&str, bool)] = &[
    ("Transfer-Encoding: chunked\r\n", true),
    ("Transfer-Encoding: CHUNKED \r\n", true),
    ("Transfer-Encoding: deflate\r\n", false),
    ("Transfer-Encoding: chunked, deflate\r\n", false),
    ("Transfer-Encoding: deflate, chunked\r\n", false),
    ("Transfer-Encoding: identity\r\n", false),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: deflate\r\n", false),
    ("Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n", false),
    ("Transfer-Encoding: pigeons\r\n", false),
    ("Transfer-Encoding:\r\n chunked\r\n", false),
    ("Transfer-Encoding: chunked\r\n abc\r\n", false),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", false),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", false),
    ("Transfer-Encoding : chunked\r\n", false),
    ("Transfer-Encoding: xchunked\r\n", false),
    ("Transfer-Encoding: chunked;q=1\r\n", false),
];

const RESPONSES: &[(&str, &str, Fate)] = &[
    (
        "sample: simple",
        "HTTP/1.1 200 OK\r\nHeader1: Value1\r\nContent-Length: 0\r\n\r\n",
        Taken(0, 0),
    ),
    ("sample: no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", Taken(2, 0)),
    ("sample: space, no reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", Taken(2, 0)),
    ("sample: no CR", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", Refused),
    ("sample: reason of UTF-8", "HTTP/1.1 200 \u{d6}K\r\nContent-Length: 0\r\n\r\n", Taken(0, 0)),
    ("sample: until the close", "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhello", Open),
    ("invalid: version", "HTTP/5.6 200 OK\r\n\r\n", Refused),
    ("invalid: no version", "HTP/1.1 200 OK\r\n\r\n", Refused),
    ("invalid: two spaces", "HTTP/1.1  200 OK\r\n\r\n", Refused),
    ("invalid: four digits", "HTTP/1.1 2000 OK\r\n\r\n", Refused),
    ("invalid: letters", "HTTP/1.1 2bc OK\r\n\r\n", Refused),
    ("invalid: LF behind CR", "HTTP/1.1 200 OK\r\rx: y\r\n\r\n", Refused),
    ("invalid: lower case", "http/1.1 200 OK\r\n\r\n", Refused),
    (
        "length: both",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        Refused,
    ),
    ("length: twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Refused),
    ("connection: 204 and more", "HTTP/1.1 204 No content\r\n\r\nHTTP/1.1 200", Taken(0, 12)),
    ("connection: 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", Taken(0, 0)),
    (
        "coding: chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        Taken(1, 0),
    ),
];

fn limits() -> HeadLimits {
    HeadLimits::default()
}

fn fate_of_request(bytes: &[u8]) -> Fate {
    let mut head = RequestHead::default();
    match RequestParser::new(limits()).parse(bytes, &mut head) {
        Ok(Progress::Done { len }) => body(BodyDecoder::new(head.framing, 1 << 20), &bytes[len..]),
        Ok(Progress::NeedMore) => Open,
        Err(_) => Refused,
    }
}

fn fate_of_response(bytes: &[u8]) -> Fate {
    let mut head = ResponseHead::default();
    match ResponseParser::new(limits(), Method::Get).parse(bytes, &mut head) {
        Ok(Progress::Done { len }) => body(BodyDecoder::new(head.framing, 1 << 20), &bytes[len..]),
        Ok(Progress::NeedMore) => Open,
        Err(_) => Refused,
    }
}

fn body(mut decoder: BodyDecoder, mut rest: &[u8]) -> Fate {
    let mut payload = 0;
    while !decoder.is_done() {
        let Ok(step) = decoder.decode(rest) else { return Refused };
        match step.event {
            BodyEvent::Data { len, .. } => payload += len,
            BodyEvent::NeedMore => return Open,
            BodyEvent::End => {}
        }
        rest = &rest[step.consumed..];
    }
    Taken(payload, rest.len())
}

#[test]
fn requests_of_llhttp_meet_their_fates() {
    for (name, text, fate) in REQUESTS {
        assert_eq!(fate_of_request(text.as_bytes()), *fate, "{name}");
        super::harness::run("h1_request", text.as_bytes());
    }
    let coded =
        |fields: &str, body: &str| format!("PUT / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
    for (name, text, fate) in CODED {
        let text = coded("Transfer-Encoding: chunked\r\n", text);
        assert_eq!(fate_of_request(text.as_bytes()), *fate, "{name}");
    }
    for (fields, is_good) in CODINGS {
        let fate = if *is_good { Taken(1, 0) } else { Refused };
        let text = coded(fields, "1\r\na\r\n0\r\n\r\n");
        assert_eq!(fate_of_request(text.as_bytes()), fate, "{fields:?}");
        super::harness::run("h1_request", text.as_bytes());
    }
}

#[test]
fn responses_of_llhttp_meet_their_fates() {
    for (name, text, fate) in RESPONSES {
        assert_eq!(fate_of_response(text.as_bytes()), *fate, "{name}");
        super::harness::run("h1_response", &[b"\0", text.as_bytes()].concat());
    }
}
