//! Heads of requests: incremental and whole parse agree, what is accepted is strict and can be
//! written and read again, and `httparse` reads the same.

use otus::message::framing::Framing;
use otus::message::head::{RequestHead, Span, Version};
use otus::message::target::Form;
use otus::protocol::h1::encode;
use otus::protocol::h1::fields::FieldError;
use otus::protocol::h1::request::{
    HeadLimits, METHOD_BYTES_MAX, Progress, RequestError, RequestParser,
};

use super::cuts;
use super::heads::{self, LIMITS};

type Parsed = Result<Progress, RequestError>;

pub fn run(data: &[u8]) {
    let (whole, head) = parse(data);
    for way in cuts::ways(data) {
        let mut other = RequestHead::default();
        let mut parser = RequestParser::new(LIMITS);
        let pieces = heads::in_pieces(data, &way, |come| parser.parse(come, &mut other));
        assert_eq!(pieces, whole, "in pieces");
        if matches!(whole, Ok(Progress::Done { .. })) {
            assert_eq!(other, head, "in pieces");
        }
    }
    if let Ok(Progress::Done { len }) = whole {
        let bytes = &data[..len];
        strict(bytes, &head);
        rewritten(bytes, &head);
        // Not a byte less is a head, and what follows does not matter.
        assert_eq!(parse(&data[..len - 1]).0, Ok(Progress::NeedMore));
        assert_eq!(parse(bytes), (whole, head.clone()));
    }
    against_httparse(data, whole, &head);
}

fn parse(data: &[u8]) -> (Parsed, RequestHead) {
    let mut head = RequestHead::default();
    let parsed = RequestParser::new(LIMITS).parse(data, &mut head);
    (parsed, head)
}

/// Nothing in an accepted head can be read in two ways.
fn strict(bytes: &[u8], head: &RequestHead) {
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(|b| is_tchar(*b));
    assert!(is_token(head.method_text.of(bytes)));
    let target = head.target.of(bytes);
    assert!(!target.is_empty() && target.iter().all(u8::is_ascii_graphic));
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    for field in &head.fields {
        let (name, value) = (field.name.of(bytes), field.value.of(bytes));
        assert!(is_token(name));
        assert!(value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)));
        let edges = [value.first(), value.last()];
        assert!(!edges.iter().any(|edge| matches!(edge, Some(b' ' | b'\t'))));
        match name.to_ascii_lowercase().as_slice() {
            b"content-length" => lengths.push(value),
            b"transfer-encoding" => codings.push(value.to_ascii_lowercase()),
            b"host" => hosts += 1,
            _ => {}
        }
    }
    assert!(hosts <= 1 && (hosts == 1 || head.version == Version::Http10));
    // Framing is read a second time, from the text.
    let framing = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Framing::Empty,
        ([length], []) => {
            assert!(length.iter().all(u8::is_ascii_digit));
            Framing::Length(str::from_utf8(length).unwrap().parse().unwrap())
        }
        ([], [coding]) => {
            assert!(coding == b"chunked" && head.version == Version::Http11);
            Framing::Chunked
        }
        more => panic!("framed twice: {more:?}"),
    };
    assert_eq!(head.framing, framing);
    if head.form == Form::Origin {
        assert_eq!(head.path.of(bytes).first(), Some(&b'/'));
    }
    for span in [head.path, head.host, head.host_name, head.query.unwrap_or(Span::EMPTY)] {
        assert!(span.end() <= bytes.len());
    }
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

type Said<'a> = (Vec<(&'a [u8], &'a [u8])>, [&'a [u8]; 5]);

/// All that a head says, whatever stands between it.
fn said<'a>(bytes: &'a [u8], head: &RequestHead) -> Said<'a> {
    let fields = heads::fields(bytes, &head.fields);
    let query = head.query.map_or(&b"-"[..], |query| query.of(bytes));
    let spans = [head.method_text, head.target, head.path, head.host];
    let [method, target, path, host] = spans.map(|span| span.of(bytes));
    (fields, [method, target, path, host, query])
}

fn rewritten(bytes: &[u8], head: &RequestHead) {
    let mut out = Vec::new();
    let target = head.target.of(bytes);
    if head.version == Version::Http11 && head.form == Form::Origin {
        let query = head.query.map(|query| query.of(bytes));
        encode::request_line(&mut out, head.method_text.of(bytes), head.path.of(bytes), query)
            .expect("what was accepted can be written");
    } else {
        let version = head.version.as_str().as_bytes();
        let parts = [head.method_text.of(bytes), b" ", target, b" ", version, b"\r\n"];
        out.extend(parts.concat());
    }
    for field in &head.fields {
        assert!(encode::field(&mut out, field.name.of(bytes), field.value.of(bytes)));
    }
    encode::end(&mut out);
    // A space behind each colon may be more than there was.
    let limits = HeadLimits { bytes: out.len() + 1, ..LIMITS };
    let mut again = RequestHead::default();
    let parsed = RequestParser::new(limits).parse(&out, &mut again);
    assert_eq!(parsed, Ok(Progress::Done { len: out.len() }));
    assert_eq!(said(&out, &again), said(bytes, head));
    let facts = |head: &RequestHead| {
        (head.method, head.form, head.version, head.port, head.framing, head.keep_alive)
    };
    assert_eq!(facts(&again), facts(head));
    let flags = |head: &RequestHead| (head.expect_continue, head.upgrade);
    assert_eq!(flags(&again), flags(head));
}

fn against_httparse(data: &[u8], ours: Parsed, head: &RequestHead) {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut theirs = httparse::Request::new(&mut fields);
    let parsed = theirs.parse(data);
    let same = |len| {
        let bytes = &data[..len];
        assert_eq!(theirs.method.unwrap().as_bytes(), head.method_text.of(bytes));
        assert_eq!(theirs.path.unwrap().as_bytes(), head.target.of(bytes));
        assert_eq!(theirs.version, Some(u8::from(head.version == Version::Http11)));
        assert!(heads::are_found(&heads::fields(bytes, &head.fields), theirs.headers));
    };
    heads::against_httparse(ours, parsed, same, |error| is_documented(error, &theirs, data));
}

/// Whether we refuse on purpose what `httparse`, which looks at single lines alone, takes.
fn is_documented(error: RequestError, theirs: &httparse::Request<'_, '_>, data: &[u8]) -> bool {
    match error {
        RequestError::LeadingLine => matches!(data.first(), Some(b'\r' | b'\n')),
        RequestError::Method => theirs.method.unwrap().len() > METHOD_BYTES_MAX,
        RequestError::TargetTooLong => theirs.path.unwrap().len() > LIMITS.target,
        RequestError::HeadTooLarge => data.len() >= LIMITS.bytes,
        RequestError::Field(FieldError::TooMany) => theirs.headers.len() > LIMITS.fields,
        RequestError::Version | RequestError::Field(FieldError::BareLf | FieldError::ValueByte) => {
            heads::has_bare_lf(data)
        }
        // What single lines do not show.
        RequestError::Field(FieldError::NameAliasesFraming)
        | RequestError::Target(_)
        | RequestError::HostMissing
        | RequestError::HostRepeated
        | RequestError::Host(_)
        | RequestError::HostDiffers
        | RequestError::Framing(_)
        | RequestError::Connection(_)
        | RequestError::Expectation => true,
        RequestError::VersionUnsupported | RequestError::Field(_) => false,
    }
}
