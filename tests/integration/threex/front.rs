//! Paths, ids, bodies, health.

use serde_json::json;

use crate::support::backend::{Backend, nobody};
use crate::support::gateway::on_both_drivers;

use super::{OPEN, document, echo, is_refused, route, start};

#[test]
fn the_longest_prefix_wins_and_what_is_stripped_is_gone() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let routes = [
            route("api", "/api/", upstream, &[]),
            route("users", "/api/users/", upstream, &["strip_prefix: /api/users"]),
        ];
        let gateway = start(io, &document(OPEN, &routes.concat()));
        let mut client = gateway.client();
        for (path, want) in [
            ("/api/users/7?x=1", "/7?x=1"),
            ("/api/users/", "/"),
            ("/api/users", "/api/users"),
            ("/api/orders/7", "/api/orders/7"),
        ] {
            let reply = client.get(path);
            assert_eq!((reply.status, reply.text().as_str()), (200, want), "{path}");
        }
        // Every method is proxied.
        for method in ["DELETE", "PATCH", "OPTIONS", "PURGE"] {
            assert_eq!(client.ask(method, "/api/users/7", &[], b"").text(), "/7", "{method}");
        }
    });
}

#[test]
fn what_no_route_takes_is_not_found() {
    on_both_drivers(|io| {
        let (upstream, count) = echo();
        let gateway = start(io, &document(OPEN, &route("api", "/api", upstream, &[])));
        let mut client = gateway.client();
        for path in ["/", "/other", "/apix"] {
            let reply = client.get(path);
            assert_eq!((reply.status, reply.text().as_str()), (404, "404 page not found\n"));
            assert_eq!(reply.field("content-type"), Some("text/plain; charset=utf-8"));
        }
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 0);
        let reply = client.get("/healthz");
        assert_eq!((reply.status, reply.text().trim_end()), (200, "ok"));
    });
}

#[test]
fn an_id_is_kept_or_made_and_told_to_both_sides() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = start(io, &document(OPEN, &route("api", "/api/", backend.address, &[])));
        let mut client = gateway.client();
        let mut ids = Vec::new();
        for _ in 0..2 {
            client.head("GET", "/api/x", &[]);
            let (mut visit, seen) = backend.asked();
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let reply = client.reply();
            let id = reply.field("x-request-id").unwrap().to_owned();
            assert_eq!(seen.field("x-request-id"), Some(id.as_str()));
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert!(id.len() == 24 && id.bytes().all(is_digit), "{id}");
            ids.push(id);
        }
        assert_ne!(ids[0], ids[1]);
        client.head("GET", "/api/x", &["X-Request-Id: my-own.id"]);
        let (mut visit, seen) = backend.asked();
        visit.answer("");
        assert_eq!(seen.field("x-request-id"), Some("my-own.id"));
        assert_eq!(client.reply().field("x-request-id"), Some("my-own.id"));
    });
}

#[test]
fn the_back_end_sees_its_own_host_and_who_asked() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = start(io, &document(OPEN, &route("api", "/api/", backend.address, &[])));
        let mut client = gateway.client();
        client.head(
            "GET",
            "/api/x",
            &["X-Forwarded-For: 203.0.113.9", "Connection: X-Hop", "X-Hop: 1"],
        );
        let (mut visit, seen) = backend.asked();
        visit.answer("");
        assert_eq!(client.reply().status, 200);
        assert_eq!(seen.field("host"), Some(backend.address.to_string().as_str()));
        assert_eq!(seen.field("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"));
        assert_eq!(seen.field("x-hop"), None);
    });
}

#[test]
fn a_body_above_the_limit_is_refused_before_and_while_it_passes() {
    on_both_drivers(|io| {
        let (upstream, _) = echo();
        let gateway = start(io, &document(OPEN, &route("api", "/api/", upstream, &[])));
        let body = json!({"error": "request_too_large", "max_bytes": 1024});
        let mut client = gateway.client();
        client.head("POST", "/api/x", &["Content-Length: 1025"]);
        is_refused(&client.reply(), 413, body.clone());
        let mut client = gateway.client();
        client.head("POST", "/api/x", &["Transfer-Encoding: chunked"]);
        client.send(format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(1025)));
        is_refused(&client.reply(), 413, body);
        let reply = gateway.client().ask("POST", "/api/x", &[], &[b'x'; 1024]);
        assert_eq!((reply.status, reply.text().as_str()), (200, "/api/x"));
    });
}

#[test]
fn a_back_end_that_is_away_is_a_bad_gateway_and_tells_nothing_of_it() {
    on_both_drivers(|io| {
        let gateway = start(io, &document(OPEN, &route("api", "/api/", nobody(), &[])));
        is_refused(&gateway.client().get("/api/x"), 502, json!({"error": "bad_gateway"}));
    });
}
