//! Unary calls: what of a request reaches the service, and what of its answer the client.

use std::time::Duration;

use otus::snapshot::server::IoDriver;
use serde_json::json;

use crate::support::data;
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::{Service, json_of};

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("echo", service.address);
    });
    (gateway, service)
}

#[test]
fn a_query_becomes_arguments() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        for method in ["GET", "TRACE"] {
            let mark = service.journal.mark();
            let path = "/api/v3/echo/hello/5?name=x&text=a%20b%26c";
            let mut client = gateway.client();
            client.head(method, path, &["X-Request-Id: abc-1"]);
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.data(), serde_json::json!({ "name": "x", "text": "a b&c" }));
            assert_eq!(reply.field("content-type"), Some("application/json"));
            assert_eq!(reply.field("x-request-id"), Some("abc-1"));
            let request = service.journal.called(mark);
            for (want, got) in [
                ("echo", &request.module),
                ("hello", &request.param),
                ("5", &request.param_id),
                (method, &request.method),
                (SIGN, &request.sign),
                ("v3", &request.api_version),
                ("127.0.0.1", &request.ip),
            ] {
                assert_eq!(got.as_deref(), Some(want));
            }
            assert_eq!(request.param_idd, None);
        }
        gateway.is_clean();
    });
}

#[test]
fn numbers_in_json_are_untouched_both_ways() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        for method in ["POST", "PATCH", "DELETE"] {
            let mark = service.journal.mark();
            let deep = r#"{"n":[1.10,-0,1E400],"s":"\u00e9"}"#;
            let body = format!(r#"{{"id":9007199254740993,"e":1.0e2,"deep":{deep}}}"#);
            let reply = gateway.client().ask(method, "/api/v3/echo/x", &[], body.as_bytes());
            assert_eq!(reply.status, 200, "{}", reply.text());
            let request = service.journal.called(mark);
            assert_eq!(json_of(&request.args["id"]), "9007199254740993");
            assert_eq!(json_of(&request.args["deep"]), deep);
            for part in [r#""id":9007199254740993"#, r#""e":1.0e2"#, deep] {
                assert!(reply.text().contains(part), "{part} is not in {}", reply.text());
            }
        }
    });
}

#[test]
fn a_service_picks_the_status() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let mut client = gateway.client();
        for (path, status) in [
            ("/api/v3/echo/code/201", 201),
            ("/api/v3/echo/code/409", 409),
            ("/api/v3/echo/status/5", 404),
            ("/api/v3/echo/status/8", 429),
            ("/api/v3/echo/status/13", 500),
            ("/api/v3/nobody/x", 404),
            ("/api/v3", 404),
            ("/api/v3/echo/%00", 400),
            ("/elsewhere", 404),
        ] {
            let reply = client.get(path);
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            assert!(reply.json().is_object() && reply.keeps(), "{path}");
        }
    });
}

#[test]
fn the_old_statuses_are_kept_where_they_are_asked_for() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.gufo.legacy_status = true;
            snapshot.add_module("echo", service.address);
            let down = snapshot.add_module("down", "127.0.0.1:1".parse().unwrap());
            snapshot.upstreams[down.index()].retry.attempts_max = 1;
        });
        let mut client = gateway.client();
        for (path, status, code) in [
            ("/api/v3/down/x", 400, "0000234"),
            ("/api/v3/nobody/x", 500, "0000501"),
            ("/api/v3/entrypoint", 401, "0000235"),
            ("/api/v3/echo/status/5", 500, "0000500"),
        ] {
            let reply = client.get(path);
            assert_eq!(
                (reply.status, reply.data()["code"].as_str()),
                (status, Some(code)),
                "{path}"
            );
        }
    });
}

#[test]
fn a_call_that_finds_no_connection_free_says_so() {
    on_both_drivers(|io| {
        for (legacy, status) in [(true, 500), (false, 503)] {
            let service = Service::start();
            let gateway = Gateway::start(io, |snapshot| {
                snapshot.gufo.legacy_status = legacy;
                let echo = snapshot.add_module("echo", service.address);
                let pool = &mut snapshot.upstreams[echo.index()].pool;
                (pool.connections_max, pool.streams_per_connection_max) = (1, 1);
                snapshot.gufo.modules_mut()[0].timeout = Duration::from_millis(300);
            });
            // The only stream that there may be is that of an upload, which does not go on.
            let mut upload = gateway.client();
            let fields = ["Content-Length: 9", "Expect: 100-continue"];
            upload.head("PUT", "/api/v3/echo/x", &fields);
            assert_eq!(upload.reply().status, 100);
            let reply = gateway.client().get("/api/v3/echo/x");
            let told = (reply.status, &reply.data()["code"]);
            assert_eq!(told, (status, &json!("0000236")), "{}", reply.text());
            upload.send("123456789");
            assert_eq!(upload.reply().status, 200);
            assert_eq!(gateway.client().get("/api/v3/echo/x").status, 200);
            gateway.is_clean();
        }
    });
}

#[test]
fn only_a_call_that_may_be_repeated_is_repeated() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut client = gateway.client();
        for (method, attempts) in [("GET", 4), ("POST", 1)] {
            let mark = service.journal.mark();
            let reply = client.ask(method, "/api/v3/echo/status/14", &[], b"");
            assert_eq!(reply.status, 503, "{}", reply.text());
            assert_eq!(service.journal.since(mark).len(), attempts, "{method}");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_call_that_takes_too_long_is_answered_in_time() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("echo", service.address);
            snapshot.gufo.modules_mut()[0].timeout = Duration::from_secs(1);
        });
        let mut client = gateway.client();
        let began = std::time::Instant::now();
        let reply = client.get("/api/v3/echo/sleep");
        assert_eq!(reply.status, 504, "{}", reply.text());
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        service.journal.left(0);
        assert_eq!(client.get("/api/v3/echo/next").status, 200);
        gateway.is_clean();
    });
}

#[test]
fn a_json_body_beyond_its_limit_is_refused_before_any_call() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("echo", service.address);
            snapshot.limits.json_body_bytes = 1000;
        });
        let body = data::bytes(1001);
        let reply = gateway.client().ask("POST", "/api/v3/echo/x", &[], &body);
        assert_eq!((reply.status, reply.keeps()), (413, false));
        let mut client = gateway.client();
        client.head("POST", "/api/v3/echo/x", &["Transfer-Encoding: chunked"]);
        client.send(data::chunked(&body, &[100]));
        assert_eq!(client.reply().status, 413);
        assert_eq!(service.journal.mark(), 0);
        let json = format!("{{\"a\":\"{}\"}}", "x".repeat(1000 - 8));
        let reply = gateway.client().ask("POST", "/api/v3/echo/x", &[], json.as_bytes());
        assert_eq!(reply.status, 200, "the limit itself is allowed: {}", reply.text());
    });
}

#[test]
fn an_answer_of_many_megabytes_arrives_whole() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let reply = gateway.client().get("/api/v3/echo/big/3");
        assert_eq!(reply.status, 200);
        assert_eq!(reply.data()["text"].as_str().unwrap().len(), 3 << 20);
    });
}
