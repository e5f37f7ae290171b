//! Envelopes of Sentry: one event or one transaction each. What clients sent is not in them, but
//! for the method: paths are told by their route.

use std::time::Duration;

use serde_json::{Value, json};

use super::access_log::AccessRecord;
use super::labels::Method;
use super::otlp::times;
use super::span::SpanRecord;
use crate::base::time::UnixTime;

const RELEASE: &str = concat!("otus@", env!("CARGO_PKG_VERSION"));

/// Something that went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What it is grouped by: its sort, and what of that.
    sort: [String; 2],
    tags: Vec<(&'static str, String)>,
    /// Where it panicked, if it did.
    panic: Option<String>,
}

impl Event {
    /// A panic at a place, with what was written there.
    #[must_use]
    pub fn panic(place: String, text: &str, thread: String) -> Self {
        let said = if text.is_empty() { place.clone() } else { format!("{text} ({place})") };
        Event {
            sort: ["panic".to_owned(), place],
            tags: vec![("thread", thread)],
            panic: Some(said),
        }
    }

    /// An answer by which the gateway said that something is wrong.
    #[must_use]
    pub fn fault(record: &AccessRecord) -> Self {
        let method = Method::of(record.method.as_str().as_bytes()).name();
        let tags = [
            ("route", record.route.as_str().to_owned()),
            ("method", method.to_owned()),
            ("status", record.status.to_string()),
            ("upstream", record.upstream.as_str().to_owned()),
            ("request_id", record.request_id.as_str().to_owned()),
            ("shard", record.shard.to_string()),
        ];
        Event {
            sort: [record.reason.to_owned(), record.route.as_str().to_owned()],
            tags: tags.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            panic: None,
        }
    }

    /// The same for all that are the same.
    #[must_use]
    pub fn key(&self) -> String {
        self.sort.join(" ")
    }
}

/// The envelope of an event that happened so often. The id has 32 digits.
#[must_use]
pub fn event(id: &str, now: UnixTime, event: &Event, count: u64) -> Vec<u8> {
    let tags: serde_json::Map<String, Value> =
        event.tags.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut body = json!({
        "event_id": id,
        "timestamp": seconds(now.0),
        "platform": "other",
        "level": if event.panic.is_some() { "fatal" } else { "error" },
        "logger": "otus",
        "release": RELEASE,
        "fingerprint": event.sort,
        "tags": tags,
        "extra": {"count": count},
    });
    let (key, value) = match &event.panic {
        Some(said) => {
            let mechanism = json!({"type": "panic", "handled": true});
            let value = json!({"type": "panic", "value": said, "mechanism": mechanism});
            ("exception", json!({"values": [value]}))
        }
        None => ("message", json!({"formatted": event.key()})),
    };
    if let Some(members) = body.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
    envelope(id, "event", &body)
}

/// The envelope of a transaction.
#[must_use]
pub fn transaction(id: &str, record: &SpanRecord) -> Vec<u8> {
    let SpanRecord { ids, access, .. } = record;
    let (start, end) = times(record);
    let trace = format!("{:032x}", ids.trace);
    let own = format!("{:016x}", ids.own);
    let failed = access.status == 0 || access.status >= 500;
    let mut context = json!({
        "trace_id": trace,
        "span_id": own,
        "op": "http.server",
        "status": if failed { "internal_error" } else { "ok" },
    });
    if let Some(members) = context.as_object_mut().filter(|_| ids.parent != 0) {
        members.insert("parent_span_id".to_owned(), json!(format!("{:016x}", ids.parent)));
    }
    let call = record.called.map(|called| {
        let begun = start + called;
        let ended = access.times.upstream_ttfb.map_or(end, |took| begun + took);
        json!({
            "trace_id": trace,
            "span_id": format!("{:016x}", ids.client),
            "parent_span_id": own,
            "op": if record.grpc { "grpc.client" } else { "http.client" },
            "description": access.upstream.as_str(),
            "start_timestamp": seconds(begun),
            "timestamp": seconds(ended),
        })
    });
    let method = Method::of(access.method.as_str().as_bytes()).name();
    let body = json!({
        "event_id": id,
        "type": "transaction",
        "transaction": format!("{method} {}", access.route.as_str()),
        "transaction_info": {"source": "route"},
        "start_timestamp": seconds(start),
        "timestamp": seconds(end),
        "platform": "other",
        "release": RELEASE,
        "contexts": {"trace": context},
        "tags": {"status": access.status.to_string()},
        "spans": call.into_iter().collect::<Vec<_>>(),
    });
    envelope(id, "transaction", &body)
}

/// A header, the header of the one item, and the item: a line each.
fn envelope(id: &str, kind: &str, item: &Value) -> Vec<u8> {
    let item = item.to_string();
    let (head, kind) = (json!({"event_id": id}), json!({"type": kind, "length": item.len()}));
    format!("{head}\n{kind}\n{item}\n").into_bytes()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests;
