//! Costs of the HTTP/1.1 codec: `cargo bench --bench h1`. The best of many rounds, in nanoseconds.

#[path = "shared/clock.rs"]
#[allow(dead_code, reason = "each bench uses its part")]
mod clock;
#[path = "shared/h1.rs"]
mod h1;

use std::hint::black_box;

use otus::message::head::{Method, RequestHead, ResponseHead};
use otus::message::hop::hop_by_hop;
use otus::protocol::h1::request::{HeadLimits, RequestParser};
use otus::protocol::h1::response::ResponseParser;

use clock::time;
use h1::{REQUEST, RESPONSE};

const SMALL: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: gateway.example\r\n\r\n";

fn main() {
    let limits = HeadLimits::default();
    for (name, text) in [("request, small", SMALL), ("request, browser", REQUEST)] {
        let mut parser = RequestParser::new(limits);
        let mut head = RequestHead::default();
        let fields = text.split(|byte| *byte == b'\n').count() - 3;
        time(&format!("{name}: {} bytes, {fields} fields", text.len()), || {
            parser.reset();
            let _ = black_box(parser.parse(black_box(text), &mut head));
        });
    }
    let mut parser = RequestParser::new(limits);
    let mut head = RequestHead::default();
    time("request, browser, in 64-byte pieces", || h1::parse_in_pieces(&mut parser, &mut head));
    time("hop-by-hop fields of that", || {
        black_box(hop_by_hop(black_box(&head.fields), REQUEST));
    });
    let mut parser = ResponseParser::new(limits, Method::Get);
    let mut head = ResponseHead::default();
    time(&format!("response: {} bytes, 5 fields", RESPONSE.len()), || {
        parser.reset(Method::Get);
        let _ = black_box(parser.parse(black_box(RESPONSE), &mut head));
    });
    let mut out = Vec::with_capacity(1024);
    time("response head, encoded", || h1::write_head(&mut out));
    for (size, count) in [(16, 64), (16 * 1024, 4)] {
        let text = h1::chunked(count, size);
        time(&format!("chunked body: {count} chunks of {size} bytes"), || h1::decode(&text));
    }
}
