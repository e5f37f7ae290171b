//! Rate, concurrency and breaker, for one exchange.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::{Io, Socket};
use crate::message::path::escaped;
use crate::policy::breaker::{Breaker, Outcome, Permit};
use crate::policy::concurrency::{self, Full, Gauge, Place};
use crate::policy::identity::Identity;
use crate::policy::limit::LimitRule;
use crate::policy::limit::fields;
use crate::policy::limit::key::{Secret, Sort, shared_name};
use crate::policy::limit::limiter::{Answer, Verdict};
use crate::policy::limit::purse::Purse;
use crate::policy::limit::rule::{By, Live, RateRule};
use crate::policy::set::{Errors, Policies};
use crate::policy::shed::{Lateness, PERIOD};
use crate::proxy::context::Context;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::{Blame, Reason};
use crate::snapshot::Snapshot;

use super::{Admission, Refusal};

/// Between two questions of who waits for a place.
const QUEUE_PERIOD: Duration = Duration::from_millis(4);
/// A shard looks how late it runs for so long after the last request that might be refused for it.
const WATCH_FOR: Duration = Duration::from_secs(2);

/// What a shard counts.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What it has leased, by the number of the limiter.
    purses: RefCell<Vec<Option<Purse>>>,
    /// Its own handles of what is shared, by the number of the rule: what an exchange holds of them
    /// is counted here, and not where other shards count.
    handles: RefCell<Vec<Option<Handles>>>,
    watch: Rc<Watch>,
}

/// The gauge and the breaker of a rule.
#[derive(Clone, Debug)]
struct Handles {
    gauge: Option<Rc<Gauge>>,
    breaker: Option<Rc<Breaker>>,
}

/// How late the shard runs.
#[derive(Debug, Default)]
struct Watch {
    lateness: Cell<Lateness>,
    /// Until when it is looked at; in the past: nobody does.
    until: Cell<Instant>,
    is_watched: Cell<bool>,
}

impl State {
    pub(super) fn new(_snapshot: &Snapshot, old: Option<&State>) -> Self {
        // Leases are not taken over: they go back when the old generation is dropped.
        State {
            purses: RefCell::default(),
            handles: RefCell::default(),
            watch: old.map(|old| Rc::clone(&old.watch)).unwrap_or_default(),
        }
    }

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
    fn with<T>(&self, live: &Live, place: usize, ask: impl FnOnce(&mut Purse) -> T) -> Option<T> {
        let (number, limiter) = live.rates.get(place)?;
        let mut purses = self.purses.borrow_mut();
        if purses.len() <= *number {
            purses.resize_with(*number + 1, || None);
        }
        let purse = purses.get_mut(*number)?;
        Some(ask(purse.get_or_insert_with(|| Purse::new(Arc::clone(limiter)))))
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
            self.end(status, None, now());
        }
    }

    /// The exchange is over: with this status, 0 for none, and for this reason if it went wrong.
    pub(in crate::proxy) fn end(&self, status: u16, reason: Option<Reason>, now: Instant) {
        let permit = self.permit.borrow_mut().take();
        if let Some(permit) = permit {
            permit.tell(outcome(status, reason), now);
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

pub(super) async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    rule: &LimitRule,
    admission: &mut Admission,
) -> Result<(), Reason> {
    let Some(live) = &rule.live else { return Err(Reason::Bug) };
    if let Some(target) = rule.sheds
        && is_late(exchange, target)
    {
        fields::line(&mut admission.answer, "retry-after", format_args!("1"));
        return Err(Reason::Overloaded);
    }
    for (place, rate) in rule.rates.iter().enumerate() {
        pass_rate(exchange, policies, (live, place), rate, admission).await?;
    }
    if live.gauge.is_none() && live.breaker.is_none() {
        return Ok(());
    }
    let handles = exchange.tables.policies.limit.handles(live).ok_or(Reason::Bug)?;
    if let (Some(rule), Some(gauge)) = (&rule.concurrency, &handles.gauge) {
        let key = client_key(exchange, admission, &live.secret, rule);
        let place = match gauge.enter(key, false) {
            Err(full) => Box::pin(wait_for_place(exchange, rule, gauge, key, full)).await,
            entered => entered,
        };
        match place {
            Ok(place) => admission.held.place = Some(place),
            Err(_) => return Err(too_busy(policies, rule, admission)),
        }
    }
    if let Some(breaker) = &handles.breaker {
        match breaker.admit(exchange.cx.io.now()) {
            Ok(permit) => *admission.held.permit.borrow_mut() = Some(permit),
            Err(wait) => return Err(circuit_open(policies, wait, admission)),
        }
    }
    Ok(())
}

async fn pass_rate<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    (live, place): (&Live, usize),
    rate: &RateRule,
    admission: &mut Admission,
) -> Result<(), Reason> {
    let who = who(exchange, admission, rate);
    let scope = who.scope;
    let now = exchange.started.as_nanos();
    let state = &exchange.tables.policies.limit;
    let (_, limiter) = live.rates.get(place).ok_or(Reason::Bug)?;
    let verdict = if limiter.ledger().is_some() {
        match Box::pin(ask_shared(exchange, live, place, &who)).await? {
            Some(verdict) => verdict,
            None => return Ok(()),
        }
    } else {
        let key = live.secret.key(who.sort, who.name.bytes());
        let verdict = state.with(live, place, |purse| purse.ask(key, now));
        verdict.ok_or(Reason::Bug)?
    };
    let fixed = live.fixed.get(place).ok_or(Reason::Bug)?;
    fixed.write(&mut admission.answer, &verdict, scope, exchange.time.seconds());
    if verdict.is_allowed {
        return Ok(());
    }
    let retry = fields::retry_after(verdict.wait);
    let status = if rate.legacy_503 { 503 } else { 429 };
    admission.refusal = match policies.errors {
        Errors::Problem => None,
        Errors::ThreeX => {
            let body = fields::legacy_body(&policies.route, scope, retry).into_bytes();
            Some(Refusal { status, body })
        }
        Errors::Hanzo => {
            Some(Refusal { status, body: b"{\"message\":\"rate limit exceeded\"}".to_vec() })
        }
    };
    Err(Reason::RateLimited)
}

