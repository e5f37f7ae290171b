//! Calls of gRPC that are passed through: both directions at once, a status behind the answer, or
//! nothing but a status.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use otus::io::Io;
use otus::protocol::h2::frame::{ErrorCode, StreamId};
use otus::protocol::h2::hpack::encode;

use crate::decode::value;
use crate::deed::Deed;
use crate::dice::size;
use crate::endpoint::{Peer, next_deed};
use crate::ledger::{Exchange, Kind};
use crate::response::Response;
use crate::town::Town;
use crate::visit::{content, difference};

/// How the paths of such calls begin.
pub const PREFIX: &str = "/sim.Relay";

/// A call that is passed through.
pub struct Relay {
    /// What the client sends.
    pub up: Rc<[u8]>,
    /// Heads that reached endpoints, in their order.
    pub tries: RefCell<Vec<Rc<Pass>>>,
}

/// A call as an endpoint saw it.
#[derive(Default)]
pub struct Pass {
    /// What it answers.
    down: RefCell<Rc<[u8]>>,
    /// The status behind it; none: the answer ends without.
    status: Cell<Option<u8>>,
    /// All was said, with its end.
    is_said: Cell<bool>,
    /// Bytes that came.
    bytes: Cell<usize>,
    /// All came, with its end.
    is_whole: Cell<bool>,
}

impl Relay {
    pub fn new(id: &str, len: usize) -> Relay {
        Relay { up: content(&format!("{id}/up"), len), tries: RefCell::default() }
    }

    /// What must hold when all is over.
    pub fn check(&self, id: &str, is_cut: bool) {
        let tries = self.tries.borrow();
        assert!(tries.len() <= 1, "{id} was delivered {} times", tries.len());
        let cut_but_whole = is_cut && tries.iter().any(|pass| pass.is_whole.get());
        assert!(!cut_but_whole, "{id} was cut by its client and looked whole to a service");
    }

    /// Whether this may be: what a service said, to the last byte and with its status.
    pub fn judge(&self, town: &Town, id: &str, response: &Response, ends: bool) {
        let is_fair = !town.weather.is_quiet() || town.draining.get();
        let Some(number) = response.field("x-try") else {
            let status = response.field("grpc-status").unwrap_or_default();
            let is_refusal = response.status >= 400 || !matches!(status, "" | "0");
            assert!(is_refusal && ends, "{id} got {} {status} from nobody", response.status);
            assert!(is_fair, "{id} got {} and the status {status}", response.status);
            return town.met("passed calls that failed");
        };
        let pass = Rc::clone(&self.tries.borrow()[number.parse::<usize>().unwrap()]);
        assert_eq!(response.field("x-echo"), Some(id), "the answer of another call");
        let (got, want) = (&response.body[..], Rc::clone(&pass.down.borrow()));
        assert!(want.starts_with(got), "{id}: {}", difference(got, &want));
        if !ends {
            return;
        }
        let told = if response.trailers.is_empty() { &response.fields } else { &response.trailers };
        let status = value(told, "grpc-status").map(|text| text.parse::<u8>().unwrap());
        if value(told, "x-mark") != Some(id) && pass.status.get().is_some() {
            // Not the service's, so it may not say that all is well.
            let is_no = status.is_some_and(|status| status != 0);
            assert!(is_no && is_fair, "{id}: an answer that was cut looks whole");
            return town.met("passed calls that failed");
        }
        assert!(pass.is_said.get(), "{id}: an answer that was cut looks whole");
        assert_eq!(got.len(), want.len(), "{id}: bytes are missing");
        assert_eq!(status, pass.status.get(), "{id}: the status of another");
        assert!(is_fair || status == Some(0), "{id} got the status {status:?}");
        let is_bare = response.trailers.is_empty();
        town.met(if is_bare { "calls with nothing but a status" } else { "calls with trailers" });
    }
}

