//! How long HPACK and the HTTP/2 engine take, in nanoseconds: `cargo bench --bench hpack`.
//!
//! A plain loop around each case, the median of several runs; no statistics beyond that.

#![expect(clippy::expect_used, reason = "a bench stops at its first fault")]

use std::hint::black_box;
use std::time::Instant as Clock;

use otus::base::time::Instant;
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::Event;
use otus::protocol::h2::frame::{self, END_HEADERS, Kind};
use otus::protocol::h2::hpack::decode::Decoder;
use otus::protocol::h2::hpack::encode::{self, Block};
use otus::protocol::h2::hpack::fields::Fields;
use otus::protocol::h2::hpack::huffman;

const RUNS: usize = 9;

fn main() {
    let browser = block(encode::field);
    let compact = block(encode::field_compact);
    println!("one head of 12 fields: {} bytes plain, {} in Huffman", browser.len(), compact.len());
    decode("decode, plain", &browser);
    decode("decode, Huffman", &compact);
    bench("encode, plain", 1, || {
        black_box(block(encode::field));
    });
    bench("encode, Huffman", 1, || {
        black_box(block(encode::field_compact));
    });
    let text = b"/api/v3/storage/upload?module=files&name=a-longer-name.tar.gz&lang=en-US";
    let mut coded = Vec::new();
    huffman::encode(text, &mut coded);
    let mut out = Vec::new();
    bench("Huffman, 71 bytes", 1, || {
        out.clear();
        huffman::decode(black_box(&coded), &mut out).expect("valid");
    });
    exchange();
    stream(16_384);
    stream(1024);
}

fn block(field: fn(&mut Vec<u8>, &[u8], &[u8])) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/api/v3/storage/upload?module=files"),
        (":authority", "gateway.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json, text/plain, */*"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/octet-stream"),
        ("content-length", "1048576"),
        ("x-filename", "holiday-2026-08-14.jpg"),
        ("x-request-id", "0192f1c0-7d1e-7a3a-9b7e-0d5c2d0f7a11"),
    ] {
        field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

fn decode(name: &str, block: &[u8]) {
    let mut decoder = Decoder::new(0);
    let mut fields = Fields::new(65_536);
    bench(name, 1, || {
        decoder.decode(black_box(block), &mut fields).expect("valid");
    });
}

/// A client opens a stream, sends little DATA and reads the answer, over and over.
fn exchange() {
    let head = Block::new().field(b":method", b"POST").field(b":scheme", b"http").into_vec();
    let answer = Block::new().status(200).field(b"content-type", b"application/grpc").into_vec();
    let trailers = Block::new().field(b"grpc-status", b"0").into_vec();
    let mut connection = client();
    let mut id = 1;
    bench("unary call, client side", 1, || {
        let stream = connection.open(&head, false).expect("open");
        connection.send_data(stream, b"0123456789", true).expect("room");
        let mut input = Vec::with_capacity(128);
        frame::write_headers(&mut input, id, &answer, false, 16_384);
        frame::write(&mut input, Kind::Data, 0, id, b"0123456789");
        frame::write_headers(&mut input, id, &trailers, true, 16_384);
        receive(&mut connection, &input);
        id += 2;
        connection.outgoing().clear();
        // The endpoint gives its window back.
        if id % 128 == 1 {
            receive(&mut connection, &window(1000));
        }
    });
}

/// DATA frames of one stream, read and released.
fn stream(len: usize) {
    let mut connection = client();
    let id = connection.open(&[0x83], false).expect("open");
    let mut input = Vec::new();
    frame::write(&mut input, Kind::Headers, END_HEADERS, id.0, &[0x88]);
    receive(&mut connection, &input);
    input.clear();
    let frames = 65_536 / len;
    for _ in 0..frames {
        frame::write(&mut input, Kind::Data, 0, id.0, &vec![0; len]);
    }
    bench(&format!("DATA frame of {len} bytes, read"), frames, || {
        receive(&mut connection, &input);
        connection.outgoing().clear();
    });
    let mut sender = client();
    let id = sender.open(&[0x83], false).expect("open");
    let len = u32::try_from(len).expect("small");
    bench(&format!("DATA head of {len} bytes, made"), 1, || {
        if sender.capacity(id) < len {
            let mut input = window(0x1000_0000);
            frame::write_window_update(&mut input, id.0, 0x1000_0000);
            receive(&mut sender, &input);
        }
        black_box(sender.data_header(id, len, false).expect("room"));
    });
}

fn client() -> Connection {
    let mut connection = Connection::new(Role::Client, Config::client(), Instant::START);
    let mut input = Vec::new();
    frame::write(&mut input, Kind::Settings, 0, 0, &[0, 3, 0, 0, 1, 0]);
    receive(&mut connection, &input);
    connection.outgoing().clear();
    connection
}

fn window(increment: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_window_update(&mut out, 0, increment);
    out
}

fn receive(connection: &mut Connection, mut input: &[u8]) {
    loop {
        let received = connection.receive(input, Instant::START).expect("valid");
        input = input.get(received.consumed..).unwrap_or_default();
        match received.event {
            Some(Event::Data { id, len, .. }) => connection.release(id, len),
            Some(event) => {
                black_box(event);
            }
            None => return,
        }
    }
}

/// Prints the median of `RUNS` runs of about 20 ms, for each of `parts`.
fn bench(name: &str, parts: usize, mut case: impl FnMut()) {
    let start = Clock::now();
    let mut times = 0_u32;
    while start.elapsed().as_millis() < 20 {
        case();
        times += 1;
    }
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Clock::now();
            for _ in 0..times {
                case();
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(times)
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    let parts = f64::from(u32::try_from(parts).expect("few"));
    println!("{name:32} {:9.1} ns", runs.get(RUNS / 2).copied().unwrap_or(0.0) / parts);
}
