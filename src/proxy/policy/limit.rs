//! Rate, concurrency and breaker, for one exchange.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;
use crate::policy::breaker::{Breaker, Outcome, Permit};
use crate::policy::concurrency::{self, Gauge, Place};
use crate::policy::limit::LimitRule;
use crate::policy::limit::fields;
use crate::policy::limit::key::{Secret, Sort, shared_name};
use crate::policy::limit::limiter::{Answer, Limiter, Verdict};
use crate::policy::limit::purse::Purse;
use crate::policy::limit::rule::{Live, RateRule};
use crate::policy::set::{Errors, Policies};
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::{Blame, Reason};

use super::who;
use super::{Admission, Refusal, queue};

/// Between two questions of who waits for the store.
const STORE_PERIOD: Duration = Duration::from_millis(4);

/// What a shard counts.
#[derive(Debug, Default)]
pub(super) struct State {
    // Leases are not taken over by the next generation: they go back when the old one is dropped.
    /// What it has leased, by the number of the limiter.
    purses: RefCell<Vec<Option<Purse>>>,
    /// Its own handles of what is shared, by the number of the rule: what an exchange holds of them
    /// is counted here, and not where other shards count.
    handles: RefCell<Vec<Option<Handles>>>,
}

/// The gauge and the breaker of a rule.
#[derive(Clone, Debug)]
struct Handles {
    gauge: Option<Rc<Gauge>>,
    breaker: Option<Rc<Breaker>>,
}

impl State {
    fn handles(&self, live: &Live) -> Option<Handles> {
        let mut all = self.handles.borrow_mut();
        if all.len() <= live.number {
            all.resize_with(live.number + 1, || None);
        }
        let own = || Handles {
            gauge: live.gauge.as_deref().map(|gauge| Rc::new(gauge.clone())),
            breaker: live.breaker.as_deref().map(|breaker| Rc::new(breaker.clone())),
        };
        Some(all.get_mut(live.number)?.get_or_insert_with(own).clone())
    }

    /// Asks with the purse of a limiter of this shard.
    fn with<T>(
        &self,
        (number, limiter): &(usize, Arc<Limiter>),
        ask: impl FnOnce(&mut Purse) -> T,
    ) -> Option<T> {
        let mut purses = self.purses.borrow_mut();
        if let Some(Some(purse)) = purses.get_mut(*number) {
            return Some(ask(purse));
        }
        if purses.len() <= *number {
            purses.resize_with(*number + 1, || None);
        }
        let purse = purses.get_mut(*number)?;
        Some(ask(purse.insert(Purse::new(Arc::clone(limiter)))))
    }
}

/// What an exchange holds until its end: a place, a probe. Dropped, it is given back.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Held {
    place: Option<Place>,
    permit: RefCell<Option<Permit>>,
}

impl Held {
    /// The head of an answer has come. A probe is told of by that: others wait for it, and a stream
    /// of events may have no end.
    pub(in crate::proxy) fn head_came(&self, status: u16, now: impl FnOnce() -> Instant) {
        if self.permit.borrow().as_ref().is_some_and(Permit::is_probe) {
            self.end(status, None, now);
        }
    }

    /// Gives back what is held.
    pub(super) fn clear(&mut self) {
        self.place = None;
        *self.permit.get_mut() = None;
    }

    /// The exchange is over: with this status, 0 for none, and for this reason if it went wrong.
    pub(in crate::proxy) fn end(
        &self,
        status: u16,
        reason: Option<Reason>,
        now: impl FnOnce() -> Instant,
    ) {
        let permit = self.permit.borrow_mut().take();
        if let Some(permit) = permit {
            permit.tell(outcome(status, reason), now());
        }
    }
}

/// What an end says of the upstream. Clients that leave, and what we refuse, say nothing.
fn outcome(status: u16, reason: Option<Reason>) -> Outcome {
    match (reason.map(|reason| reason.row().blame), status) {
        (Some(Blame::Upstream) | None, 500..) | (Some(Blame::Upstream), _) => Outcome::Failure,
        // If anything else went wrong: part of a good answer came before.
        (None, 1..) | (Some(_), 1..=399) => Outcome::Success,
        _ => Outcome::Nothing,
    }
}

/// What an exchange has to wait for.
pub(super) enum Pause {
    /// What the store says of the rate in this place.
    Store(usize),
    /// A place for this key.
    Place(u64),
}

/// Asks a rule as far as nothing is to be waited for.
pub(super) fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    rule: &LimitRule,
    admission: &mut Admission,
) -> Result<Option<Pause>, Reason> {
    Asking::new(exchange, policies, rule)?.rates(0, admission)
}

/// Waits for that, and asks on.
pub(super) async fn wait<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    rule: &LimitRule,
    pause: Pause,
    admission: &mut Admission,
) -> Result<(), Reason> {
    Asking::new(exchange, policies, rule)?.wait(pause, admission).await
}

