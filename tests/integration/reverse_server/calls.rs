//! `Do`: who may call, and where a call goes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otus::base::time::UnixTime;
use otus::gufo::asked::Asked;
use otus::gufo::trust::{SigningKey, Subject, asked_digest};
use otus::proto::reverse::Request;
use otus::snapshot::gufo::{RestMode, SecurityMode, Trust};
use otus::snapshot::secret::Secret;
use otus::snapshot::server::Workers;
use prost::Message;

use super::{Caller, failure, own, request, start, value};
use crate::support::backend::nobody;
use crate::support::gateway::on_both_drivers;
use crate::support::h2::{Client, framed, status};
use crate::support::journal::Event;

const SECRET: &str = "the-secret-of-gateway-and-services";

fn pair(status: &str, code: &str) -> (String, String) {
    (status.to_owned(), format!("\"{code}\""))
}

fn key() -> SigningKey {
    SigningKey::new(SECRET.as_bytes())
}

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

#[test]
fn a_call_reaches_its_module_as_it_is_and_comes_back_with_its_answer() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let mut caller = Caller::connect(&gateway);
        for _ in 0..3 {
            let mark = service.journal.mark();
            let asked = Request { uid: Some("u".into()), ..request("echo", "hello") };
            let response = caller.ask(&asked);
            assert_eq!(service.journal.called(mark), asked);
            assert_eq!(value(&response, "id"), "9007199254740993");
            assert_eq!(response.request_back, Some(asked));
        }
        assert_eq!(gateway.metric("otus_requests_total{route=\"echo\""), 3);
        gateway.is_clean();
    });
}

#[test]
fn who_is_not_one_of_us_is_told_so_in_data_and_reaches_nobody() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let mut caller = Caller::connect(&gateway);
        for sign in [None, Some(""), Some("0123456789abcdeF"), Some("0123456789abcdef0")] {
            for module in ["echo", "heartbeat", "nobody"] {
                let sign = sign.map(str::to_owned);
                let response = caller.ask(&Request { sign, ..request(module, "hello") });
                assert_eq!(failure(&response), pair("401", "00001"));
                assert_eq!(response.request_back, None);
            }
        }
        assert!(service.journal.since(0).is_empty());
        gateway.is_clean();
    });
}

#[test]
fn a_signature_of_version_1_is_for_its_module_and_its_time() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            let (mode, rest) = (SecurityMode::Hmac, RestMode::None);
            let key = Some((key(), Secret::new(SECRET)));
            let max_age = Duration::from_mins(2);
            snapshot.gufo.trust = Trust { mode, rest, key, max_age, ..Trust::default() };
        });
        let mut caller = Caller::connect(&gateway);
        let old = UnixTime(now().0.saturating_sub(Duration::from_mins(3)));
        for (module, time, is_good) in
            [("echo", now(), true), ("other", now(), false), ("echo", old, false)]
        {
            let sign = Some(key().sign_1(module, time).as_str().to_owned());
            let response = caller.ask(&Request { sign, ..request("echo", "hello") });
            assert_eq!(response.data.contains_key("id"), is_good, "{response:?}");
            if !is_good {
                assert_eq!(failure(&response), pair("401", "00001"));
            }
        }
        // The shared secret is no signature.
        assert_eq!(failure(&caller.ask(&request("echo", "hello"))), pair("401", "00001"));
        gateway.is_clean();
    });
}

#[test]
fn a_signature_of_version_2_counts_once_on_all_shards() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |snapshot| {
            snapshot.server.workers = Workers::Count(2);
            let key = Some((key(), Secret::new(SECRET)));
            let (mode, max_age) = (SecurityMode::Hmac, Duration::from_mins(2));
            snapshot.gufo.trust = Trust { mode, key, max_age, ..Trust::default() };
        });
        let mut asked = request("echo", "hello");
        let message = asked.encode_to_vec();
        let digest = asked_digest(&Asked::read(false, &message).unwrap()).unwrap();
        let subject = Subject { module: "echo", path: "hello", method: "POST", digest };
        let soon = UnixTime(now().0 + Duration::from_secs(1));
        asked.sign = Some(key().sign_2(&subject, [7; 16], soon).as_str().to_owned());
        // What it does not cover is refused, and uses nothing up.
        let other = Request { args: [].into(), ..asked.clone() };
        let mut callers: Vec<_> = (0..8).map(|_| Caller::connect(&gateway)).collect();
        assert_eq!(failure(&callers[0].ask(&other)), pair("401", "00001"));
        let good = callers.iter_mut().map(|caller| caller.ask(&asked));
        assert_eq!(good.filter(|response| response.data.contains_key("id")).count(), 1);
        assert_eq!(service.journal.since(0).len(), 1);
        gateway.is_clean();
    });
}

#[test]
fn what_fails_is_told_in_data_and_never_as_a_status() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |snapshot| {
            snapshot.add_module("down", nobody());
            snapshot.gufo.modules_mut().iter_mut().for_each(|module| {
                module.timeout = Duration::from_millis(300);
            });
        });
        let mut caller = Caller::connect(&gateway);
        for (module, param, want) in [
            ("nobody", "x", pair("404", "0000501")),
            ("entrypoint", "x", pair("404", "0000501")),
            ("down", "x", pair("502", "0000234")),
            ("echo", "sleep", pair("504", "0000500")),
        ] {
            assert_eq!(failure(&caller.ask(&request(module, param))), want, "{module}/{param}");
        }
        let failing = Request { param_id: Some("7".into()), ..request("echo", "status") };
        let mark = service.journal.mark();
        assert_eq!(failure(&caller.ask(&failing)), pair("403", "0000500"));
        // It is a POST: nobody knows whether it was acted on.
        let calls = service.journal.since(mark);
        assert_eq!(calls.iter().filter(|event| matches!(event, Event::Do(_))).count(), 1);
        gateway.is_clean();
    });
}

#[test]
fn a_caller_who_waits_for_less_than_the_module_may_take_is_answered_then() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let client = Client::connect(own(&gateway));
        let fields =
            [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "200m")];
        let message = framed(&request("echo", "sleep").encode_to_vec());
        let reply = client.send("POST", "/Reverse/Do", &fields, &message);
        assert_eq!((reply.status, status(&reply)), (200, "0"));
        let response = otus::proto::reverse::Response::decode(&reply.body[5..]).unwrap();
        assert_eq!(failure(&response), pair("504", "0000500"));
        assert_eq!(service.journal.left(0), 0);
        gateway.is_clean();
    });
}

#[test]
fn a_large_answer_passes_with_a_large_request() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |_| ());
        let mut caller = Caller::connect(&gateway);
        let long = format!("\"{}\"", "x".repeat(2 << 20));
        let args = [("long".to_owned(), crate::support::service::json_any(&long))].into();
        let big = Request { param_id: Some("3".into()), args, ..request("echo", "big") };
        let response = caller.ask(&big);
        assert_eq!(value(&response, "text").len(), (3 << 20) + 2);
        // Together they are no message that callers take.
        assert_eq!(response.request_back, None);
        gateway.is_clean();
    });
}
