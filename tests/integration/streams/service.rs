//! A service that streams, in dialect B and C; what it does is the `Param` of the call.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use otus::gufo::dialect::Dialect;
use otus::proto::reverse::{FileChunk, Request, Response, StringMap};
use otus::proto::{reverse, reverse_c};
use otus::snapshot::Snapshot;
use otus::snapshot::server::IoDriver;
use prost::Message;
use prost_types::Any;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

use crate::support::gateway::Gateway;
use crate::support::service::{Serving, json_any, json_of};

pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// What a test learns from the service.
#[derive(Debug)]
pub(super) enum Told {
    /// A unary call.
    Do,
    /// The first message of a stream.
    First(Box<Request>),
    /// The same of dialect C, or a call of it.
    Packaged(Box<reverse_c::Request>),
    /// A stream was given up by its client.
    Left,
    /// A stream was ended by its client.
    Ended,
}

/// A service that runs.
pub(super) struct Streams {
    pub(super) serving: Serving,
    pub(super) told: mpsc::Receiver<Told>,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    told: mpsc::Sender<Told>,
    /// Steps that the test allows.
    go: Arc<Semaphore>,
    /// Chunks that were handed to the transport.
    sent: Arc<AtomicU64>,
}

impl Streams {
    pub(super) fn start() -> Self {
        let (told, heard) = mpsc::channel();
        let shared = Shared { told, go: Arc::new(Semaphore::new(0)), sent: Arc::default() };
        let (b, c) = (shared.clone(), shared.clone());
        let serving = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
            server
                .add_service(reverse::reverse_server::ReverseServer::new(b))
                .add_service(reverse_c::reverse_server::ReverseServer::new(c))
        });
        Streams { serving, told: heard, shared }
    }

    /// Lets the service take a step.
    pub(super) fn go(&self) {
        self.shared.go.add_permits(1);
    }

    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// A gateway with this service as the module `streams`.
    pub(super) fn gateway(
        &self,
        io: IoDriver,
        dialect: Dialect,
        change: impl FnOnce(&mut Snapshot),
    ) -> Gateway {
        Gateway::start(io, |snapshot| {
            snapshot.add_module("streams", self.serving.address);
            snapshot.gufo.modules_mut()[0].dialect = dialect;
            change(snapshot);
        })
    }
}

fn any(name: &str, value: Vec<u8>) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value }
}

pub(super) fn chunk(data: &[u8]) -> (String, Any) {
    let chunk = FileChunk { name: "f".to_owned(), data: data.to_vec() };
    ("chunk".to_owned(), any("FileChunk", chunk.encode_to_vec()))
}

fn meta(pairs: &[(&str, &str)]) -> (String, Any) {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let map = StringMap { entries: pairs.collect() };
    ("meta".to_owned(), any("StringMap", map.encode_to_vec()))
}

fn value(key: &str, json: &str) -> (String, Any) {
    (key.to_owned(), json_any(json))
}

/// Chunk `number` of every file.
pub(super) fn content(number: usize) -> Vec<u8> {
    (0..CHUNK_BYTES).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect()
}

type Data = BTreeMap<String, Any>;
type Said = Result<Data, Status>;
type Sender = tokio::sync::mpsc::Sender<Said>;
type Heard = Pin<Box<dyn Stream<Item = (Option<bool>, Vec<u8>)> + Send>>;

/// What the call asks for, in both dialects.
struct Asked {
    param: String,
    id: String,
    args: BTreeMap<String, String>,
}

