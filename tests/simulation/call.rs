//! One call at an endpoint.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use otus::io::Io;
use otus::protocol::h2::frame::{ErrorCode, StreamId};
use otus::protocol::h2::hpack::encode;

use crate::deed::Deed;
use crate::dice::{number, size};
use crate::endpoint::{Peer, next_deed};
use crate::ledger::Seen;
use crate::service::Intake;

/// A call that has begun.
pub struct Call {
    pub id: StreamId,
    pub seen: Rc<Seen>,
    intake: RefCell<Intake>,
    deed: Deed,
    /// The deed is done after so many bytes.
    at: Cell<u64>,
    is_done: Cell<bool>,
    /// Our side of the stream has ended.
    is_answered: Cell<bool>,
    received: Cell<u64>,
    /// Bytes that were received and not given back: the window stays small.
    held: Cell<u32>,
    holds: Cell<bool>,
    /// Nothing can be said any more.
    is_gone: Cell<bool>,
}

impl Call {
    /// A call whose head has just come.
    pub fn new(peer: &Peer, id: StreamId) -> Rc<Call> {
        let endpoint = &peer.endpoint;
        let (name, path) = {
            let engine = peer.engine.borrow();
            let text = |value: Option<&[u8]>| {
                String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
            };
            let fields = engine.fields();
            assert_eq!(fields.get(b"content-type"), Some(&b"application/grpc"[..]));
            let authority = endpoint.address.to_string();
            assert_eq!(fields.authority(), Some(authority.as_bytes()), "the wrong endpoint");
            (text(fields.get(b"x-request-id")), text(fields.path()))
        };
        let is_stream = match path.as_str() {
            "/Reverse/Stream" => true,
            "/Reverse/Do" => false,
            other => panic!("no such method: {other}"),
        };
        let exchange = endpoint.town.ledger.find(&name);
        let seen = Rc::new(Seen::default());
        if let Some(exchange) = &exchange {
            exchange.calls.borrow_mut().push(Rc::clone(&seen));
        }
        let deed = next_deed(endpoint);
        endpoint.town.met(deed.name());
        let at = number(endpoint.dice.borrow_mut().log(200_000));
        Rc::new(Call {
            id,
            seen,
            intake: RefCell::new(Intake::new(name, is_stream, exchange, endpoint.manner.marker)),
            deed,
            at: Cell::new(at),
            is_done: Cell::new(false),
            is_answered: Cell::new(false),
            received: Cell::new(0),
            held: Cell::new(0),
            holds: Cell::new(false),
            is_gone: Cell::new(false),
        })
    }

    /// Does what is to be done before the first byte.
    pub fn begin(self: &Rc<Self>, peer: &Rc<Peer>) {
        if self.at.get() == 0 && self.deed != Deed::Honest {
            self.strike(peer);
        }
    }

    pub fn data(self: &Rc<Self>, peer: &Rc<Peer>, data: &[u8], end: bool) {
        let len = u32::try_from(data.len()).unwrap();
        let seen = &self.seen;
        seen.bytes.set(seen.bytes.get() + number(data.len()));
        self.received.set(self.received.get() + number(data.len()));
        self.intake.borrow_mut().take(data);
        if end {
            seen.is_whole.set(self.intake.borrow().end());
        }
        let is_over = end && self.is_answered.get();
        let is_due = end || (self.deed != Deed::Honest && self.received.get() >= self.at.get());
        if is_due && !self.is_done.get() {
            self.strike(peer);
        }
        if self.holds.get() {
            self.held.set(self.held.get() + len);
        } else if !peer.is_dead.get() {
            peer.engine.borrow_mut().release(self.id, len);
        }
        if is_over {
            peer.forget(self);
        }
    }

    /// Gives back what was held: the window of the connection belongs to others, too.
    pub fn let_go(&self, peer: &Peer) {
        self.is_gone.set(true);
        peer.give_back(self.id, self.held.take());
    }

