//! Costs of the HTTP/1.1 codec: `cargo bench --bench h1`. The best of many rounds, in nanoseconds.

use std::hint::black_box;
use std::time::Instant;

use otus::message::framing::Framing;
use otus::message::head::{Method, RequestHead, ResponseHead};
use otus::message::hop::hop_by_hop;
use otus::message::known::Known;
use otus::protocol::h1::body::{BodyDecoder, BodyEvent};
use otus::protocol::h1::encode;
use otus::protocol::h1::request::{HeadLimits, RequestParser};
use otus::protocol::h1::response::ResponseParser;

const SMALL: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: gateway.example\r\n\r\n";

const BROWSER: &[u8] = b"GET /api/v1/orders/4711?expand=items&page=2 HTTP/1.1\r\n\
Host: gateway.example:8080\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: application/json,text/plain;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.7\r\n\
Accept-Encoding: gzip, deflate, br\r\n\
Connection: keep-alive\r\n\
Referer: https://gateway.example/orders\r\n\
X-Request-Id: 0123456789abcdef01\r\n\
Cookie: session=0123456789abcdef0123\r\n\
Cache-Control: no-cache\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Content-Type: application/json\r\n\
Content-Length: 128\r\n\
Cache-Control: no-store\r\n\
Vary: accept\r\n\r\n";

fn main() {
    let limits = HeadLimits::default();
    for (name, text) in [("request, small", SMALL), ("request, browser", BROWSER)] {
        let mut parser = RequestParser::new(limits);
        let mut head = RequestHead::default();
        let fields = text.split(|byte| *byte == b'\n').count() - 3;
        measure(&format!("{name}: {} bytes, {fields} fields", text.len()), || {
            parser.reset();
            let _ = black_box(parser.parse(black_box(text), &mut head));
        });
    }
    let mut parser = RequestParser::new(limits);
    let mut head = RequestHead::default();
    measure("request, browser, in 64-byte pieces", || {
        parser.reset();
        for end in (64..BROWSER.len()).step_by(64).chain([BROWSER.len()]) {
            let piece = BROWSER.get(..end).unwrap_or_default();
            let _ = black_box(parser.parse(black_box(piece), &mut head));
        }
    });
    measure("hop-by-hop fields of that", || {
        black_box(hop_by_hop(black_box(&head.fields), BROWSER));
    });
    let mut parser = ResponseParser::new(limits, Method::Get);
    let mut head = ResponseHead::default();
    measure(&format!("response: {} bytes, 5 fields", RESPONSE.len()), || {
        parser.reset(Method::Get);
        let _ = black_box(parser.parse(black_box(RESPONSE), &mut head));
    });
    let mut out = Vec::with_capacity(1024);
    measure("response head, encoded", || {
        out.clear();
        encode::status_line(&mut out, black_box(200));
        encode::known_field(&mut out, Known::ContentType, black_box(b"application/json"));
        encode::known_field(&mut out, Known::Server, black_box(b"otus"));
        encode::content_length(&mut out, black_box(128));
        encode::end(&mut out);
        black_box(&out);
    });
    bodies();
}

fn bodies() {
    for (size, count) in [(16, 64), (16 * 1024, 4)] {
        let mut text = Vec::new();
        for _ in 0..count {
            encode::chunk_head(&mut text, size);
            text.resize(text.len() + usize::try_from(size).unwrap_or(0), b'x');
            text.extend_from_slice(encode::CRLF);
        }
        text.extend_from_slice(encode::LAST_CHUNK);
        measure(&format!("chunked body: {count} chunks of {size} bytes"), || {
            let mut decoder = BodyDecoder::new(Framing::Chunked, u64::MAX);
            let mut rest = black_box(&text[..]);
            while let Ok(step) = decoder.decode(rest) {
                rest = rest.get(step.consumed..).unwrap_or_default();
                if black_box(step.event) == BodyEvent::End {
                    break;
                }
            }
        });
    }
}

/// Prints the lowest mean of many short rounds, which the rest of the machine disturbs least.
fn measure(name: &str, mut run: impl FnMut()) {
    const ROUNDS: u32 = 400;
    const RUNS: u32 = 2000;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..RUNS {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS));
    }
    println!("{name:<50} {best:>9.1} ns");
}
