//! The gateway's own gRPC server: what services ask of it (SPEC 4.8, 8.4).
//!
//! Callers are tonic's, or the `h2` crate where a real client would not do what is tested.

mod calls;
mod dialects;
mod found;
mod heartbeats;
mod hostile;
mod secure;
mod streams;

use std::net::SocketAddr;

use otus::proto::reverse::reverse_client::ReverseClient;
use otus::proto::reverse::{Request, Response};
use otus::snapshot::Snapshot;
use otus::snapshot::server::{IoDriver, Listener, Serves};
use otus::snapshot::transport::Transport;
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::support::gateway::{Gateway, SIGN};
use crate::support::service::{Service, json_any, json_of};

/// Adds the listener that services call.
fn listen(snapshot: &mut Snapshot) {
    snapshot.server.listeners.push(Listener {
        name: "grpc".to_owned(),
        address: "127.0.0.1:0".parse().unwrap(),
        transport: Transport::listener(),
        tls: None,
        serves: Serves::Reverse,
    });
}

/// A gateway that services can call, before a module `echo`.
fn start(io: IoDriver, change: impl FnOnce(&mut Snapshot)) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("echo", service.address);
        listen(snapshot);
        change(snapshot);
    });
    (gateway, service)
}

/// Where services call.
fn own(gateway: &Gateway) -> SocketAddr {
    *gateway.addresses.last().unwrap()
}

/// A service that calls the gateway in dialect B.
struct Caller {
    runtime: Runtime,
    client: ReverseClient<Channel>,
}

/// A runtime with a connection to this address.
fn channel(address: SocketAddr) -> (Runtime, Channel) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = runtime.block_on(endpoint.connect()).unwrap();
    (runtime, channel)
}

impl Caller {
    fn connect(gateway: &Gateway) -> Self {
        let (runtime, channel) = channel(own(gateway));
        let client = ReverseClient::new(channel).max_decoding_message_size(16 << 20);
        Caller { runtime, client }
    }

    #[track_caller]
    fn ask(&mut self, request: &Request) -> Response {
        self.runtime.block_on(self.client.r#do(request.clone())).unwrap().into_inner()
    }
}

/// A signed request to this module.
fn request(module: &str, param: &str) -> Request {
    Request {
        module: Some(module.to_owned()),
        param: Some(param.to_owned()),
        method: Some("POST".to_owned()),
        sign: Some(SIGN.to_owned()),
        args: [("id".to_owned(), json_any("9007199254740993"))].into(),
        ..Request::default()
    }
}

/// A value of an answer as JSON text.
#[track_caller]
fn value(response: &Response, name: &str) -> String {
    json_of(response.data.get(name).unwrap_or_else(|| panic!("{name} in {response:?}")))
}

/// Status and code of a failure.
#[track_caller]
fn failure(response: &Response) -> (String, String) {
    assert!(value(response, "message").len() > 2);
    (value(response, "httpcode"), value(response, "code"))
}