/// The endpoint's side of a call.
pub struct Passed {
    id: StreamId,
    name: String,
    exchange: Option<Rc<Exchange>>,
    pass: Rc<Pass>,
    number: usize,
    deed: Deed,
    got: RefCell<Vec<u8>>,
    is_done: Cell<bool>,
    is_gone: Cell<bool>,
    /// Bytes of which the client hears nothing yet.
    held: Cell<u32>,
}

impl Passed {
    /// A call whose head has just come.
    pub fn new(peer: &Peer, id: StreamId) -> Rc<Passed> {
        let endpoint = &peer.endpoint;
        let name = {
            let engine = peer.engine.borrow();
            let text = |value: Option<&[u8]>| {
                String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
            };
            let fields = engine.fields();
            let name = text(fields.get(b"x-request-id"));
            if endpoint.town.ledger.find(&name).is_some() {
                assert_eq!(fields.get(b"content-type"), Some(&b"application/grpc"[..]));
                assert_eq!(fields.get(b"te"), Some(&b"trailers"[..]), "{name}");
                assert_eq!(text(fields.path()), format!("{PREFIX}/{name}"), "the path of another");
            }
            name
        };
        let exchange = endpoint.town.ledger.find(&name);
        let pass = Rc::new(Pass::default());
        let mut number = 0;
        if let Some(Kind::Relay(relay)) = exchange.as_ref().map(|exchange| &exchange.kind) {
            number = relay.tries.borrow().len();
            relay.tries.borrow_mut().push(Rc::clone(&pass));
        }
        let deed = next_deed(endpoint);
        endpoint.town.met(deed.name());
        Rc::new(Passed {
            id,
            name,
            exchange,
            pass,
            number,
            deed,
            got: RefCell::default(),
            is_done: Cell::new(false),
            is_gone: Cell::new(false),
            held: Cell::new(0),
        })
    }

    /// Some answer at once, and go on while they listen.
    pub fn begin(self: &Rc<Self>, peer: &Rc<Peer>, end: bool) {
        if end || peer.endpoint.dice.borrow_mut().one_in(3) {
            self.strike(peer);
        }
        if end {
            self.data(peer, &[], true);
        }
    }

    pub fn data(self: &Rc<Self>, peer: &Rc<Peer>, data: &[u8], end: bool) {
        let mut got = self.got.borrow_mut();
        got.extend(data);
        self.pass.bytes.set(got.len());
        self.pass.is_whole.set(end);
        if let Some(Kind::Relay(relay)) = self.exchange.as_ref().map(|exchange| &exchange.kind) {
            let (got, want) = (&got[..], &relay.up[..]);
            let is_true = if end { got == want } else { want.starts_with(got) };
            assert!(is_true, "{} arrived as {}", self.name, difference(got, want));
        }
        let len = got.len();
        drop(got);
        let is_due = self.deed != Deed::Honest && len > 5000;
        if (end || is_due) && !self.is_done.get() {
            self.strike(peer);
        }
        let len = u32::try_from(data.len()).unwrap();
        if self.deed == Deed::Stall && self.is_done.get() {
            self.held.update(|held| held + len);
        } else if !peer.is_dead.get() {
            peer.engine.borrow_mut().release(self.id, len);
        }
        if end && self.pass.is_said.get() {
            peer.forget_passed(self.id);
        }
    }

    /// It has ended, for one reason or another.
    pub fn let_go(&self, peer: &Peer) {
        self.is_gone.set(true);
        peer.give_back(self.id, self.held.take());
    }

    fn strike(self: &Rc<Self>, peer: &Rc<Peer>) {
        self.is_done.set(true);
        let dice = &peer.endpoint.dice;
        match self.deed {
            Deed::Stall => {}
            Deed::Freeze => peer.freeze(),
            Deed::Reset(code) => self.reset(peer, code),
            Deed::GoAway => {
                let last = peer.engine.borrow().last_peer_stream();
                peer.go_away(StreamId(last));
                self.answer_later(peer, 5000, Some(0), false);
            }
            Deed::GoAwayWithout => peer.go_away(StreamId(self.id.0 - 1)),
            Deed::Die => peer.reset(),
            Deed::Leave => peer.close(),
            Deed::Fail(status) => self.bare(peer, status),
            Deed::FailAndReset(status) => {
                self.bare(peer, status);
                self.reset(peer, ErrorCode::NO_ERROR);
            }
            Deed::NoTrailers => self.answer_later(peer, 3000, None, false),
            Deed::Dry => self.answer_later(peer, 5000, Some(0), true),
            Deed::Flood => self.answer_later(peer, 2_000_000, Some(0), false),
            _ if dice.borrow_mut().one_in(5) => self.bare(peer, 0),
            _ => {
                let len = dice.borrow_mut().log(200_000);
                self.answer_later(peer, len, Some(0), false);
            }
        }
        peer.flush.raise();
    }

