//! What an operator asks and tells with the admin key (SPEC 15.6).

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use otus::snapshot::server::IoDriver;
use serde_json::Value;

use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::proxy::{start, start_from};

const KEY: &str = "X-Admin-Key: 0123456789abcdef";
const TEXT: &str = "server.admin_key = \"0123456789abcdef\"\nserver.metrics_token = \"hidden-m\"\n\
    [upstreams.users]\nendpoints = [\"127.0.0.1:1\"]\n\
    [[route]]\nid = \"users\"\nmatch = { prefix = \"/api/users\" }\nstrip_prefix = \"/api\"\n\
    upstream = \"users\"\n\
    [[route]]\nid = \"gone\"\nmatch = { path = \"/gone\" }\nreply = 410\n";

fn ask(gateway: &Gateway, method: &str, path: &str, fields: &[&str]) -> Reply {
    let mut client = Client::connect(gateway.admin);
    client.head(method, path, fields);
    if method == "HEAD" { client.reply_to_head() } else { client.reply() }
}

fn get(gateway: &Gateway, path: &str) -> Value {
    let reply = ask(gateway, "GET", path, &[KEY]);
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")));
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    reply.json()
}

#[test]
fn without_a_key_in_the_configuration_there_is_nothing_to_ask() {
    on_both_drivers(|io| {
        let gateway = start(io, TEXT.split_once('\n').unwrap().1);
        for path in ["/-/status", "/-/config", "/-/", "/-", "/-/anything"] {
            for method in ["GET", "POST"] {
                assert_eq!(ask(&gateway, method, path, &[KEY]).status, 404, "{method} {path}");
            }
        }
    });
}