impl Shared {
    async fn say(&self, out: &Sender, data: impl IntoIterator<Item = (String, Any)>) -> bool {
        let said = out.send(Ok(data.into_iter().collect())).await.is_ok();
        if said {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        said
    }

    async fn step(&self) {
        self.go.acquire().await.unwrap().forget();
    }

    /// Files: `file/N`, with its length; `chunked/N`, without; `cut`, `short`, `long`: not as they
    /// were told; `refuse/N`, `status/N`; `part`; `endless`.
    async fn files(&self, asked: &Asked, out: &Sender) -> bool {
        let number: usize = asked.id.parse().unwrap_or(0);
        let size = (number * CHUNK_BYTES).to_string();
        let mut about =
            vec![("filename", "a b.bin"), ("filetype", "video/mp4"), ("phase", "start")];
        match asked.param.as_str() {
            "file" => about.push(("size", &size)),
            "short" | "long" => about.push(("size", "100000")),
            "part" => {
                let range = asked.args.get("range").cloned().unwrap_or_default();
                let name = [("filename", "a"), ("Content-Range", "bytes 10-19/500")];
                assert!(range.is_empty() || range == "bytes=10-19", "{range}");
                return self.say(out, [meta(&name), chunk(b"0123456789")]).await;
            }
            "refuse" => return self.say(out, [value("httpcode", &asked.id)]).await,
            "status" => {
                let code = Code::from_i32(i32::try_from(number).unwrap());
                return out.send(Err(Status::new(code, "as asked"))).await.is_ok();
            }
            _ => {}
        }
        if !self.say(out, [meta(&about)]).await {
            return false;
        }
        let count = match asked.param.as_str() {
            "endless" => usize::MAX,
            "cut" | "short" => 1,
            "long" => 2,
            _ => number,
        };
        for number in 0..count {
            if !self.say(out, [chunk(&content(number))]).await {
                return false;
            }
        }
        match asked.param.as_str() {
            "cut" => out.send(Err(Status::internal("as asked"))).await.is_ok(),
            _ => {
                self.say(out, [meta(&[("phase", "end")])]).await
                    && self.say(out, [chunk(b"")]).await
            }
        }
    }

    /// `events`: one for each step, then a failure of `N`, if that is not zero.
    async fn events(&self, asked: &Asked, out: &Sender) -> bool {
        for said in [
            vec![chunk(b"one\ntwo")],
            vec![value("n", "12345678901234567890"), meta(&[("event", "tick"), ("id", "7")])],
            vec![chunk("ä".as_bytes())],
        ] {
            self.step().await;
            if !self.say(out, said).await {
                return false;
            }
        }
        self.step().await;
        let code: i32 = asked.id.parse().unwrap_or(0);
        code == 0 || out.send(Err(Status::new(Code::from_i32(code), "as asked"))).await.is_ok()
    }

    /// `echo`: each message as it came; `deaf`: none is read; `values`: one answer that is no
    /// chunk; `bye`: ends at the first message; `fail`: fails at it.
    async fn socket(&self, asked: &Asked, mut heard: Heard, out: &Sender) -> bool {
        if asked.param == "deaf" {
            out.closed().await;
            return false;
        }
        if asked.param == "values" && !self.say(out, [value("hello", "[1.10]")]).await {
            return false;
        }
        loop {
            let next = tokio::select! {
                next = heard.next() => next,
                () = out.closed() => return false,
            };
            let Some((is_text, data)) = next else { break };
            match asked.param.as_str() {
                "bye" => return true,
                "fail" => return out.send(Err(Status::internal("as asked"))).await.is_ok(),
                _ => {}
            }
            let mut said = vec![chunk(&data)];
            said.extend(is_text.filter(|text| *text).map(|_| value("type", "\"text\"")));
            if !self.say(out, said).await {
                return false;
            }
        }
        if asked.param == "echo" {
            // Last words, behind the client's close.
            return self.say(out, [chunk(b"last")]).await;
        }
        true
    }

    fn run(self, asked: Asked, purpose: String, heard: Heard) -> ReceiverStream<Said> {
        let (out, said) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let is_done = match (purpose.as_str(), asked.param.as_str()) {
                ("ws", _) => self.socket(&asked, heard, &out).await,
                (_, "events") => self.events(&asked, &out).await,
                (_, "quiet") => {
                    out.closed().await;
                    false
                }
                _ => self.files(&asked, &out).await,
            };
            let _ = self.told.send(if is_done { Told::Ended } else { Told::Left });
        });
        ReceiverStream::new(said)
    }
}

fn text_of(args: &BTreeMap<String, Any>) -> BTreeMap<String, String> {
    let texts = args.iter().filter(|(key, _)| *key != "chunk");
    let plain = |any: &Any| serde_json::from_str(&json_of(any)).unwrap_or_default();
    texts.map(|(key, any)| (key.clone(), plain(any))).collect()
}

