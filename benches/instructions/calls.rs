//! The Gufo surface: what is read from a request, what is told to services, what comes back.

use std::hint::black_box;
use std::time::Duration;

use otus::base::text::Text;
use otus::base::time::UnixTime;
use otus::gufo::arguments;
use otus::gufo::asked::Asked;
use otus::gufo::dialect::{Dialect, EndMarker};
use otus::gufo::envelope::Envelope;
use otus::gufo::reply::Reply;
use otus::gufo::upload::Uploader;
use otus::gufo::{json, path};
use otus::protocol::grpc::frame::PREFIX_BYTES;

use crate::gufo::{BODY, call, response};
use crate::ledger::Ledger;

/// All of them.
pub(crate) fn run(ledger: &mut Ledger) {
    let bases = ["/api/v3", "/api/v1"];
    ledger.case("gufo: a path of four elements, parsed", || {
        black_box(path::parse(bases, black_box(b"/api/v3/storage/upload/7/8")).is_ok());
    });
    ledger.case("gufo: 255 bytes of JSON made arguments", || {
        black_box(arguments::from_json(black_box(BODY)).is_ok());
    });
    let args = arguments::from_json(BODY).expect("the body is JSON");
    let mut request = Vec::with_capacity(4096);
    ledger.case("gufo: Request with 6 arguments, encoded", || {
        request.clear();
        call(black_box(&args)).encode(Dialect::B, &mut request).expect("short");
    });
    request.clear();
    call(&args).encode(Dialect::B, &mut request).expect("short");
    let (_, message) = request.split_at(PREFIX_BYTES);
    ledger.case("gufo: Request with 6 arguments, decoded", || {
        black_box(Asked::read(false, black_box(message)).expect("valid"));
    });
    let mut uploader = Uploader::new(&call(&[]), Dialect::B, EndMarker::Both);
    let mut out = Vec::with_capacity(4096);
    uploader.begin_file(Text::new(b"big.iso"), &mut out).expect("no file is open");
    ledger.case("gufo: prelude of an upload's chunk", || {
        out.clear();
        let _ = black_box(uploader.chunk_prelude(black_box(65_536), &mut out));
    });
    let message = response();
    let mut reply = Reply::new();
    ledger.case("gufo: Response with 6 values, decoded", || {
        reply.clear();
        reply.merge(Dialect::B, black_box(&message)).expect("valid");
    });
    reply.clear();
    reply.merge(Dialect::B, &message).expect("valid");
    let time = UnixTime(Duration::from_secs(1_790_000_000));
    let envelope = Envelope { time, lang: "eng", session: None };
    ledger.case("gufo: JSON envelope of 6 values, written", || {
        out.clear();
        envelope.reply(&mut out, black_box(&reply));
    });
    let text = "a name with \"quotes\", a tab\t, and \u{fc}ml\u{e4}uts ".repeat(20);
    ledger.case("json: a string of 860 bytes, escaped", || {
        out.clear();
        json::put_string(&mut out, black_box(&text));
    });
    let text = format!("[{}1]", "{\"key\":\"a value of some length\",\"n\":12.5},".repeat(400));
    ledger.case("json: 16 KiB of small objects, checked", || {
        black_box(json::value(black_box(text.as_bytes())).is_ok());
    });
}
