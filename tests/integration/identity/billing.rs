//! Whether clients can pay (SPEC 10.6).

use std::sync::atomic::Ordering;

use otus::snapshot::server::IoDriver;
use serde_json::json;

use crate::support::backend::{Backend, nobody, ok_bytes};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::issuer::guarded;

use super::{bearer, profile};

/// Answers by the name of the user.
fn accounts() -> (std::net::SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    Backend::listen().serve(|seen, _| {
        assert_eq!(seen.field("authorization"), Some("Bearer of-the-gateway"));
        let (path, query) = seen.target.split_once('?').unwrap();
        assert_eq!(path, "/v1/billing/balance");
        match query {
            "user=acme%2Frich&currency=usd" => ok_bytes(br#"{"balance":9,"available":5}"#),
            "user=acme%2Fpoor&currency=usd" => ok_bytes(br#"{"balance":9,"available":0}"#),
            "user=acme%2Fodd%26user%3Drich&currency=usd" => ok_bytes(b"{}"),
            _ => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    })
}

fn gateway(io: IoDriver, address: std::net::SocketAddr, more: &str) -> Gateway {
    let text = format!(
        "{}[billing]\nupstream = \"bank\"\ntoken = \"of-the-gateway\"\ntimeout = \"2s\"\n{more}\n\
         [upstreams.bank]\nendpoints = [\"{address}\"]\nretry.attempts = 1\n",
        profile("")
    );
    let route = "auth = [\"main\", \"anonymous\"]\nbilling = true\nerrors = \"hanzo\"";
    guarded(io, route, &text)
}

fn person(sub: &str, org: &str) -> String {
    bearer(&json!({"sub": sub, "owner": org}))
}

#[test]
fn who_has_nothing_left_pays_first() {
    on_both_drivers(|io| {
        let (address, asked) = accounts();
        let gateway = gateway(io, address, "denied_for = \"2s\"");
        let mut client = gateway.client();
        for _ in 0..3 {
            assert_eq!(client.ask("GET", "/", &[&person("rich", "acme")], b"").status, 200);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once, over the same connection");
        let reply = client.ask("GET", "/", &[&person("poor", "acme")], b"");
        assert_eq!((reply.status, &reply.json()["error"]), (402, &json!("insufficient_balance")));
        assert_eq!(reply.json()["user"], "acme/poor");
        // People must be able to pay, and who is nobody has no account.
        let poor = person("poor", "acme");
        assert_eq!(client.ask("GET", "/v1/commerce/top-up", &[&poor], b"").status, 200);
        assert_eq!(client.get("/").status, 200);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn without_an_answer_requests_go_on_or_do_not_as_the_operator_says() {
    on_both_drivers(|io| {
        let (address, _) = accounts();
        for (address, sub, org) in [
            (address, "broken", "acme"),
            (address, "odd&user=rich", "acme"),
            (address, "rich", "acme/x"),
            (nobody(), "rich", "acme"),
        ] {
            for (more, want) in [("", 200), ("on_error = \"closed\"", 503)] {
                let gateway = gateway(io, address, more);
                let mut client = gateway.client();
                let reply = client.ask("GET", "/", &[&person(sub, org)], b"");
                assert_eq!(reply.status, want, "{sub} {org}");
                if want == 503 {
                    assert_eq!(reply.text(), r#"{"error":"billing_unavailable"}"#);
                }
                gateway.is_clean();
            }
        }
    });
}
