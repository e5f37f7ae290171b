//! API keys: whom one belongs to, as a service says (SPEC 10.3).

use std::cell::RefCell;
use std::rc::Rc;

use crate::io::Io;
use crate::policy::people::api_key::{self, KeyHash};
use crate::policy::verdicts::Verdicts;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::people::KeyService;

use crate::proxy::flights::Flights;
use crate::proxy::unary::{self, Question};

/// Whom a key belongs to; `None`: nobody.
pub(in crate::proxy::policy) type Owner = Option<Rc<str>>;

/// What one shard knows of the keys of one service.
#[derive(Debug)]
pub(super) struct KeyBook {
    pub(super) service: KeyService,
    known: RefCell<Verdicts<KeyHash, Rc<str>, ()>>,
    flights: Flights<KeyHash, Owner>,
}

impl KeyBook {
    pub(super) fn new(service: &KeyService) -> Rc<Self> {
        let known = RefCell::new(Verdicts::new(service.keep));
        Rc::new(KeyBook { service: service.clone(), known, flights: Flights::default() })
    }

    /// Whom `key` belongs to. An error: nobody could be asked.
    pub(super) async fn owner<I: Io>(
        &self,
        exchange: &Exchange<'_, I>,
        key: &[u8],
    ) -> Result<Owner, Reason> {
        let hash = KeyHash::of(key);
        let now = exchange.cx.io.lately();
        let known = || Some(self.known.borrow_mut().get(&hash, now)?.ok());
        let deadline = now + self.service.timeout;
        let asked = self.flights.once(exchange, &hash, deadline, known, async || {
            let KeyService { upstream, method, timeout, .. } = &self.service;
            let (upstream, message) = (*upstream, &hash.question());
            let question = Question { upstream, method, message, timeout: *timeout };
            let said = unary::ask(exchange, &question).await?;
            let owner = api_key::answer(&said).map_err(|_| Reason::AnswerMalformed)?;
            let owner: Owner = owner.map(Rc::from);
            let verdict = owner.clone().ok_or(());
            self.known.borrow_mut().put(hash, verdict, exchange.cx.io.lately());
            Ok(owner)
        });
        asked.await.map_err(|reason| match reason {
            Reason::ClientLeft => reason,
            _ => Reason::AuthUnavailable,
        })
    }
}
