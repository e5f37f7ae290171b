//! Services that speak the older and the newer form of the protocol (SPEC 4.2, 4.3, 6.2).

use std::pin::Pin;
use std::sync::mpsc;

use otus::gufo::dialect::Dialect;
use otus::proto::{reverse_a, reverse_c};
use otus::snapshot::server::IoDriver;
use prost::Message;
use serde_json::json;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::{Serving, json_any, json_of};

/// Tells the test of each call, and answers with what it was asked.
struct ServiceA(mpsc::Sender<reverse_a::Request>);

#[tonic::async_trait]
impl reverse_a::reverse_server::Reverse for ServiceA {
    async fn r#do(
        &self,
        request: Request<reverse_a::Request>,
    ) -> Result<Response<reverse_a::Response>, Status> {
        let request = request.into_inner();
        let _ = self.0.send(request.clone());
        Ok(Response::new(reverse_a::Response { data: request.args, ..Default::default() }))
    }
}

/// The same in dialect C; says which trace its metadata told it of.
struct ServiceC(mpsc::Sender<reverse_c::Request>);

#[tonic::async_trait]
impl reverse_c::reverse_server::Reverse for ServiceC {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<reverse_c::Response, Status>> + Send>>;

    async fn r#do(
        &self,
        request: Request<reverse_c::Request>,
    ) -> Result<Response<reverse_c::Response>, Status> {
        let told = request.metadata().get("traceparent").map(|told| told.to_str().unwrap());
        let traced = json_any(&json!(told).to_string());
        let _ = self.0.send(request.into_inner());
        let meta = reverse_c::ResponseMeta { status: 202, node: "n1".into(), ..Default::default() };
        let error = reverse_c::Error { code: 7, key: "late".into(), ..Default::default() };
        Ok(Response::new(reverse_c::Response {
            data: [("ok".to_owned(), json_any("true")), ("traced".to_owned(), traced)].into(),
            error: Some(error),
            meta: Some(meta),
            ..Default::default()
        }))
    }

    async fn stream(
        &self,
        request: Request<Streaming<reverse_c::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = messages.next().await {
            let _ = self.0.send(message?);
        }
        let data = [("stored".to_owned(), json_any("1"))].into();
        let last = reverse_c::Response { data, code: 1, ..Default::default() };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(last)))))
    }
}

fn start_a(io: IoDriver) -> (Gateway, Serving, mpsc::Receiver<reverse_a::Request>) {
    let (told, calls) = mpsc::channel();
    let serving = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
        let service = reverse_a::reverse_server::ReverseServer::new(ServiceA(told));
        server.add_service(service.max_decoding_message_size(16 << 20))
    });
    (gateway(io, Dialect::A, &serving), serving, calls)
}

fn start_c(io: IoDriver) -> (Gateway, Serving, mpsc::Receiver<reverse_c::Request>) {
    let (told, calls) = mpsc::channel();
    let serving = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
        server.add_service(reverse_c::reverse_server::ReverseServer::new(ServiceC(told)))
    });
    (gateway(io, Dialect::C, &serving), serving, calls)
}

fn gateway(io: IoDriver, dialect: Dialect, serving: &Serving) -> Gateway {
    let address = serving.address;
    Gateway::start(io, |snapshot| {
        snapshot.add_module("files", address);
        snapshot.gufo.modules_mut()[0].dialect = dialect;
    })
}

#[test]
fn a_call_reaches_a_service_of_dialect_a() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_a(io);
        let body = br#"{"id":9007199254740993}"#;
        let reply = gateway.client().ask("POST", "/api/v1/files/find/7", &[], body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains("9007199254740993"), "{}", reply.text());
        let request = calls.recv_timeout(SOON).unwrap();
        // Such services use these four without asking whether they are there.
        for (got, want) in [
            (request.module, "files"),
            (request.param, "find"),
            (request.method, "POST"),
            (request.sign, SIGN),
        ] {
            assert_eq!(got.as_deref(), Some(want));
        }
        assert_eq!(json_of(&request.args["id"]), "9007199254740993");
        gateway.is_clean();
    });
}

