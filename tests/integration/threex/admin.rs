//! What operators of the other gateway read.

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;

use super::{ADMIN_KEY, HMAC, document, echo, route, start};

/// What an operator with the key sees.
#[track_caller]
pub(super) fn get(gateway: &Gateway, path: &str) -> Value {
    let mut client = Client::connect(gateway.admin);
    client.head("GET", path, &[&format!("X-Admin-Key: {ADMIN_KEY}")]);
    let reply = client.reply();
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")));
    reply.json()
}

#[test]
fn the_status_has_the_members_that_it_had() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let gateway = start(io, &document(HMAC, &route("a", "/a/", upstream, &[])));
        let status = get(&gateway, "/-/status");
        assert!(status["time_utc"].as_str().unwrap().ends_with('Z'));
        assert!(status["uptime_seconds"].is_u64());
        assert_eq!(status["listen_addr"], gateway.address.to_string());
        assert!(status["go_version"].is_string());
        assert_eq!(status["auth_mode"], "hmac");
        assert_eq!(status["rate_backend"], "memory");
        assert_eq!(status["routes_configured"], 1);
    });
}

#[test]
fn routes_are_told_with_all_that_they_ask_for() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let keys = [
            "strip_prefix: /a",
            "auth_required: true",
            "rate_limit: { enabled: true, rps: 5, burst: 10, scope: user }",
            "concurrency: { max_in_flight: 3 }",
            "circuit_breaker: { enabled: true, failure_threshold: 4, open_seconds: 7, half_open_max_in_flight: 2 }",
        ];
        let routes = [route("a", "/a/", upstream, &keys), route("b", "/b/", upstream, &[])];
        let gateway = start(io, &document(HMAC, &routes.concat()));
        let routes = get(&gateway, "/-/routes");
        let name = routes[0]["upstream"].clone();
        let want = json!({
            "name": "a", "path_prefix": "/a/", "upstream": name, "strip_prefix": "/a",
            "auth_required": true,
            "rate_limit": {"enabled": true, "rps": 5, "burst": 10, "scope": "user"},
            "concurrency": {"max_in_flight": 3},
            "circuit_breaker": {
                "enabled": true, "failure_threshold": 4, "open_seconds": 7,
                "half_open_max_in_flight": 2
            }
        });
        assert_eq!(routes[0], want);
        let plain = &routes[1];
        assert_eq!(plain["auth_required"], false);
        assert_eq!(plain["rate_limit"]["enabled"], false);
        assert_eq!(plain["concurrency"]["max_in_flight"], 0);
        assert_eq!(plain["circuit_breaker"]["enabled"], false);
    });
}

#[test]
fn what_is_under_way_is_told_as_it_is_now() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let keys = [
            "concurrency: { max_in_flight: 3 }",
            "circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 60, half_open_max_in_flight: 1 }",
        ];
        let gateway = start(io, &document(HMAC, &route("a", "/a/", backend.address, &keys)));
        let mut client = gateway.client();
        client.head("GET", "/a/x", &[]);
        let (mut visit, _) = backend.asked();
        let limits = get(&gateway, "/-/limits");
        let concurrency = json!({"max_in_flight": 3, "in_flight": 1});
        assert_eq!((&limits[0]["route"], &limits[0]["concurrency"]), (&json!("a"), &concurrency));
        let breaker = &limits[0]["circuit_breaker"];
        assert_eq!((&breaker["state"], &breaker["failures"]), (&json!("closed"), &json!(0)));
        visit.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(client.reply().status, 500);
        eventually("the place was given back", || {
            let limits = get(&gateway, "/-/limits");
            (limits[0]["concurrency"]["in_flight"] == 0).then_some(())
        });
        let limits = get(&gateway, "/-/limits");
        let breaker = &limits[0]["circuit_breaker"];
        assert_eq!(breaker["state"], "open");
        assert!(breaker["opens_at"].is_string());
        let left = breaker["retry_after_seconds"].as_u64().unwrap();
        assert!((1..=60).contains(&left), "{left}");
        assert_eq!(breaker["half_open_in_flight"], 0);
    });
}

#[test]
fn how_clients_are_known_is_told_without_secrets() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let gateway =
            start(io, &document(HMAC, &route("a", "/a/", upstream, &["auth_required: true"])));
        let auth = get(&gateway, "/-/auth");
        assert_eq!(auth["mode"], "hmac");
        assert_eq!(auth.get("jwks"), None);
        for path in ["/-/auth", "/-/config", "/-/routes", "/-/status"] {
            assert!(!get(&gateway, path).to_string().contains(super::SECRET), "{path}");
        }
    });
}

#[test]
fn without_the_right_key_nothing_is_told() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let gateway = start(io, &document(HMAC, &route("a", "/a/", upstream, &[])));
        for path in ["/-/status", "/-/routes", "/-/auth", "/-/limits"] {
            let mut client = Client::connect(gateway.admin);
            client.head("GET", path, &["X-Admin-Key: wrong"]);
            super::is_refused(&client.reply(), 401, super::unauthorized());
        }
    });
}
