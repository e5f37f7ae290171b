//! A real gRPC service, dialect B, that records what reaches it.
//!
//! What it does with a call is the call's `Param`: see [`Recorder::stream`] and [`Recorder::do`].

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::thread::JoinHandle;

use otus::proto::reverse::reverse_server::{Reverse, ReverseServer};
use otus::proto::reverse::{FileChunk, Request, Response, StringMap};
use prost::Message;
use prost_types::Any;
use ring::digest::{Context, SHA256};
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::{Code, Status, Streaming};

use super::data::hex;
use super::journal::{Event, File, Journal, Upload};

const BYTES_VALUE: &str = "type.googleapis.com/google.protobuf.BytesValue";
/// What one upload may have under way.
const WINDOW_BYTES: u32 = 64 * 1024;

/// A running service. Dropping it ends it and all its connections at once.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) journal: Journal,
    _serving: Serving,
}

/// A gRPC server on a thread of its own. Dropping it ends it and all its connections at once.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves what `add` adds to a server, at this address.
    pub(crate) fn start(
        address: SocketAddr,
        add: impl FnOnce(Server) -> Router + Send + 'static,
    ) -> Self {
        let listener = listen(address);
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                tokio::spawn(add(Server::builder()).serve_with_incoming(incoming));
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        });
        Serving { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Service {
    /// Starts one on any free port.
    pub(crate) fn start() -> Self {
        Service::start_at("127.0.0.1:0".parse().unwrap())
    }

    /// Starts one at this address.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Service::start_with(address, None)
    }

    /// Starts one that takes frames of up to so many bytes.
    pub(crate) fn with_frames(bytes: u32) -> Self {
        Service::start_with("127.0.0.1:0".parse().unwrap(), Some(bytes))
    }

    fn start_with(address: SocketAddr, frame_max: Option<u32>) -> Self {
        let journal = Journal::default();
        let recorder = Recorder { journal: journal.clone() };
        let serving = Serving::start(address, move |server| {
            server
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(32 * WINDOW_BYTES)
                .max_frame_size(frame_max)
                .add_service(ReverseServer::new(recorder).max_decoding_message_size(16 << 20))
        });
        Service { address: serving.address, journal, _serving: serving }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A listener whose port can be taken again at once.
fn listen(address: SocketAddr) -> TcpListener {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
            .unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(128).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// A value as dialect B carries it: JSON text in a `BytesValue` in an `Any`.
pub(crate) fn json_any(json: &str) -> Any {
    Any { type_url: BYTES_VALUE.to_owned(), value: json.as_bytes().to_vec().encode_to_vec() }
}

/// The JSON text of an argument.
pub(crate) fn json_of(any: &Any) -> String {
    assert_eq!(any.type_url, BYTES_VALUE);
    String::from_utf8(Vec::<u8>::decode(any.value.as_slice()).unwrap()).unwrap()
}

/// An answer with these values, which are JSON text.
pub(crate) fn answer(values: &[(&str, &str)]) -> Response {
    let data = values.iter().map(|(name, json)| ((*name).to_owned(), json_any(json)));
    Response { data: data.collect(), ..Response::default() }
}

struct Recorder {
    journal: Journal,
}

/// Tells the journal if the call ends before the service is done with it.
struct Open {
    journal: Journal,
    bytes: u64,
    done: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.done {
            self.journal.push(Event::Left(self.bytes));
        }
    }
}

impl Recorder {
    fn open(&self) -> Open {
        Open { journal: self.journal.clone(), bytes: 0, done: false }
    }
}

fn number(request: &Request) -> i32 {
    request.param_id.as_deref().unwrap_or_default().parse().unwrap_or(0)
}

#[tonic::async_trait]
impl Reverse for Recorder {
    /// `sleep`: for ever · `status/N`: fails with the code N · `code/N`: answers with `httpcode` N ·
    /// `big/N`: answers N MiB · else: gives the arguments back.
    async fn r#do(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Response>, Status> {
        let request = request.into_inner();
        self.journal.push(Event::Do(Box::new(request.clone())));
        let mut open = self.open();
        let number = number(&request);
        let response = match request.param.as_deref() {
            Some("sleep") => std::future::pending().await,
            Some("status") => {
                open.done = true;
                return Err(Status::new(Code::from_i32(number), "as asked"));
            }
            Some("code") => answer(&[("httpcode", &number.to_string())]),
            Some("big") => {
                let len = usize::try_from(number).unwrap() << 20;
                answer(&[("text", &format!("\"{}\"", "x".repeat(len)))])
            }
            _ => Response { data: request.args, ..Response::default() },
        };
        open.done = true;
        Ok(tonic::Response::new(response))
    }

    type StreamStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    /// `stall`: never reads on · `early/N`: answers at once, with `httpcode` N if that is not zero ·
    /// `status/N`: fails at once with the code N · `late/N`: as `status`, behind the last byte ·
    /// else: stores.
    async fn stream(
        &self,
        request: tonic::Request<Streaming<Request>>,
    ) -> Result<tonic::Response<Self::StreamStream>, Status> {
        let mut open = self.open();
        let mut messages = request.into_inner();
        let gone = || Status::cancelled("nothing came");
        let first = messages.message().await?.ok_or_else(gone)?;
        self.journal.push(Event::Begun(Box::new(first.clone())));
        let number = number(&first);
        let values = match first.param.as_deref() {
            Some("stall") => std::future::pending().await,
            Some("early") if number == 0 => Vec::new(),
            Some("early") => vec![("httpcode", number.to_string())],
            Some("status") => {
                open.done = true;
                return Err(Status::new(Code::from_i32(number), "as asked"));
            }
            what => {
                let late = what == Some("late");
                let upload = receive(first, &mut messages, &mut open).await?;
                let files = listing(&upload);
                self.journal.push(Event::Stored(upload));
                if late {
                    open.done = true;
                    return Err(Status::new(Code::from_i32(number), "as asked"));
                }
                vec![("files", files)]
            }
        };
        open.done = true;
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, json)| (*name, json.as_str())).collect();
        Ok(tonic::Response::new(Box::pin(tokio_stream::once(Ok(answer(&values))))))
    }
}