    fn reset(&self, peer: &Peer, code: ErrorCode) {
        peer.engine.borrow_mut().reset(self.id, code);
        peer.forget_passed(self.id);
    }

    fn head(&self, block: &mut Vec<u8>) {
        encode::status(block, 200);
        encode::field(block, b"content-type", b"application/grpc");
        encode::field(block, b"x-try", self.number.to_string().as_bytes());
        encode::field(block, b"x-echo", self.name.as_bytes());
    }

    fn status(&self, block: &mut Vec<u8>, status: u8) {
        encode::field(block, b"grpc-status", status.to_string().as_bytes());
        encode::field(block, b"x-mark", self.name.as_bytes());
    }

    /// Nothing but a status.
    fn bare(&self, peer: &Peer, status: u8) {
        self.pass.status.set(Some(status));
        self.pass.is_said.set(true);
        let mut block = Vec::new();
        self.head(&mut block);
        self.status(&mut block, status);
        let _ = peer.engine.borrow_mut().send_headers(self.id, &block, true);
        if self.pass.is_whole.get() {
            peer.forget_passed(self.id);
        }
    }

    fn answer_later(self: &Rc<Self>, peer: &Rc<Peer>, len: usize, status: Option<u8>, stops: bool) {
        self.pass.status.set(status);
        self.pass.down.replace(content(&format!("{}/{}", self.name, self.number), len));
        let (peer, call) = (Rc::clone(peer), Rc::clone(self));
        peer.endpoint.town.sim.clone().spawn(async move { call.answer(&peer, stops).await });
    }

    async fn answer(&self, peer: &Peer, stops: bool) {
        let town = &peer.endpoint.town;
        let most = u64::try_from(peer.endpoint.manner.think_max.as_millis()).unwrap();
        let think = peer.endpoint.dice.borrow_mut().millis(0, most);
        town.sleep(think).await;
        if peer.is_dead.get() || self.is_gone.get() {
            return;
        }
        let mut block = Vec::new();
        self.head(&mut block);
        let _ = peer.engine.borrow_mut().send_headers(self.id, &block, false);
        peer.flush.raise();
        let down = Rc::clone(&self.pass.down.borrow());
        let mut rest = if stops { &down[..down.len() / 2] } else { &down[..] };
        while !rest.is_empty() {
            let room = size(u64::from(peer.engine.borrow().capacity(self.id)));
            let most = peer.endpoint.dice.borrow_mut().log(30_000).max(1);
            let (now, later) = rest.split_at(rest.len().min(room).min(most));
            if now.is_empty() {
                town.sleep(Duration::from_millis(20)).await;
            } else {
                let _ = peer.engine.borrow_mut().send_data(self.id, now, false);
                peer.flush.raise();
                rest = later;
                town.sim.yield_now().await;
            }
            if peer.is_dead.get() || self.is_gone.get() {
                return;
            }
        }
        if stops {
            return;
        }
        self.pass.is_said.set(true);
        if let Some(status) = self.pass.status.get() {
            let mut block = Vec::new();
            self.status(&mut block, status);
            let _ = peer.engine.borrow_mut().send_headers(self.id, &block, true);
        } else {
            let _ = peer.engine.borrow_mut().send_data(self.id, &[], true);
        }
        if self.pass.is_whole.get() {
            peer.forget_passed(self.id);
        }
        peer.flush.raise();
    }
}