#[test]
fn an_upload_reaches_a_service_of_dialect_a_as_one_message() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_a(io);
        let form = b"--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nx\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../a.bin\"\r\n\r\n\
            \x00\r\n-\xff\r\n--b--\r\n";
        let kind = "Content-Type: multipart/form-data; boundary=b";
        let mut client = gateway.client();
        let reply = client.ask("PUT", "/api/v1/files/upload?album=x", &[kind], form);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let request = calls.recv_timeout(SOON).unwrap();
        assert_eq!(request.file.as_deref(), Some(&b"\x00\r\n-\xff"[..]));
        assert_eq!(request.filename.as_deref(), Some("a.bin"));
        assert_eq!(json_of(&request.args["album"]), "\"x\"");

        let reply = client.ask("PUT", "/api/v1/files/upload", &["X-Filename: raw"], b"bytes");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let request = calls.recv_timeout(SOON).unwrap();
        assert_eq!(
            (request.file.as_deref(), request.filename.as_deref()),
            (Some(&b"bytes"[..]), Some("raw"))
        );

        let reply = client.ask("PUT", "/api/v1/files/upload", &[kind], b"--b--\r\n");
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(reply.data()["code"], json!("0000235"));
        gateway.is_clean();
    });
}

#[test]
fn a_file_that_one_message_cannot_hold_is_refused() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_a(io);
        let body = vec![b'x'; 4 << 20];
        let reply = gateway.client().ask("PUT", "/api/v1/files/upload", &[], &body);
        assert_eq!(reply.status, 413, "{}", reply.text());
        assert!(calls.try_recv().is_err());
    });
}

#[test]
fn a_call_reaches_a_service_of_dialect_c() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_c(io);
        let mut client = gateway.client();
        let body = br#"{"id":9007199254740993}"#;
        let reply = client.ask("POST", "/api/v3/files/find/7?q=1", &["X-Request-Id: r1"], body);
        assert_eq!(reply.status, 202, "{}", reply.text());
        assert!(reply.text().contains(r#""error":{"code":7,"key":"late""#), "{}", reply.text());
        let request = calls.recv_timeout(SOON).unwrap();
        assert_eq!((&*request.param, &*request.param_id), ("find", "7"));
        assert_eq!(request.method(), reverse_c::Method::Post);
        assert_eq!(request.auth.unwrap().sign, SIGN);
        assert_eq!(request.context.unwrap().request_id, "r1");
        assert_eq!(json_of(&request.body.unwrap()), str::from_utf8(body).unwrap());
        assert_eq!(request.query["q"], "1");

        assert_eq!(client.get("/api/v3/files/list?name=a%20b").status, 202);
        let request = calls.recv_timeout(SOON).unwrap();
        assert_eq!((&*request.query["name"], request.body), ("a b", None));
        gateway.is_clean();
    });
}

#[test]
fn a_service_of_dialect_c_is_told_the_trace_of_a_call() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_c(io);
        let mut client = gateway.client();
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let whole = format!("00-{trace}-00f067aa0ba902b7-00");
        for (sent, want, whole) in [
            (&*whole, trace, Some(&*whole)),
            // Nobody is told of a trace that is none.
            (&*whole.replace("00f067aa0ba902b7", "0000000000000000"), "", None),
            ("", "", None),
        ] {
            client.head("GET", "/api/v3/files/find", &[&format!("traceparent: {sent}")]);
            let reply = client.reply();
            assert_eq!((reply.status, &reply.data()["traced"]), (202, &json!(whole)), "{sent}");
            let request = calls.recv_timeout(SOON).unwrap();
            assert_eq!(request.context.unwrap().trace_id, want, "{sent}");
        }
        gateway.is_clean();
    });
}

#[test]
fn an_upload_reaches_a_service_of_dialect_c_as_a_stream() {
    on_both_drivers(|io| {
        let (gateway, _serving, calls) = start_c(io);
        let body = vec![b'x'; 100_000];
        let name = "X-Filename: a.bin";
        let reply = gateway.client().ask("PUT", "/api/v3/files/upload", &[name], &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.data()["stored"], json!(1));
        let (mut bytes, mut phases) = (0, Vec::new());
        while let Ok(request) = calls.try_recv() {
            assert_eq!(request.auth.unwrap().sign, SIGN);
            let any = request.body.unwrap();
            if any.type_url.ends_with("/gufo.FileChunk") {
                let chunk = reverse_c::FileChunk::decode(&any.value[..]).unwrap();
                assert_eq!(chunk.name, "a.bin");
                bytes += chunk.data.len();
            } else {
                let context = reverse_c::RequestContext::decode(&any.value[..]).unwrap();
                phases.push(context.meta["phase"].clone());
            }
        }
        assert_eq!((bytes, phases), (body.len(), vec!["start".to_owned(), "end".to_owned()]));
        gateway.is_clean();
    });
}