fn listing(upload: &Upload) -> String {
    let files = upload.files.iter().map(
        |file| serde_json::json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 }),
    );
    serde_json::Value::Array(files.collect()).to_string()
}

async fn receive(
    first: Request,
    messages: &mut Streaming<Request>,
    open: &mut Open,
) -> Result<Upload, Status> {
    let mut upload = Upload::default();
    let mut hash = Context::new(&SHA256);
    let mut next = Some(first);
    while let Some(mut message) = next {
        if let Some(meta) = message.args.remove("meta") {
            let marker = StringMap::decode(meta.value.as_slice()).unwrap().entries;
            let phase = marker["phase"].clone();
            if phase == "start" {
                let name = marker["filename"].clone();
                upload.files.push(File { name, ..File::default() });
            }
            upload.marks.push(phase);
        }
        if let Some(chunk) = message.args.remove("chunk") {
            let chunk = FileChunk::decode(chunk.value.as_slice()).unwrap();
            let file = upload.files.last_mut().unwrap();
            file.bytes += chunk.data.len();
            open.bytes += u64::try_from(chunk.data.len()).unwrap();
            upload.chunk_max = upload.chunk_max.max(chunk.data.len());
            hash.update(&chunk.data);
            if chunk.data.is_empty() {
                let whole = std::mem::replace(&mut hash, Context::new(&SHA256));
                file.sha256 = hex(whole.finish().as_ref());
                upload.marks.push("empty".to_owned());
            }
        }
        next = messages.message().await?;
    }
    // tonic takes a cancelled stream for one that has ended.
    let whole = upload.marks.last().is_some_and(|mark| mark == "empty");
    if whole { Ok(upload) } else { Err(Status::cancelled("the upload was cut off")) }
}
