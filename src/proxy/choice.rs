//! Which endpoint gets a request, and which one next if that fails: the same for all that is
//! spoken with endpoints. What of a failure allows another attempt is for the caller to say.

use std::cell::Cell;
use std::net::IpAddr;

use crate::base::time::Instant;
use crate::io::Io;
use crate::observe::counters::Counter;
use crate::protocol::grpc::status::Status;
use crate::snapshot::upstream::{HashKey, Protocol, Upstream, UpstreamId};
use crate::upstream::balance::{self, Balance};
use crate::upstream::group::{Outcome, Tried};

use super::attempt::LOOK_INTERVAL;
use super::exchange::Exchange;
use super::reason::{Blame, Reason};
use super::record::Record;
use super::retry;
use super::tables::UpstreamTable;

/// Chooses among the endpoints of an upstream for one exchange.
pub(super) struct Chooser<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    pub(super) spec: &'a Upstream,
    pub(super) table: &'a UpstreamTable<I>,
    key: u64,
    tried: Tried,
    made: u32,
}

impl<'a, I: Io> Chooser<'a, I> {
    /// Nothing was tried yet.
    pub(super) fn new(
        exchange: &'a Exchange<'a, I>,
        id: UpstreamId,
        record: &mut Record,
    ) -> Result<Self, Reason> {
        let (Some(spec), Some(table)) =
            (exchange.tables.snapshot.upstream(id), exchange.tables.upstreams.get(id.index()))
        else {
            return Err(Reason::Bug);
        };
        record.upstream = Some(id);
        table.budget.earn(&spec.retry);
        let key = key(exchange, spec);
        Ok(Chooser { exchange, spec, table, key, tried: Tried::default(), made: 0 })
    }

    /// The number of an endpoint that was not tried.
    pub(super) fn pick(&self) -> Result<usize, Reason> {
        let mut group = self.table.group.borrow_mut();
        let started = self.exchange.started;
        let picked =
            self.exchange.cx.with_prng(|prng| group.pick(&self.tried, self.key, started, prng));
        picked.ok_or(Reason::EndpointsDown)
    }

    /// An attempt at this endpoint begins.
    pub(super) fn begin(&mut self, number: usize, record: &mut Record) -> Visit<'a, I> {
        self.made += 1;
        record.attempts = self.made;
        record.endpoint = number;
        self.table.group.borrow_mut().begin(number);
        let (exchange, table, outcome) = (self.exchange, self.table, Cell::new(Outcome::Unclear));
        Visit { exchange, table, number, outcome }
    }

    /// The last attempt is not counted as one.
    pub(super) fn forgive(&mut self) {
        self.made -= 1;
    }

    /// After a failure at `number`: the endpoint of another attempt, if one is allowed before
    /// `end`. One that was not tried gets it at once. If there is none, the same one has a moment
    /// to come back.
    pub(super) async fn again(&mut self, number: usize, end: Instant) -> Option<usize> {
        let cx = self.exchange.cx;
        if self.made >= self.spec.retry.attempts_max {
            return None;
        }
        if !self.table.budget.spend() {
            cx.counters.count(Counter::RetriesDenied);
            return None;
        }
        self.tried.add(number);
        if let Ok(next) = self.pick() {
            self.count();
            return Some(next);
        }
        let wait = cx.with_prng(|prng| retry::backoff(&self.spec.retry, self.made + 1, prng));
        let until = cx.io.now() + wait;
        if until >= end {
            return None;
        }
        while cx.io.now() < until {
            cx.io.sleep_until(until.min(cx.io.now() + LOOK_INTERVAL)).await;
            if self.exchange.down.is_gone() {
                return None;
            }
        }
        self.count();
        Some(number)
    }

    /// Another attempt is made.
    fn count(&self) {
        let counters = &self.exchange.cx.counters;
        counters.count(Counter::Retries);
        if self.spec.protocol == Protocol::Grpc {
            counters.count(Counter::GrpcRetries);
        }
    }
}

/// What chooses the endpoint of requests that belong together.
fn key<I: Io>(exchange: &Exchange<'_, I>, spec: &Upstream) -> u64 {
    if spec.balance != Balance::Hash {
        return 0;
    }
    let (head, text) = (exchange.head, exchange.text);
    let client = || match exchange.client {
        IpAddr::V4(address) => balance::hash(&address.octets()),
        IpAddr::V6(address) => balance::hash(&address.octets()),
    };
    match &spec.hash_key {
        HashKey::Client => client(),
        HashKey::Path => balance::hash(head.host_name.of(text)) ^ balance::hash(head.path.of(text)),
        HashKey::Field(name) => head.by_name(text, name).map_or_else(client, balance::hash),
    }
}

/// A request in flight to an endpoint; dropping it tells the group how it went.
pub(super) struct Visit<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    table: &'a UpstreamTable<I>,
    number: usize,
    outcome: Cell<Outcome>,
}

impl<I: Io> Visit<'_, I> {
    /// This is how it went.
    pub(super) fn went(&self, outcome: Outcome) {
        self.outcome.set(outcome);
    }

    /// It came to nothing.
    pub(super) fn failed(&self, reason: Reason) {
        self.outcome.set(verdict(reason));
    }
}

impl<I: Io> Drop for Visit<'_, I> {
    fn drop(&mut self) {
        let now = self.exchange.cx.io.lately();
        let mut group = self.table.group.borrow_mut();
        if group.end(self.number, self.outcome.get(), now) {
            self.exchange.cx.counters.count(Counter::EndpointsEjected);
        }
    }
}

/// What a failure says of the endpoint.
pub(super) fn verdict(reason: Reason) -> Outcome {
    match reason {
        Reason::ServiceFailed(Status::Unavailable) => Outcome::Failed,
        Reason::ServiceFailed(_) => Outcome::Well,
        // It answers, if not as it should; and clients may have asked for just that.
        Reason::UpstreamEndedEarly
        | Reason::AnswerTooLarge
        | Reason::AnswerMalformed
        | Reason::FileRefused => Outcome::Unclear,
        reason if reason.row().blame == Blame::Upstream => Outcome::Failed,
        _ => Outcome::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_can_bring_about_is_not_held_against_endpoints() {
        for (reason, want) in [
            (Reason::ConnectRefused, Outcome::Failed),
            (Reason::TlsUntrusted, Outcome::Failed),
            (Reason::UpstreamTimedOut, Outcome::Failed),
            (Reason::ServiceFailed(Status::Unavailable), Outcome::Failed),
            (Reason::ServiceFailed(Status::NotFound), Outcome::Well),
            (Reason::AnswerTooLarge, Outcome::Unclear),
            (Reason::UpstreamEndedEarly, Outcome::Unclear),
            (Reason::PoolExhausted, Outcome::Unclear),
            (Reason::OutOfSockets, Outcome::Unclear),
            (Reason::ClientLeft, Outcome::Unclear),
            (Reason::BodyTooSlow, Outcome::Unclear),
        ] {
            assert_eq!(verdict(reason), want, "{reason:?}");
        }
    }
}