/// The rule of a route, as one exchange asks it. Most of the time nobody has to be waited for, and
/// nothing is made ready for that.
struct Asking<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    policies: &'a Policies,
    rule: &'a LimitRule,
    live: &'a Live,
}

/// When a request asks. Its head may have come slowly: from when it began on, others have spent
/// what there was then, and got what came since.
fn asked_at<I: Io>(exchange: &Exchange<'_, I>) -> Instant {
    let io = &exchange.cx.io;
    if io.lately() > exchange.started { io.now() } else { exchange.started }
}

impl<'a, I: Io> Asking<'a, I> {
    fn new(
        exchange: &'a Exchange<'a, I>,
        policies: &'a Policies,
        rule: &'a LimitRule,
    ) -> Result<Self, Reason> {
        let live = rule.live.as_ref().ok_or(Reason::Bug)?;
        Ok(Asking { exchange, policies, rule, live })
    }

    /// Asks as far as nothing is to be waited for, from the rate in the place `from` on.
    fn rates(&self, from: usize, admission: &mut Admission) -> Result<Option<Pause>, Reason> {
        let rates = self.rule.rates.get(from..).unwrap_or_default();
        let now = asked_at(self.exchange).as_nanos();
        for (place, rate) in (from..).zip(rates) {
            let counted = self.live.rates.get(place).ok_or(Reason::Bug)?;
            if counted.1.ledger().is_some() {
                return Ok(Some(Pause::Store(place)));
            }
            let (by, key) = who::key(self.exchange, admission, rate, &self.live.secret);
            let state = &self.exchange.tables.policies.limit;
            let verdict = state.with(counted, |purse| purse.ask(key, now)).ok_or(Reason::Bug)?;
            self.told((place, rate), by, &verdict, admission)?;
        }
        if self.live.gauge.is_none() && self.live.breaker.is_none() {
            return Ok(None);
        }
        self.gauge(admission)
    }

    /// Waits, and asks on.
    async fn wait(&self, mut pause: Pause, admission: &mut Admission) -> Result<(), Reason> {
        loop {
            let next = match pause {
                Pause::Store(place) => {
                    self.store(place, admission).await?;
                    self.rates(place + 1, admission)?
                }
                Pause::Place(key) => {
                    let handles = self.handles()?;
                    let gauge = handles.gauge.as_ref().ok_or(Reason::Bug)?;
                    admission.held.place = queue::wait(self.exchange, gauge, key).await?;
                    if admission.held.place.is_none() {
                        return Err(self.too_busy(admission));
                    }
                    self.breaker(&handles, admission)?;
                    None
                }
            };
            match next {
                Some(next) => pause = next,
                None => return Ok(()),
            }
        }
    }

    /// The rate in this place has said so.
    fn told(
        &self,
        (place, rate): (usize, &RateRule),
        by: Sort,
        verdict: &Verdict,
        admission: &mut Admission,
    ) -> Result<(), Reason> {
        let fixed = self.live.fixed.get(place).ok_or(Reason::Bug)?;
        fixed.write(&mut admission.answer, verdict, by, self.exchange.time.seconds());
        if verdict.is_allowed {
            return Ok(());
        }
        admission.refusal = too_many(self.policies, rate, by, verdict);
        Err(Reason::RateLimited)
    }

    /// Asks a limit that several machines share, and waits for their store if that is needed. If
    /// nothing is known of it, the request is admitted.
    async fn store(&self, place: usize, admission: &mut Admission) -> Result<(), Reason> {
        let (exchange, live) = (self.exchange, self.live);
        let rate = self.rule.rates.get(place).ok_or(Reason::Bug)?;
        let counted = live.rates.get(place).ok_or(Reason::Bug)?;
        let who = who::of(exchange, admission, rate);
        let (by, key) = (who.sort, who.key(&live.secret));
        let io = &exchange.cx.io;
        let state = &exchange.tables.policies.limit;
        let patience =
            counted.1.ledger().map_or(Duration::ZERO, |ledger| ledger.outbox().patience());
        let mut now = asked_at(exchange);
        let deadline = now + patience;
        loop {
            let name = || shared_name(by, who.bytes());
            let is_late = now >= deadline;
            let ask = |purse: &mut Purse| purse.ask_shared(key, name, now.as_nanos(), is_late);
            match state.with(counted, ask).ok_or(Reason::Bug)? {
                Answer::Said(said) => return self.told((place, rate), by, &said, admission),
                Answer::Open => return Ok(()),
                Answer::Closed => return Err(Reason::LimitsUnavailable),
                Answer::Wait => io.sleep_until(deadline.min(io.now() + STORE_PERIOD)).await,
            }
            now = io.now();
        }
    }

