//! Policies of a route, asked for one exchange in this order: identity headers are stripped, CORS,
//! client address, load shedding, authentication, rate, concurrency, breaker.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::io::Io;
use crate::policy::auth::verify::Verified;
use crate::policy::identity::Identity;
use crate::policy::names::Names;
use crate::policy::set::{Errors, Policies};
use crate::snapshot::Snapshot;

use super::exchange::Exchange;
use super::reason::Reason;
use super::reply::Reply;

mod auth;
pub(super) mod claims;
mod front;
pub mod keys;
mod legacy;
mod limit;
mod people;
pub(super) mod queue;
mod shed;
mod who;

/// Admissions whose memory a shard keeps: as many exchanges may be under way without another one.
const ADMISSIONS_KEPT: usize = 64;
/// Bytes that one of those may have.
const ADMISSION_BYTES_KEPT: usize = 4096;

/// What a shard keeps for policies.
#[derive(Debug, Default)]
pub struct States {
    auth: auth::State,
    people: people::State,
    limit: limit::State,
    /// One for all generations.
    shed: Rc<shed::Watch>,
}

impl States {
    /// The state for a snapshot; what `old` knows is kept where its rule did not change.
    pub fn new(snapshot: &Snapshot, old: Option<&States>) -> Self {
        States {
            auth: auth::State::new(snapshot, old.map(|old| &old.auth)),
            people: people::State::new(snapshot, old.map(|old| &old.people)),
            limit: limit::State::default(),
            shed: old.map(|old| Rc::clone(&old.shed)).unwrap_or_default(),
        }
    }
}

impl States {
    /// Takes what control has found of keys.
    pub fn set_keys(&self, news: &keys::KeyNews, now: Instant) {
        self.auth.set_keys(news, now);
    }

    /// For how long a connection that was refused for overload is not listened to, on a shard with
    /// so many.
    pub fn rest(&self, connections: u32, chance: &mut Prng) -> Duration {
        self.shed.rest(connections, chance)
    }

    /// Something was revoked: every token is looked at again.
    pub fn forget_tokens(&self) {
        self.auth.forget_tokens();
    }
}

/// What policies add to an exchange.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Field lines of every answer, encoded, with names in lower case.
    pub(super) answer: Vec<u8>,
    /// Fields of the endpoint's answer that the client does not get.
    pub(super) replaced: Option<Arc<Names>>,
    /// Field lines of the request that the endpoint gets, encoded.
    pub(super) request: Vec<u8>,
    /// Fields of the request that the endpoint does not get, each set of them.
    pub(super) stripped: Vec<Arc<Names>>,
    /// The token that said who asks, if it was one.
    pub(super) verified: Option<Rc<Verified>>,
    /// Who asks.
    pub(super) identity: Option<Arc<Identity>>,
    /// How refusals are told that no policy has words for.
    errors: Errors,
    /// Bytes that a body may have, where the route says so.
    body_max: Option<u64>,
    /// What is said of a refusal in place of a problem.
    pub(super) refusal: Option<Refusal>,
    /// What the exchange holds until its end.
    pub(super) held: limit::Held,
}

/// Admissions of exchanges that are over, whose memory the next ones take.
#[derive(Debug, Default)]
pub(super) struct Admissions(RefCell<Vec<Rc<Admission>>>);

impl Admissions {
    fn take(&self) -> Rc<Admission> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives back what an exchange holds of its policies, and keeps the memory unless it is much.
    pub(super) fn keep(&self, admission: OnceCell<Rc<Admission>>) {
        let Some(mut admission) = admission.into_inner() else { return };
        let Some(own) = Rc::get_mut(&mut admission) else { return };
        own.clear();
        let mut kept = self.0.borrow_mut();
        if kept.len() < ADMISSIONS_KEPT && own.memory() <= ADMISSION_BYTES_KEPT {
            kept.push(admission);
        }
    }
}

/// A refusal as another gateway tells it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// A JSON text, or a plain one; empty: no content.
    pub(super) body: Vec<u8>,
}

