//! Forwarding a request: which endpoint gets it, and which one next if that fails.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::base::time::Instant;
use crate::io::{Io, Socket};
use crate::protocol::upgrade::Upgrade;
use crate::proxy::body::RequestBody;
use crate::proxy::choice::{Chooser, verdict};
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::snapshot::route::Route;
use crate::snapshot::upstream::{Endpoint, HostField, Protocol, Upstream, UpstreamId};
use crate::upstream::group::Outcome;

use super::attempt::{Failure, Flow};
use super::connection::{HttpConnection, HttpPool};
use super::heads;
use super::passthrough;
use super::patience::Patience;
use super::response::Delivered;

/// Where a request goes.
pub(in crate::proxy) struct Destination<'a> {
    pub(in crate::proxy) upstream: UpstreamId,
    /// The path to forward, in normal form.
    pub(in crate::proxy) path: &'a [u8],
    /// Which route says so.
    pub(in crate::proxy) route: &'a Route,
    /// When the exchange began.
    pub(in crate::proxy) begun: Instant,
    /// What of a call of gRPC was looked at already, and leaves before the rest of its body.
    pub(in crate::proxy) first: &'a [u8],
}

/// Forwards a request and delivers the answer. An error: nothing was said to the client yet.
pub(in crate::proxy) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    destination: &Destination<'_>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Delivered, Reason> {
    let chooser = Chooser::new(exchange, destination.upstream, record)?;
    let patience = Patience::new(&destination.route.timeouts, destination.begun);
    if chooser.spec.protocol == Protocol::Grpc {
        // Boxed: its state would make that of every other exchange larger.
        let passed = passthrough::run(exchange, destination, chooser, patience, body, record);
        return Box::pin(passed).await;
    }
    let mut attempts = Attempts { exchange, destination, chooser, patience };
    let mut choice = attempts.choice(attempts.chooser.pick()?)?;
    loop {
        match attempts.once(&choice, body, record).await {
            Ok(delivered) => return Ok(delivered),
            Err(failed) => match attempts.again(&choice, &failed, body).await {
                Some(next) => choice = next,
                None => return Err(failed.reason),
            },
        }
    }
}

/// The host that an endpoint is told; none: the client's.
pub(super) fn authority<'a>(spec: &'a Upstream, endpoint: &Endpoint) -> Option<Cow<'a, [u8]>> {
    match &spec.host {
        HostField::Client => None,
        HostField::Endpoint => Some(endpoint.authority().into_bytes().into()),
        HostField::Fixed(host) => Some(host.as_bytes().into()),
    }
}

/// A failed attempt.
struct Failed {
    reason: Reason,
    /// Nothing of the request can have reached the endpoint's application.
    unsent: bool,
    /// The connection had carried exchanges before, and ended without a byte of an answer.
    stale: bool,
}

/// Which endpoint is asked.
struct Choice<'a, I: Io> {
    number: usize,
    endpoint: &'a Endpoint,
    pool: &'a Rc<HttpPool<I>>,
    /// Over a connection that has carried no exchange yet.
    fresh: bool,
}

struct Attempts<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    destination: &'a Destination<'a>,
    chooser: Chooser<'a, I>,
    patience: Patience,
}

