//! `/__stats` as lura has it (SPEC 15.1): the same counts once more, as JSON. Only what is really
//! counted here is there.

use std::collections::BTreeMap;

use super::{Counted, View, open, status_text, sum};
use crate::base::decimal;
use crate::base::time::UnixTime;
use crate::observe::counters::Counter;
use crate::observe::json::push_string;
use crate::observe::labels::Label;

type Numbers = BTreeMap<String, u64>;

/// The content of `/__stats` at the time `now`.
#[must_use]
pub fn stats(view: &View<'_>, now: UnixTime) -> Vec<u8> {
    let mut out = b"{\"Time\":".to_vec();
    decimal::push(&mut out, u64::try_from(now.0.as_nanos()).unwrap_or(u64::MAX));
    for (name, numbers) in [("Counters", counters(view)), ("Gauges", gauges(view))] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        put(&mut out, &numbers);
    }
    // Whoever reads it looks for this member; times stand on the metrics page.
    out.extend_from_slice(b",\"Histograms\":{}}");
    out
}

fn put(out: &mut Vec<u8>, numbers: &Numbers) {
    for (at, (name, number)) in numbers.iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        push_string(out, name);
        out.push(b':');
        decimal::push(out, *number);
    }
    out.extend_from_slice(if numbers.is_empty() { b"{}" } else { b"}" });
}

fn counters(view: &View<'_>) -> Numbers {
    let (taken, ended) = (Counter::ConnectionsAccepted, Counter::ConnectionsClosed);
    let total = |counter| sum(view.shards, |shard| shard.get(counter));
    let mut numbers: Numbers = [
        ("krakend.router.connected-total", total(taken)),
        ("krakend.router.disconnected-total", total(ended)),
    ]
    .map(|(name, number)| (name.to_owned(), number))
    .into();
    let counted = Counted::of(view.shards);
    let mut add = |label, status: &str, count| {
        let endpoint = view.compat.path(label);
        let name = format!("krakend.router.response.{endpoint}.status.{status}.count");
        *numbers.entry(name).or_insert(0) += count;
    };
    // Who got no answer has no status.
    for (kind, count) in counted.kinds.iter().filter(|(kind, _)| kind.status != 0) {
        add(kind.route, &status_text(kind.status), *count);
    }
    for (class, count) in counted.beyond.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        add(Label::OTHER, &format!("{class}xx"), count);
    }
    numbers
}

fn gauges(view: &View<'_>) -> Numbers {
    let connected = open(view.shards, Counter::ConnectionsAccepted, Counter::ConnectionsClosed);
    let mut numbers = Numbers::from([("krakend.router.connected-gauge".to_owned(), connected)]);
    if let Some(process) = view.process {
        numbers.extend([
            ("krakend.service.runtime.MemStats.Sys".to_owned(), process.resident_bytes),
            ("krakend.service.runtime.NumThread".to_owned(), process.threads),
        ]);
    }
    numbers
}
