//! What is told about an exchange when it is over.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::text::Text;
use crate::base::time::{Instant, UnixTime};
use crate::io::Io;
use crate::message::head::{RequestHead, Version};
use crate::message::known::Known;
use crate::observe::access_log::{AccessRecord, Times, Upload};
use crate::observe::counters::Counter;
use crate::observe::labels::{Label, Method};
use crate::observe::span::{SpanIds, SpanRecord, Tell};
use crate::snapshot::upstream::{Protocol, UpstreamId};

use super::context::Context;
use super::reason::Reason;
use super::tables::Tables;

/// Facts of one exchange, gathered as they become known. Small: it lives as long as the exchange
/// does.
pub(super) struct Record {
    pub(super) label: Label,
    pub(super) received: u64,
    /// Waiting for the client's body.
    pub(super) stalled: Duration,
    pub(super) upload: Option<Upload>,
    pub(super) attempts: u32,
    /// When the request left for the endpoint, and when its answer was there.
    pub(super) upstream_sent: Option<Instant>,
    pub(super) upstream_answered: Option<Instant>,
    pub(super) connect: Option<Duration>,
    pub(super) grpc_status: Option<u8>,
    pub(super) upstream: Option<UpstreamId>,
    /// The last endpoint that was called, by its place in the upstream.
    pub(super) endpoint: usize,
    started: Instant,
}

/// Who asked for what.
pub(super) struct Subject<'a, I: Io> {
    pub(super) tables: &'a Tables<I>,
    pub(super) head: &'a RequestHead,
    pub(super) text: &'a [u8],
    pub(super) client: IpAddr,
    pub(super) request_id: Text<64>,
    /// What it is in a trace, if it is told of.
    pub(super) span: Option<SpanIds>,
    /// Whether it came over TLS; only said where there is a span.
    pub(super) secure: bool,
}

impl Record {
    pub(super) fn begin<I: Io>(cx: &Rc<Context<I>>, started: Instant) -> Self {
        cx.counters.count(Counter::RequestsStarted);
        Record::aside(started)
    }

    /// For what an exchange asks others on its way: nobody is told of it.
    pub(super) fn aside(started: Instant) -> Self {
        Record {
            label: Label::OTHER,
            received: 0,
            stalled: Duration::ZERO,
            upload: None,
            attempts: 0,
            upstream_sent: None,
            upstream_answered: None,
            connect: None,
            grpc_status: None,
            upstream: None,
            endpoint: 0,
            started,
        }
    }

    /// The exchange is over: `status` was sent (0: nothing) with `sent` bytes of content.
    pub(super) fn end<I: Io>(
        &self,
        cx: &Rc<Context<I>>,
        subject: &Subject<'_, I>,
        reason: Option<Reason>,
        status: u16,
        sent: u64,
    ) {
        let total = cx.io.now() - self.started;
        let method = Method::of(subject.head.method_text.of(subject.text));
        let counters = &cx.counters;
        counters.count(Counter::RequestsEnded);
        counters.request(self.label, method, status);
        counters.request_body(self.received);
        counters.response_body(sent);
        if let Some(reason) = reason {
            counters.reason(reason.place());
            if reason == Reason::ClientLeft {
                counters.count(Counter::ClientsLeft);
            }
        }
        let upstream = match (self.upstream_sent, self.upstream_answered) {
            (Some(sent), Some(answered)) => Some(answered - sent),
            _ => None,
        };
        let mut latency = cx.latency.borrow_mut();
        latency.request(self.label, method, total);
        let table = self.upstream.and_then(|id| subject.tables.upstreams.get(id.index()));
        if let (Some(table), Some(took)) = (table, upstream) {
            latency.upstream(table.label, took);
        }
        let own = self.own(total, upstream);
        if let Some(own) = own {
            latency.own(self.label, own);
        }
        drop(latency);
        let tell = cx.tell.get().filter(|_| subject.span.is_some() || is_fault(reason, status));
        if subject.tables.has_log || tell.is_some() {
            let body_in = (self.received > 0).then_some(self.stalled);
            let times = Times {
                total,
                connect: self.connect,
                upstream_ttfb: upstream,
                body_in,
                own,
                ..Times::default()
            };
            let line = self.line(cx, subject, reason, status, sent, times);
            if let Some(tell) = tell {
                self.tell(cx, tell, subject, reason, &line);
            }
            if subject.tables.has_log {
                cx.log().push(line, counters);
            }
        }
    }

    /// Tells those who want to know more than the log.
    fn tell<I: Io>(
        &self,
        cx: &Rc<Context<I>>,
        tell: &Tell,
        subject: &Subject<'_, I>,
        reason: Option<Reason>,
        line: &AccessRecord,
    ) {
        if let Some(faults) = tell.faults.as_ref().filter(|_| is_fault(reason, line.status)) {
            faults.push_or(line.clone(), &cx.counters, Counter::TelemetryDropped);
        }
        let Some(ids) = subject.span else { return };
        let upstream = self.upstream.and_then(|id| subject.tables.snapshot.upstream(id));
        let server = upstream.and_then(|spec| Some(spec.endpoints.get(self.endpoint)?.address));
        let span = SpanRecord {
            ids,
            secure: subject.secure,
            access: line.clone(),
            called: self.upstream_sent.map(|sent| sent - self.started),
            server,
            grpc: upstream.is_some_and(|spec| spec.protocol == Protocol::Grpc),
        };
        for sender in &tell.spans {
            sender.push(span.clone(), &cx.counters);
        }
    }

    /// What we added: the total without the waits for peers. Not told of uploads, which wait for
    /// both sides at once.
    fn own(&self, total: Duration, upstream: Option<Duration>) -> Option<Duration> {
        let waits = self.stalled + self.connect.unwrap_or_default() + upstream.unwrap_or_default();
        self.upload.is_none().then(|| total.saturating_sub(waits))
    }

    fn line<I: Io>(
        &self,
        cx: &Rc<Context<I>>,
        subject: &Subject<'_, I>,
        reason: Option<Reason>,
        status: u16,
        sent: u64,
        times: Times,
    ) -> AccessRecord {
        let Subject { tables, head, text, client, request_id, .. } = subject;
        let upstream = self.upstream.and_then(|id| tables.snapshot.upstream(id));
        AccessRecord {
            time: UnixTime(cx.io.unix_now().0.saturating_sub(times.total)),
            method: Text::new(head.method_text.of(text)),
            path: Text::new(head.path.of(text)),
            route: Text::new(cx.route_name(self.label).as_bytes()),
            upstream: upstream.map(|spec| Text::new(spec.name.as_bytes())).unwrap_or_default(),
            request_id: *request_id,
            user_agent: Text::new(head.value(text, Known::UserAgent).unwrap_or_default()),
            client: Some(*client),
            version: match head.version {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
                Version::Http2 => "2",
            },
            reason: reason.map_or("", |reason| reason.row().code),
            status,
            grpc_status: self.grpc_status,
            shard: cx.shard,
            attempts: self.attempts,
            request_bytes: self.received,
            response_bytes: sent,
            times,
            upload: self.upload,
        }
    }
}

/// Whether the gateway itself said that something went wrong.
fn is_fault(reason: Option<Reason>, status: u16) -> bool {
    reason.is_some() && status >= 500
}
