//! The service `Reverse` of the demo: the modules `echo` and `storage`.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::Once;
use tonic::{Request, Response, Status, Streaming};

use super::reply::Reply;
use super::sequence::{Sequence, SequenceError, Step};
use super::store::{Store, StoreError};
use crate::proto::reverse::{self, UploadStatusCode, reverse_server};

/// Steps that wait for the disk: with 64 KiB each, half a MiB for each upload. When they are full,
/// no more is read from the stream, and flow control holds the client.
const STEPS_MAX: usize = 8;

/// The demo's services.
#[derive(Debug)]
pub(super) struct Demo {
    store: Arc<Store>,
}

impl Demo {
    /// Stores uploads in `store`.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Demo { store }
    }
}

type Answer = reverse::Response;

#[tonic::async_trait]
impl reverse_server::Reverse for Demo {
    async fn r#do(&self, request: Request<reverse::Request>) -> Result<Response<Answer>, Status> {
        let request = request.into_inner();
        let reply = match request.module.as_deref() {
            Some("echo") => echo(request),
            Some("storage") => Reply::fault(405, "storage takes uploads: use PUT"),
            _ => no_such_module(request.module.as_deref()),
        };
        Ok(Response::new(reply.response()))
    }

    type StreamStream = Once<Result<Answer, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<reverse::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.unwrap_or_default();
        let answer = match first.module.as_deref() {
            Some("storage") => self.storage(first, &mut messages).await?,
            module => no_such_module(module).upload_response(UploadStatusCode::Failed),
        };
        Ok(Response::new(tokio_stream::once(Ok(answer))))
    }
}

/// Gives the arguments back, as they came, and what the path said.
fn echo(request: reverse::Request) -> Reply {
    let mut reply = Reply::default();
    for (name, text) in [
        ("method", request.method),
        ("param", request.param),
        ("param_id", request.param_id),
        ("param_idd", request.param_idd),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            reply = reply.text(name, &text);
        }
    }
    for (name, value) in request.args {
        reply = reply.value(name, value);
    }
    reply
}

fn no_such_module(module: Option<&str>) -> Reply {
    let name = module.unwrap_or_default();
    Reply::fault(404, &format!("the demo has no module \"{name}\", only echo and storage"))
}

/// How receiving an upload ended early.
enum Early {
    /// The messages are no upload.
    Sequence(SequenceError),
    /// The writer takes no more; it knows why.
    Writer,
}

impl Demo {
    /// Stores an upload. An error means that the client is gone; all else is an answer.
    async fn storage(
        &self,
        first: reverse::Request,
        messages: &mut Streaming<reverse::Request>,
    ) -> Result<Answer, Status> {
        if first.param.as_deref() == Some("full") {
            // Shows what a full disk looks like, without one.
            return Ok(disk_fault(&std::io::ErrorKind::StorageFull.into()));
        }
        let (sender, receiver) = mpsc::channel(STEPS_MAX);
        let store = Arc::clone(&self.store);
        let writer = tokio::task::spawn_blocking(move || store.receive(receiver));
        // If the client leaves, this future is dropped or fails, and the sender with it: the writer
        // then removes the file it has open.
        let early = receive(first, messages, sender).await?;
        if let Err(Early::Sequence(fault)) = early {
            return Ok(sequence_fault(fault));
        }
        match writer.await {
            Ok(Ok(stored)) => Ok(Reply::stored(&stored).upload_response(UploadStatusCode::Ok)),
            Ok(Err(StoreError::Disk(fault))) => Ok(disk_fault(&fault)),
            Ok(Err(StoreError::Left)) | Err(_) => Err(Status::internal("the upload was lost")),
        }
    }
}

/// Hands the steps of an upload to the writer, as fast as that takes them.
async fn receive(
    first: reverse::Request,
    messages: &mut Streaming<reverse::Request>,
    writer: mpsc::Sender<Step>,
) -> Result<Result<(), Early>, Status> {
    let mut sequence = Sequence::default();
    let mut steps = Vec::new();
    let mut next = Some(first);
    while let Some(message) = next {
        if let Err(fault) = sequence.message(message, &mut steps) {
            return Ok(Err(Early::Sequence(fault)));
        }
        for step in steps.drain(..) {
            if writer.send(step).await.is_err() {
                return Ok(Err(Early::Writer));
            }
        }
        next = messages.message().await?;
    }
    Ok(match sequence.end() {
        Err(fault) => Err(Early::Sequence(fault)),
        Ok(finish) => writer.send(finish).await.map_err(|_| Early::Writer),
    })
}

fn sequence_fault(fault: SequenceError) -> Answer {
    let message = match fault {
        SequenceError::Undecodable => "an argument is not of the type it names",
        SequenceError::UnknownPhase => "a marker's phase is neither start nor end",
        SequenceError::StartInFile => "a file begins before the one before it has ended",
        SequenceError::Truncated => "the stream ends within a file",
        SequenceError::TooManyFiles => "too many files in one upload",
    };
    Reply::fault(400, message).upload_response(UploadStatusCode::Failed)
}

fn disk_fault(fault: &std::io::Error) -> Answer {
    let message = format!("the file cannot be stored: {}", fault.kind());
    Reply::fault(507, &message).upload_response(UploadStatusCode::Failed)
}
