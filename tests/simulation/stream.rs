//! One request on a stream of HTTP/2.

use std::cell::{Cell, RefCell};

use otus::protocol::h2::frame::ErrorCode;
use otus::protocol::h2::hpack::encode;
use otus::proxy::event::Event;

use crate::decode::{Coding, Decoder, field, told, value};
use crate::ledger::Kind;
use crate::request::Wire;
use crate::response::Response;
use crate::tunnel::Tunnel;

/// A request as HTTP/2 tells it.
pub struct Parsed {
    /// The header block.
    pub block: Vec<u8>,
    pub body: Vec<u8>,
    /// There is a body, if perhaps an empty one.
    pub has_body: bool,
    /// The block that follows the body, if it has trailers.
    pub trailers: Option<Vec<u8>>,
}

impl Parsed {
    /// What a request of HTTP/1.1 says.
    pub fn of(wire: &Wire) -> Parsed {
        if let Kind::Tunnel(tunnel) = &wire.exchange.kind {
            return Parsed::of_tunnel(&wire.exchange.id, tunnel);
        }
        let (head, body) = wire.bytes.split_at(wire.head_len);
        let head = str::from_utf8(head).unwrap().trim_end();
        let mut lines = head.split("\r\n");
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let fields: Vec<(String, String)> = lines.map(field).collect();
        let coding = told(&fields);
        let mut decoder = Decoder::new(coding.unwrap_or(Coding::None));
        decoder.feed(&mut body.to_vec());
        assert!(decoder.is_done(), "a request that is not whole");
        let mut block = Vec::new();
        let pseudo = [(":method", first[0]), (":scheme", "http"), (":path", first[1])];
        for (name, text) in pseudo {
            encode::field(&mut block, name.as_bytes(), text.as_bytes());
        }
        let host = value(&fields, "host").unwrap();
        encode::field(&mut block, b":authority", host.as_bytes());
        let ends_here = ["host", "connection", "transfer-encoding", "expect"];
        for (name, text) in fields.iter().filter(|(name, _)| !ends_here.contains(&name.as_str())) {
            encode::field(&mut block, name.as_bytes(), text.as_bytes());
        }
        let trailers = (!decoder.trailers.is_empty()).then(|| {
            let mut block = Vec::new();
            for (name, text) in &decoder.trailers {
                encode::field(&mut block, name.as_bytes(), text.as_bytes());
            }
            block
        });
        Parsed { block, body: decoder.body, has_body: coding.is_some(), trailers }
    }

    /// An extended CONNECT (RFC 8441), and what goes through the tunnel.
    fn of_tunnel(id: &str, tunnel: &Tunnel) -> Parsed {
        let mut block = Vec::new();
        for (name, text) in [
            (":method", "CONNECT"),
            (":scheme", "http"),
            (":path", &format!("/w/{id}?of={id}")),
            (":authority", "gateway.test"),
            (":protocol", "websocket"),
            ("sec-websocket-version", "13"),
            ("x-request-id", id),
        ] {
            encode::field(&mut block, name.as_bytes(), text.as_bytes());
        }
        Parsed { block, body: tunnel.up.to_vec(), has_body: true, trailers: None }
    }
}

/// What came on a stream.
#[derive(Default)]
pub struct Stream {
    pub answer: RefCell<Option<Response>>,
    /// The answer is whole.
    pub is_whole: Cell<bool>,
    /// The request has been sent to its end.
    pub is_sent: Cell<bool>,
    /// It was reset, for this reason.
    pub reset: Cell<Option<ErrorCode>>,
    /// The connection is gone.
    pub is_gone: Cell<bool>,
    /// One of the above has changed, or a window.
    pub news: Event,
}

impl Stream {
    pub fn is_over(&self) -> bool {
        self.is_whole.get() || self.reset.get().is_some() || self.is_gone.get()
    }

    /// The head of the answer.
    pub fn head(&self, fields: Vec<(String, String)>) {
        let status = value(&fields, ":status").expect("a status").parse().unwrap();
        let response = Response { status, fields, body: Vec::new(), trailers: Vec::new() };
        let before = self.answer.borrow_mut().replace(response);
        assert!(before.is_none(), "a stream was answered twice");
    }

    pub fn data(&self, data: &[u8]) {
        assert!(!self.is_whole.get(), "bytes behind the end of an answer");
        self.answer.borrow_mut().as_mut().expect("a head before the body").body.extend(data);
    }

    pub fn trailers(&self, fields: Vec<(String, String)>) {
        self.answer.borrow_mut().as_mut().expect("a head before the trailers").trailers = fields;
    }

    /// Nothing more comes.
    pub fn end(&self, is_head: bool) {
        assert!(!self.is_whole.replace(true), "an answer ended twice");
        let answer = self.answer.borrow();
        let response = answer.as_ref().expect("a head before the end");
        let len = response.field("content-length").map(|text| text.parse::<usize>().unwrap());
        let is_told = len.is_none_or(|len| len == response.body.len());
        let is_empty = is_head || response.status == 304;
        assert!(is_told || is_empty, "{} bytes of {len:?}", response.body.len());
    }
}
