//! What was asked and what was seen: the book that clients and endpoints write together.
//!
//! An exchange is found by its id, which travels as `x-request-id`. What it carries follows from the
//! id alone, so an endpoint knows each byte that it may receive before it does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::dice::{Dice, hash, number, size};
use crate::relay::Relay;
use crate::town::Town;
use crate::tunnel::Tunnel;
use crate::visit::Visit;
use crate::web::Door;

/// The boundary of all multipart bodies. Contents are sprinkled with the beginnings of its delimiter.
pub const BOUNDARY: &str = "--otus-simulation-7MA4YWxkTrZu0gW";

/// All exchanges of a world.
#[derive(Default)]
pub struct Ledger {
    exchanges: RefCell<BTreeMap<String, Rc<Exchange>>>,
}

/// A request as it was meant, and what became of it.
pub struct Exchange {
    pub id: String,
    pub kind: Kind,
    /// Calls that endpoints have seen, in their order.
    pub calls: RefCell<Vec<Rc<Seen>>>,
    pub answers: Cell<u32>,
    /// The client stopped before the end of the request.
    pub is_cut: Cell<bool>,
}

/// What a request asks for.
pub enum Kind {
    /// A unary call, which is answered with its mark.
    Call { mark: String, bulk: String, is_idempotent: bool },
    /// Files.
    Upload { files: Vec<File> },
    /// A request for an HTTP endpoint.
    Forward(Visit),
    /// A connection that becomes another.
    Tunnel(Tunnel),
    /// A call that is passed through.
    Relay(Relay),
    /// Something that the gateway answers itself.
    Local,
}

/// One file of an upload.
pub struct File {
    pub name: String,
    pub content: Rc<[u8]>,
}

/// A call as its endpoint saw it.
#[derive(Default)]
pub struct Seen {
    /// Bytes of messages received.
    pub bytes: Cell<u64>,
    /// Everything came, in order, with its end.
    pub is_whole: Cell<bool>,
    /// The endpoint said that it did not look at it.
    pub is_refused: Cell<bool>,
    /// The endpoint ended it with success.
    pub is_ok: Cell<bool>,
    /// It said so before it had everything; so many bytes may have been sent to it by then.
    pub lie: Cell<Option<u64>>,
}

impl Ledger {
    pub fn open(&self, id: String, kind: Kind) -> Rc<Exchange> {
        let exchange = Rc::new(Exchange {
            id: id.clone(),
            kind,
            calls: RefCell::default(),
            answers: Cell::new(0),
            is_cut: Cell::new(false),
        });
        let before = self.exchanges.borrow_mut().insert(id, Rc::clone(&exchange));
        assert!(before.is_none(), "two exchanges with one id");
        exchange
    }

    /// The exchange with this id; `None` for those of rude clients.
    pub fn find(&self, id: &str) -> Option<Rc<Exchange>> {
        self.exchanges.borrow().get(id).cloned()
    }

    /// What must hold of each exchange when all is over.
    pub fn check(&self, town: &Town) {
        let (mut asked, mut admitted) = (0, 0);
        for exchange in self.exchanges.borrow().values() {
            exchange.check(town.weather.is_calm);
            if let Kind::Forward(visit) = &exchange.kind
                && visit.door == Door::Rated
            {
                asked += u32::from(exchange.answers.get() > 0);
                admitted += u32::from(exchange.was_seen());
            }
        }
        let most = town.doors.rated;
        assert!(admitted <= most, "{admitted} requests were let through, {most} may be");
        let is_exact = town.weather.is_quiet() && !town.was_drained_early.get();
        let want = asked.min(most);
        assert!(!is_exact || admitted >= want, "{admitted} requests were let through of {want}");
    }
}

impl Exchange {
    fn check(&self, is_calm: bool) {
        let id = &self.id;
        if let Kind::Forward(visit) = &self.kind {
            visit.check(id, self.is_cut.get(), is_calm);
        }
        match &self.kind {
            Kind::Tunnel(tunnel) => tunnel.check(id),
            Kind::Relay(relay) => relay.check(id, self.is_cut.get()),
            _ => {}
        }
        assert!(self.answers.get() <= 1, "{id} was answered {} times", self.answers.get());
        let calls = self.calls.borrow();
        let acted = calls.iter().filter(|seen| seen.bytes.get() > 0 && !seen.is_refused.get());
        let may_repeat = matches!(self.kind, Kind::Call { is_idempotent: true, .. });
        assert!(may_repeat || acted.count() <= 1, "{id} was acted upon twice");
        let cut_but_whole = self.is_cut.get() && calls.iter().any(|seen| seen.is_whole.get());
        assert!(!cut_but_whole, "{id} was cut by its client and looked whole to an endpoint");
    }

    /// Whether any endpoint has seen something of it.
    pub fn was_seen(&self) -> bool {
        match &self.kind {
            Kind::Forward(visit) => !visit.tries.borrow().is_empty(),
            Kind::Tunnel(tunnel) => !tunnel.tries.borrow().is_empty(),
            Kind::Relay(relay) => !relay.tries.borrow().is_empty(),
            _ => !self.calls.borrow().is_empty(),
        }
    }

    /// Whether an answer that says "done" is true.
    pub fn may_succeed(&self) -> bool {
        let calls = self.calls.borrow();
        match &self.kind {
            Kind::Local | Kind::Forward(_) | Kind::Tunnel(_) | Kind::Relay(_) => true,
            Kind::Call { .. } => calls.iter().any(|seen| seen.is_ok.get()),
            Kind::Upload { files } => {
                let content = files.iter().map(|file| number(file.content.len())).sum::<u64>();
                let is_true = |seen: &Rc<Seen>| {
                    seen.is_ok.get()
                        && seen.lie.get().map_or(seen.is_whole.get(), |sent| sent > content)
                };
                calls.iter().any(is_true)
            }
        }
    }
}

impl Kind {
    pub fn call(id: &str, bulk_len: usize, is_idempotent: bool) -> Kind {
        let mut dice = Dice::new(hash(id.as_bytes()));
        let mark = format!("m{:016x}", dice.prng().next_u64());
        let letter = |dice: &mut Dice| char::from(dice.pick(b"abcdefghijklmnopqrstuvwxyz012345"));
        let bulk = (0..bulk_len).map(|_| letter(&mut dice)).collect();
        Kind::Call { mark, bulk, is_idempotent }
    }

    pub fn upload(id: &str, lens: &[usize]) -> Kind {
        let files = lens.iter().enumerate();
        let files = files.map(|(index, len)| {
            let name = format!("{id}-{index}.bin");
            let content = content(&name, *len);
            File { name, content }
        });
        Kind::Upload { files: files.collect() }
    }
}

/// Bytes that no other file has, with traps for whoever looks for the delimiter.
fn content(name: &str, len: usize) -> Rc<[u8]> {
    let mut dice = Dice::new(hash(name.as_bytes()));
    let mut bytes = vec![0; len];
    dice.prng().fill(&mut bytes);
    let delimiter = format!("\r\n--{BOUNDARY}");
    for _ in 0..dice.log(20) {
        let trap = &delimiter.as_bytes()[..dice.count(1, delimiter.len() - 1)];
        let at = size(dice.prng().below(number(len)));
        let room = (len - at).min(trap.len());
        bytes[at..at + room].copy_from_slice(&trap[..room]);
    }
    // By chance a trap goes on as the real delimiter does.
    let whole = delimiter.as_bytes();
    while let Some(at) = bytes.windows(whole.len()).position(|window| window == whole) {
        bytes[at + whole.len() - 1] ^= 1;
    }
    bytes.into()
}
