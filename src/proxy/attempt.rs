//! Opening a call at an endpoint, again where that is safe, and waiting for its answer.

use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;
use crate::io::race::{Either, race};
use crate::observe::counters::Counter;
use crate::protocol::h2::hpack::encode;

use super::choice::{Chooser, Visit};
use super::context::SocketOf;
use super::exchange::{Exchange, Target};
use super::grpc::stream::GrpcStream;
use super::reason::Reason;
use super::record::Record;
use super::trace;

/// How often an exchange that waits for an endpoint looks whether its client is still there.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Which method of the service is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Do,
    Stream,
}

/// The attempts of one exchange.
pub(super) struct Attempts<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    target: &'a Target<'a>,
    chooser: Chooser<'a, I>,
    method: Method,
    /// The endpoint of the next attempt, or of the last one.
    number: usize,
}

impl<'a, I: Io> Attempts<'a, I> {
    pub(super) fn new(
        exchange: &'a Exchange<'a, I>,
        target: &'a Target<'a>,
        method: Method,
        record: &mut Record,
    ) -> Result<Self, Reason> {
        let chooser = Chooser::new(exchange, target.module.upstream, record)?;
        let number = chooser.pick()?;
        Ok(Attempts { exchange, target, chooser, method, number })
    }

    /// Opens a stream; tries again, at the next endpoint, for as long as nothing has been sent.
    /// `since` is now.
    pub(super) async fn open(
        &mut self,
        mut since: Instant,
        deadline: Instant,
        record: &mut Record,
    ) -> Result<(GrpcStream<I>, Visit<'a, I>), Reason> {
        loop {
            let visit = self.chooser.begin(self.number, record);
            let reason = match self.open_once(since, deadline).await {
                Ok(stream) => {
                    record.connect = Some(stream.begun() - since);
                    record.upstream_sent = Some(stream.begun());
                    return Ok((stream, visit));
                }
                Err(reason) => reason,
            };
            visit.failed(reason);
            drop(visit);
            if !reason.is_unreached() || !self.again(deadline).await {
                return Err(reason);
            }
            since = self.exchange.cx.io.now();
        }
    }

    async fn open_once(&self, now: Instant, deadline: Instant) -> Result<GrpcStream<I>, Reason> {
        let module = self.exchange.tables.modules.get(self.target.index);
        let heads = module.map(|module| match self.method {
            Method::Do => &module.heads_do,
            Method::Stream => &module.heads_stream,
        });
        let Chooser { spec, table, .. } = self.chooser;
        let (Some(pool), Some(head)) =
            (table.pools.get(self.number), heads.and_then(|heads| heads.get(self.number)))
        else {
            return Err(Reason::Bug);
        };
        // Room for the id as well: a clone would have to move to grow.
        let traceparent = trace::shown(self.exchange);
        let traced = if traceparent.is_some() { 80 } else { 0 };
        let mut block = Vec::with_capacity(head.len() + 96 + traced);
        block.extend_from_slice(head);
        encode::field(&mut block, b"x-request-id", self.exchange.request_id.as_bytes());
        if let Some(text) = traceparent {
            encode::field(&mut block, b"traceparent", &text);
        }
        let upload = self.method == Method::Stream;
        pool.open(self.exchange.cx, spec, &block, upload, now, deadline).await
    }

    /// Whether another attempt is allowed; if so, its backoff has passed.
    pub(super) async fn again(&mut self, deadline: Instant) -> bool {
        match self.chooser.again(self.number, deadline).await {
            Some(next) => {
                self.number = next;
                true
            }
            None => false,
        }
    }
}

/// What it means that an endpoint's connection broke off.
pub(super) fn lost<I: Io>(endpoint: &SocketOf<I>) -> Reason {
    if endpoint.is_alerted() { Reason::TlsAlert } else { Reason::UpstreamReset }
}

/// Waits for something of a call: for its end, or for a message. Gives up at the deadline, and soon
/// after the client has left.
pub(super) async fn wait<I: Io, F: Future<Output = ()>>(
    exchange: &Exchange<'_, I>,
    deadline: Instant,
    mut what: impl FnMut() -> F,
) -> Result<(), Reason> {
    let cx = exchange.cx;
    loop {
        let look = cx.io.lately() + LOOK_INTERVAL;
        let sleep = cx.io.sleep_until(look.min(deadline));
        if let Either::First(()) = race(what(), sleep).await {
            return Ok(());
        }
        if cx.io.now() >= deadline {
            cx.counters.count(Counter::UpstreamTimeouts);
            return Err(Reason::UpstreamTimedOut);
        }
        if exchange.down.is_gone() {
            return Err(Reason::ClientLeft);
        }
    }
}
