//! Callers and modules of different dialects.

use std::pin::Pin;
use std::sync::mpsc;

use otus::gufo::dialect::Dialect;
use otus::proto::{reverse, reverse_a, reverse_c};
use otus::snapshot::server::IoDriver;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Caller, channel, listen, own, request, start, value};
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::{Serving, json_any, json_of};

struct ServiceC(mpsc::Sender<reverse_c::Request>);

#[tonic::async_trait]
impl reverse_c::reverse_server::Reverse for ServiceC {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<reverse_c::Response, Status>> + Send>>;

    async fn r#do(
        &self,
        request: Request<reverse_c::Request>,
    ) -> Result<Response<reverse_c::Response>, Status> {
        let request = request.into_inner();
        let data = request.body.clone().map(|body| ("got".to_owned(), body));
        let _ = self.0.send(request);
        let meta = reverse_c::ResponseMeta { status: 202, ..Default::default() };
        let data = data.into_iter().collect();
        Ok(Response::new(reverse_c::Response { data, meta: Some(meta), ..Default::default() }))
    }

    async fn stream(
        &self,
        _: Request<Streaming<reverse_c::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        Err(Status::unimplemented("none"))
    }
}

fn start_c(io: IoDriver) -> (Gateway, Serving, mpsc::Receiver<reverse_c::Request>) {
    let (told, calls) = mpsc::channel();
    let serving = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
        server.add_service(reverse_c::reverse_server::ReverseServer::new(ServiceC(told)))
    });
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("echo", serving.address);
        snapshot.gufo.modules_mut()[0].dialect = Dialect::C;
        listen(snapshot);
    });
    (gateway, serving, calls)
}

/// A signed request of dialect C.
fn packaged(module: &str, param: &str) -> reverse_c::Request {
    let auth = reverse_c::AuthContext { sign: SIGN.into(), ..Default::default() };
    reverse_c::Request {
        module: module.into(),
        param: param.into(),
        method: reverse_c::Method::Post.into(),
        auth: Some(auth),
        body: Some(json_any(r#"{"id":9007199254740993}"#)),
        ..Default::default()
    }
}

#[test]
fn a_caller_of_dialect_a_reaches_a_module_of_dialect_b() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let (runtime, channel) = channel(own(&gateway));
        let mut client = reverse_a::reverse_client::ReverseClient::new(channel);
        let ir = reverse_a::InternalRequest {
            param: Some("inner".into()),
            method: Some("GET".into()),
            args: [("k".to_owned(), json_any("true"))].into(),
            ..Default::default()
        };
        let asked = reverse_a::Request {
            module: Some("echo".into()),
            sign: Some(SIGN.into()),
            args: [("id".to_owned(), json_any("1.10"))].into(),
            ir: Some(ir),
            ..Default::default()
        };
        let response = runtime.block_on(client.r#do(asked.clone())).unwrap().into_inner();
        let called = service.journal.called(0);
        let inner = called.ir.unwrap();
        assert_eq!(inner.param.as_deref(), Some("inner"));
        assert_eq!(json_of(&inner.args["k"]), "true");
        assert!(called.files.is_empty());
        assert_eq!(json_of(&response.data["id"]), "1.10");
        assert_eq!(response.request_back, Some(asked));
        gateway.is_clean();
    });
}

#[test]
fn a_caller_of_dialect_b_reaches_a_module_of_dialect_c() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_c(io);
        let asked = reverse::Request { uid: Some("u".into()), ..request("echo", "hello") };
        let response = Caller::connect(&gateway).ask(&asked);
        let called = calls.recv_timeout(SOON).unwrap();
        let auth = called.auth.unwrap();
        assert_eq!((&*auth.uid, &*auth.sign), ("u", SIGN));
        assert_eq!(json_of(&called.body.unwrap()), r#"{"id":9007199254740993}"#);
        assert_eq!(value(&response, "got"), r#"{"id":9007199254740993}"#);
        assert_eq!(value(&response, "httpcode"), "202");
        assert_eq!(response.request_back, Some(asked));
        gateway.is_clean();
    });
}

#[test]
fn callers_of_dialect_c_reach_modules_of_both() {
    on_both_drivers(|io| {
        let ask = |gateway: &Gateway| {
            let (runtime, channel) = channel(own(gateway));
            let mut client = reverse_c::reverse_client::ReverseClient::new(channel);
            let asked = packaged("echo", "hello");
            let response = runtime.block_on(client.r#do(asked.clone())).unwrap().into_inner();
            assert_eq!(response.request_back, Some(asked));
            response
        };
        let (gateway, service) = start(io, |_| ());
        let response = ask(&gateway);
        let called = service.journal.called(0);
        assert_eq!((called.sign.as_deref(), called.method.as_deref()), (Some(SIGN), Some("POST")));
        assert_eq!(json_of(&response.data["id"]), "9007199254740993");
        gateway.is_clean();
        let (gateway, _serving, calls) = start_c(io);
        let response = ask(&gateway);
        assert_eq!(calls.recv_timeout(SOON).unwrap(), packaged("echo", "hello"));
        assert_eq!(response.meta.unwrap().status, 202);
        gateway.is_clean();
    });
}
