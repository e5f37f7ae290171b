//! Calls of gRPC-Web, as browsers make them: over HTTP/1.1 and HTTP/2, as bytes and as text.

use otus::proto::reverse::{Request, Response};
use otus::protocol::base64::{Decoder, Encoder};
use otus::snapshot::server::IoDriver;
use prost::Message;

use super::passed_calls::asked;
use crate::support::backend::nobody;
use crate::support::client::head;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::{self, Client};
use crate::support::proxy::{ALL, start, upstream};
use crate::support::rude::{Rude, Rudeness};
use crate::support::service::Service;

const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";
const DO: &str = "/Reverse/Do";

fn before(io: IoDriver, address: std::net::SocketAddr) -> Gateway {
    let upstream = upstream(&[address], "protocol = \"grpc\"\nretry.attempts = 1");
    start(io, &format!("{upstream}{ALL}"))
}

fn framed(message: &Request) -> Vec<u8> {
    h2::framed(&message.encode_to_vec())
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    let (mut encoder, mut text) = (Encoder::default(), Vec::new());
    encoder.encode(bytes, &mut text);
    encoder.end(&mut text);
    text
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut decoder, mut bytes) = (Decoder::default(), Vec::new());
    decoder.decode(text, &mut bytes).unwrap();
    assert!(decoder.is_whole());
    bytes
}

/// What a browser reads of an answer.
#[derive(PartialEq, Eq, Debug)]
struct Told {
    content_type: String,
    /// Messages without their prefixes.
    messages: Vec<Vec<u8>>,
    /// The last frame, which holds the trailers.
    trailers: String,
}

impl Told {
    #[track_caller]
    fn of(content_type: &str, body: &[u8]) -> Self {
        let text = content_type.starts_with("application/grpc-web-text");
        let body = if text { decoded(body) } else { body.to_vec() };
        let (mut rest, mut messages) = (&body[..], Vec::new());
        loop {
            let (prefix, after) = rest.split_at(5);
            let len = u32::from_be_bytes(prefix[1..].try_into().unwrap());
            let (frame, after) = after.split_at(usize::try_from(len).unwrap());
            rest = after;
            if prefix[0] == 0x80 {
                assert!(rest.is_empty(), "nothing follows the trailers");
                let trailers = String::from_utf8(frame.to_vec()).unwrap();
                return Told { content_type: content_type.to_owned(), messages, trailers };
            }
            assert_eq!(prefix[0], 0);
            messages.push(frame.to_vec());
        }
    }

    #[track_caller]
    fn status(&self) -> &str {
        let mut lines = self.trailers.lines();
        lines.find_map(|line| line.strip_prefix("grpc-status: ")).unwrap()
    }
}

/// A call over HTTP/1.1 whose body comes in these chunks.
#[track_caller]
fn over_http1(gateway: &Gateway, path: &str, fields: &[&str], chunks: &[&[u8]]) -> Told {
    let mut client = gateway.client();
    let mut told = Vec::new();
    // The connection stays of use.
    for _ in 0..2 {
        let fields = [&["Transfer-Encoding: chunked"], fields].concat();
        client.head("POST", path, &fields);
        for chunk in chunks {
            client.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("grpc-status")), (200, None));
        assert!(reply.field("trailer").is_none() && reply.keeps());
        told.push(Told::of(reply.field("content-type").unwrap(), &reply.body));
    }
    assert_eq!(told[0].messages, told[1].messages);
    told.swap_remove(0)
}

/// The same over HTTP/2, each chunk in a frame of its own.
#[track_caller]
fn over_http2(gateway: &Gateway, path: &str, fields: &[&str], chunks: &[&[u8]]) -> Told {
    let client = Client::connect(gateway.address);
    let fields: Vec<_> = fields.iter().map(|field| field.split_once(": ").unwrap()).collect();
    let mut call = client.begin("POST", path, &fields, false);
    for chunk in chunks {
        // One that is refused may be answered before all was sent.
        let _ = call.send(chunk, false);
    }
    let _ = call.send(b"", true);
    let reply = call.reply();
    assert_eq!((reply.status, reply.field("grpc-status")), (200, None));
    assert_eq!(reply.trailers, None);
    Told::of(reply.field("content-type").unwrap(), &reply.body)
}

/// Both, which must tell the same.
#[track_caller]
fn told(gateway: &Gateway, path: &str, fields: &[&str], chunks: &[&[u8]]) -> Told {
    let told = over_http1(gateway, path, fields, chunks);
    assert_eq!(over_http2(gateway, path, fields, chunks), told);
    told
}