#[tonic::async_trait]
impl reverse::reverse_server::Reverse for Shared {
    /// `inline`: a file within the answer; `local`: one of the host; else a stream follows.
    async fn r#do(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Response>, Status> {
        let request = request.into_inner();
        let data = match request.param.as_deref() {
            Some("inline") => BTreeMap::from([
                value("file", "\"hello\""),
                value("isbase64", "true"),
                value("filename", "\"a\\r\\nX: y\\\".txt\""),
                value("filetype", "\"text/plain\""),
            ]),
            Some("local") => BTreeMap::from([
                value("file", &json_of(&request.args["path"])),
                value("isbase64", "false"),
                value("filename", "\"b.bin\""),
            ]),
            Some("none") => BTreeMap::from([value("httpcode", "204")]),
            _ => BTreeMap::from([value("stream", "true"), value("filetype", "\"text/csv\"")]),
        };
        let _ = self.told.send(Told::Do);
        Ok(tonic::Response::new(Response { data, ..Response::default() }))
    }

    type StreamStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    async fn stream(
        &self,
        request: tonic::Request<tonic::Streaming<Request>>,
    ) -> Result<tonic::Response<Self::StreamStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Status::cancelled("nothing"))?;
        let asked = Asked {
            param: first.param.clone().unwrap_or_default(),
            id: first.param_id.clone().unwrap_or_default(),
            args: text_of(&first.args),
        };
        let purpose = first.ir.clone().unwrap().param.unwrap_or_default();
        let _ = self.told.send(Told::First(Box::new(first)));
        let heard = messages.filter_map(Result::ok).map(|message| {
            let chunk = FileChunk::decode(message.args["chunk"].value.as_slice()).unwrap();
            assert_eq!(chunk.name, "ws");
            let kind = json_of(&message.args["type"]);
            (Some(kind == "\"text\""), chunk.data)
        });
        let said = self.clone().run(asked, purpose, Box::pin(heard));
        let said = said.map(|said| said.map(|data| Response { data, ..Response::default() }));
        Ok(tonic::Response::new(Box::pin(said)))
    }
}

#[tonic::async_trait]
impl reverse_c::reverse_server::Reverse for Shared {
    /// MCP: what came, within an answer; nothing to a notification; `fail` fails.
    async fn r#do(
        &self,
        request: tonic::Request<reverse_c::Request>,
    ) -> Result<tonic::Response<reverse_c::Response>, Status> {
        let request = request.into_inner();
        let body = Vec::<u8>::decode(request.body.clone().unwrap().value.as_slice()).unwrap();
        let _ = self.told.send(Told::Packaged(Box::new(request)));
        let text = String::from_utf8(body).unwrap();
        if text.contains("fail") {
            return Err(Status::internal("as asked"));
        }
        let said = format!("{{\"jsonrpc\":\"2.0\", \"result\":{text}}}");
        let data = if text.contains("\"id\"") { vec![value("mcp", &said)] } else { Vec::new() };
        let data = data.into_iter().collect();
        Ok(tonic::Response::new(reverse_c::Response { data, ..Default::default() }))
    }

    type StreamStream = Pin<Box<dyn Stream<Item = Result<reverse_c::Response, Status>> + Send>>;

    async fn stream(
        &self,
        request: tonic::Request<tonic::Streaming<reverse_c::Request>>,
    ) -> Result<tonic::Response<Self::StreamStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Status::cancelled("nothing"))?;
        let (param, id) = (first.param.clone(), first.param_id.clone());
        let asked = Asked { param, id, args: first.query.clone() };
        let purpose = first.context.clone().unwrap().meta["ir"].clone();
        let _ = self.told.send(Told::Packaged(Box::new(first)));
        let heard = messages.filter_map(Result::ok).map(|message| {
            let body = message.body.unwrap();
            assert_eq!(body.type_url, "type.googleapis.com/gufo.FileChunk");
            let chunk = reverse_c::FileChunk::decode(body.value.as_slice()).unwrap();
            (Some(message.query["type"] == "text"), chunk.data)
        });
        let said = self.clone().run(asked, purpose, Box::pin(heard));
        let said =
            said.map(|said| said.map(|data| reverse_c::Response { data, ..Default::default() }));
        Ok(tonic::Response::new(Box::pin(said)))
    }
}
