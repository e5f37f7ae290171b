//! Spans: what a trace tells of one exchange. A shard pushes them, an exporter takes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::access_log::{AccessRecord, LogSender};
use super::counters::{Counter, ShardCounters};
use crate::base::limits::SPANS_MAX;

/// The ids of one exchange in a trace (W3C Trace Context §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanIds {
    /// Of the trace.
    pub trace: u128,
    /// Of the caller's span; 0: the trace began here.
    pub parent: u64,
    /// Of the span of the request.
    pub own: u64,
    /// Of the span of the call that was made for it.
    pub client: u64,
}

impl SpanIds {
    /// Whether a trace that begins here is among this share of all. It follows from its id, so that
    /// everybody who asks gets the same answer.
    #[must_use]
    pub fn is_among(&self, ratio: f64) -> bool {
        // 2^32 steps are enough to tell shares apart, and have an exact float each.
        let part = u32::try_from(self.trace & 0xffff_ffff).unwrap_or(u32::MAX);
        f64::from(part) < ratio * (f64::from(u32::MAX) + 1.0)
    }
}

/// What a trace tells of one exchange.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    /// Who it is.
    pub ids: SpanIds,
    /// Whether it came over TLS.
    pub secure: bool,
    /// What the log would tell.
    pub access: AccessRecord,
    /// When the call to an endpoint began, from the beginning; `None`: there was none.
    pub called: Option<Duration>,
    /// Whom it went to.
    pub server: Option<SocketAddr>,
    /// Whether it was one of gRPC.
    pub grpc: bool,
}

/// What a shard tells others of its exchanges, beside the log.
#[derive(Debug, Default)]
pub struct Tell {
    /// Share of the traces that begin here that is told of.
    pub ratio: f64,
    /// Who is told of exchanges.
    pub spans: Vec<SpanSender>,
    /// Who is told of errors of ours.
    pub faults: Option<LogSender>,
}

/// What became of what was told to one peer.
#[derive(Debug, Default)]
pub struct ExportStats {
    sent: AtomicU64,
    lost: AtomicU64,
}

impl ExportStats {
    /// Counts spans or reports that the peer has taken.
    pub fn count_sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts those that were given up.
    pub fn count_lost(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// How many the peer has taken.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many were given up.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The shard's end of a ring.
#[derive(Debug)]
pub struct SpanSender {
    ring: Arc<ArrayQueue<SpanRecord>>,
}

/// The exporter's end of a shard's ring.
#[derive(Debug)]
pub struct SpanReceiver {
    ring: Arc<ArrayQueue<SpanRecord>>,
}

/// A ring for [`SPANS_MAX`] spans.
#[must_use]
pub fn ring() -> (SpanSender, SpanReceiver) {
    let ring = Arc::new(ArrayQueue::new(SPANS_MAX));
    (SpanSender { ring: Arc::clone(&ring) }, SpanReceiver { ring })
}

impl SpanSender {
    /// Hands a span over. If the exporter has fallen behind, it is dropped and counted.
    pub fn push(&self, span: SpanRecord, counters: &ShardCounters) {
        if self.ring.push(span).is_err() {
            counters.count(Counter::TelemetryDropped);
        }
    }
}

impl SpanReceiver {
    /// The oldest span.
    #[must_use]
    pub fn take(&self) -> Option<SpanRecord> {
        self.ring.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_traces_follows_from_their_ids() {
        let is_among = |low: u32, ratio| {
            let trace = 0xabcd_0000_0000_0000 << 32 | u128::from(low);
            SpanIds { trace, ..SpanIds::default() }.is_among(ratio)
        };
        for (low, ratio, want) in [
            (0, 0.0, false),
            (0, 0.001, true),
            (u32::MAX, 1.0, true),
            (u32::MAX, 0.999, false),
            (1 << 31, 0.5, false),
            ((1 << 31) - 1, 0.5, true),
        ] {
            assert_eq!(is_among(low, ratio), want, "{low} {ratio}");
        }
    }

    #[test]
    fn spans_beyond_the_bound_are_dropped_and_counted() {
        let (sender, receiver) = ring();
        let counters = ShardCounters::new();
        let span = SpanRecord {
            ids: SpanIds::default(),
            secure: false,
            access: AccessRecord::default(),
            called: None,
            server: None,
            grpc: false,
        };
        for _ in 0..SPANS_MAX + 3 {
            sender.push(span.clone(), &counters);
        }
        assert_eq!(counters.reader().get(Counter::TelemetryDropped), 3);
        assert!(receiver.take().is_some());
    }
}