/// What follows.
pub(super) enum Verdict {
    /// The request takes its route.
    Pass,
    /// The same, and these are the segments of its path that are claims.
    Claimed(Box<[Vec<u8>]>),
    /// It is answered, and well.
    Answer(Box<Reply>),
    Refuse(Reason),
}

/// Asks all policies of a route. The exchange has what they add in any case.
///
/// Those that wait for others have futures of their own: most of the time there are none, and what
/// is asked for every request stays small.
pub(super) async fn admit<I: Io>(exchange: &Exchange<'_, I>, policies: &Policies) -> Verdict {
    let mut kept = exchange.cx.admissions.take();
    // Nobody else has it yet.
    let Some(admission) = Rc::get_mut(&mut kept) else { return Verdict::Refuse(Reason::Bug) };
    admission.errors = policies.errors;
    admission.body_max = policies.front.as_ref().and_then(|front| front.body_max);
    let mut said = before_auth(exchange, policies, admission);
    if matches!(said, Ok(Verdict::Pass)) && (policies.auth.is_some() || policies.people.is_some()) {
        said = auth(exchange, policies, admission).await;
    }
    if let (Ok(Verdict::Pass | Verdict::Claimed(_)), Some(rule)) = (&said, &policies.limit) {
        let limited = match limit::ask(exchange, policies, rule, admission) {
            Ok(Some(pause)) => {
                Box::pin(limit::wait(exchange, policies, rule, pause, admission)).await
            }
            Ok(None) => Ok(()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = limited {
            said = Err(reason);
        }
    }
    // Nobody has set it before.
    drop(exchange.admission.set(kept));
    said.unwrap_or_else(Verdict::Refuse)
}

/// What is asked before anybody is known.
fn before_auth<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    admission: &mut Admission,
) -> Result<Verdict, Reason> {
    if let Some(rule) = &policies.front
        && let Some(reply) = front::ask(exchange, rule, admission)?
    {
        return Ok(Verdict::Answer(reply));
    }
    if let Some(delay) = policies.limit.as_ref().and_then(|rule| rule.sheds) {
        shed::ask(exchange, delay, admission)?;
    }
    if let Some(rule) = &policies.people {
        people::before_auth(exchange, policies, rule, admission)?;
    }
    Ok(Verdict::Pass)
}

/// Who it is, and what is asked of whom it is.
async fn auth<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    admission: &mut Admission,
) -> Result<Verdict, Reason> {
    if let Some(rule) = &policies.auth {
        auth::ask(exchange, policies, rule, admission).await?;
    }
    match &policies.people {
        Some(rule) => people::after_auth(exchange, policies, rule, admission).await,
        None => Ok(Verdict::Pass),
    }
}

/// What is said in place of a problem where no route was taken.
pub(super) fn unrouted(errors: Errors, reason: Reason) -> Option<Cow<'static, Refusal>> {
    legacy::refusal(errors, reason, None).map(Cow::Owned)
}

impl Admission {
    /// Forgets everything but its memory, and gives back what it holds. In place: most of it was
    /// never set. What each admission is given at its start stays.
    fn clear(&mut self) {
        let Admission {
            answer,
            replaced,
            request,
            stripped,
            verified,
            identity,
            errors: _,
            body_max: _,
            refusal,
            held,
        } = self;
        answer.clear();
        request.clear();
        stripped.clear();
        (*replaced, *verified, *identity, *refusal) = (None, None, None, None);
        held.clear();
    }

    /// Bytes that it keeps for the next exchange.
    fn memory(&self) -> usize {
        let names = self.stripped.capacity() * size_of::<Arc<Names>>();
        self.answer.capacity() + self.request.capacity() + names
    }

    /// What is said in place of a problem, whoever refuses and why.
    pub(super) fn refusal(&self, reason: Reason) -> Option<Cow<'_, Refusal>> {
        match &self.refusal {
            Some(refusal) => Some(Cow::Borrowed(refusal)),
            None => legacy::refusal(self.errors, reason, self.body_max).map(Cow::Owned),
        }
    }
}