#[test]
fn a_call_of_bytes_passes_and_its_trailers_are_a_frame() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let mark = service.journal.mark();
        let fields = ["content-type: application/grpc-web+proto", "x-grpc-web: 1"];
        let told = told(&gateway, DO, &fields, &[&framed(&asked("x"))]);
        assert_eq!((&*told.content_type, told.status(), told.messages.len()), (BINARY, "0", 1));
        Response::decode(&told.messages[0][..]).unwrap();
        assert_eq!(service.journal.called(mark), asked("x"));
        gateway.is_clean();
    });
}

#[test]
fn a_call_of_text_passes_whatever_its_pieces_are() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let message = framed(&asked("something of some length"));
        let (front, back) = message.split_at(7);
        let whole = encoded(&message);
        let apart = [encoded(front), encoded(back)];
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        let fields = ["content-type: application/grpc-web-text+proto"];
        for chunks in [&[&whole[..]][..], &[&apart[0], &apart[1]], &bytes] {
            let mark = service.journal.mark();
            let told = told(&gateway, DO, &fields, chunks);
            assert_eq!((&*told.content_type, told.status(), told.messages.len()), (TEXT, "0", 1));
            assert_eq!(service.journal.called(mark), asked("something of some length"));
        }
        gateway.is_clean();
    });
}

#[test]
fn the_answer_is_what_the_client_accepts() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let message = framed(&asked("x"));
        for (sent, accepted, want) in [
            ("application/grpc-web", "*/*", "application/grpc-web"),
            (
                "application/grpc-web",
                "a/b, application/grpc-web-text;q=1",
                "application/grpc-web-text",
            ),
            ("application/grpc-web+proto", "application/grpc-web-text+proto", TEXT),
            ("application/grpc-web-text", "application/grpc-web", "application/grpc-web"),
        ] {
            let body = if sent.contains("-text") { encoded(&message) } else { message.clone() };
            let sent = format!("content-type: {sent}");
            let accepted = format!("accept: {accepted}");
            let told = told(&gateway, DO, &[&sent, &accepted], &[&body]);
            assert_eq!((&*told.content_type, told.status()), (want, "0"));
        }
        gateway.is_clean();
    });
}

#[test]
fn large_answers_are_whole_as_bytes_and_as_text() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let big = Request { param_id: Some("2".to_owned()), ..asked("big") };
        let message = framed(&big);
        for (sent, body) in [(BINARY, message.clone()), (TEXT, encoded(&message))] {
            let sent = format!("content-type: {sent}");
            let told = told(&gateway, DO, &[&sent], &[&body]);
            assert_eq!((told.status(), told.messages.len()), ("0", 1));
            let answer = Response::decode(&told.messages[0][..]).unwrap();
            assert!(answer.encoded_len() > 2 << 20);
        }
        gateway.is_clean();
    });
}

#[test]
fn a_status_that_stands_alone_becomes_a_frame() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let refused = Request { param_id: Some("9".to_owned()), ..asked("status") };
        let fields = ["content-type: application/grpc-web+proto"];
        let told = told(&gateway, DO, &fields, &[&framed(&refused)]);
        assert!(told.messages.is_empty());
        assert_eq!(told.trailers, "grpc-status: 9\r\ngrpc-message: as%20asked\r\n");
        gateway.is_clean();
    });
}

#[test]
fn refusals_of_the_gateway_are_told_as_a_status() {
    on_both_drivers(|io| {
        let down = upstream(&[nobody()], "protocol = \"grpc\"\nretry.attempts = 1");
        let only = ALL.replace("id =", "match = { prefix = \"/Reverse\" }\nid =");
        let gateway = start(io, &format!("{down}{only}"));
        for (kind, body) in [(BINARY, framed(&asked("x"))), (TEXT, encoded(&framed(&asked("x"))))] {
            let kind = format!("content-type: {kind}");
            for (path, status) in [(DO, "14"), ("/unknown.Service/Do", "12")] {
                let mut client = gateway.client();
                let reply = client.ask("POST", path, &[&kind], &body);
                let told = Told::of(reply.field("content-type").unwrap(), &reply.body);
                assert_eq!((reply.status, told.status()), (200, status));
                assert!(told.trailers.contains("grpc-message: "));
                let told = over_http2(&gateway, path, &[&kind], &[&body]);
                assert_eq!(told.status(), status);
            }
        }
        // Only a call can be told so, and only a client that knows chunks.
        assert_eq!(
            gateway.client().ask("PUT", DO, &["content-type: application/grpc-web"], b"").status,
            505
        );
        gateway.is_clean();
    });
}

#[test]
fn text_that_is_none_is_an_invalid_argument() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let mark = service.journal.mark();
        let good = String::from_utf8(encoded(&framed(&asked("x")))).unwrap();
        for body in [good.replace('A', "-"), good.trim_end_matches('=').to_owned()] {
            let fields = ["content-type: application/grpc-web-text"];
            let reply = gateway.client().ask("POST", DO, &fields, body.as_bytes());
            let told = Told::of(reply.field("content-type").unwrap(), &reply.body);
            assert_eq!(told.status(), "3", "{body}");
            let told = over_http2(&gateway, DO, &fields, &[body.as_bytes()]);
            assert_eq!(told.status(), "3", "{body}");
        }
        assert!(service.journal.since(mark).is_empty(), "no half call is made");
        gateway.is_clean();
    });
}

