//! Tokens: with a shared secret, and with the keys of an issuer.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use otus::policy::auth::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::support::backend::{Backend, ok};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::jwt::{Signer, jwks};

use super::{HMAC, SECRET, document, echo, is_refused, route, start, unauthorized};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of `subject` that is good for a minute.
pub(super) fn bearer(subject: &str) -> String {
    let claims = json!({"sub": subject, "exp": now() + 60});
    let token = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes()).token(&claims);
    format!("Authorization: Bearer {token}")
}

#[track_caller]
fn ask(gateway: &Gateway, fields: &[&str]) -> crate::support::client::Reply {
    gateway.client().ask("GET", "/users/7", fields, b"")
}

#[test]
fn a_route_that_needs_a_token_takes_good_ones_only() {
    on_both_drivers(|io| {
        let (upstream, count) = echo();
        let routes = [
            route("users", "/users/", upstream, &["auth_required: true"]),
            route("open", "/open/", upstream, &["auth_required: false"]),
        ];
        let gateway = start(io, &document(HMAC, &routes.concat()));
        let signer = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes());
        let with = |claims: &Value| format!("Authorization: Bearer {}", signer.token(claims));
        let other = Signer::of_secret(Algorithm::Hs256, b"another-secret-of-thirty-two-byte");
        let other = other.token(&json!({"sub": "a", "exp": now() + 60}));
        for field in [
            "X-None: 1".to_owned(),
            "Authorization: Basic YTpi".to_owned(),
            "Authorization: Bearer nonsense".to_owned(),
            format!("Authorization: Bearer {other}"),
            with(&json!({"sub": "a", "exp": now() - 3600})),
            with(&json!({"sub": "a", "exp": now() + 60, "nbf": now() + 3600})),
            with(&json!({"sub": "", "exp": now() + 60})),
            with(&json!({"exp": now() + 60})),
        ] {
            is_refused(&ask(&gateway, &[&field]), 401, unauthorized());
        }
        assert_eq!(count.load(Ordering::SeqCst), 0, "the back end saw none of them");
        assert_eq!(ask(&gateway, &[&bearer("a")]).text(), "/users/7");
        let lower = bearer("a").replace("Bearer", "bearer");
        assert_eq!(ask(&gateway, &[&lower]).status, 200);
        assert_eq!(gateway.client().get("/open/x").status, 200);
    });
}

#[test]
fn the_token_goes_on_to_the_back_end() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let routes = route("users", "/users/", backend.address, &["auth_required: true"]);
        let gateway = start(io, &document(HMAC, &routes));
        let field = bearer("a");
        let mut client = gateway.client();
        client.head("GET", "/users/7", &[&field]);
        let (mut visit, seen) = backend.asked();
        visit.answer("");
        assert_eq!(seen.field("authorization"), field.split_once(": ").map(|(_, value)| value));
        assert_eq!(client.reply().status, 200);
    });
}

#[test]
fn keys_come_from_the_issuer_and_are_asked_for_by_their_name() {
    on_both_drivers(|io| {
        let signer = Signer::new(Algorithm::Rs256, "one");
        let keys = jwks(&[&signer]);
        let (issuer, fetched) = Backend::listen().serve(move |_, _| ok(&keys).into_bytes());
        let (upstream, _) = echo();
        let auth = format!(
            "  mode: jwks\n  jwks:\n    url: http://{issuer}/.well-known/jwks.json\n    \
             http_timeout_seconds: 3\n    cache_ttl_seconds: 300\n    issuers: [\"https://id.test\"]\n    \
             audiences: [\"api\"]\n    leeway_seconds: 30\n"
        );
        let routes = route("users", "/users/", upstream, &["auth_required: true"]);
        let gateway = start(io, &document(&auth, &routes));
        let good =
            json!({"sub": "a", "exp": now() + 60, "iss": "https://id.test", "aud": ["x", "api"]});
        let changed = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            format!("Authorization: Bearer {}", signer.token(&claims))
        };
        for _ in 0..2 {
            let reply = ask(&gateway, &[&changed("sub", json!("b"))]);
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        // Clocks may be apart by the leeway and no more.
        assert_eq!(ask(&gateway, &[&changed("exp", json!(now() - 10))]).status, 200);
        for field in [
            changed("exp", json!(now() - 60)),
            changed("exp", Value::Null),
            changed("iss", json!("https://evil.test")),
            changed("aud", json!("other")),
            changed("sub", json!("")),
        ] {
            is_refused(&ask(&gateway, &[&field]), 401, unauthorized());
        }
        let stranger = Signer::new(Algorithm::Rs256, "two").token(&good);
        let stranger = format!("Authorization: Bearer {stranger}");
        for _ in 0..3 {
            is_refused(&ask(&gateway, &[&stranger]), 401, unauthorized());
        }
        assert!(fetched.load(Ordering::SeqCst) <= 2, "an unknown key is looked for once");
    });
}
