//! Signed tokens at a route.

use std::time::Duration;

use otus::policy::auth::algorithm::Algorithm;
use otus::snapshot::server::IoDriver;
use serde_json::json;

use crate::support::gateway::on_both_drivers;
use crate::support::issuer::{Issuer, claims, guarded, signer, status};
use crate::support::jwt::Signer;

const ROUTE: &str = "auth = [\"main\"]";

fn main(issuer: &Issuer, more: &str) -> String {
    format!("[auth.main]\n{}", issuer.profile(more))
}

#[test]
fn only_a_token_of_the_issuer_opens_the_route() {
    on_both_drivers(|io| {
        let (ours, forger) = (signer("k"), signer("k"));
        let issuer = Issuer::start(&[&ours]);
        let gateway = guarded(io, ROUTE, &main(&issuer, ""));
        let mut client = gateway.client();
        let good = ours.token(&claims(60));
        for _ in 0..3 {
            assert_eq!(status(&mut client, &good), 200);
        }
        let secret = Signer::of_secret(Algorithm::Hs256, &ours.public_bytes());
        let confused = secret.renamed(Algorithm::Hs256, "k").token(&claims(60));
        let payload = claims(60).to_string();
        let none = good.replace(
            good.split('.').next().unwrap(),
            &otus::base::base64url::encode(br#"{"alg":"none","kid":"k"}"#),
        );
        let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
        let jwk = json!({"alg": "ES256", "kid": "k", "jwk": forger.jwk()}).to_string();
        let jku = json!({"alg": "ES256", "kid": "k", "jku": format!("http://{}/", issuer.address)});
        let crit = json!({"alg": "ES256", "kid": "k", "crit": ["exp"], "exp": 1}).to_string();
        let path = json!({"alg": "ES256", "kid": "../../dev/null"}).to_string();
        for bad in [
            confused,
            none,
            unsigned,
            forger.token(&claims(60)),
            forger.token_with(&jwk, &payload),
            forger.token_with(&jku.to_string(), &payload),
            ours.token_with(&crit, &payload),
            ours.token_with(&path, &payload),
            ours.token(&claims(-60)),
            ours.token(&json!({"sub": "alice"})),
            "x".into(),
        ] {
            let bearer = format!("authorization: Bearer {bad}");
            let reply = client.ask("GET", "/", &[&bearer], b"");
            assert_eq!(reply.status, 401, "{bad}");
            let challenge = reply.field("www-authenticate");
            assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
            assert_eq!(reply.field("content-type"), Some("application/problem+json"));
        }
        let reply = client.get("/");
        assert_eq!((reply.status, reply.field("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(status(&mut client, &good), 200);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn what_is_malformed_is_never_anonymous() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let gateway = guarded(IoDriver::Auto, "auth = [\"main\", \"anonymous\"]", &main(&issuer, ""));
    let mut client = gateway.client();
    let good = format!("authorization: Bearer {}", ours.token(&claims(60)));
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.ask("GET", "/", &[&good], b"").status, 200);
    for fields in [
        &[good.as_str(), good.as_str()][..],
        &[good.as_str(), "Authorization: Basic eA=="],
        &["authorization: Bearer"],
        &["authorization: Bearer x"],
        &["authorization: Basic eDp5"],
        &["authorization:"],
    ] {
        assert_eq!(client.ask("GET", "/", fields, b"").status, 401, "{fields:?}");
    }
    gateway.is_clean();
}

#[test]
fn endpoints_are_told_what_the_token_says_and_not_what_the_client_does() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let more = "propagate = [\"x-user: sub\", \"x-roles: realm.roles\", \"x-bad: bad\"]";
        let route = format!("{ROUTE}\nforward_authorization = \"strip\"");
        let gateway = guarded(io, &route, &main(&issuer, more));
        let mut claims = claims(60);
        claims["realm"] = json!({"roles": ["a", "b"]});
        claims["bad"] = json!("x\r\nx-user: root");
        let bearer = format!("authorization: Bearer {}", ours.token(&claims));
        let mut client = gateway.client();
        // The first time it is verified, the second time remembered.
        for _ in 0..2 {
            let fields =
                [&bearer[..], "x-user: root", "X-User: root", "x_user: root", "x-bad: root"];
            let told = client.ask("GET", "/", &fields, b"").json();
            assert_eq!(told["x-user"], "alice");
            assert_eq!(told["x-roles"], "a,b");
            for absent in ["x-bad", "x_user", "authorization"] {
                assert_eq!(told.get(absent), None, "{absent}");
            }
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn who_is_known_and_may_not_is_told_so() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let more = "roles = \"admin\"\nscopes = [\"read\", \"write\"]\nscopes_match = \"all\"";
    let gateway = guarded(IoDriver::Auto, ROUTE, &main(&issuer, more));
    let mut client = gateway.client();
    for (roles, scope, wanted) in
        [("admin", "read write", 200), ("user", "read write", 403), ("admin", "read", 403)]
    {
        let mut claims = claims(60);
        claims["roles"] = json!([roles]);
        claims["scope"] = json!(scope);
        let token = ours.token(&claims);
        for _ in 0..2 {
            assert_eq!(status(&mut client, &token), wanted, "{roles} {scope}");
        }
    }
}

#[test]
fn a_token_that_was_remembered_is_not_believed_beyond_its_end() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let gateway = guarded(IoDriver::Auto, ROUTE, &main(&issuer, "leeway = \"0s\""));
    let mut client = gateway.client();
    let token = ours.token(&claims(3));
    assert_eq!(status(&mut client, &token), 200);
    assert_eq!(status(&mut client, &token), 200);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(status(&mut client, &token), 401);
}

#[test]
fn refusals_are_told_as_the_route_says() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    for (errors, nothing, wrong) in [
        ("3x", r#"{"error":"unauthorized"}"#, r#"{"error":"unauthorized"}"#),
        (
            "hanzo",
            r#"{"error":"unauthorized","message":"Authentication required"}"#,
            r#"{"error":"unauthorized","message":"Invalid token"}"#,
        ),
    ] {
        let route = format!("{ROUTE}\nerrors = \"{errors}\"");
        let gateway = guarded(IoDriver::Auto, &route, &main(&issuer, ""));
        let mut client = gateway.client();
        let reply = client.get("/");
        assert_eq!((reply.status, reply.text()), (401, nothing.to_owned()));
        assert_eq!(reply.field("content-type"), Some("application/json"));
        let reply = client.ask("GET", "/", &["authorization: Bearer x"], b"");
        assert_eq!((reply.status, reply.text()), (401, wrong.to_owned()));
    }
}

#[test]
fn a_body_is_not_asked_for_before_it_is_known_who_sends_it() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let gateway = guarded(IoDriver::Auto, ROUTE, &main(&issuer, ""));
    let mut client = gateway.client();
    client.head("PUT", "/", &["content-length: 5", "expect: 100-continue"]);
    assert_eq!(client.reply().status, 401);
    let mut client = gateway.client();
    let bearer = format!("authorization: Bearer {}", ours.token(&claims(60)));
    client.head("PUT", "/", &["content-length: 5", "expect: 100-continue", &bearer]);
    assert_eq!(client.reply_to_head().status, 100);
    client.send("12345");
    assert_eq!(client.reply().status, 200);
}