    fn strike(self: &Rc<Self>, peer: &Rc<Peer>) {
        self.is_done.set(true);
        let intake = self.intake.borrow();
        match self.deed {
            Deed::Honest => self.answer_later(peer, intake.answer(self.filler(peer))),
            Deed::Flood => self.answer_later(peer, intake.answer(5 << 20)),
            Deed::Stall => self.holds.set(true),
            Deed::Freeze => peer.freeze(),
            Deed::Reset(code) => {
                self.seen.is_refused.set(code == ErrorCode::REFUSED_STREAM);
                peer.engine.borrow_mut().reset(self.id, code);
                peer.forget(self);
            }
            Deed::GoAway => {
                let last = peer.engine.borrow().last_peer_stream();
                peer.go_away(StreamId(last));
                if self.seen.is_whole.get() {
                    self.answer_later(peer, intake.answer(0));
                } else {
                    self.at.set(u64::MAX);
                    self.is_done.set(false);
                }
            }
            Deed::GoAwayWithout => peer.go_away(StreamId(self.id.0 - 1)),
            Deed::Die => peer.reset(),
            Deed::Leave => peer.close(),
            Deed::Fail(status) => self.finish(peer, None, Some(status)),
            Deed::FailAndReset(status) => {
                self.finish(peer, None, Some(status));
                peer.engine.borrow_mut().reset(self.id, ErrorCode::NO_ERROR);
                peer.forget(self);
            }
            Deed::Decline => self.finish(peer, Some(&intake.refusal()), Some(0)),
            Deed::Hurry => self.hurry(peer, &intake),
            Deed::Garble => self.finish(peer, Some(b"\0\0\0\0\x03\xff\xff\xff"), Some(0)),
            Deed::NotGrpc => {
                let mut block = Vec::new();
                encode::status(&mut block, 200);
                encode::field(&mut block, b"content-type", b"text/html");
                let _ = peer.engine.borrow_mut().send_headers(self.id, &block, false);
            }
            Deed::NoTrailers => self.finish(peer, Some(&intake.hasty_answer()), None),
            Deed::Dry => {
                self.head(peer);
                let _ = peer.engine.borrow_mut().send_data(self.id, b"\0\0\0\x01\0half", false);
            }
        }
        peer.flush.raise();
    }

    /// Says yes now; from now on the window does not grow, so that it is known what can be sent.
    fn hurry(&self, peer: &Peer, intake: &Intake) {
        if self.seen.is_whole.get() {
            self.seen.is_ok.set(true);
            return self.finish(peer, Some(&intake.answer(0)), Some(0));
        }
        let window = peer.endpoint.manner.config.initial_window.max(65_535);
        self.holds.set(true);
        self.seen.lie.set(Some(self.received.get() + u64::from(window)));
        self.seen.is_ok.set(true);
        self.finish(peer, Some(&intake.hasty_answer()), Some(0));
    }

    fn filler(&self, peer: &Peer) -> usize {
        let mut dice = peer.endpoint.dice.borrow_mut();
        if self.intake.borrow().is_stream() || !dice.one_in(10) { dice.log(500) } else { 200_000 }
    }

    fn head(&self, peer: &Peer) {
        let mut block = Vec::new();
        encode::status(&mut block, 200);
        encode::field(&mut block, b"content-type", b"application/grpc");
        let _ = peer.engine.borrow_mut().send_headers(self.id, &block, false);
    }

    /// Sends a small answer in one go. Without a status the stream just ends.
    fn finish(&self, peer: &Peer, message: Option<&[u8]>, status: Option<u8>) {
        if message.is_some() {
            self.head(peer);
        }
        let is_last = status.is_none();
        if let Some(message) = message {
            let _ = peer.engine.borrow_mut().send_data(self.id, message, is_last);
        }
        if let Some(status) = status {
            self.trailers(peer, status, message.is_none());
        }
        self.is_answered.set(true);
        if self.seen.is_whole.get() {
            peer.forget(self);
        }
    }

    fn trailers(&self, peer: &Peer, status: u8, alone: bool) {
        let mut block = Vec::new();
        if alone {
            encode::status(&mut block, 200);
            encode::field(&mut block, b"content-type", b"application/grpc");
        }
        encode::field(&mut block, b"grpc-status", status.to_string().as_bytes());
        encode::field(&mut block, b"grpc-message", b"as%20drawn");
        let _ = peer.engine.borrow_mut().send_headers(self.id, &block, true);
    }

    fn answer_later(self: &Rc<Self>, peer: &Rc<Peer>, answer: Vec<u8>) {
        let (peer, call) = (Rc::clone(peer), Rc::clone(self));
        let most = u64::try_from(peer.endpoint.manner.think_max.as_millis()).unwrap();
        let think = peer.endpoint.dice.borrow_mut().millis(0, most);
        peer.endpoint.town.sim.clone().spawn(async move {
            peer.endpoint.town.sleep(think).await;
            call.answer(&peer, &answer).await;
        });
    }

    /// Sends an answer of any size as the windows allow.
    async fn answer(&self, peer: &Peer, answer: &[u8]) {
        let town = &peer.endpoint.town;
        self.head(peer);
        let mut rest = answer;
        while !rest.is_empty() {
            if peer.is_dead.get() || self.is_gone.get() {
                return;
            }
            let room = size(u64::from(peer.engine.borrow().capacity(self.id)));
            let (now, later) = rest.split_at(rest.len().min(room));
            if !now.is_empty() {
                if peer.engine.borrow_mut().send_data(self.id, now, false).is_err() {
                    return;
                }
                peer.flush.raise();
                rest = later;
                continue;
            }
            town.sleep(Duration::from_millis(20)).await;
        }
        if self.is_gone.get() {
            return;
        }
        self.seen.is_ok.set(self.seen.is_whole.get());
        self.trailers(peer, 0, false);
        self.is_answered.set(true);
        peer.flush.raise();
        if self.seen.is_whole.get() {
            peer.forget(self);
        }
    }
}
