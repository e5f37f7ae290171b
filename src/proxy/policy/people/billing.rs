//! Whether a client can pay, as a service says (SPEC 10.6).

use std::cell::RefCell;
use std::rc::Rc;

use crate::io::Io;
use crate::policy::people::billing::{Account, OnError, answer};
use crate::policy::verdicts::Verdicts;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::people::Billing;

use super::fetch::{self, Question};
use crate::proxy::flights::Flights;

/// What one shard knows of accounts.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) billing: Billing,
    known: RefCell<Verdicts<Account, (), ()>>,
    flights: Flights<Account, bool>,
}

impl Ledger {
    pub(super) fn new(billing: &Billing) -> Rc<Self> {
        let known = RefCell::new(Verdicts::new(billing.keep));
        Rc::new(Ledger { billing: billing.clone(), known, flights: Flights::default() })
    }

    /// Whether an account has something left; `None` if it is not known whose it is.
    pub(super) async fn check<I: Io>(
        &self,
        exchange: &Exchange<'_, I>,
        account: Option<&Account>,
    ) -> Result<(), Reason> {
        let asked = match account {
            Some(account) => self.ask(exchange, account).await,
            None => Err(Reason::BillingUnavailable),
        };
        match (asked, self.billing.rule.on_error) {
            (Err(Reason::ClientLeft), _) => Err(Reason::ClientLeft),
            (Ok(true), _) | (Err(_), OnError::Open) => Ok(()),
            (Ok(false), _) => Err(Reason::PaymentRequired),
            (Err(_), OnError::Closed) => Err(Reason::BillingUnavailable),
        }
    }

    async fn ask<I: Io>(
        &self,
        exchange: &Exchange<'_, I>,
        account: &Account,
    ) -> Result<bool, Reason> {
        let now = exchange.cx.io.lately();
        let known = || Some(self.known.borrow_mut().get(account, now)?.is_ok());
        let deadline = now + self.billing.timeout;
        let asked = self.flights.once(exchange, account, deadline, known, async || {
            let Billing { upstream, token, rule, timeout, .. } = &self.billing;
            let query = &rule.query(account);
            let (upstream, path, timeout) = (*upstream, &rule.path, *timeout);
            let question = Question { upstream, path, query, token, timeout };
            let said = fetch::get(exchange, &question).await?;
            let can_pay = answer(said.status, &said.content).ok_or(Reason::AnswerMalformed)?;
            let verdict = if can_pay { Ok(()) } else { Err(()) };
            self.known.borrow_mut().put(account.clone(), verdict, exchange.cx.io.lately());
            Ok(can_pay)
        });
        asked.await
    }
}
