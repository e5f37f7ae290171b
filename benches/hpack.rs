//! How long HPACK and the HTTP/2 engine take, in nanoseconds: `cargo bench --bench hpack`. The best
//! of many rounds.

#![expect(clippy::expect_used, reason = "a bench stops at its first fault")]

#[path = "shared/clock.rs"]
#[allow(dead_code, reason = "each bench uses its part")]
mod clock;
#[path = "shared/h2.rs"]
mod h2;

use std::hint::black_box;

use otus::protocol::h2::frame;
use otus::protocol::h2::hpack::decode::Decoder;
use otus::protocol::h2::hpack::encode;
use otus::protocol::h2::hpack::fields::Fields;
use otus::protocol::h2::hpack::huffman;

use clock::{each, time};
use h2::{Unary, block, client, download, receive};

fn main() {
    let (mut browser, mut compact) = (Vec::new(), Vec::new());
    block(&mut browser, encode::field);
    block(&mut compact, encode::field_compact);
    println!("one head of 12 fields: {} bytes plain, {} in Huffman", browser.len(), compact.len());
    decode("decode, plain", &browser);
    decode("decode, Huffman", &compact);
    time("encode, plain", || block(&mut browser, encode::field));
    time("encode, Huffman", || block(&mut compact, encode::field_compact));
    let text = b"/api/v3/storage/upload?module=files&name=a-longer-name.tar.gz&lang=en-US";
    let mut coded = Vec::new();
    huffman::encode(text, &mut coded);
    let mut out = Vec::new();
    time("Huffman, 71 bytes", || {
        out.clear();
        huffman::decode(black_box(&coded), &mut out).expect("valid");
    });
    let mut unary = Unary::new();
    time("unary call, client side", || unary.call());
    stream(16_384);
    stream(1024);
}

fn decode(name: &str, block: &[u8]) {
    let mut decoder = Decoder::new(0);
    let mut fields = Fields::new(65_536);
    time(name, || decoder.decode(black_box(block), &mut fields).expect("valid"));
}

/// DATA frames of one stream, read and released; heads of such frames, made.
fn stream(len: u32) {
    let frames = 65_536 / len;
    let (mut connection, input) =
        download(usize::try_from(frames).expect("few"), usize::try_from(len).expect("small"));
    each(&format!("DATA frame of {len} bytes, read"), frames, || {
        receive(&mut connection, &input);
        connection.outgoing().clear();
    });
    let mut sender = client();
    let id = sender.open(&[0x83], false).expect("open");
    let mut credit = Vec::new();
    frame::write_window_update(&mut credit, 0, 0x1000_0000);
    frame::write_window_update(&mut credit, id.0, 0x1000_0000);
    time(&format!("DATA head of {len} bytes, made"), || {
        if sender.capacity(id) < len {
            receive(&mut sender, &credit);
        }
        black_box(sender.data_header(id, len, false).expect("room"));
    });
}
