//! Reports for Sentry: panics, errors that were ours, and transactions. The same is reported once a
//! minute, with how often it happened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::prng::Prng;
use crate::observe::access_log::{AccessRecord, LogReceiver, ring_of};
use crate::observe::sentry::{Event, event, transaction};
use crate::observe::span::{SpanReceiver, Tell};
use crate::snapshot::observe::Sentry;

use super::super::fleet;
use super::super::state::unix_now;
use super::mailer::{Parcel, Post};
use super::otlp::take;
use super::panics::{self, Panics};

/// Errors that wait to be reported, for each shard.
const FAULTS_MAX: usize = 64;
/// Sorts of errors that are told apart.
const SORTS_MAX: usize = 256;
/// Between two reports of the same.
const QUIET: Duration = Duration::from_mins(1);
/// Reports in that time, whatever they are about.
const REPORTS_MAX: u32 = 30;

/// A ring of errors for each shard.
pub(super) fn rings(tells: &mut [Tell]) -> Vec<LogReceiver> {
    let one = |tell: &mut Tell| {
        let (sender, receiver) = ring_of(FAULTS_MAX);
        tell.faults = Some(sender);
        receiver
    };
    tells.iter_mut().map(one).collect()
}

/// Where reports are posted.
pub(super) fn post(sentry: &Sentry) -> Post {
    let client = concat!("otus/", env!("CARGO_PKG_VERSION"));
    let key = sentry.key.expose();
    let auth = format!("Sentry sentry_version=7, sentry_client={client}, sentry_key={key}");
    Post {
        name: "sentry",
        url: sentry.url.clone(),
        tls: sentry.tls.clone(),
        fields: vec![
            ("content-type", "application/x-sentry-envelope".to_owned()),
            ("x-sentry-auth", auth),
        ],
        flush: sentry.flush,
        debug: sentry.debug,
    }
}

/// What waits to be reported.
pub(super) struct Reports {
    faults: Vec<LogReceiver>,
    spans: Vec<SpanReceiver>,
    ratio: f64,
    panics: Panics,
    sorts: BTreeMap<String, Sort>,
    /// Since when reports are counted, and how many there were.
    counted: (Instant, u32),
    prng: Prng,
}

/// What happened again and again.
struct Sort {
    event: Event,
    /// Since the last report.
    count: u64,
    reported: Option<Instant>,
}

impl Reports {
    pub(super) fn new(faults: Vec<LogReceiver>, spans: Vec<SpanReceiver>, ratio: f64) -> Self {
        Reports {
            faults,
            spans,
            ratio,
            panics: panics::listen(),
            sorts: BTreeMap::new(),
            counted: (Instant::now(), 0),
            prng: fleet::prng(),
        }
    }

    /// One report; at the end also what was reported a moment ago.
    pub(super) fn next(&mut self, end: bool) -> Option<Parcel> {
        self.gather();
        let id = (self.prng.next_u64(), self.prng.next_u64());
        let id = format!("{:016x}{:016x}", id.0, id.1);
        let body = match self.due(end) {
            Some((seen, count)) => event(&id, unix_now(), &seen, count),
            None => transaction(&id, &take(&mut self.spans, 1, self.ratio).pop()?),
        };
        Some(Parcel { body, count: 1 })
    }

    fn gather(&mut self) {
        while let Some(panic) = self.panics.pop() {
            self.add(Event::panic(panic.place, panic.text, panic.thread));
        }
        let mut records: Vec<AccessRecord> = Vec::new();
        for ring in &self.faults {
            records.extend(std::iter::from_fn(|| ring.take()).take(FAULTS_MAX));
        }
        for record in records {
            self.add(Event::fault(&record));
        }
    }

    fn add(&mut self, event: Event) {
        let key = event.key();
        let has_room = self.sorts.len() < SORTS_MAX;
        if let Some(sort) = self.sorts.get_mut(&key) {
            sort.count += 1;
            sort.event = event;
        } else if has_room {
            self.sorts.insert(key, Sort { event, count: 1, reported: None });
        }
    }

    /// What is to be reported now, and how often it happened.
    fn due(&mut self, end: bool) -> Option<(Event, u64)> {
        let now = Instant::now();
        if now - self.counted.0 >= QUIET {
            self.counted = (now, 0);
            self.sorts.retain(|_, sort| {
                sort.count > 0 || sort.reported.is_some_and(|then| now - then < QUIET)
            });
        }
        if self.counted.1 >= REPORTS_MAX {
            return None;
        }
        let is_due = |sort: &&mut Sort| {
            let quiet = sort.reported.is_none_or(|then| now - then >= QUIET);
            sort.count > 0 && (quiet || end)
        };
        let sort = self.sorts.values_mut().find(is_due)?;
        self.counted.1 += 1;
        sort.reported = Some(now);
        Some((sort.event.clone(), std::mem::take(&mut sort.count)))
    }
}
