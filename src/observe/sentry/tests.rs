use std::net::IpAddr;

use super::super::access_log::Times;
use super::super::span::SpanIds;
use super::*;
use crate::base::text::Text;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// The item of an envelope, after its frame was checked.
#[track_caller]
fn item(envelope: &[u8], kind: &str) -> Value {
    let text = String::from_utf8(envelope.to_vec()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [head, frame, item] = lines[..] else { panic!("{text}") };
    assert_eq!(serde_json::from_str::<Value>(head).unwrap(), json!({"event_id": ID}));
    let frame: Value = serde_json::from_str(frame).unwrap();
    assert_eq!(frame, json!({"type": kind, "length": item.len()}));
    serde_json::from_str(item).unwrap()
}

fn record() -> AccessRecord {
    AccessRecord {
        method: Text::new(b"PUT"),
        path: Text::new(b"/secret-path"),
        route: Text::new(b"storage"),
        request_id: Text::new(b"r1"),
        user_agent: Text::new(b"secret-agent"),
        client: Some(IpAddr::from([10, 9, 8, 7])),
        reason: "connect_refused",
        status: 502,
        times: Times { total: Duration::from_millis(1500), ..Times::default() },
        ..AccessRecord::default()
    }
}

#[test]
fn an_error_is_told_by_its_reason_and_route_and_shows_nothing_of_the_client() {
    let one = Event::fault(&record());
    assert_eq!(one.key(), "connect_refused storage");
    let envelope = event(ID, UnixTime(Duration::from_millis(2500)), &one, 3);
    let text = String::from_utf8(envelope.clone()).unwrap();
    for secret in ["secret", "10.9.8.7"] {
        assert!(!text.contains(secret), "{text}");
    }
    let item = item(&envelope, "event");
    assert_eq!(item["message"]["formatted"], "connect_refused storage");
    assert_eq!((&item["level"], &item["timestamp"]), (&json!("error"), &json!(2.5)));
    assert_eq!(item["tags"]["status"], "502");
    assert_eq!(item["extra"]["count"], 3);
}

#[test]
fn a_panic_is_told_by_its_place() {
    let one = Event::panic("src/a.rs:7:1".to_owned(), "cannot be", "otus-shard-0".to_owned());
    let item = item(&event(ID, UnixTime::default(), &one, 1), "event");
    let value = &item["exception"]["values"][0];
    assert_eq!(value["value"], "cannot be (src/a.rs:7:1)");
    assert_eq!(item["tags"]["thread"], "otus-shard-0");
    let quiet = Event::panic("src/a.rs:7:1".to_owned(), "", String::new());
    assert_eq!(quiet.key(), one.key());
}

#[test]
fn a_transaction_has_the_call_as_its_span() {
    let record = SpanRecord {
        ids: SpanIds { trace: 0xab, parent: 7, own: 8, client: 9 },
        secure: false,
        access: record(),
        called: Some(Duration::from_millis(500)),
        server: None,
        grpc: true,
    };
    let item = item(&transaction(ID, &record), "transaction");
    assert_eq!(item["transaction"], "PUT storage");
    let trace = &item["contexts"]["trace"];
    assert_eq!(trace["trace_id"], "000000000000000000000000000000ab");
    assert_eq!(trace["parent_span_id"], "0000000000000007");
    assert_eq!(trace["status"], "internal_error");
    let span = &item["spans"][0];
    assert_eq!(span["parent_span_id"], trace["span_id"]);
    assert_eq!((&span["start_timestamp"], &span["timestamp"]), (&json!(0.5), &json!(1.5)));
}
