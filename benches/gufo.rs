//! Encoders and decoders of the Gufo surface: nanoseconds for each call, or GiB/s.
//!
//! `cargo bench --bench gufo`. The best of many short rounds: a busy neighbour disturbs it least.

#![expect(clippy::expect_used, reason = "a bench says what it needs")]

#[path = "shared/clock.rs"]
#[allow(dead_code, reason = "each bench uses its part")]
mod clock;
#[path = "shared/gufo.rs"]
mod shared;

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use otus::base::text::Text;
use otus::base::time::UnixTime;
use otus::gufo::arguments::{self, Argument, ArgumentValue};
use otus::gufo::dialect::{Dialect, EndMarker};
use otus::gufo::envelope::Envelope;
use otus::gufo::reply::Reply;
use otus::gufo::upload::Uploader;
use otus::gufo::{json, path};

use clock::{rate, time};
use shared::{BODY, call, read_parts, response, within_a_part};

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
    let message = response();
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
        let mut parser = within_a_part();
        rate(name, payload.len(), || read_parts(&mut parser, payload));
    }
}
