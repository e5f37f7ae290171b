//! Forwarded exchanges: what was asked, what endpoints saw of it, and what they said.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use otus::base::limits::SLOW_READ_BYTES;

use crate::dice::{Dice, hash, number};
use crate::response::Response;
use crate::town::Town;
use crate::web::Door;

/// A request that is forwarded to an HTTP endpoint.
pub struct Visit {
    pub door: Door,
    pub method: &'static str,
    pub body: Rc<[u8]>,
    /// The generation that was in force when the client began to send.
    pub born: Cell<u64>,
    /// Heads that reached endpoints, in their order.
    pub tries: RefCell<Vec<Rc<Try>>>,
    /// The try whose answer the client got.
    pub answered_by: Cell<Option<usize>>,
}

/// A request as an endpoint saw it.
pub struct Try {
    /// The generation in which it was forwarded, in its own words.
    pub generation: u64,
    /// Bytes of the body.
    pub bytes: Cell<usize>,
    /// Everything came, with its end.
    pub is_whole: Cell<bool>,
    /// What the endpoint answers; `None`: nothing that may be believed.
    pub said: RefCell<Option<Said>>,
    /// All of the answer has been handed over, with its end.
    pub is_said: Cell<bool>,
}

/// An answer as it was meant.
#[derive(Clone)]
pub struct Said {
    pub status: u16,
    pub body: Rc<[u8]>,
    /// A trailer follows the content.
    pub has_trailer: bool,
}

impl Visit {
    pub fn new(id: &str, door: Door, method: &'static str, len: usize) -> Visit {
        Visit {
            door,
            method,
            body: content(id, len),
            born: Cell::new(0),
            tries: RefCell::default(),
            answered_by: Cell::new(None),
        }
    }

    /// Its client begins to send it.
    pub fn begin(&self, town: &Town) {
        self.born.set(town.generation.get());
        if self.door == Door::Narrow {
            town.ask_narrow(true);
        }
    }

    /// Whether the answer is more than clients with small windows get.
    pub fn is_long(&self) -> bool {
        let tries = self.tries.borrow();
        let said = tries.last().and_then(|once| once.said.borrow().clone());
        said.is_some_and(|said| number(said.body.len()) >= SLOW_READ_BYTES)
    }

    pub fn is_idempotent(&self) -> bool {
        !matches!(self.method, "POST" | "PATCH")
    }

    /// What must hold whenever a head has reached an endpoint.
    pub fn check_so_far(&self, id: &str) {
        let tries = self.tries.borrow();
        let count = tries.len();
        assert!(self.is_idempotent() || count <= 1, "{id} was delivered {count} times");
        assert!(count <= 8, "{id} was tried {count} times");
        let Some(generation) = tries.first().map(|once| once.generation) else { return };
        let is_one = tries.iter().all(|once| once.generation == generation);
        assert!(is_one, "{id} was tried in two generations");
        let born = self.born.get();
        assert!(generation >= born, "{id} began in {born} and ran in {generation}");
    }

    /// What must hold when all is over.
    pub fn check(&self, id: &str, is_cut: bool, is_calm: bool) {
        let tries = self.tries.borrow();
        let with_body = tries.iter().filter(|once| once.bytes.get() > 0).count();
        assert!(with_body <= 1, "the body of {id} was delivered {with_body} times");
        let cut_but_whole = is_cut && tries.iter().any(|once| once.is_whole.get());
        assert!(!cut_but_whole, "{id} was cut by its client and looked whole to an endpoint");
        if let Some(by) = self.answered_by.get().filter(|_| is_calm) {
            assert_eq!(by + 1, tries.len(), "{id} was tried again after its answer");
        }
    }

    /// Whether this answer may be: one that an endpoint gave, to the last byte.
    pub fn judge(&self, town: &Town, id: &str, response: &Response, is_head: bool) {
        if self.door == Door::Narrow {
            town.ask_narrow(false);
        }
        let Some(number) = response.field("x-try") else {
            assert!(response.status >= 400, "{id} got {} from nobody", response.status);
            let text = String::from_utf8_lossy(&response.body);
            let is_refusal = match self.door {
                Door::Plain => false,
                Door::Rated => response.status == 429,
                // Nobody is kept out while all that ask have room.
                Door::Narrow => {
                    matches!(response.status, 429 | 503) && town.asking.get().1 > town.doors.narrow
                }
                Door::Broken => response.status == 503,
            };
            let is_fair = is_refusal || !town.weather.is_quiet() || town.draining.get();
            assert!(is_fair, "{id} got {}: {text}", response.status);
            return town.met("forwards that failed");
        };
        let number: usize = number.parse().unwrap();
        let said = self.said(id, number);
        assert_eq!(response.status, said.status, "{id}: not the status that was given");
        assert_eq!(response.field("x-echo"), Some(id), "the answer of another exchange");
        let has_body = !is_head && !matches!(said.status, 204 | 304);
        let want = if has_body { &said.body[..] } else { &[] };
        assert!(response.body == want, "{id}: {}", difference(&response.body, want));
        let is_said = self.tries.borrow()[number].is_said.get();
        assert!(is_said, "{id}: an answer that was cut looks whole");
        for (name, text) in &response.trailers {
            let is_own = said.has_trailer && name == "x-mark" && text == id;
            assert!(is_own, "{id}: a trailer that nobody sent: {name}: {text}");
        }
        self.answered_by.set(Some(number));
        town.met("forwards that succeeded");
        if response.body.len() >= 128 * 1024 {
            town.met("large answers");
        }
    }

    /// Whether an answer that was cut is at least the beginning of one that was given.
    pub fn judge_partial(&self, town: &Town, id: &str, response: &Response, body: &[u8]) {
        town.met("answers that were cut");
        let Some(number) = response.field("x-try") else { return };
        let said = self.said(id, number.parse().unwrap());
        assert_eq!(response.field("x-echo"), Some(id), "the answer of another exchange");
        let is_begin = said.body.starts_with(body);
        assert!(is_begin, "{id}: {}", difference(body, &said.body));
    }

    fn said(&self, id: &str, number: usize) -> Said {
        let tries = self.tries.borrow();
        let once = tries.get(number).unwrap_or_else(|| panic!("{id} got answer {number}"));
        let said = once.said.borrow().clone();
        said.unwrap_or_else(|| panic!("{id} got an answer that must not be believed"))
    }
}

impl Try {
    pub fn new(generation: u64) -> Rc<Try> {
        Rc::new(Try {
            generation,
            bytes: Cell::new(0),
            is_whole: Cell::new(false),
            said: RefCell::default(),
            is_said: Cell::new(false),
        })
    }
}

/// Bytes that no other text has.
pub fn content(name: &str, len: usize) -> Rc<[u8]> {
    let mut bytes = vec![0; len];
    Dice::new(hash(name.as_bytes())).prng().fill(&mut bytes);
    bytes.into()
}

/// Where two bodies part.
pub fn difference(got: &[u8], want: &[u8]) -> String {
    let at = got.iter().zip(want).position(|(a, b)| a != b);
    let at = at.unwrap_or(got.len().min(want.len()));
    let near = got[at..got.len().min(at + 60)].escape_ascii();
    format!("{} bytes for {}; they part at {at}: \"{near}\"", got.len(), want.len())
}
