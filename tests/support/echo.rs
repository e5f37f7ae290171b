//! A gRPC service of texts with all four kinds of calls, and a client of it over TLS: both tonic's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::service::Serving;

/// Texts travel as `StringValue`.
type Texts = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// Starts the service.
pub(crate) fn start() -> Serving {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Serving::start(any, |mut server| server.add_service(Kinds))
}

/// `Unary`: the text doubled, or a status for `fail` · `Gather`: all texts joined · `Spread`: so
/// many texts as the text says · `Chat`: each text in upper case as it comes.
#[derive(Clone)]
struct Kinds;

impl NamedService for Kinds {
    const NAME: &'static str = "test.Echo";
}

impl tower::Service<http::Request<Body>> for Kinds {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(match request.uri().path() {
                "/test.Echo/Unary" => grpc.unary(service_fn(unary), request).await,
                "/test.Echo/Gather" => grpc.client_streaming(service_fn(gather), request).await,
                "/test.Echo/Spread" => grpc.server_streaming(service_fn(spread), request).await,
                "/test.Echo/Chat" => grpc.streaming(service_fn(chat), request).await,
                _ => Status::unimplemented("no such call").into_http(),
            })
        })
    }
}

async fn unary(request: Request<String>) -> Result<Response<String>, Status> {
    let tag = request.metadata().get("x-tag").cloned();
    let text = request.into_inner();
    if text == "fail" {
        return Err(Status::failed_precondition("as asked: ä"));
    }
    let mut response = Response::new(format!("{text}{text}"));
    if let Some(tag) = tag {
        response.metadata_mut().insert("x-tag", tag);
    }
    Ok(response)
}

async fn gather(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let mut texts = request.into_inner();
    let mut all = String::new();
    while let Some(text) = texts.message().await? {
        all.push_str(&text);
    }
    Ok(Response::new(all))
}

async fn spread(request: Request<String>) -> Result<Response<Texts>, Status> {
    let count: usize = request.into_inner().parse().unwrap();
    let texts = (0..count).map(|number| Ok(format!("text {number}")));
    Ok(Response::new(Box::pin(tokio_stream::iter(texts))))
}

async fn chat(request: Request<Streaming<String>>) -> Result<Response<Texts>, Status> {
    let texts = request.into_inner().map(|text| text.map(|text| text.to_uppercase()));
    Ok(Response::new(Box::pin(texts)))
}

/// A channel of tonic to `localhost` over TLS.
pub(crate) async fn channel(address: SocketAddr, config: &Arc<ClientConfig>) -> Channel {
    let connector = TlsConnector::from(Arc::clone(config));
    let connect = service_fn(move |_: http::Uri| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_static("https://localhost");
    endpoint.connect_with_connector(connect).await.unwrap()
}
