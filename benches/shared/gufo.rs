//! What is asked of services, and what they say.

use std::hint::black_box;

use otus::gufo::arguments::Argument;
use otus::gufo::json;
use otus::gufo::request::Call;
use otus::protocol::multipart::parser::{Event, Limits, Multipart};

/// 255 bytes, like the body of the peers' JSON workload.
pub(crate) const BODY: &[u8] = br#"{"user":"u-1234567890","amount":12345678901234567890,
    "note":"the quick brown fox jumps over the lazy dog, twice, and then once more",
    "tags":["a","b","c"],"nested":{"x":1.10,"y":null,"z":true},
    "text":"some more text so that it is as long as others"}"#;

/// A call of a module, with these arguments.
pub(crate) fn call<'a>(args: &'a [Argument<'a>]) -> Call<'a> {
    Call {
        module: "echo",
        param: "echo",
        path: Some("/api/v3/echo/echo"),
        method: "POST",
        sign: "0123456789abcdef0123456789abcdef",
        ip: Some("203.0.113.9"),
        user_agent: Some("wrk/4.2"),
        api_version: Some("v3"),
        language: Some("eng"),
        time_stamp: Some(1_790_000_000),
        args,
        ..Call::default()
    }
}

/// A `Response`: a map of `Any`, each a `BytesValue` of JSON.
pub(crate) fn response() -> Vec<u8> {
    let mut message = Vec::new();
    for member in json::members(BODY).expect("the body is JSON") {
        let url = b"type.googleapis.com/google.protobuf.BytesValue";
        let wrapped = field(1, member.value.as_bytes());
        let any = [field(1, url), field(2, &wrapped)].concat();
        message.extend(field(1, &[field(1, member.key.as_bytes()), field(2, &any)].concat()));
    }
    message
}

/// A field of bytes shorter than 16 KiB.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("short");
    let low = u8::try_from(len & 0x7f).expect("seven bits") | 0x80;
    let high = u8::try_from(len >> 7).expect("short");
    [&[number << 3 | 2, low, high], content].concat()
}

/// A reader of a multipart body that stands within the payload of its first part.
pub(crate) fn within_a_part() -> Multipart {
    let limits = Limits::default();
    let mut parser = Multipart::new(b"----WebKitFormBoundary7MA4YWxkTrZu0gW", limits);
    read_parts(&mut parser, b"------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n\r\nx");
    parser
}

/// Reads all of the bytes.
pub(crate) fn read_parts(parser: &mut Multipart, bytes: &[u8]) {
    let mut rest = black_box(bytes);
    while let Ok(step) = parser.next(rest)
        && step.event != Event::NeedMore
    {
        rest = rest.get(step.consumed..).unwrap_or_default();
    }
}