/// Asks a limit that several machines share, and waits for their store if that is needed. `None`:
/// nothing is known, and the request is admitted.
async fn ask_shared<I: Io>(
    exchange: &Exchange<'_, I>,
    live: &Live,
    place: usize,
    who: &Who<'_>,
) -> Result<Option<Verdict>, Reason> {
    let io = &exchange.cx.io;
    let state = &exchange.tables.policies.limit;
    let key = live.secret.key(who.sort, who.name.bytes());
    let ledger = live.rates.get(place).and_then(|(_, limiter)| limiter.ledger());
    let patience = ledger.map_or(Duration::ZERO, |ledger| ledger.outbox().patience());
    let mut now = exchange.started;
    let deadline = now + patience;
    loop {
        let name = || shared_name(who.sort, who.name.bytes());
        let is_late = now >= deadline;
        let answer =
            state.with(live, place, |purse| purse.ask_shared(key, name, now.as_nanos(), is_late));
        match answer.ok_or(Reason::Bug)? {
            Answer::Said(verdict) => return Ok(Some(verdict)),
            Answer::Open => return Ok(None),
            Answer::Closed => return Err(Reason::LimitsUnavailable),
            Answer::Wait => io.sleep_until(deadline.min(io.now() + QUEUE_PERIOD)).await,
        }
        now = io.now();
    }
}

/// Whom a request counts for.
struct Who<'a> {
    sort: Sort,
    name: Name<'a>,
    /// What that is called.
    scope: &'static str,
}

/// What distinguishes whoever it is.
enum Name<'a> {
    Network([u8; 16]),
    Subject(Arc<Identity>),
    Text(Cow<'a, [u8]>),
}

impl Name<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Name::Network(bytes) => bytes,
            Name::Subject(identity) => identity.subject.as_bytes(),
            Name::Text(bytes) => bytes,
        }
    }
}

