//! Heads of responses, in the same way as those of requests.

use otus::message::framing::Framing;
use otus::message::head::{Method, ResponseHead, Version};
use otus::protocol::h1::encode;
use otus::protocol::h1::fields::FieldError;
use otus::protocol::h1::request::{HeadLimits, Progress};
use otus::protocol::h1::response::{ResponseError, ResponseParser};

use super::cuts;
use super::heads::{self, LIMITS};

const METHODS: [Method; 4] = [Method::Get, Method::Head, Method::Connect, Method::Post];

type Parsed = Result<Progress, ResponseError>;

/// The first byte says to which method it is the answer.
pub fn run(data: &[u8]) {
    let (method, data) = cuts::choice(data, 4);
    let method = METHODS[method];
    let (whole, head) = parse(data, method);
    for way in cuts::ways(data) {
        let mut other = ResponseHead::default();
        let mut parser = ResponseParser::new(LIMITS, method);
        let parsed = heads::in_pieces(data, &way, |come| parser.parse(come, &mut other));
        assert_eq!(parsed, whole, "in pieces");
        if parsed.is_ok_and(|progress| progress != Progress::NeedMore) {
            assert_eq!(other, head, "in pieces");
        }
    }
    if let Ok(Progress::Done { len }) = whole {
        let bytes = &data[..len];
        assert_eq!(parse(bytes, method), (whole, head.clone()));
        strict(bytes, method, &head);
        rewritten(bytes, method, &head);
    }
    against_httparse(data, whole, &head);
}

fn parse(data: &[u8], method: Method) -> (Parsed, ResponseHead) {
    let mut head = ResponseHead::default();
    let parsed = ResponseParser::new(LIMITS, method).parse(data, &mut head);
    (parsed, head)
}

fn strict(bytes: &[u8], method: Method, head: &ResponseHead) {
    assert!((100..=599).contains(&head.status));
    let is_text =
        |text: &[u8]| text.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    assert!(is_text(head.reason.of(bytes)));
    let (mut lengths, mut codings) = (0, 0);
    for field in &head.fields {
        assert!(is_text(field.value.of(bytes)));
        let name = field.name.of(bytes).to_ascii_lowercase();
        lengths += u32::from(name == b"content-length");
        codings += u32::from(name == b"transfer-encoding");
    }
    assert!(lengths + codings <= 1, "framed twice");
    let bodiless = method == Method::Head || matches!(head.status, 100..=199 | 204 | 304);
    assert!(!bodiless || head.framing == Framing::Empty);
    assert!(!(head.keep_alive && head.framing == Framing::UntilClose), "no end can be known");
    assert_eq!(head.upgrade, head.status == 101);
}

fn rewritten(bytes: &[u8], method: Method, head: &ResponseHead) {
    let mut out = Vec::new();
    if head.version == Version::Http11 {
        encode::status_line(&mut out, head.status);
    } else {
        out.extend(format!("HTTP/1.0 {}\r\n", head.status).into_bytes());
    }
    for field in &head.fields {
        assert!(encode::field(&mut out, field.name.of(bytes), field.value.of(bytes)));
    }
    encode::end(&mut out);
    let limits = HeadLimits { bytes: out.len() + 1, ..LIMITS };
    let mut again = ResponseHead::default();
    let parsed = ResponseParser::new(limits, method).parse(&out, &mut again);
    assert_eq!(parsed, Ok(Progress::Done { len: out.len() }));
    let facts = |head: &ResponseHead| {
        (head.status, head.version, head.framing, head.keep_alive, head.upgrade, head.length)
    };
    assert_eq!(facts(&again), facts(head));
    assert_eq!(heads::fields(&out, &again.fields), heads::fields(bytes, &head.fields));
}

fn against_httparse(data: &[u8], ours: Parsed, head: &ResponseHead) {
    let mut room = [httparse::EMPTY_HEADER; 256];
    let mut theirs = httparse::Response::new(&mut room);
    let parsed = theirs.parse(data);
    let same = |len| {
        assert_eq!(theirs.code, Some(head.status));
        assert!(heads::are_found(&heads::fields(&data[..len], &head.fields), theirs.headers));
    };
    heads::against_httparse(ours, parsed, same, |error| is_documented(error, &theirs, data));
}

/// Whether we refuse on purpose what `httparse` takes.
fn is_documented(error: ResponseError, theirs: &httparse::Response<'_, '_>, data: &[u8]) -> bool {
    let bare = heads::has_bare_lf(data);
    match error {
        // It skips empty lines in front.
        ResponseError::Version => matches!(data.first(), Some(b'\r' | b'\n')),
        ResponseError::Status => bare || !(100..=599).contains(&theirs.code.unwrap()),
        ResponseError::HeadTooLarge => data.len() >= LIMITS.bytes,
        ResponseError::Field(FieldError::TooMany) => theirs.headers.len() > LIMITS.fields,
        ResponseError::Reason
        | ResponseError::Field(FieldError::BareLf | FieldError::ValueByte) => bare,
        ResponseError::Field(FieldError::NameAliasesFraming)
        | ResponseError::Framing(_)
        | ResponseError::Connection(_)
        | ResponseError::Upgrade => true,
        ResponseError::Field(_) => false,
    }
}