    fn handles(&self) -> Result<Handles, Reason> {
        self.exchange.tables.policies.limit.handles(self.live).ok_or(Reason::Bug)
    }

    fn gauge(&self, admission: &mut Admission) -> Result<Option<Pause>, Reason> {
        let handles = self.handles()?;
        if let (Some(rule), Some(gauge)) = (&self.rule.concurrency, &handles.gauge) {
            let key = client_key(self.exchange, admission, &self.live.secret, rule);
            match gauge.enter(key) {
                Ok(place) => admission.held.place = Some(place),
                Err(_) => return Ok(Some(Pause::Place(key))),
            }
        }
        self.breaker(&handles, admission).map(|()| None)
    }

    fn breaker(&self, handles: &Handles, admission: &mut Admission) -> Result<(), Reason> {
        let Some(breaker) = &handles.breaker else { return Ok(()) };
        match breaker.admit(self.exchange.cx.io.now()) {
            Ok(permit) => *admission.held.permit.get_mut() = Some(permit),
            Err(wait) => return Err(circuit_open(self.policies, wait, admission)),
        }
        Ok(())
    }

    fn too_busy(&self, admission: &mut Admission) -> Reason {
        let most = self.rule.concurrency.as_ref().map_or(0, |rule| rule.max_in_flight);
        too_busy(self.policies, most, admission)
    }
}

/// What is said to who comes too often, in place of a problem.
fn too_many(policies: &Policies, rate: &RateRule, by: Sort, verdict: &Verdict) -> Option<Refusal> {
    let status = if rate.legacy_503 { 503 } else { 429 };
    let body = match policies.errors {
        Errors::Problem => return None,
        Errors::ThreeX => {
            let retry = fields::retry_after(verdict.wait);
            fields::legacy_body(&policies.route, by.scope(), retry).into_bytes()
        }
        Errors::Hanzo => b"{\"message\":\"rate limit exceeded\"}".to_vec(),
    };
    Some(Refusal { status, body })
}

/// Who counts as one for a gauge.
fn client_key<I: Io>(
    exchange: &Exchange<'_, I>,
    admission: &Admission,
    secret: &Secret,
    rule: &concurrency::Rule,
) -> u64 {
    match admission.identity.as_deref() {
        _ if rule.max_per_client == 0 => 0,
        Some(identity) if !identity.subject.is_empty() => {
            secret.key(Sort::Subject, identity.subject.as_bytes())
        }
        _ => secret.network_key(rule.grouping.network(exchange.client)),
    }
}

fn too_busy(policies: &Policies, most: u32, admission: &mut Admission) -> Reason {
    fields::line(&mut admission.answer, "retry-after", format_args!("1"));
    let route = fields::Visible(&policies.route);
    let body = match policies.errors {
        Errors::Problem => return Reason::TooBusy,
        Errors::ThreeX => format!(
            "{{\"error\":\"too_busy\",\"message\":\"route is at max concurrency\",\
             \"route\":\"{route}\",\"max_in_flight\":{most}}}"
        ),
        Errors::Hanzo => "{\"message\":\"too busy\"}".to_owned(),
    };
    admission.refusal = Some(Refusal { status: 503, body: body.into_bytes() });
    Reason::TooBusy
}

fn circuit_open(policies: &Policies, wait: Duration, admission: &mut Admission) -> Reason {
    let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    let retry = fields::retry_after(nanos);
    fields::line(&mut admission.answer, "retry-after", format_args!("{retry}"));
    let route = fields::Visible(&policies.route);
    let body = match policies.errors {
        Errors::Problem => return Reason::CircuitOpen,
        Errors::ThreeX => format!(
            "{{\"error\":\"circuit_open\",\"message\":\"upstream temporarily unavailable\",\
             \"route\":\"{route}\"}}"
        ),
        Errors::Hanzo => "{\"message\":\"circuit breaker is open\"}".to_owned(),
    };
    admission.refusal = Some(Refusal { status: 503, body: body.into_bytes() });
    Reason::CircuitOpen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_upstreams_doing_counts_against_it() {
        for (status, reason, want) in [
            (200, None, Outcome::Success),
            (404, None, Outcome::Success),
            (500, None, Outcome::Failure),
            (502, Some(Reason::ConnectRefused), Outcome::Failure),
            (200, Some(Reason::UpstreamEndedEarly), Outcome::Failure),
            (0, Some(Reason::ClientLeft), Outcome::Nothing),
            (200, Some(Reason::ClientLeft), Outcome::Success),
            (503, Some(Reason::PoolExhausted), Outcome::Nothing),
            (413, Some(Reason::BodyTooLarge), Outcome::Nothing),
            (500, Some(Reason::Bug), Outcome::Nothing),
        ] {
            assert_eq!(outcome(status, reason), want, "{status} {reason:?}");
        }
    }
}