#[test]
fn a_wrong_key_learns_nothing() {
    on_both_drivers(|io| {
        let gateway = start(io, TEXT);
        for path in ["/-/status", "/-/reload", "/-/anything"] {
            for fields in [
                &[][..],
                &["X-Admin-Key:"],
                &["X-Admin-Key: 0123456789abcdeF"],
                &["X-Admin-Key: 0123456789abcdef0"],
            ] {
                for method in ["GET", "POST", "DELETE"] {
                    let reply = ask(&gateway, method, path, fields);
                    let told = (reply.status, reply.text());
                    assert_eq!(told, (401, r#"{"error":"unauthorized"}"#.to_owned()));
                    assert_eq!(reply.field("content-type"), Some("application/json"));
                }
            }
        }
        // The clients' listener knows nothing of it.
        let mut client = gateway.client();
        client.head("GET", "/-/status", &[KEY]);
        assert_eq!(client.reply().status, 404);
    });
}

#[test]
fn the_state_of_the_gateway_is_told() {
    on_both_drivers(|io| {
        let gateway = start(io, TEXT);
        let status = get(&gateway, "/-/status");
        let time = status["time_utc"].as_str().unwrap();
        assert!(time.len() >= 20 && time.ends_with('Z'), "{time}");
        assert!(status["uptime_seconds"].is_u64());
        assert_eq!(status["listen_addr"], gateway.address.to_string());
        assert!(status["go_version"].as_str().unwrap().starts_with("otus "));
        assert_eq!(status["routes_configured"], 2);
        assert_eq!((&status["generation"], &status["shards"]), (&1.into(), &1.into()));
        assert_eq!(
            (&status["draining"], &status["reload_successful"]),
            (&false.into(), &true.into())
        );
        let driver = if io == IoDriver::Epoll { "epoll" } else { "io_uring" };
        assert_eq!(status["io_driver"], driver);
        let routes = get(&gateway, "/-/routes");
        assert_eq!(routes[0]["name"], "users");
        assert_eq!(routes[0]["path_prefix"], "/api/users");
        assert_eq!(routes[0]["upstream"], "users");
        assert_eq!(routes[0]["strip_prefix"], "/api");
        assert_eq!(routes[1]["upstream"], "reply 410");
        assert_eq!(get(&gateway, "/-/limits").as_array().map(Vec::len), Some(2));
        assert!(get(&gateway, "/-/auth")["mode"].is_string());
    });
}

#[test]
fn the_configuration_is_told_without_its_secrets() {
    on_both_drivers(|io| {
        let gateway = start(io, TEXT);
        let reply = ask(&gateway, "GET", "/-/config", &[KEY]);
        for secret in ["0123456789abcdef", "hidden-m"] {
            assert!(!reply.text().contains(secret), "{}", reply.text());
        }
        let config = reply.json();
        let of = |key: &str| (config[key]["value"].clone(), config[key]["origin"].clone());
        assert_eq!(of("server.admin_key"), ("***".into(), "settings.toml:4".into()));
        assert_eq!(of("server.sign").0, "***");
        assert_eq!(of("server.shutdown_grace"), ("30s".into(), "default".into()));
        assert_eq!(of("route.000001.reply"), (410.into(), "settings.toml:16".into()));
        assert_eq!(of("upstreams.users.endpoints").0, serde_json::json!(["127.0.0.1:1"]));
    });
}

#[test]
fn each_path_has_its_methods() {
    on_both_drivers(|io| {
        let gateway = start(io, TEXT);
        for (method, path, allow) in [
            ("POST", "/-/status", "GET, HEAD"),
            ("DELETE", "/-/config", "GET, HEAD"),
            ("GET", "/-/reload", "POST"),
            ("GET", "/-/drain", "POST"),
        ] {
            let reply = ask(&gateway, method, path, &[KEY]);
            assert_eq!((reply.status, reply.field("allow")), (405, Some(allow)), "{method} {path}");
            assert_eq!(reply.field("content-type"), Some("application/problem+json"));
        }
        assert_eq!(ask(&gateway, "HEAD", "/-/status", &[KEY]).status, 200);
        let unknown = ask(&gateway, "GET", "/-/anything", &[KEY]);
        assert_eq!((unknown.status, &unknown.json()["code"]), (404, &"not_found".into()));
    });
}

#[test]
fn what_is_told_to_the_operators_listener_is_bounded() {
    on_both_drivers(|io| {
        let gateway = start(io, TEXT);
        let chunked = ask(&gateway, "POST", "/-/reload", &[KEY, "Transfer-Encoding: chunked"]);
        assert_eq!(chunked.status, 411);
        let large = ask(&gateway, "POST", "/-/reload", &[KEY, "Content-Length: 65537"]);
        assert_eq!(large.status, 413);
    });
}

#[test]
fn a_reload_is_asked_for_and_its_outcome_told() {
    on_both_drivers(|io| {
        let text = Arc::new(Mutex::new(TEXT.to_owned()));
        let gateway = start_from(io, &text);
        *text.lock().unwrap() = TEXT.replace("reply = 410", "reply = 451");
        let reply = ask(&gateway, "POST", "/-/reload", &[KEY]);
        assert_eq!((reply.status, &reply.json()["generation"]), (200, &2.into()));
        assert_eq!(gateway.client().get("/gone").status, 451);
        *text.lock().unwrap() = TEXT.replace("reply = 410", "rply = 410");
        let reply = ask(&gateway, "POST", "/-/reload", &[KEY]);
        assert_eq!((reply.status, &reply.json()["code"]), (422, &"reload_rejected".into()));
        assert!(reply.json()["detail"].as_str().unwrap().contains("unknown key `rply`"));
        assert_eq!(gateway.client().get("/gone").status, 451);
        assert_eq!(get(&gateway, "/-/status")["reload_successful"], false);
    });
}

#[test]
fn revocations_are_told_and_asked_for() {
    on_both_drivers(|io| {
        let post = |gateway: &Gateway, path: &str, body: &str| {
            let mut client = Client::connect(gateway.admin);
            client.head("POST", path, &[KEY, &format!("Content-Length: {}", body.len())]);
            client.send(body);
            client.reply()
        };
        let gateway = start(
            io,
            &TEXT.replace(
                "[upstreams.users]",
                "[revocation]\ntoken_keys = [\"jti\"]\n[upstreams.users]",
            ),
        );
        let both = r#"{"elements":["jti-7","jti-8"]}"#;
        let state = |seven, eight| {
            serde_json::json!([
                {"element": "jti-7", "revoked": seven},
                {"element": "jti-8", "revoked": eight},
            ])
        };
        assert_eq!(post(&gateway, "/-/revoke/check", both).json(), state(false, false));
        let reply = post(&gateway, "/-/revoke", r#"{"claims":{"jti":["7"]}}"#);
        assert_eq!((reply.status, &reply.json()["revoked"]), (200, &1.into()));
        assert_eq!(post(&gateway, "/-/revoke/check", both).json(), state(true, false));
        // A reload forgets nothing.
        assert_eq!(post(&gateway, "/-/reload", "").status, 200);
        assert_eq!(post(&gateway, "/-/revoke/check", both).json(), state(true, false));
        let reply = post(&gateway, "/-/revoke", "{}");
        assert_eq!((reply.status, &reply.json()["code"]), (400, &"body_malformed".into()));
        assert_eq!(ask(&gateway, "GET", "/-/revoke", &[KEY]).status, 405);
        let without = start(io, TEXT);
        let reply = post(&without, "/-/revoke", both);
        assert_eq!((reply.status, &reply.json()["code"]), (409, &"revocation_off".into()));
    });
}

#[test]
fn a_drain_may_be_asked_for_twice_and_cuts_nothing_off() {
    on_both_drivers(|io| {
        let mut gateway = start(io, TEXT);
        // A request that is under way when both are asked for.
        let mut client = gateway.client();
        client.send("GET /gone HTTP/1.1\r\nHost: a.test\r\n");
        for _ in 0..2 {
            let reply = ask(&gateway, "POST", "/-/drain", &[KEY]);
            assert_eq!((reply.status, &reply.json()["draining"]), (202, &true.into()));
        }
        client.send("\r\n");
        assert_eq!(client.reply().status, 410);
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}
