//! Rates and concurrency.

use serde_json::json;

use crate::support::backend::Backend;
use crate::support::client::Reply;
use crate::support::gateway::{Gateway, on_both_drivers};

use super::auth::bearer;
use super::{HMAC, document, echo, is_refused, route, start, unauthorized};

/// Slow enough that nothing is refilled during a test.
const RATE: &str = "rate_limit: { enabled: true, rps: 0.01, burst: 2, scope: ip }";
const BY_USER: &str = "rate_limit: { enabled: true, rps: 0.01, burst: 2, scope: user }";

fn from(gateway: &Gateway, address: &str, fields: &[&str]) -> Reply {
    let address = format!("X-Forwarded-For: {address}");
    let fields = [&[address.as_str()], fields].concat();
    gateway.client().ask("GET", "/a/x", &fields, b"")
}

#[track_caller]
fn is_limited(reply: &Reply, scope: &str) {
    assert_eq!(reply.status, 429);
    let body = reply.json();
    assert_eq!((&body["error"], &body["route"]), (&json!("rate_limited"), &json!("a")));
    assert_eq!(body["scope"], scope);
    let after = body["retry_after_seconds"].as_u64().unwrap();
    assert!(after >= 1);
    assert_eq!(reply.field("retry-after"), Some(after.to_string().as_str()));
    assert!(reply.field("x-ratelimit-reset").unwrap().parse::<u64>().is_ok());
    assert_eq!(reply.field("x-ratelimit-scope"), Some(scope));
}

#[test]
fn a_limit_by_address_is_told_with_every_answer() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let gateway = start(io, &document(HMAC, &route("a", "/a/", upstream, &[RATE])));
        for left in [Some("1"), None] {
            let reply = from(&gateway, "203.0.113.1", &[]);
            assert_eq!(reply.status, 200);
            for (name, want) in [
                ("x-ratelimit-route", Some("a")),
                ("x-ratelimit-scope", Some("ip")),
                ("x-ratelimit-limit-rps", Some("0.01")),
                ("x-ratelimit-burst", Some("2")),
                ("x-ratelimit-remaining", left),
            ] {
                assert_eq!(reply.field(name), want, "{name}");
            }
        }
        is_limited(&from(&gateway, "203.0.113.1", &[]), "ip");
        // Others have a bucket of their own.
        assert_eq!(from(&gateway, "203.0.113.2", &[]).status, 200);
    });
}

#[test]
fn a_limit_by_user_follows_the_user_wherever_he_is() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let routes = route("a", "/a/", upstream, &["auth_required: true", BY_USER]);
        let gateway = start(io, &document(HMAC, &routes));
        let (one, two) = (bearer("one"), bearer("two"));
        for address in ["203.0.113.1", "203.0.113.2"] {
            let reply = from(&gateway, address, &[&one]);
            assert_eq!((reply.status, reply.field("x-ratelimit-scope")), (200, Some("user")));
        }
        is_limited(&from(&gateway, "203.0.113.3", &[&one]), "user");
        assert_eq!(from(&gateway, "203.0.113.1", &[&two]).status, 200);
    });
}

#[test]
fn without_a_user_a_limit_by_user_is_by_address() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let gateway = start(io, &document(HMAC, &route("a", "/a/", upstream, &[BY_USER])));
        for _ in 0..2 {
            let reply = from(&gateway, "203.0.113.1", &[]);
            assert_eq!((reply.status, reply.field("x-ratelimit-scope")), (200, Some("ip")));
        }
        is_limited(&from(&gateway, "203.0.113.1", &[]), "ip");
    });
}

#[test]
fn who_is_not_known_takes_nothing_from_those_who_are() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let routes = route("a", "/a/", upstream, &["auth_required: true", BY_USER]);
        let gateway = start(io, &document(HMAC, &routes));
        for _ in 0..5 {
            is_refused(&from(&gateway, "203.0.113.1", &[]), 401, unauthorized());
        }
        assert_eq!(from(&gateway, "203.0.113.1", &[&bearer("one")]).status, 200);
    });
}

#[test]
fn one_request_more_than_may_be_under_way_is_too_busy() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let keys = ["concurrency: { max_in_flight: 2 }"];
        let gateway = start(io, &document(HMAC, &route("a", "/a/", backend.address, &keys)));
        let mut clients = [gateway.client(), gateway.client()];
        let mut visits = Vec::new();
        for client in &mut clients {
            client.head("GET", "/a/x", &[]);
            visits.push(backend.asked().0);
        }
        let busy = json!({
            "error": "too_busy", "message": "route is at max concurrency",
            "route": "a", "max_in_flight": 2
        });
        is_refused(&gateway.client().get("/a/x"), 503, busy);
        // A place that was given back is there for the next, on the connection that is free.
        visits[1].answer("");
        assert_eq!(clients[1].reply().status, 200);
        let mut client = gateway.client();
        client.head("GET", "/a/x", &[]);
        visits[1].request();
        visits[1].answer("");
        assert_eq!(client.reply().status, 200);
        visits[0].answer("");
        assert_eq!(clients[0].reply().status, 200);
    });
}
