//! Who is told of exchanges beside the log: a collector of traces, and Sentry.
//!
//! Shards leave what they tell in rings of their own, and never wait. A thread for each peer takes
//! it from there, sends it on, and gives up what the peer does not take. Start with [`Telemetry`].

mod mailer;
mod otlp;
mod panics;
mod sentry;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::notice::Notices;
use crate::observe::span::{self, ExportStats, SpanReceiver, Tell};
use crate::snapshot::observe::Observe;

use mailer::{Mailer, Post};

/// How long the end of the process waits for spans to be sent.
const SPANS_FLUSH: Duration = Duration::from_secs(5);

/// The threads that tell. Dropping it ends them without a wait.
#[derive(Default)]
pub(super) struct Telemetry {
    mailers: Vec<Mailer>,
}

impl Telemetry {
    /// Starts what the configuration asks for; and what each shard tells it with, for none if
    /// nobody wants to know.
    pub(super) fn start(
        observe: &Observe,
        shards: usize,
        notices: &Notices,
    ) -> io::Result<(Self, Vec<Tell>)> {
        let (mut telemetry, mut tells) = (Telemetry::default(), Vec::new());
        if observe.traces.is_none() && observe.sentry.is_none() {
            return Ok((telemetry, tells));
        }
        tells.resize_with(shards, Tell::default);
        if let Some(traces) = &observe.traces {
            let rings = rings(&mut tells, traces.ratio);
            let post = Post {
                name: "otlp",
                url: traces.url.clone(),
                tls: traces.tls.clone(),
                fields: vec![("content-type", "application/x-protobuf".to_owned())],
                flush: SPANS_FLUSH,
                debug: false,
            };
            let mut batches = otlp::Batches::new(rings, traces);
            let next = move |_| batches.next();
            telemetry.mailers.push(Mailer::start(post, notices.clone(), next)?);
        }
        if let Some(sentry) = &observe.sentry {
            let spans =
                if sentry.ratio > 0.0 { rings(&mut tells, sentry.ratio) } else { Vec::new() };
            let faults = sentry::rings(&mut tells);
            let mut reports = sentry::Reports::new(faults, spans, sentry.ratio);
            let next = move |end| reports.next(end);
            let post = sentry::post(sentry);
            telemetry.mailers.push(Mailer::start(post, notices.clone(), next)?);
        }
        Ok((telemetry, tells))
    }

    /// What became of what was told, by whom it was told to.
    pub(super) fn stats(&self) -> Vec<(&'static str, Arc<ExportStats>)> {
        self.mailers.iter().map(Mailer::stats).collect()
    }

    /// Sends what is left, each for as long as it may take.
    pub(super) fn stop(&mut self) {
        // All are told before one is waited for.
        for mailer in &self.mailers {
            mailer.tell_stop();
        }
        for mailer in self.mailers.drain(..) {
            mailer.wait();
        }
    }
}

/// A ring of spans for each shard.
fn rings(tells: &mut [Tell], ratio: f64) -> Vec<SpanReceiver> {
    let one = |tell: &mut Tell| {
        let (sender, receiver) = span::ring();
        tell.spans.push(sender);
        tell.ratio = tell.ratio.max(ratio);
        receiver
    };
    tells.iter_mut().map(one).collect()
}