#[test]
fn an_answer_that_breaks_off_behind_a_message_still_ends_with_a_status() {
    on_both_drivers(|io| {
        for version in [1, 2] {
            let service = Rude::start(Rudeness::Cut);
            let gateway = before(io, service.address);
            let fields = ["content-type: application/grpc-web-text"];
            let body = encoded(&framed(&asked("x")));
            let told = if version == 1 {
                let reply = gateway.client().ask("POST", DO, &fields, &body);
                Told::of(reply.field("content-type").unwrap(), &reply.body)
            } else {
                over_http2(&gateway, DO, &fields, &[&body])
            };
            assert_eq!((told.messages.len(), told.status()), (1, "14"));
            gateway.is_clean();
        }
    });
}

#[test]
fn an_answer_that_ends_within_a_message_is_not_taken_for_whole() {
    // What is noticed before anything was said is told as a status.
    let is_told = |kind: Option<&str>, body: &[u8]| {
        let told = Told::of(kind.unwrap(), body);
        assert!(told.messages.is_empty() && told.status() == "13", "{told:?}");
    };
    on_both_drivers(|io| {
        let service = Rude::start(Rudeness::Half);
        let gateway = before(io, service.address);
        let body = framed(&asked("x"));
        let mut client = gateway.client();
        let length = format!("content-length: {}", body.len());
        client.head("POST", DO, &["content-type: application/grpc-web", &length]);
        client.send(&body);
        if let Ok(reply) = client.try_reply(false) {
            is_told(reply.field("content-type"), &reply.body);
        }
        let service = Rude::start(Rudeness::Half);
        let gateway = before(io, service.address);
        let client = Client::connect(gateway.address);
        let fields = [("content-type", "application/grpc-web")];
        let mut call = client.begin("POST", DO, &fields, false);
        let _ = call.send(&body, true);
        if let Ok(reply) = call.try_reply() {
            is_told(reply.field("content-type"), &reply.body);
        }
        gateway.is_clean();
    });
}

#[test]
fn what_is_no_answer_of_grpc_goes_on_as_it_is() {
    on_both_drivers(|io| {
        let service = Rude::start(Rudeness::NotGrpc);
        let gateway = before(io, service.address);
        let fields = ["content-type: application/grpc-web-text"];
        let reply = gateway.client().ask("POST", DO, &fields, &encoded(&framed(&asked("x"))));
        assert_eq!((reply.status, reply.text()), (200, "<html>".to_owned()));
        assert_eq!(reply.field("content-type"), Some("text/html"));
        gateway.is_clean();
    });
}

#[test]
fn a_browser_that_leaves_cancels_its_call() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let mark = service.journal.mark();
        let mut client = gateway.client();
        let body = framed(&asked("sleep"));
        let length = format!("content-length: {}", body.len());
        client.head("POST", DO, &["content-type: application/grpc-web", &length]);
        client.send(&body);
        service.journal.called(mark);
        drop(client);
        service.journal.left(mark);
        gateway.is_clean();
    });
}

#[test]
fn calls_may_stand_behind_each_other_on_a_connection_of_http1() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let mark = service.journal.mark();
        let mut client = gateway.client();
        let mut all = Vec::new();
        for name in ["a", "b", "c"] {
            let body = encoded(&framed(&asked(name)));
            let length = format!("content-length: {}", body.len());
            let fields = ["content-type: application/grpc-web-text", &length];
            all.extend_from_slice(head("POST", DO, &fields).as_bytes());
            all.extend_from_slice(&body);
        }
        client.send(&all);
        for _ in 0..3 {
            let reply = client.reply();
            let told = Told::of(reply.field("content-type").unwrap(), &reply.body);
            assert_eq!((told.status(), told.messages.len()), ("0", 1));
        }
        assert_eq!(service.journal.since(mark).len(), 3);
        gateway.is_clean();
    });
}

#[test]
fn an_answer_may_come_before_the_call_is_whole() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = before(io, service.address);
        let refused = Request { param_id: Some("9".to_owned()), ..asked("status") };
        let mut client = gateway.client();
        let fields = ["content-type: application/grpc-web", "content-length: 1000000"];
        client.head("POST", "/Reverse/Stream", &fields);
        client.send(framed(&refused));
        let reply = client.reply();
        assert!(!reply.keeps(), "where the next request begins is not known");
        let told = Told::of(reply.field("content-type").unwrap(), &reply.body);
        assert_eq!((told.status(), told.messages.len()), ("9", 0));
        client.closed();
        gateway.is_clean();
    });
}
