//! API keys: whom one belongs to, as a service says (SPEC 10.3).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::support::client::Client;
use crate::support::data::sha256;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::issuer::guarded;
use crate::support::journal::eventually;
use crate::support::service::Serving;

#[derive(Clone, PartialEq, Eq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    key_hash: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Answer {
    #[prost(bool, tag = "1")]
    allowed: bool,
    #[prost(string, tag = "2")]
    principal: String,
    #[prost(string, tag = "3")]
    deny_reason: String,
}

/// Knows keys by their hashes, and counts how often it is asked about each.
#[derive(Clone, Default)]
struct Orchestrator {
    owners: Arc<BTreeMap<String, String>>,
    asked: Arc<Mutex<Vec<String>>>,
    held: Arc<AtomicBool>,
}

impl Orchestrator {
    fn new(keys: &[(&str, &str)]) -> Self {
        let owner = |(key, owner): &(&str, &str)| (sha256(key.as_bytes()), (*owner).to_owned());
        Orchestrator { owners: Arc::new(keys.iter().map(owner).collect()), ..Self::default() }
    }

    fn start(&self) -> Serving {
        let own = self.clone();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Serving::start(any, move |mut server| server.add_service(own))
    }

    fn asked(&self, key: &str) -> usize {
        let hash = sha256(key.as_bytes());
        self.asked.lock().unwrap().iter().filter(|asked| **asked == hash).count()
    }

    async fn answer(self, question: Request<Question>) -> Result<Response<Answer>, Status> {
        let hash = question.into_inner().key_hash;
        self.asked.lock().unwrap().push(hash.clone());
        while self.held.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let owner = self.owners.get(&hash).cloned();
        let deny_reason = if owner.is_some() { String::new() } else { "unknown".to_owned() };
        let allowed = owner.is_some();
        Ok(Response::new(Answer { allowed, principal: owner.unwrap_or_default(), deny_reason }))
    }
}

impl NamedService for Orchestrator {
    const NAME: &'static str = "foldforge.orchestrator.v1.OrchestratorService";
}

impl tower::Service<http::Request<Body>> for Orchestrator {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Answer, Question>::default());
            let answer = service_fn(move |question| own.clone().answer(question));
            Ok(grpc.unary(answer, request).await)
        })
    }
}

const ADMIN: &str = "a-token-of-the-operator";

/// A gateway that asks the service at this address.
fn gateway(io: otus::snapshot::server::IoDriver, service: SocketAddr) -> Gateway {
    let profiles = format!(
        "[auth.op]\nkind = \"static\"\ntoken = \"{ADMIN}\"\n\
         [auth.keys]\nkind = \"api_key\"\nupstream = \"orchestrator\"\ndenied_for = \"5s\"\n\
         [upstreams.orchestrator]\nendpoints = [\"{service}\"]\nprotocol = \"grpc\"\n\
         retry.attempts = 1\n"
    );
    guarded(io, "auth = [\"op\", \"keys\"]", &profiles)
}

/// The status, and the principal that the back end was told.
fn ask(client: &mut Client, key: &str) -> (u16, Option<String>) {
    let key = format!("Authorization: Bearer {key}");
    let reply = client.ask("GET", "/", &[&key, "ff-principal: forged", "FF_Principal: f"], b"");
    let told = (reply.status == 200).then(|| reply.json());
    let principal = told.and_then(|told| {
        assert!(told["ff_principal"].is_null());
        told["ff-principal"].as_str().map(str::to_owned)
    });
    (reply.status, principal)
}

#[test]
fn a_key_is_asked_about_once_by_its_hash() {
    on_both_drivers(|io| {
        let service = Orchestrator::new(&[("good", "org_1")]);
        let serving = service.start();
        let gateway = gateway(io, serving.address);
        let mut client = gateway.client();
        for _ in 0..3 {
            assert_eq!(ask(&mut client, "good"), (200, Some("org_1".to_owned())));
            assert_eq!(ask(&mut client, "bad"), (401, None));
        }
        assert_eq!((service.asked("good"), service.asked("bad")), (1, 1));
        // The operator's own token has no principal, and nobody is asked about it.
        assert_eq!(ask(&mut client, ADMIN), (200, None));
        assert_eq!(service.asked(ADMIN), 0);
        assert_eq!(client.get("/").status, 401);
        // Without the service, what is known stays, and anything else is not for us to say.
        drop(serving);
        assert_eq!(ask(&mut client, "good"), (200, Some("org_1".to_owned())));
        assert_eq!(ask(&mut client, "new"), (503, None));
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn all_who_bring_a_key_at_once_wait_for_one_answer() {
    on_both_drivers(|io| {
        let service = Orchestrator::new(&[("good", "org_1")]);
        service.held.store(true, Ordering::SeqCst);
        let serving = service.start();
        let gateway = gateway(io, serving.address);
        let field = ["Authorization: Bearer good"];
        let mut clients: Vec<_> = (0..8).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.head("GET", "/", &field);
        }
        eventually("the service is asked", || (service.asked("good") == 1).then_some(()));
        // The one who asked leaves: another of those who wait asks instead.
        let first = clients.remove(0);
        drop(first);
        gateway.wait_metric("otus_upstream_streams_opened_total", 1);
        service.held.store(false, Ordering::SeqCst);
        for client in &mut clients {
            assert_eq!(client.reply().status, 200);
        }
        assert!(service.asked("good") <= 2, "{}", service.asked("good"));
        gateway.finish();
    });
}
