//! How services know the gateway, and the gateway its callers (SPEC part 7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use otus::base::time::UnixTime;
use otus::gufo::trust::{SigningKey, Subject, Token, request_digest};
use otus::snapshot::gufo::{RestMode, SecurityMode, Trust};
use otus::snapshot::secret::Secret;
use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::service::Service;

const SECRET: &str = "the-secret-of-gateway-and-services";
const MAX_AGE: Duration = Duration::from_mins(2);

fn key() -> SigningKey {
    SigningKey::new(SECRET.as_bytes())
}

fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

fn start(io: IoDriver, mode: SecurityMode, rest: RestMode) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("echo", service.address);
        let key = Some((key(), Secret::new(SECRET)));
        snapshot.gufo.trust = Trust { mode, rest, key, max_age: MAX_AGE, ..Trust::default() };
    });
    (gateway, service)
}

fn claim(path: &str, method: &str, query: &str, body: &str, nonce: u8) -> String {
    let digest = request_digest(query.as_bytes(), body.as_bytes());
    let subject = Subject { module: "echo", path, method, digest };
    // What was signed in the second of the start is refused; what is ahead waits for its own.
    let soon = UnixTime(now().0 + Duration::from_secs(1));
    format!("X-Sign: {}", key().sign_2(&subject, [nonce; 16], soon))
}

#[test]
fn a_service_gets_a_signature_of_each_call() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, SecurityMode::Hmac, RestMode::None);
        let mark = service.journal.mark();
        let reply = gateway.client().get("/api/v3/echo/hello");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let sign = service.journal.called(mark).sign.unwrap();
        let token = Token::parse(sign.as_bytes()).unwrap();
        assert!(key().holds_1(&token, "echo") && token.is_fresh(now(), MAX_AGE));
        gateway.is_clean();
    });
}

#[test]
fn with_certificates_nothing_is_signed() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, SecurityMode::Mtls, RestMode::None);
        let mark = service.journal.mark();
        assert_eq!(gateway.client().get("/api/v3/echo/hello").status, 200);
        assert_eq!(service.journal.called(mark).sign.as_deref(), Some(""));
    });
}

#[test]
fn a_caller_must_show_the_secret_where_it_is_asked_for() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, SecurityMode::Sign, RestMode::Sign);
        let mut client = gateway.client();
        let fresh = format!("X-Sign: {}", key().sign_1("echo", now()));
        let shared = format!("X-Sign: {SIGN}");
        for (field, want) in [(&*shared, 200), ("X-Sign: no", 401), (&*fresh, 401)] {
            client.head("GET", "/api/v3/echo/hello", &[field]);
            assert_eq!(client.reply().status, want, "{field}");
        }
        let reply = client.get("/api/v3/echo/hello");
        assert_eq!((reply.status, &reply.data()["code"]), (401, &serde_json::json!("00001")));
        assert_eq!(client.ask("PUT", "/api/v3/echo/x", &[], b"bytes").status, 401);
    });
}

#[test]
fn a_signature_of_version_1_is_for_its_module_and_its_time() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, SecurityMode::Hmac, RestMode::Hmac);
        let mut client = gateway.client();
        let later = |seconds| UnixTime(now().0 + Duration::from_secs(seconds));
        let earlier = UnixTime(now().0.saturating_sub(MAX_AGE + Duration::from_secs(2)));
        for (module, time, want) in [
            ("echo", now(), 200),
            ("echo", later(20), 200),
            ("other", now(), 401),
            ("echo", earlier, 401),
            ("echo", later(60), 401),
        ] {
            let field = format!("X-Sign: {}", key().sign_1(module, time));
            client.head("GET", "/api/v3/echo/hello", &[&field]);
            assert_eq!(client.reply().status, want, "{module} {time:?}");
        }
        let shared = format!("X-Sign: {SIGN}");
        for field in ["X-Other: 1", &shared, "X-Sign: a:b"] {
            client.head("GET", "/api/v3/echo/hello", &[field]);
            assert_eq!(client.reply().status, 401, "{field}");
        }
    });
}

#[test]
fn a_signature_of_version_2_is_for_one_request_alone() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, SecurityMode::Hmac, RestMode::Hmac);
        let mut client = gateway.client();
        let body = r#"{"a":1}"#;
        let field = claim("hello/7", "POST", "q=1", body, 1);
        let mark = service.journal.mark();
        for (path, sent, want) in [
            ("/api/v3/echo/hello/7?q=1", r#"{"a":2}"#, 401),
            ("/api/v3/echo/hello/8?q=1", body, 401),
            ("/api/v3/echo/hello/7?q=2", body, 401),
            ("/api/v3/echo/hello/7?q=1", body, 200),
            ("/api/v3/echo/hello/7?q=1", body, 401),
        ] {
            let reply = client.ask("POST", path, &[&field], sent.as_bytes());
            assert_eq!(reply.status, want, "{path} {sent}");
        }
        assert_eq!(service.journal.called(mark).param_id.as_deref(), Some("7"));
        let field = claim("up", "PUT", "", "", 2);
        let upload = |mut client: Client| {
            client.ask("PUT", "/api/v3/echo/up", &[&field], b"any content").status
        };
        assert_eq!((upload(gateway.client()), upload(gateway.client())), (200, 401));
        gateway.is_clean();
    });
}

#[test]
fn what_was_taken_before_a_restart_is_refused_after_it() {
    on_both_drivers(|io| {
        let field = claim("hello", "GET", "", "", 3);
        // It is taken in its own second, and the next gateway starts within the same one.
        for want in [200, 401] {
            let (gateway, _service) = start(io, SecurityMode::Hmac, RestMode::Hmac);
            let mut client = gateway.client();
            client.head("GET", "/api/v3/echo/hello", &[&field]);
            assert_eq!(client.reply().status, want);
            gateway.is_clean();
        }
    });
}
