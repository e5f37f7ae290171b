//! Sessions of Gufo: who asks is found out once, told to services and clients (SPEC 10.1).

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use otus::proto::reverse::{self, reverse_server};
use otus::snapshot::gufo::{OnError, ReadOnly, SessionRule};
use otus::snapshot::server::IoDriver;
use serde_json::json;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::{Service, Serving, answer};

/// Answers as the token says, and counts how often it was asked.
struct SessionService {
    asked: Arc<AtomicU32>,
    told: mpsc::Sender<reverse::Request>,
}

#[tonic::async_trait]
impl reverse_server::Reverse for SessionService {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<reverse::Response, Status>> + Send>>;

    async fn r#do(
        &self,
        request: Request<reverse::Request>,
    ) -> Result<Response<reverse::Response>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        let token = request.token.clone().unwrap_or_default();
        let _ = self.told.send(request);
        let session = |readonly| {
            answer(&[
                ("uid", "\"u7\""),
                ("isadmin", "1"),
                ("session_expired", "4102444800"),
                ("completed", "1"),
                ("readonly", readonly),
            ])
        };
        Ok(Response::new(match &*token {
            "Bearer good" | "ApiToken good" => session("0"),
            "Bearer reader" => session("1"),
            "Bearer broken" => return Err(Status::internal("no")),
            _ => answer(&[("error", "\"000011\"")]),
        }))
    }

    async fn stream(
        &self,
        _: Request<Streaming<reverse::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        Err(Status::unimplemented("none"))
    }
}

struct Scene {
    gateway: Gateway,
    service: Service,
    asked: Arc<AtomicU32>,
    questions: mpsc::Receiver<reverse::Request>,
    _sessions: Serving,
}

fn start(io: IoDriver, rule: SessionRule) -> Scene {
    let asked = Arc::new(AtomicU32::new(0));
    let (told, questions) = mpsc::channel();
    let service = SessionService { asked: Arc::clone(&asked), told };
    let sessions = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
        server.add_service(reverse_server::ReverseServer::new(service))
    });
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("echo", service.address);
        snapshot.add_module("session", sessions.address);
        snapshot.gufo.session = Some(rule);
    });
    Scene { gateway, service, asked, questions, _sessions: sessions }
}

#[test]
fn a_service_and_its_client_are_told_whose_session_it_is() {
    on_both_drivers(|io| {
        let scene = start(io, SessionRule::default());
        let mark = scene.service.journal.mark();
        let mut client = scene.gateway.client();
        for _ in 0..3 {
            client.head("GET", "/api/v3/echo/hello", &["Authorization: Bearer good"]);
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            let envelope: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
            assert_eq!(envelope["session"]["uid"], json!("u7"));
            assert_eq!(envelope["session"]["isAdmin"], json!(1));
        }
        let request = scene.service.journal.called(mark);
        assert_eq!((request.uid.as_deref(), request.is_admin), (Some("u7"), Some(1)));
        // Asked once, and the answer remembered.
        assert_eq!(scene.asked.load(Ordering::SeqCst), 1);
        let question = scene.questions.recv_timeout(SOON).unwrap();
        for (got, want) in [
            (question.module, "session"),
            (question.param, "checksession"),
            (question.method, "GET"),
            (question.token, "Bearer good"),
            (question.sign, SIGN),
        ] {
            assert_eq!(got.as_deref(), Some(want));
        }
        scene.gateway.is_clean();
    });
}

#[test]
fn tokens_come_in_other_places_and_wrong_ones_are_of_nobody() {
    on_both_drivers(|io| {
        let scene = start(io, SessionRule::default());
        let mut client = scene.gateway.client();
        for (path, field, uid) in [
            ("/api/v3/echo/hello?access_token=good", "X-Other: 1", json!("u7")),
            ("/api/v3/echo/hello", "X-API-Token: good", json!("u7")),
            ("/api/v3/echo/hello", "Authorization: bearer good", json!("u7")),
            ("/api/v3/echo/hello", "Authorization: Bearer wrong", json!(null)),
            ("/api/v3/echo/hello", "X-Other: 1", json!(null)),
        ] {
            client.head("GET", path, &[field]);
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            let envelope: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
            assert_eq!(envelope["session"]["uid"], uid, "{path} {field}");
        }
        client.head("GET", "/api/v3/echo/hello", &["Authorization: Bearer"]);
        assert_eq!(client.reply().status, 401);
        scene.gateway.is_clean();
    });
}

#[test]
fn who_may_only_read_is_refused() {
    on_both_drivers(|io| {
        for (readonly, get) in [(ReadOnly::All, 403), (ReadOnly::Writes, 200)] {
            let scene = start(io, SessionRule { readonly, ..SessionRule::default() });
            let mut client = scene.gateway.client();
            let field = "Authorization: Bearer reader";
            client.head("GET", "/api/v3/echo/hello", &[field]);
            assert_eq!(client.reply().status, get);
            for method in ["POST", "PUT"] {
                let reply = client.ask(method, "/api/v3/echo/hello", &[field], b"{}");
                let code = reply.data()["code"].clone();
                assert_eq!((reply.status, code), (403, json!("0000235")), "{method}");
                client = scene.gateway.client();
            }
        }
    });
}

#[test]
fn without_the_service_a_call_is_of_nobody_or_refused() {
    on_both_drivers(|io| {
        for (on_error, want) in [(OnError::Anonymous, 200), (OnError::Refuse, 503)] {
            let scene = start(io, SessionRule { on_error, ..SessionRule::default() });
            let mut client = scene.gateway.client();
            client.head("GET", "/api/v3/echo/hello", &["Authorization: Bearer broken"]);
            assert_eq!(client.reply().status, want);
        }
    });
}

#[test]
fn info_tells_whose_session_it_is_and_refuses_as_calls_do() {
    on_both_drivers(|io| {
        let scene = start(io, SessionRule::default());
        let info =
            |fields: &[&str]| scene.gateway.client().ask("POST", "/api/v3/info", fields, b"{}");
        let nobody = info(&[]);
        assert_eq!((nobody.status, &nobody.json()["session"]), (200, &json!(null)));
        let reply = info(&["Authorization: Bearer good"]);
        assert_eq!((reply.status, &reply.json()["session"]["uid"]), (200, &json!("u7")));
        assert_eq!(reply.data()["registration"], false);
        for (token, status, code) in
            [("Authorization: Bearer reader", 403, "0000235"), ("Authorization: x", 401, "00001")]
        {
            let reply = info(&[token]);
            assert_eq!((reply.status, &reply.data()["code"]), (status, &json!(code)), "{token}");
        }
        // Health is of nobody, and nobody is asked.
        let mut client = scene.gateway.client();
        let reply = client.ask("GET", "/api/v3/health", &["Authorization: x"], b"");
        assert_eq!((reply.status, &reply.data()["health"]), (200, &json!("OK")));
    });
}
