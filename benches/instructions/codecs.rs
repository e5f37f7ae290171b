//! Codecs: HTTP/1.1, HTTP/2 with HPACK, the frames of gRPC, multipart.

use std::hint::black_box;

use otus::message::head::{Method, RequestHead, ResponseHead};
use otus::protocol::grpc::frame::{MessageDecoder, prefix};
use otus::protocol::h1::request::{HeadLimits, RequestParser};
use otus::protocol::h1::response::ResponseParser;
use otus::protocol::h2::frame;
use otus::protocol::h2::hpack::decode::Decoder;
use otus::protocol::h2::hpack::encode as hpack;
use otus::protocol::h2::hpack::fields::Fields;

use crate::gufo::{read_parts, within_a_part};
use crate::h1::{self, REQUEST, RESPONSE};
use crate::h2::{Unary, block, client, download, receive};
use crate::ledger::Ledger;

/// Heads and chunks of HTTP/1.1.
pub(crate) fn http1(ledger: &mut Ledger) {
    let limits = HeadLimits::default();
    let mut parser = RequestParser::new(limits);
    let mut head = RequestHead::default();
    ledger.case("h1: request head of 10 fields, parsed", || {
        parser.reset();
        let _ = black_box(parser.parse(black_box(REQUEST), &mut head));
    });
    ledger.case("h1: the same head in pieces of 64 bytes", || {
        h1::parse_in_pieces(&mut parser, &mut head);
    });
    let mut parser = ResponseParser::new(limits, Method::Get);
    let mut head = ResponseHead::default();
    ledger.case("h1: response head of 5 fields, parsed", || {
        parser.reset(Method::Get);
        let _ = black_box(parser.parse(black_box(RESPONSE), &mut head));
    });
    let mut out = Vec::with_capacity(1024);
    ledger.case("h1: response head of 3 fields, written", || h1::write_head(&mut out));
    let text = h1::chunked(64, 16);
    ledger.case("h1: 64 chunks of 16 bytes, decoded", || h1::decode(&text));
}

/// Header blocks, and what a connection does with frames.
pub(crate) fn http2(ledger: &mut Ledger) {
    let mut out = Vec::with_capacity(512);
    ledger.case("hpack: 12 fields, encoded", || block(&mut out, hpack::field));
    let mut compact = Vec::with_capacity(512);
    ledger.case("hpack: 12 fields, encoded in Huffman", || {
        block(&mut compact, hpack::field_compact);
    });
    // Where only some cases run, the blocks were not made yet.
    block(&mut out, hpack::field);
    block(&mut compact, hpack::field_compact);
    let mut decoder = Decoder::new(0);
    let mut fields = Fields::new(65_536);
    ledger.case("hpack: 12 fields, decoded", || {
        decoder.decode(black_box(&out), &mut fields).expect("valid");
    });
    ledger.case("hpack: 12 fields, decoded from Huffman", || {
        decoder.decode(black_box(&compact), &mut fields).expect("valid");
    });
    let mut unary = Unary::new();
    ledger.case("h2: a unary call, client side", || unary.call());
    data(ledger);
}

fn data(ledger: &mut Ledger) {
    let (mut connection, input) = download(64, 1024);
    ledger.case("h2: 64 DATA frames of 1 KiB, read", || {
        receive(&mut connection, &input);
        connection.outgoing().clear();
    });
    let mut sender = client();
    let id = sender.open(&[0x83], false).expect("open");
    let mut credit = Vec::new();
    frame::write_window_update(&mut credit, 0, 16_384);
    frame::write_window_update(&mut credit, id.0, 16_384);
    ledger.case("h2: DATA head of 16 KiB made, and its window given back", || {
        black_box(sender.data_header(id, 16_384, false).expect("room"));
        receive(&mut sender, &credit);
    });
}

/// Messages within DATA.
pub(crate) fn grpc(ledger: &mut Ledger) {
    let mut framed = Vec::new();
    for _ in 0..16 {
        framed.extend_from_slice(&prefix(100));
        framed.extend_from_slice(&[7; 100]);
    }
    let mut decoder = MessageDecoder::new(4096);
    ledger.case("grpc: 16 messages of 100 bytes, in two pieces", || {
        let (first, second) = framed.split_at(777);
        for mut rest in [first, second] {
            while !rest.is_empty() {
                let fed = decoder.feed(black_box(rest)).expect("valid");
                rest = rest.get(fed.consumed..).unwrap_or_default();
            }
        }
    });
}

/// The search for boundaries.
pub(crate) fn multipart(ledger: &mut Ledger) {
    let mut random = vec![0; 64 * 1024];
    otus::base::prng::Prng::new(1).fill(&mut random);
    let lines = b"a line of text as in a log file, with its end\r\n".repeat(1000);
    for (name, payload) in [
        ("multipart: 64 KiB of random bytes", &random),
        ("multipart: 46 KiB of lines of text", &lines),
    ] {
        let mut parser = within_a_part();
        ledger.case(name, || read_parts(&mut parser, payload));
    }
}
