//! Heartbeats over gRPC and over HTTP, with a master and without (SPEC 8.4).

use otus::proto::reverse::Request;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Any, Struct, Value};
use serde_json::json;

use super::{Caller, failure, request, start, value};
use crate::support::backend::nobody;
use crate::support::gateway::{SIGN, on_both_drivers};
use crate::support::service::{Service, json_any, json_of};

/// A heartbeat as services send it.
fn beat() -> Request {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = [("name", "storage"), ("host", "h1"), ("port", "4802")];
    let fields = fields.map(|(name, value)| (name.to_owned(), text(value))).into();
    let type_url = "type.googleapis.com/google.protobuf.Struct".to_owned();
    let any = Any { type_url, value: Struct { fields }.encode_to_vec() };
    Request { args: [("payload".to_owned(), any)].into(), ..request("heartbeat", "send") }
}

#[test]
fn a_gateway_without_a_master_says_that_whoever_asks_leads() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let response = Caller::connect(&gateway).ask(&beat());
        for (name, want) in [("leader", "true"), ("cron", "true"), ("ttl", "0"), ("epoch", "0")] {
            assert_eq!(value(&response, name), want);
        }
        assert!(value(&response, "ts").parse::<u64>().unwrap() > 1_700_000_000);
        let reply = gateway.client().ask("POST", "/api/v3/heartbeat", &[], b"{\"service\":\"s\"}");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let data = reply.data();
        assert_eq!((&data["leader"], &data["cron"]), (&json!(true), &json!(true)));
        assert_eq!((&data["ttl"], &data["epoch"]), (&json!(0), &json!(0)));
        assert!(service.journal.since(0).is_empty());
        gateway.is_clean();
    });
}

#[test]
fn the_master_is_told_and_its_answer_is_passed_on() {
    on_both_drivers(|io| {
        let master = Service::start();
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.add_module("masterservice", master.address);
        });
        let mut caller = Caller::connect(&gateway);
        let json = r#"{"name":"storage","host":"h1","port":"4802"}"#;
        let args = [("payload".to_owned(), json_any(json))].into();
        for asked in [beat(), Request { args, ..beat() }] {
            let mark = master.journal.mark();
            let response = caller.ask(&asked);
            let told = master.journal.called(mark);
            let said = [&told.module, &told.param, &told.method, &told.sign];
            let said = said.map(|text| text.as_deref().unwrap_or_default());
            assert_eq!(said, ["masterservice", "heartbeat", "POST", SIGN]);
            let inner = told.ir.unwrap();
            assert_eq!(inner.param.as_deref(), Some("heartbeat"));
            assert_eq!(inner.method.as_deref(), Some("POST"));
            assert_eq!(json_of(&told.args["name"]), "\"storage\"");
            // This master gives back what it was told.
            assert_eq!(value(&response, "port"), "\"4802\"");
            assert!(value(&response, "ts").parse::<u64>().is_ok());
            assert_eq!(response.request_back, Some(asked));
        }
        gateway.is_clean();
    });
}

#[test]
fn over_http_only_one_of_us_may_say_where_a_service_is() {
    on_both_drivers(|io| {
        let master = Service::start();
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.add_module("masterservice", master.address);
        });
        let body = br#"{"service":"storage","host":"h1","port":4802}"#;
        let sign = format!("X-Sign: {SIGN}");
        for (fields, want) in [(vec![], 401), (vec!["X-Sign: no"], 401), (vec![sign.as_str()], 200)]
        {
            let reply = gateway.client().ask("POST", "/api/v1/heartbeat", &fields, body);
            assert_eq!(reply.status, want, "{}", reply.text());
            assert_eq!(master.journal.mark(), usize::from(want == 200));
        }
        let told = master.journal.called(0);
        assert_eq!(json_of(&told.args["name"]), "\"storage\"");
        assert_eq!(json_of(&told.args["port"]), "4802");
        let reply = gateway.client().ask("POST", "/api/v1/heartbeat", &[&sign], b"[1]");
        assert_eq!(reply.status, 400);
        assert_eq!(gateway.client().get("/api/v1/heartbeat").status, 405);
        gateway.is_clean();
    });
}

#[test]
fn a_master_that_is_down_is_told_by_the_code_of_heartbeats() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.add_module("masterservice", nobody());
            snapshot.gufo.legacy_status = true;
        });
        let response = Caller::connect(&gateway).ask(&beat());
        assert_eq!(failure(&response), ("500".to_owned(), "\"0000501\"".to_owned()));
        let sign = format!("X-Sign: {SIGN}");
        let reply = gateway.client().ask("POST", "/api/v3/heartbeat", &[&sign], b"{}");
        assert_eq!((reply.status, &reply.data()["code"]), (500, &json!("0000501")));
        gateway.is_clean();
    });
}
