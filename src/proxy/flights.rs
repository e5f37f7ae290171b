//! Asking once for all who wait for the same answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use crate::base::time::Instant;
use crate::io::Io;
use crate::proxy::attempt::wait;
use crate::proxy::event::Crowd;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;

/// Questions under way; as many as exchanges at most, and each once.
#[derive(Debug)]
pub(super) struct Flights<K: Hash + Eq, R> {
    under_way: RefCell<HashMap<K, Rc<Flight<R>>>>,
}

/// One of them.
#[derive(Debug)]
struct Flight<R> {
    /// `None`: who asked has given up, and another may.
    said: RefCell<Option<Result<R, Reason>>>,
    over: Cell<bool>,
    waiting: Crowd,
}

impl<R> Flight<R> {
    async fn over(&self) {
        while !self.over.get() {
            self.waiting.wait().await;
        }
    }
}

impl<K: Hash + Eq, R> Default for Flights<K, R> {
    fn default() -> Self {
        Flights { under_way: RefCell::new(HashMap::new()) }
    }
}

/// Who asks. Dropped without an answer, those who wait ask themselves.
struct Lead<'a, K: Hash + Eq, R> {
    flights: &'a Flights<K, R>,
    flight: Rc<Flight<R>>,
    key: &'a K,
}

impl<K: Hash + Eq, R> Drop for Lead<'_, K, R> {
    fn drop(&mut self) {
        self.flights.under_way.borrow_mut().remove(self.key);
        self.flight.over.set(true);
        self.flight.waiting.wake();
    }
}

impl<K: Hash + Eq + Clone, R: Clone> Flights<K, R> {
    /// The answer to `key`: what is `known`, or what somebody else is asking for, or what `ask`
    /// brings. Waits for others until `deadline`.
    pub(super) async fn once<I: Io>(
        &self,
        exchange: &Exchange<'_, I>,
        key: &K,
        deadline: Instant,
        known: impl Fn() -> Option<R>,
        ask: impl AsyncFn() -> Result<R, Reason>,
    ) -> Result<R, Reason> {
        loop {
            if let Some(known) = known() {
                return Ok(known);
            }
            let under_way = self.under_way.borrow().get(key).map(Rc::clone);
            let Some(flight) = under_way else {
                let lead = self.lead(key);
                let said = ask().await;
                // That this client has left says nothing to the others.
                if said.as_ref().err() != Some(&Reason::ClientLeft) {
                    *lead.flight.said.borrow_mut() = Some(said.clone());
                }
                return said;
            };
            wait(exchange, deadline, || flight.over()).await?;
            if let Some(said) = &*flight.said.borrow() {
                return said.clone();
            }
        }
    }

    fn lead<'a>(&'a self, key: &'a K) -> Lead<'a, K, R> {
        let (said, over) = (RefCell::new(None), Cell::new(false));
        let flight = Rc::new(Flight { said, over, waiting: Crowd::default() });
        self.under_way.borrow_mut().insert(key.clone(), Rc::clone(&flight));
        Lead { flights: self, flight, key }
    }
}
