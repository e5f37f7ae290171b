//! Encoders and decoders of the Gufo surface: nanoseconds for each call, or GiB/s.
//!
//! `cargo bench --bench gufo`. The best of many short rounds: a busy neighbour disturbs it least.

#![expect(clippy::expect_used, reason = "a bench says what it needs")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

use otus::base::text::Text;
use otus::base::time::UnixTime;
use otus::gufo::arguments::{self, Argument, ArgumentValue};
use otus::gufo::dialect::{Dialect, EndMarker};
use otus::gufo::envelope::Envelope;
use otus::gufo::reply::Reply;
use otus::gufo::request::Call;
use otus::gufo::upload::Uploader;
use otus::gufo::{json, path};
use otus::protocol::multipart::parser::{Event, Limits, Multipart};

/// 255 bytes, like the body of the peers' JSON workload.
const BODY: &[u8] = br#"{"user":"u-1234567890","amount":12345678901234567890,
    "note":"the quick brown fox jumps over the lazy dog, twice, and then once more",
    "tags":["a","b","c"],"nested":{"x":1.10,"y":null,"z":true},
    "text":"some more text so that it is as long as others"}"#;

fn main() {
    let bases = ["/api/v3", "/api/v1"];
    time("path: parse four elements", || {
        let parsed = path::parse(bases, black_box(b"/api/v3/storage/upload/7/8"));
        black_box(parsed.is_ok());
    });
    time("query: two parameters", || {
        let args = arguments::from_query(black_box(b"name=x&other=a%20b"));
        black_box(args.is_ok());
    });
    time("json: 255-byte object to arguments", || {
        black_box(arguments::from_json(black_box(BODY)).is_ok());
    });
    calls();
    upload();
    reply();
    large_json();
    multipart();
}

fn call<'a>(args: &'a [Argument<'a>]) -> Call<'a> {
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

fn calls() {
    let args = arguments::from_json(BODY).expect("the body is JSON");
    let mut out = Vec::with_capacity(4096);
    time("request: encode, 6 JSON arguments", || {
        out.clear();
        let encoded = call(black_box(&args)).encode(Dialect::B, &mut out);
        black_box((encoded.is_ok(), out.len()));
    });
    let args = [Argument {
        name: Cow::Borrowed("name"),
        value: ArgumentValue::Text(Cow::Borrowed("some text")),
    }];
    time("request: encode, 1 query argument", || {
        out.clear();
        let encoded = call(black_box(&args)).encode(Dialect::B, &mut out);
        black_box((encoded.is_ok(), out.len()));
    });
}

fn upload() {
    let mut uploader = Uploader::new(&call(&[]), Dialect::B, EndMarker::Both);
    let mut out = Vec::with_capacity(1024);
    uploader.begin_file(Text::new(b"big.iso"), &mut out).expect("no file is open");
    time("upload: chunk prelude", || {
        out.clear();
        let prelude = uploader.chunk_prelude(black_box(65_536), &mut out);
        black_box((prelude.is_ok(), out.len()));
    });
}

fn reply() {
    // A Response is a Request's Args in another field: build one by hand.
    let mut message = Vec::new();
    for member in json::members(BODY).expect("the body is JSON") {
        let url = b"type.googleapis.com/google.protobuf.BytesValue";
        let wrapped = [field(1, member.value.as_bytes())].concat();
        let any = [field(1, url), field(2, &wrapped)].concat();
        message.extend(field(1, &[field(1, member.key.as_bytes()), field(2, &any)].concat()));
    }
    let time_now = UnixTime(Duration::from_secs(1_790_000_000));
    let envelope = Envelope { time: time_now, lang: "eng", session: None };
    let mut out = Vec::with_capacity(4096);
    time("reply: decode 6 values, write envelope", || {
        out.clear();
        let mut reply = Reply::new();
        black_box(reply.merge(Dialect::B, black_box(&message)).is_ok());
        envelope.reply(&mut out, &reply);
        black_box((reply.status(), out.len()));
    });
}

/// A field of bytes shorter than 16 KiB.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("short");
    let low = u8::try_from(len & 0x7f).expect("seven bits") | 0x80;
    let high = u8::try_from(len >> 7).expect("short");
    [&[number << 3 | 2, low, high], content].concat()
}

fn large_json() {
    let text = format!("[{}1]", "{\"key\":\"a value of some length\",\"n\":12.5},".repeat(25_000));
    rate("json: check 1 MiB of small objects", text.len(), || {
        black_box(json::value(black_box(text.as_bytes())).is_ok());
    });
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    rate("json: check one string of 1 MiB", text.len(), || {
        black_box(json::value(black_box(text.as_bytes())).is_ok());
    });
}

fn multipart() {
    let random: Vec<u8> = {
        let mut prng = otus::base::prng::Prng::new(1);
        let mut bytes = vec![0; 256 * 1024];
        prng.fill(&mut bytes);
        bytes
    };
    let lines = b"a line of text as in a log file, with its end\r\n".repeat(5000);
    let dashes = b"\r\n--".repeat(65_536);
    for (name, payload) in [
        ("multipart: 256 KiB of random bytes", &random),
        ("multipart: text with CRLF lines", &lines),
        ("multipart: nothing but CRLF and dashes", &dashes),
    ] {
        let mut parser =
            Multipart::new(b"----WebKitFormBoundary7MA4YWxkTrZu0gW", Limits::default());
        let head = b"------WebKitFormBoundary7MA4YWxkTrZu0gW\r\n\r\nx";
        let mut rest = head.as_slice();
        while let Ok(step) = parser.next(rest)
            && step.event != Event::NeedMore
        {
            rest = rest.get(step.consumed..).unwrap_or_default();
        }
        rate(name, payload.len(), || {
            let mut rest = black_box(payload.as_slice());
            while let Ok(step) = parser.next(rest)
                && step.event != Event::NeedMore
            {
                rest = rest.get(step.consumed..).unwrap_or_default();
            }
        });
    }
}

fn time(name: &str, work: impl FnMut()) {
    let best = best(work);
    println!("{name:44} {:9.1} ns", best * 1e9);
}

fn rate(name: &str, bytes: usize, work: impl FnMut()) {
    let bytes = f64::from(u32::try_from(bytes).expect("less than 4 GiB"));
    let best = best(work);
    println!("{name:44} {:9.2} GiB/s", bytes / best / f64::from(1 << 30));
}

/// Seconds for each call, in the best round.
fn best(mut work: impl FnMut()) -> f64 {
    let mut calls = 1u32;
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        let took = start.elapsed();
        best = best.min(took.as_secs_f64() / f64::from(calls));
        if took < Duration::from_millis(2) {
            calls = calls.saturating_mul(2);
        }
    }
    best
}