impl<'a, I: Io> Attempts<'a, I> {
    /// The endpoint with this number.
    fn choice(&self, number: usize) -> Result<Choice<'a, I>, Reason> {
        let Chooser { spec, table, .. } = self.chooser;
        match (spec.endpoints.get(number), table.http_pools.get(number)) {
            (Some(endpoint), Some(pool)) => Ok(Choice { number, endpoint, pool, fresh: false }),
            _ => Err(Reason::Bug),
        }
    }

    async fn once(
        &mut self,
        choice: &Choice<'_, I>,
        body: &mut RequestBody<'_, I>,
        record: &mut Record,
    ) -> Result<Delivered, Failed> {
        let exchange = self.exchange;
        let visit = self.chooser.begin(choice.number, record);
        let unsent = |reason| Failed { reason, unsent: true, stale: false };
        let connection = match self.connection(choice, record).await {
            Ok(connection) => connection,
            Err(reason) => {
                visit.failed(reason);
                return Err(unsent(reason));
            }
        };
        // Bytes behind a handshake would have to wait for the 101: nobody sends any. Those of a
        // stream do wait.
        let upgrade = Upgrade::asked_for(exchange.head, exchange.text)
            .filter(|asked| self.destination.route.upgrades.contain(asked.name()))
            .filter(|_| exchange.down.stream().is_some() || !body.has_bytes());
        let host = authority(self.chooser.spec, choice.endpoint);
        let host = host.as_deref();
        let mut out = exchange.cx.take_gather();
        let path = self.destination.path;
        out.push_result(|own| heads::request(exchange, path, host, upgrade, own))
            .map_err(|_| unsent(Reason::RequestMalformed))?;
        record.upstream_sent = Some(exchange.cx.io.now());
        let flow = Flow::new(exchange, &connection.socket, self.patience, upgrade);
        let answered = flow.run(body, out, record).await;
        visit.went(self.outcome(&flow, &answered));
        drop(flow);
        match answered {
            Ok(delivered) => {
                // What was said of this client must not count for another.
                if delivered.reusable && !self.chooser.spec.send_proxy_protocol {
                    choice.pool.put(connection, self.chooser.spec, exchange.cx.io.lately());
                }
                Ok(delivered)
            }
            Err(Failure { reason, silent }) => {
                if upgrade.is_some() {
                    // It may have switched unheard, and would take an end for the client's.
                    connection.socket.reset_on_close();
                }
                let stale = connection.is_used && silent && is_lost(reason);
                if stale {
                    // Closing an idle connection is no fault.
                    visit.went(Outcome::Unclear);
                }
                Err(Failed { reason, unsent: false, stale })
            }
        }
    }

    /// What became of an attempt. The total time may have been used up by the client: it counts
    /// against an endpoint only that had the whole request for half of it and said nothing.
    fn outcome(&self, flow: &Flow<'_, I>, answered: &Result<Delivered, Failure>) -> Outcome {
        let outcome = outcome(answered);
        if outcome != Outcome::Failed {
            return outcome;
        }
        let now = self.exchange.cx.io.now();
        let silent =
            |sent: Instant| answered.is_err() && now - sent >= sent - self.destination.begun;
        if now >= self.patience.end() && !flow.sent_at().is_some_and(silent) {
            return Outcome::Unclear;
        }
        outcome
    }

    async fn connection(
        &self,
        choice: &Choice<'_, I>,
        record: &mut Record,
    ) -> Result<HttpConnection<I>, Reason> {
        let cx = self.exchange.cx;
        if !choice.fresh
            && !self.chooser.spec.send_proxy_protocol
            && let Some(connection) = choice.pool.take(cx.io.lately())
        {
            return Ok(connection);
        }
        let now = cx.io.now();
        let (peer, client) = (self.exchange.peer, self.exchange.client);
        // Who is behind another proxy has a port that nobody knows.
        let is_peer = peer.ip().to_canonical() == client;
        let client = SocketAddr::new(client, if is_peer { peer.port() } else { 0 });
        let deadline = self.patience.connect(now);
        let connection = choice.pool.connect(cx, self.chooser.spec, client, deadline).await?;
        record.connect = Some(cx.io.now() - now);
        Ok(connection)
    }

    /// Where the request is sent once more: only what certainly was not acted on, or what may be
    /// acted on twice, and only while nothing of its body was used up.
    async fn again(
        &mut self,
        choice: &Choice<'a, I>,
        failed: &Failed,
        body: &RequestBody<'_, I>,
    ) -> Option<Choice<'a, I>> {
        let whole = !self.exchange.head.framing.has_body() || body.is_untouched();
        let safe = self.exchange.head.method.is_idempotent();
        if !whole || !(failed.unsent || (safe && is_lost(failed.reason))) {
            return None;
        }
        if failed.stale && !choice.fresh {
            // The endpoint closed an idle connection as we took it. That costs nobody an attempt.
            self.chooser.forgive();
            return Some(Choice { fresh: true, ..*choice });
        }
        let next = self.chooser.again(choice.number, self.patience.end()).await?;
        self.choice(next).ok()
    }
}

/// Whether the connection ended without an answer.
fn is_lost(reason: Reason) -> bool {
    matches!(reason, Reason::TlsAlert | Reason::UpstreamReset | Reason::UpstreamClosed)
}

/// What an answer, or none, says of the endpoint.
pub(super) fn outcome(answered: &Result<Delivered, Failure>) -> Outcome {
    match answered {
        Ok(Delivered { cut: Some(reason), .. }) | Err(Failure { reason, .. })
            if verdict(*reason) != Outcome::Failed =>
        {
            Outcome::Unclear
        }
        // A tunnel ends as its users like.
        Ok(Delivered { cut: Some(_), tunnel: true, .. }) => Outcome::Unclear,
        Ok(Delivered { cut: None, status, .. }) if !matches!(status, 502..=504) => Outcome::Well,
        _ => Outcome::Failed,
    }
}
