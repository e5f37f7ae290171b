//! Claims of tokens in the paths that endpoints get.

use otus::policy::auth::algorithm::Algorithm;
use otus::snapshot::server::IoDriver;
use serde_json::{Value, json};

use crate::support::backend::{Backend, ok_bytes};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::issuer::{Issuer, claims, signer};
use crate::support::jwt::Signer;
use crate::support::proxy;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "a-token-of-the-operator";
const REWRITE: &str = "match.prefix = \"/me\"\nrewrite = \"/users/{JWT.sub}\"\n";

/// A gateway with this route and these profiles, before a back end that tells its path.
fn before_paths(io: IoDriver, route: &str, profiles: &str) -> Gateway {
    let (address, _) = Backend::listen().serve(|seen, _| ok_bytes(seen.target.as_bytes()));
    let endpoint = proxy::upstream(&[address], "");
    proxy::start(io, &format!("{endpoint}{}{route}\n{profiles}", proxy::ALL))
}

/// What is answered to a request with a token of these claims.
fn ask(client: &mut Client, path: &str, signer: &Signer, claims: &Value) -> Reply {
    let bearer = format!("authorization: Bearer {}", signer.token(claims));
    client.ask("GET", path, &[&bearer], b"")
}

fn of_sub(sub: &Value) -> Value {
    let mut claims = claims(60);
    claims["sub"] = json!("alice");
    claims["name"] = sub.clone();
    claims
}

#[test]
fn a_claim_becomes_a_segment_of_the_path() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let route = "match.path = \"/me/{what}/{*rest}\"\nauth = [\"main\"]\n\
                     rewrite = \"/orgs/{JWT.org.id}/{JWT.sub}/{what}/{*rest}\"\n";
        let profile = format!("[auth.main]\n{}", issuer.profile(""));
        let gateway = before_paths(io, route, &profile);
        let mut client = gateway.client();
        for (org, sub, path) in [
            (json!("a"), "alice", "/orgs/a/alice/orders/7?x=y"),
            (json!(17), "a/b c?d#e%;f", "/orgs/17/a%2Fb%20c%3Fd%23e%25%3Bf/orders/7?x=y"),
            (json!("é"), "{JWT.org.id}", "/orgs/%C3%A9/%7BJWT.org.id%7D/orders/7?x=y"),
        ] {
            let mut claims = claims(60);
            claims["sub"] = json!(sub);
            claims["org"] = json!({"id": org});
            // The first time the token is verified, the second time remembered.
            for _ in 0..2 {
                let reply = ask(&mut client, "/me/orders/7?x=y", &ours, &claims);
                assert_eq!((reply.status, reply.text()), (200, path.to_owned()));
            }
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn what_would_be_another_path_is_refused() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let route = "match.prefix = \"/me\"\nauth = [\"main\"]\n\
                     rewrite = \"/users/{JWT.name}/orders\"\n";
        let profile = format!("[auth.main]\n{}", issuer.profile(""));
        let gateway = before_paths(io, route, &profile);
        let mut client = gateway.client();
        for name in [
            json!(""),
            json!("."),
            json!(".."),
            json!("../admin"),
            json!("%2e%2e"),
            json!("..;x"),
            json!("a\u{0}b"),
            json!("a\r\nx"),
            json!("x".repeat(4097)),
            json!(["a"]),
            json!({"a": "b"}),
            json!(null),
        ] {
            for _ in 0..2 {
                let reply = ask(&mut client, "/me", &ours, &of_sub(&name));
                assert_eq!(reply.status, 403, "{name}");
                assert_eq!(reply.json()["code"], "forbidden");
            }
        }
        assert_eq!(ask(&mut client, "/me", &ours, &claims(60)).status, 403, "there is none");
        for (letter, escaped) in [("x", "x"), ("é", "%C3%A9")] {
            let times = 4096 / letter.len();
            let reply = ask(&mut client, "/me/7", &ours, &of_sub(&json!(letter.repeat(times))));
            let path = format!("/users/{}/orders/7", escaped.repeat(times));
            assert_eq!((reply.status, reply.text()), (200, path));
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn who_has_no_claims_is_refused() {
    let hs256 = format!("[auth.old]\nkind = \"hs256\"\nsecret = \"{SECRET}\"\n");
    let profiles = format!(
        "{hs256}pass_prefixes = \"sk-\"\n[auth.op]\nkind = \"static\"\ntoken = \"{TOKEN}\"\n"
    );
    let route = format!("{REWRITE}auth = [\"old\", \"op\", \"anonymous\"]");
    let gateway = before_paths(IoDriver::Auto, &route, &profiles);
    let mut client = gateway.client();
    let shared = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes());
    let reply = ask(&mut client, "/me/x", &shared, &claims(60));
    assert_eq!((reply.status, reply.text()), (200, "/users/alice/x".to_owned()));
    let reply = client.get("/me");
    assert_eq!((reply.status, reply.field("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(reply.json()["code"], "unauthenticated");
    for (token, status) in [("sk-1", 401), (TOKEN, 403), ("x", 401)] {
        let bearer = format!("authorization: Bearer {token}");
        assert_eq!(client.ask("GET", "/me", &[&bearer], b"").status, status, "{token}");
    }
    gateway.is_clean();
}

#[test]
fn clients_add_nothing_to_a_claim() {
    let profile = format!("[auth.old]\nkind = \"hs256\"\nsecret = \"{SECRET}\"\n");
    let route = "match = { path = \"/me\", kind = \"string\" }\nauth = \"old\"\n\
                 rewrite = \"/users/{JWT.sub}/\"\n";
    let gateway = before_paths(IoDriver::Auto, route, &profile);
    let shared = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes());
    let mut client = gateway.client();
    for (path, status, told) in [
        ("/me", 200, "/users/alice/"),
        ("/me-admin", 200, "/users/alice/-admin"),
        ("/me/%7BJWT.sub%7D", 200, "/users/alice/%7BJWT.sub%7D"),
        ("/me../bob", 400, ""),
    ] {
        let reply = ask(&mut client, path, &shared, &claims(60));
        assert_eq!(reply.status, status, "{path}");
        assert!(status != 200 || reply.text() == told, "{path} {}", reply.text());
    }
    gateway.is_clean();
}
