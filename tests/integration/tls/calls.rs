//! Calls of gRPC over TLS, with tonic as the client and as the service.

use std::sync::Arc;

use otus::snapshot::server::IoDriver;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::echo::{self, channel};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::PATIENCE;
use crate::support::proxy::{self, ALL, upstream};
use crate::support::service::Serving;
use crate::support::tls::{Authority, Offer};

/// What is said to the service through the gateway.
struct Caller {
    grpc: Grpc<Channel>,
}

fn path(name: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(name)
}

fn codec() -> ProstCodec<String, String> {
    ProstCodec::default()
}

impl Caller {
    async fn unary(&mut self, text: &str, tag: Option<&str>) -> Result<(String, String), Status> {
        self.grpc.ready().await.unwrap();
        let mut request = Request::new(text.to_owned());
        if let Some(tag) = tag {
            request.metadata_mut().insert("x-tag", tag.parse().unwrap());
        }
        let response = self.grpc.unary(request, path("/test.Echo/Unary"), codec()).await?;
        let tag = response.metadata().get("x-tag").map(|tag| tag.to_str().unwrap().to_owned());
        Ok((response.into_inner(), tag.unwrap_or_default()))
    }

    async fn gather(&mut self, texts: impl Stream<Item = String> + Send + 'static) -> String {
        self.grpc.ready().await.unwrap();
        let request = Request::new(texts);
        let path = path("/test.Echo/Gather");
        self.grpc.client_streaming(request, path, codec()).await.unwrap().into_inner()
    }

    async fn spread(&mut self, count: usize) -> Vec<String> {
        self.grpc.ready().await.unwrap();
        let request = Request::new(count.to_string());
        let path = path("/test.Echo/Spread");
        let texts = self.grpc.server_streaming(request, path, codec()).await.unwrap();
        texts.into_inner().map(Result::unwrap).collect().await
    }

    /// Says the next text only when the one before has come back.
    async fn chat(&mut self, texts: &[&str]) {
        self.grpc.ready().await.unwrap();
        let (say, said) = tokio::sync::mpsc::channel(1);
        let request = Request::new(ReceiverStream::new(said));
        let path = path("/test.Echo/Chat");
        say.send(texts[0].to_owned()).await.unwrap();
        let mut answers = self.grpc.streaming(request, path, codec()).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap(), Some(texts[0].to_uppercase()));
        for text in &texts[1..] {
            say.send((*text).to_owned()).await.unwrap();
            assert_eq!(answers.message().await.unwrap(), Some(text.to_uppercase()));
        }
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);
    }
}

fn before(io: IoDriver, authority: &Authority) -> (Gateway, Serving) {
    let files = authority.leaf("main", &["localhost"]);
    let echo = echo::start();
    let upstream = upstream(&[echo.address], "protocol = \"grpc\"");
    let text = format!("[tls]\n{}{upstream}{ALL}", files.text());
    (proxy::start(io, &text), echo)
}

/// Runs what a client of tonic does, for a bounded time.
fn call<T>(authority: &Authority, gateway: &Gateway, what: impl AsyncFnOnce(Caller) -> T) -> T {
    let offer = Offer { alpn: &["h2"], ..Offer::default() };
    let config = Arc::new(authority.config(&offer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let run = async {
            let grpc = Grpc::new(channel(gateway.address, &config).await)
                .max_decoding_message_size(16 << 20);
            what(Caller { grpc }).await
        };
        tokio::time::timeout(PATIENCE, run).await.unwrap()
    })
}

#[test]
fn all_four_kinds_pass_through() {
    let authority = Authority::new();
    on_both_drivers(|io| {
        let (gateway, _echo) = before(io, &authority);
        call(&authority, &gateway, async |mut caller| {
            let (text, tag) = caller.unary("ab", Some("seven")).await.unwrap();
            assert_eq!((text.as_str(), tag.as_str()), ("abab", "seven"));
            let long = "x".repeat(2 << 20);
            assert_eq!(caller.unary(&long, None).await.unwrap().0.len(), 4 << 20);
            let texts: Vec<String> = (0..500).map(|n| format!("{n} {}", "y".repeat(n))).collect();
            let all = caller.gather(tokio_stream::iter(texts.clone())).await;
            assert_eq!(all, texts.concat());
            let many = caller.spread(2000).await;
            assert_eq!((many.len(), many[1999].as_str()), (2000, "text 1999"));
            caller.chat(&["one", "two", "", "three"]).await;
        });
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn the_status_and_the_message_of_a_failure_are_the_service_s() {
    let authority = Authority::new();
    on_both_drivers(|io| {
        let (gateway, _echo) = before(io, &authority);
        call(&authority, &gateway, async |mut caller| {
            let status = caller.unary("fail", None).await.unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (Code::FailedPrecondition, "as asked: ä")
            );
            assert_eq!(caller.unary("on", None).await.unwrap().0, "onon");
        });
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn calls_beside_each_other_stay_apart() {
    let authority = Authority::new();
    on_both_drivers(|io| {
        let (gateway, _echo) = before(io, &authority);
        call(&authority, &gateway, async |caller| {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..40 {
                let mut caller = Caller { grpc: caller.grpc.clone() };
                tasks.spawn(async move {
                    let text = format!("{number}-").repeat(number * 50);
                    assert_eq!(caller.unary(&text, None).await.unwrap().0, text.repeat(2));
                    let texts = vec![text.clone(), text.clone(), text.clone()];
                    let all = caller.gather(tokio_stream::iter(texts)).await;
                    assert_eq!(all, text.repeat(3));
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        });
        gateway.is_clean();
        gateway.finish();
    });
}