fn who<'a, I: Io>(exchange: &Exchange<'a, I>, admission: &Admission, rate: &RateRule) -> Who<'a> {
    let (head, text) = (exchange.head, exchange.text);
    let by_address = || {
        let name = Name::Network(rate.grouping.network(exchange.client));
        Who { sort: Sort::Address, name, scope: "ip" }
    };
    let text_of = |sort, scope, bytes| Who { sort, name: Name::Text(bytes), scope };
    match &rate.by {
        By::All => text_of(Sort::All, "route", Cow::Borrowed(&[])),
        By::Principal => match &admission.identity {
            Some(identity) if !identity.subject.is_empty() => {
                let name = Name::Subject(Arc::clone(identity));
                Who { sort: Sort::Subject, name, scope: "user" }
            }
            _ => by_address(),
        },
        By::Address => by_address(),
        By::Field(name) => {
            let fields = head.fields.iter();
            let mine = fields.filter(|f| f.name.of(text).eq_ignore_ascii_case(name.as_bytes()));
            let bytes = single(mine.map(|field| Cow::Borrowed(field.value.of(text))));
            text_of(Sort::Field, "header", bytes)
        }
        By::Query(name) => {
            let query = head.query.map(|query| query.of(text)).unwrap_or_default();
            let pairs = query.split(|byte| *byte == b'&').map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
                let (name, value) = pair.split_at(at);
                (decoded(name), value.get(1..).unwrap_or_default())
            });
            let mine = pairs.filter(|(own, _)| **own == *name.as_bytes());
            let bytes = single(mine.map(|(_, value)| decoded(value)));
            text_of(Sort::Parameter, "param", bytes)
        }
        By::Segment(number) => {
            let path = head.path.of(text).split(|byte| *byte == b'/');
            let segment = path.filter(|segment| !segment.is_empty()).nth(number.saturating_sub(1));
            let bytes = decoded(segment.unwrap_or_default());
            text_of(Sort::Parameter, "param", bytes)
        }
    }
}

/// The only value. Of none or several the key is that of none: who sends two may mean either, and
/// would have as many keys as he likes.
fn single<'a>(mut values: impl Iterator<Item = Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
    match (values.next(), values.next()) {
        (Some(value), None) => value,
        _ => Cow::Borrowed(&[]),
    }
}

/// What a text with escapes stands for: however it is written, it is the same key.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        out.push(match (*first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match escaped(*high, *low) {
                Some(byte) => {
                    rest = after;
                    byte
                }
                None => b'%',
            },
            (byte, _) => byte,
        });
    }
    Cow::Owned(out)
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
        _ => secret.key(Sort::Address, &rule.grouping.network(exchange.client)),
    }
}

/// A place, after a wait in the queue, if there is room in that.
async fn wait_for_place<I: Io>(
    exchange: &Exchange<'_, I>,
    rule: &concurrency::Rule,
    gauge: &Rc<Gauge>,
    key: u64,
    full: Full,
) -> Result<Place, Full> {
    let io = &exchange.cx.io;
    let Some(_waiter) = gauge.queue() else { return Err(full) };
    let deadline = io.now() + rule.queue_timeout;
    loop {
        let now = io.now();
        if now >= deadline || exchange.down.socket().is_peer_gone() {
            return Err(full);
        }
        io.sleep_until(deadline.min(now + QUEUE_PERIOD)).await;
        if let Ok(place) = gauge.enter(key, true) {
            return Ok(place);
        }
    }
}

fn too_busy(policies: &Policies, rule: &concurrency::Rule, admission: &mut Admission) -> Reason {
    fields::line(&mut admission.answer, "retry-after", format_args!("1"));
    let route = fields::Visible(&policies.route);
    let body = match policies.errors {
        Errors::Problem => return Reason::TooBusy,
        Errors::ThreeX => format!(
            "{{\"error\":\"too_busy\",\"message\":\"route is at max concurrency\",\
             \"route\":\"{route}\",\"max_in_flight\":{}}}",
            rule.max_in_flight
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

/// Whether the shard runs late all the time. Looked at only while there is a need to know.
fn is_late<I: Io>(exchange: &Exchange<'_, I>, target: Duration) -> bool {
    let cx = exchange.cx;
    let watch = &exchange.tables.policies.limit.watch;
    watch.until.set(exchange.started + WATCH_FOR);
    if !watch.is_watched.replace(true) {
        watch.lateness.set(Lateness::default());
        cx.upkeep.spawn(&cx.io, look(Rc::clone(cx), Rc::clone(watch)));
    }
    watch.lateness.get().is_over(target)
}

async fn look<I: Io>(cx: Rc<Context<I>>, watch: Rc<Watch>) {
    loop {
        let due = cx.io.now() + PERIOD;
        cx.io.sleep_until(due).await;
        let now = cx.io.now();
        let mut lateness = watch.lateness.get();
        lateness.woke(due, now);
        watch.lateness.set(lateness);
        if now >= watch.until.get() {
            watch.is_watched.set(false);
            return;
        }
    }
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

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        assert_eq!(*decoded(b"a%62c"), *b"abc");
        assert_eq!(*decoded(b"a+b%2"), *b"a b%2");
        assert_eq!(*decoded(b"%zz"), *b"%zz");
        let two = [Cow::Borrowed(&b"a"[..]), Cow::Borrowed(&b"b"[..])];
        assert_eq!(*single(two.into_iter()), *b"");
    }
}
