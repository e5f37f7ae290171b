use std::future::Future;
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::super::sequence::tests::{chunk, marker};
use super::super::store::tests::TempDir;
use super::*;
use crate::proto::reverse::reverse_client::ReverseClient;
use crate::proto::reverse::{Request, Response};

type Client = ReverseClient<Channel>;

/// Runs a demo back end on a free port and a client of it.
fn with_demo<F: Future<Output = ()>>(test: impl FnOnce(Client, DemoWorld) -> F) {
    let dir = TempDir::new();
    let server = spawn(dir.0.clone(), SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let target = format!("http://{}", server.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(target).unwrap().connect().await.unwrap();
        let client = ReverseClient::new(channel);
        let world = DemoWorld { dir };
        tokio::time::timeout(Duration::from_secs(30), test(client, world)).await.unwrap();
    });
    // The connection ends with its runtime, so that the server need not wait for it.
    drop(runtime);
    server.stop();
}

struct DemoWorld {
    dir: TempDir,
}

fn to(module: &str, param: &str, mut request: Request) -> Request {
    request.module = Some(module.to_owned());
    request.param = Some(param.to_owned());
    request
}

fn value(response: &Response, name: &str) -> serde_json::Value {
    let any = response.data.get(name).unwrap_or_else(|| panic!("{name} in {response:?}"));
    serde_json::from_slice(&Vec::<u8>::decode(any.value.as_slice()).unwrap()).unwrap()
}

/// Sends messages and half-closes; gives all answers.
async fn upload(client: &mut Client, messages: Vec<Request>) -> Vec<Response> {
    let stream = tokio_stream::iter(messages);
    let mut answers = client.stream(stream).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.push(answer);
    }
    all
}

#[test]
fn an_upload_is_stored_and_answered_once() {
    with_demo(|mut client, world| async move {
        let mut messages = vec![to("storage", "upload", marker("a.bin", "start"))];
        let payload: Vec<u8> = (0..=255).cycle().take(65_536).collect();
        for _ in 0..40 {
            messages.push(chunk("a.bin", &payload));
        }
        messages.extend([marker("a.bin", "end"), chunk("a.bin", b"")]);
        messages.extend([marker("b.txt", "start"), chunk("b.txt", b"abc"), marker("b.txt", "end")]);
        let answers = upload(&mut client, messages).await;
        assert_eq!(answers.len(), 1);
        let files = value(&answers[0], "files");
        assert_eq!(files[0]["bytes"], 40 * 65_536);
        assert_eq!(files[1]["name"], "b.txt");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(files[1]["sha256"], abc);
        assert_eq!(value(&answers[0], "bytes"), 40 * 65_536 + 3);
        assert_eq!(value(&answers[0], "message"), "stored 2 files");
        assert!(!answers[0].data.contains_key("httpcode"));
        assert_eq!(answers[0].code, Some(1));
        assert_eq!(std::fs::read(files[0]["path"].as_str().unwrap()).unwrap(), payload.repeat(40));
        assert_eq!(world.dir.names(), ["a.bin", "b.txt"]);
    });
}

#[test]
fn what_is_no_upload_is_answered_and_leaves_nothing() {
    with_demo(|mut client, world| async move {
        let start = || to("storage", "upload", marker("a", "start"));
        for messages in [vec![start(), chunk("a", b"x")], vec![start(), start()]] {
            let answers = upload(&mut client, messages).await;
            assert_eq!(value(&answers[0], "httpcode"), 400);
            assert_eq!(value(&answers[0], "code"), "000400");
            assert_eq!(answers[0].code, Some(2));
        }
        while !world.dir.names().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_full_disk_is_answered_before_the_upload_is_over() {
    with_demo(|mut client, world| async move {
        // The directory goes away: no file can be made.
        std::fs::remove_dir_all(&world.dir.0).unwrap();
        for param in ["upload", "full"] {
            let (sender, receiver) = mpsc::channel(1);
            sender.send(to("storage", param, marker("a", "start"))).await.unwrap();
            let answers = client.stream(ReceiverStream::new(receiver));
            // It answers although the client has not ended; it finds out when it writes.
            let feed = async {
                while sender.send(chunk("a", &vec![0; 65_536])).await.is_ok() {}
                sender
            };
            let feed = tokio::spawn(feed);
            let mut answers = answers.await.unwrap().into_inner();
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!(value(&answer, "httpcode"), 507);
            assert_eq!(value(&answer, "code"), "000507");
            feed.abort();
        }
    });
}

#[test]
fn a_client_that_leaves_takes_its_file_along() {
    with_demo(|mut client, world| async move {
        let (sender, receiver) = mpsc::channel(4);
        sender.send(to("storage", "upload", marker("a", "start"))).await.unwrap();
        sender.send(chunk("a", &vec![7; 65_536])).await.unwrap();
        let call = tokio::spawn(async move { client.stream(ReceiverStream::new(receiver)).await });
        let part = || world.dir.names().into_iter().find(|name| name.starts_with(".part-"));
        while part().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        call.abort();
        while !world.dir.names().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(sender);
    });
}

#[test]
fn echo_gives_back_what_it_got() {
    with_demo(|mut client, _| async move {
        let mut request = to("echo", "hello", chunk("a", b"x"));
        request.method = Some("GET".to_owned());
        let sent = request.args.clone();
        let answer = client.r#do(request).await.unwrap().into_inner();
        assert_eq!(value(&answer, "param"), "hello");
        assert_eq!(value(&answer, "method"), "GET");
        assert_eq!(answer.data["chunk"], sent["chunk"]);
    });
}

#[test]
fn a_module_that_is_not_there_is_answered_404() {
    with_demo(|mut client, _| async move {
        let answer = client.r#do(to("ec\"ho", "", Request::default())).await.unwrap().into_inner();
        assert_eq!(value(&answer, "httpcode"), 404);
        assert_eq!(value(&answer, "code"), "000404");
        let answers = upload(&mut client, vec![to("echo", "", marker("a", "start"))]).await;
        assert_eq!(value(&answers[0], "httpcode"), 404);
        let answer = client.r#do(to("storage", "", Request::default())).await.unwrap().into_inner();
        assert_eq!(value(&answer, "httpcode"), 405);
    });
}

#[test]
fn an_address_that_is_taken_is_told() {
    let dir = TempDir::new();
    let server = spawn(dir.0.clone(), SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    assert!(spawn(dir.0.clone(), server.address()).is_err());
    let address = server.address();
    drop(server);
    let again = spawn(dir.0.clone(), address).unwrap();
    assert_eq!(again.address(), address);
}
