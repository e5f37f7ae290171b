//! The life of a breaker, and what counts for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use otus::snapshot::server::IoDriver;
use serde_json::json;

use crate::support::backend::Backend;
use crate::support::client::Reply;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;

use super::{HMAC, document, route, start, unauthorized};

const KEYS: &str = "circuit_breaker: { enabled: true, failure_threshold: 2, open_seconds: 1, \
                    half_open_max_in_flight: 1 }";

/// A gateway before a back end that answers with the status that is set.
fn before(io: IoDriver, more: &[&str]) -> (Gateway, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let shared = Arc::clone(&status);
    let (upstream, _) = Backend::listen().serve(move |_, _| {
        let status = shared.load(Ordering::SeqCst);
        format!("HTTP/1.1 {status} Set\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let keys = [&[KEYS], more].concat();
    (start(io, &document(HMAC, &route("a", "/a/", upstream, &keys))), status)
}

fn get(gateway: &Gateway) -> Reply {
    gateway.client().get("/a/x")
}

#[track_caller]
fn is_open(reply: &Reply) {
    assert_eq!(reply.status, 503);
    let body = json!({
        "error": "circuit_open", "message": "upstream temporarily unavailable", "route": "a"
    });
    assert_eq!(reply.json(), body);
    assert_eq!(reply.field("retry-after"), Some("1"));
}

#[test]
fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
    on_both_drivers(|io| {
        let (gateway, status) = before(io, &[]);
        status.store(500, Ordering::SeqCst);
        assert_eq!(get(&gateway).status, 500);
        // A success between them begins the count anew.
        status.store(404, Ordering::SeqCst);
        assert_eq!(get(&gateway).status, 404);
        status.store(500, Ordering::SeqCst);
        assert_eq!(get(&gateway).status, 500);
        assert_eq!(get(&gateway).status, 500);
        is_open(&get(&gateway));
        // A probe that fails opens it again; one that succeeds closes it.
        eventually("a probe", || (get(&gateway).status == 500).then_some(()));
        is_open(&get(&gateway));
        status.store(200, Ordering::SeqCst);
        eventually("a probe that succeeds", || (get(&gateway).status == 200).then_some(()));
        for _ in 0..3 {
            assert_eq!(get(&gateway).status, 200);
        }
    });
}

#[test]
fn one_probe_is_let_through_at_a_time() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let keys = [KEYS];
        let gateway = start(io, &document(HMAC, &route("a", "/a/", backend.address, &keys)));
        for _ in 0..2 {
            let mut client = gateway.client();
            client.head("GET", "/a/x", &[]);
            let (mut visit, _) = backend.asked();
            visit.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().status, 500);
        }
        is_open(&get(&gateway));
        // The probe is at the back end, and stays there.
        let (mut client, mut visit) = eventually("a probe", || {
            let mut client = gateway.client();
            client.head("GET", "/a/x", &[]);
            let waits = client.is_quiet_for(Duration::from_millis(100));
            waits.then(|| (client, backend.asked().0))
        });
        for _ in 0..3 {
            is_open(&get(&gateway));
        }
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(client.reply().status, 200);
        let mut client = gateway.client();
        client.head("GET", "/a/x", &[]);
        backend.asked().0.answer("");
        assert_eq!(client.reply().status, 200);
    });
}

#[test]
fn what_the_gateway_refuses_does_not_count() {
    on_both_drivers(|io| {
        let more = ["auth_required: true", "rate_limit: { enabled: true, rps: 0.01, burst: 1 }"];
        let (gateway, _) = before(io, &more);
        for _ in 0..5 {
            let reply = get(&gateway);
            assert_eq!((reply.status, reply.json()), (401, unauthorized()));
        }
        let token = super::auth::bearer("a");
        let ask = || gateway.client().ask("GET", "/a/x", &[&token], b"").status;
        assert_eq!(ask(), 200);
        for _ in 0..5 {
            assert_eq!(ask(), 429);
        }
        let limits = super::admin::get(&gateway, "/-/limits");
        let breaker = &limits[0]["circuit_breaker"];
        assert_eq!((&breaker["state"], &breaker["failures"]), (&json!("closed"), &json!(0)));
    });
}

#[test]
fn a_client_that_leaves_does_not_count() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = start(io, &document(HMAC, &route("a", "/a/", backend.address, &[KEYS])));
        for _ in 0..4 {
            let mut client = gateway.client();
            client.head("GET", "/a/x", &[]);
            let (mut visit, _) = backend.asked();
            client.reset();
            visit.closed();
        }
        let mut client = gateway.client();
        client.head("GET", "/a/x", &[]);
        backend.asked().0.answer("");
        assert_eq!(client.reply().status, 200);
    });
}

#[test]
fn a_back_end_that_is_away_counts() {
    on_both_drivers(|io| {
        let nobody = crate::support::backend::nobody();
        let gateway = start(io, &document(HMAC, &route("a", "/a/", nobody, &[KEYS])));
        for _ in 0..2 {
            assert_eq!(get(&gateway).status, 502);
        }
        is_open(&get(&gateway));
    });
}
