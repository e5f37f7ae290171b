//! What is told about an exchange when it is over.

use std::net::IpAddr;
use std::rc::Rc;

use crate::base::text::Text;
use crate::base::time::Instant;
use crate::io::Io;
use crate::message::head::{RequestHead, Version};
use crate::message::known::Known;
use crate::observe::access_log::{AccessRecord, Times, Upload};
use crate::observe::counters::Counter;
use crate::observe::labels::{Label, Method};

use super::context::Context;
use super::reason::Reason;

/// Facts of one exchange, gathered as they become known.
pub(super) struct Record {
    pub(super) label: Label,
    pub(super) received: u64,
    pub(super) upload: Option<Upload>,
    pub(super) attempts: u32,
    /// When the request left for the endpoint, and when its answer began.
    pub(super) upstream_sent: Option<Instant>,
    pub(super) upstream_answered: Option<Instant>,
    pub(super) connect: Option<std::time::Duration>,
    pub(super) grpc_status: Option<u8>,
    pub(super) upstream: Text<48>,
    pub(super) upstream_label: Option<Label>,
    pub(super) route: Text<48>,
    started: Instant,
    line: AccessRecord,
    method: Method,
}

impl Record {
    pub(super) fn begin<I: Io>(
        cx: &Rc<Context<I>>,
        head: &RequestHead,
        text: &[u8],
        client: IpAddr,
        request_id: Text<64>,
        started: Instant,
    ) -> Self {
        cx.counters.count(Counter::RequestsStarted);
        let method_text = head.method_text.of(text);
        let line = AccessRecord {
            time: cx.io.unix_now(),
            method: Text::new(method_text),
            path: Text::new(head.path.of(text)),
            request_id,
            user_agent: Text::new(head.value(text, Known::UserAgent).unwrap_or_default()),
            client: Some(client),
            version: match head.version {
                Version::Http10 => "1.0",
                Version::Http11 => "1.1",
                Version::Http2 => "2",
            },
            shard: cx.shard,
            ..AccessRecord::default()
        };
        Record {
            label: Label::OTHER,
            received: 0,
            upload: None,
            attempts: 0,
            upstream_sent: None,
            upstream_answered: None,
            connect: None,
            grpc_status: None,
            upstream: Text::EMPTY,
            upstream_label: None,
            route: Text::EMPTY,
            started,
            line,
            method: Method::of(method_text),
        }
    }

    /// The exchange is over: `status` was sent (0: nothing) with `sent` bytes of content.
    pub(super) fn end<I: Io>(
        self,
        cx: &Rc<Context<I>>,
        reason: Option<Reason>,
        status: u16,
        sent: u64,
    ) {
        let now = cx.io.now();
        let total = now - self.started;
        let counters = &cx.counters;
        counters.count(Counter::RequestsEnded);
        counters.request(self.label, self.method, status);
        counters.request_body(self.received);
        counters.response_body(sent);
        if let Some(reason) = reason {
            counters.reason(reason.place());
            if reason == Reason::ClientLeft {
                counters.count(Counter::ClientsLeft);
            }
        }
        let ttfb = match (self.upstream_sent, self.upstream_answered) {
            (Some(sent), Some(answered)) => Some(answered - sent),
            _ => None,
        };
        {
            let mut latency = cx.latency.borrow_mut();
            latency.request(self.label, self.method, total);
            if let (Some(label), Some(took)) = (self.upstream_label, ttfb) {
                latency.upstream(label, took);
            }
        }
        if !cx.tables().has_log {
            return;
        }
        let line = AccessRecord {
            route: self.route,
            upstream: self.upstream,
            reason: reason.map_or("", |reason| reason.row().code),
            status,
            grpc_status: self.grpc_status,
            attempts: self.attempts,
            request_bytes: self.received,
            response_bytes: sent,
            times: Times { total, connect: self.connect, upstream_ttfb: ttfb, ..Times::default() },
            upload: self.upload,
            ..self.line
        };
        cx.log().push(line, counters);
    }
}
