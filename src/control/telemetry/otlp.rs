//! Batches of spans for a collector of OpenTelemetry.

use crate::observe::otlp::encode;
use crate::observe::span::{SpanReceiver, SpanRecord};
use crate::snapshot::observe::Traces;

use super::mailer::Parcel;

/// Exchanges that are sent at once; each is one span or two.
const BATCH_MAX: usize = 512;

/// What waits for the collector.
pub(super) struct Batches {
    rings: Vec<SpanReceiver>,
    service: String,
    ratio: f64,
}

impl Batches {
    pub(super) fn new(rings: Vec<SpanReceiver>, traces: &Traces) -> Self {
        Batches { rings, service: traces.service.clone(), ratio: traces.ratio }
    }

    /// What waits now, at most a batch.
    pub(super) fn next(&mut self) -> Option<Parcel> {
        let batch = take(&mut self.rings, BATCH_MAX, self.ratio);
        if batch.is_empty() {
            return None;
        }
        let body = encode(&batch, &self.service, env!("CARGO_PKG_VERSION"));
        let calls = batch.iter().filter(|record| record.called.is_some()).count();
        let count = u64::try_from(batch.len() + calls).unwrap_or(u64::MAX);
        Some(Parcel { body, count })
    }
}

/// So many spans at most, of traces that are among this share or that their callers chose.
pub(super) fn take(rings: &mut [SpanReceiver], max: usize, ratio: f64) -> Vec<SpanRecord> {
    let mut taken = Vec::new();
    for ring in rings.iter() {
        while taken.len() < max {
            let Some(record) = ring.take() else { break };
            if record.ids.parent != 0 || record.ids.is_among(ratio) {
                taken.push(record);
            }
        }
    }
    // The next batch begins with another ring, so that none is starved.
    if !rings.is_empty() {
        rings.rotate_left(1);
    }
    taken
}
