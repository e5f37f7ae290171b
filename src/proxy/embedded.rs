//! Asks what a program has put in: its policy, at once, and its transport, by way of the threads
//! that control has for it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use crate::io::Io;
use crate::observe::counters::Counter;
use crate::policy::embed::{Call, Context as Known, Fault, Policy, Refusal, Request, Transport};
use crate::policy::names::Names;
use crate::protocol::grpc::status::Status;
use crate::protocol::h1::encode;

use super::attempt::wait;
use super::call::Memory;
use super::context::Context;
use super::event::Event;
use super::exchange::{Exchange, Plan, Target};
use super::reason::Reason;
use super::record::Record;

/// What the policy of the program said of a request that goes on.
#[derive(Debug)]
pub(super) struct Own {
    context: Arc<Known>,
    /// Field lines that the endpoint gets, encoded.
    pub(super) lines: Vec<u8>,
    /// What it does not get from the client.
    pub(super) names: Names,
}

/// Asks the policy of the program, if it has one, unless the request is refused already. What it
/// refuses, no other policy is to be asked about.
pub(super) fn before<I: Io>(exchange: &Exchange<'_, I>, plan: &Plan<'_>) -> Result<(), Reason> {
    match &exchange.tables.snapshot.embedded.policy {
        Some(policy) if !matches!(plan, Plan::Refuse(_)) => ask(exchange, &**policy),
        _ => Ok(()),
    }
}

fn ask<I: Io>(exchange: &Exchange<'_, I>, policy: &dyn Policy) -> Result<(), Reason> {
    let Exchange { head, text, client, .. } = *exchange;
    let request = Request::new(head, text, client, exchange.request_id.as_str());
    let asked = catch_unwind(AssertUnwindSafe(|| policy.before(&request)));
    let Ok(answer) = asked else {
        exchange.cx.counters.count(Counter::Panics);
        return Err(Reason::Bug);
    };
    let context = answer.map_err(reason)?;
    let names = Names::new(context.fields().iter().map(|(name, _)| name.as_str()));
    let mut lines = Vec::new();
    for (name, value) in context.fields() {
        encode::field(&mut lines, name.as_bytes(), value.as_bytes());
    }
    let own = Own { context: Arc::new(context), lines, names };
    // Nobody has set it before.
    drop(exchange.own.set(Rc::new(own)));
    Ok(())
}

/// Tells the policy of the program how a request ended that it let go on.
pub(super) fn after<I: Io>(exchange: &Exchange<'_, I>, status: u16) {
    let Some(own) = exchange.own.get() else { return };
    let Some(policy) = &exchange.tables.snapshot.embedded.policy else { return };
    let took = exchange.cx.io.now() - exchange.started;
    if catch_unwind(AssertUnwindSafe(|| policy.after(&own.context, status, took))).is_err() {
        exchange.cx.counters.count(Counter::Panics);
    }
}

const fn reason(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::TooMany => Reason::RateLimited,
        Refusal::Unauthenticated => Reason::Unauthenticated,
        Refusal::PaymentRequired => Reason::PaymentRequired,
        Refusal::Forbidden => Reason::Forbidden,
        Refusal::Unavailable => Reason::AuthUnavailable,
    }
}

/// What a shard asks the threads of the transport.
pub struct CallAsk {
    /// Which shard.
    pub shard: u16,
    /// What the shard knows it by.
    pub number: u64,
    /// What makes the call.
    pub transport: Arc<dyn Transport>,
    /// The call.
    pub call: Call,
    /// Where the answer goes, before the shard is told that there is one.
    pub answer: Arc<OnceLock<Result<Vec<u8>, Fault>>>,
}

/// The calls of a shard that wait for an answer.
#[derive(Debug, Default)]
pub struct Calls {
    next: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Rc<Event>>>,
}

impl Calls {
    /// The answer of this call is there.
    pub fn answered(&self, number: u64) {
        if let Some(event) = self.waiting.borrow().get(&number) {
            event.raise();
        }
    }
}

/// A call that waits, for as long as this is held.
struct Waiting<'a> {
    calls: &'a Calls,
    number: u64,
    event: Rc<Event>,
}

impl<'a> Waiting<'a> {
    fn new(calls: &'a Calls) -> Self {
        let (number, event) = (calls.next.get(), Rc::new(Event::default()));
        calls.next.set(number.wrapping_add(1));
        calls.waiting.borrow_mut().insert(number, Rc::clone(&event));
        Waiting { calls, number, event }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.calls.waiting.borrow_mut().remove(&self.number);
    }
}

/// Has the transport of the program make a call with the message in `memory`, where its answer is
/// put.
pub(super) async fn call<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    transport: &Arc<dyn Transport>,
    memory: &mut Memory,
    record: &mut Record,
) -> Result<(), Reason> {
    let cx: &Rc<Context<I>> = exchange.cx;
    let asks = cx.call_asks.get().ok_or(Reason::EndpointsDown)?;
    let now = cx.io.now();
    let waiting = Waiting::new(&cx.calls);
    let (message, dialect) = (memory.take_message(), target.module.dialect);
    let call = Call {
        context: exchange.own.get().map(|own| Arc::clone(&own.context)),
        module: target.module.name.clone(),
        method: dialect.path_do(),
        message,
        request_id: exchange.request_id.as_str().to_owned(),
        timeout: target.module.timeout,
    };
    let answer = Arc::new(OnceLock::new());
    let ask = CallAsk {
        shard: cx.shard,
        number: waiting.number,
        transport: Arc::clone(transport),
        call,
        answer: Arc::clone(&answer),
    };
    asks.try_send(ask).map_err(|_| Reason::PoolExhausted)?;
    record.attempts = 1;
    record.upstream = Some(target.module.upstream);
    record.upstream_sent = Some(now);
    wait(exchange, now + target.module.timeout, || waiting.event.wait()).await?;
    record.upstream_answered = Some(cx.io.now());
    match answer.get().ok_or(Reason::Bug)? {
        Ok(message) => {
            record.grpc_status = Some(Status::Ok.code());
            memory.merge(dialect, message)
        }
        Err(Fault(code)) => {
            // Who says that it went well has no answer for us.
            let status = match Status::from_code(*code) {
                Status::Ok => Status::Unknown,
                status => status,
            };
            record.grpc_status = Some(status.code());
            Err(Reason::ServiceFailed(status))
        }
    }
}
