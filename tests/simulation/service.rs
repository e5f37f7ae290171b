//! What an endpoint makes of the messages that it receives: are they what was meant, in order, whole?

use std::collections::BTreeMap;
use std::rc::Rc;

use otus::gufo::dialect::EndMarker;
use otus::proto::reverse::{FileChunk, Request, Response, StringMap, UploadStatusCode};
use otus::protocol::grpc::frame::{self, MessageDecoder};
use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};

use crate::client::digest;
use crate::dice::number;
use crate::ledger::{Exchange, File, Kind};

/// Messages are far smaller; a decoder wants a bound.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// The request side of one call.
pub struct Intake {
    id: String,
    is_stream: bool,
    /// `None`: a rude client's; nothing is known of what it should be.
    exchange: Option<Rc<Exchange>>,
    marker: EndMarker,
    decoder: MessageDecoder,
    messages: u64,
    /// The file that comes, and how far it has come.
    file: usize,
    at: Place,
    /// The query or body asks for a large answer.
    wants_big: bool,
}

/// Where in the sequence of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Between,
    Within(usize),
    /// The `meta` end has come, the empty chunk is still to come.
    HalfEnded,
}

impl Intake {
    pub fn new(
        id: String,
        is_stream: bool,
        exchange: Option<Rc<Exchange>>,
        marker: EndMarker,
    ) -> Self {
        if let Some(exchange) = &exchange {
            let fits = match exchange.kind {
                Kind::Call { .. } => !is_stream,
                Kind::Upload { .. } => is_stream,
                _ => false,
            };
            assert!(fits, "{id} was called by the wrong method");
        }
        Intake {
            id,
            is_stream,
            exchange,
            marker,
            decoder: MessageDecoder::new(MESSAGE_BYTES_MAX),
            messages: 0,
            file: 0,
            at: Place::Between,
            wants_big: false,
        }
    }

    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Takes bytes of the stream; returns how many whole messages there were in it.
    pub fn take(&mut self, bytes: &[u8]) -> u64 {
        let mut rest = bytes;
        let before = self.messages;
        while !rest.is_empty() {
            let fed = self.decoder.feed(rest).expect("messages are well-formed");
            rest = &rest[fed.consumed..];
            if fed.complete {
                let request = Request::decode(self.decoder.message()).expect("a Request");
                self.message(&request);
                self.messages += 1;
            }
        }
        self.messages - before
    }

    /// The stream has ended in good order. Whether it was whole; for what is in the book, it must be.
    pub fn end(&self) -> bool {
        let between = self.decoder.is_between_messages();
        let Some(exchange) = &self.exchange else { return between };
        let whole = match &exchange.kind {
            Kind::Upload { files } => self.file == files.len() && self.at == Place::Between,
            _ => self.messages == 1,
        };
        let (at, file) = (self.at, self.file);
        assert!(between && whole, "{} ended early: file {file}, {at:?}", self.id);
        true
    }

    fn message(&mut self, request: &Request) {
        self.wants_big = request.args.contains_key("big");
        let Some(exchange) = self.exchange.clone() else { return };
        let id = &exchange.id;
        match &exchange.kind {
            Kind::Upload { files } => {
                let internal = request.ir.as_ref().and_then(|internal| internal.param.as_deref());
                assert_eq!(internal, Some("stream"), "{id}");
                assert_eq!(request.module.as_deref(), Some("store"), "{id}");
                if let Some(param_id) = &request.param_id {
                    assert_eq!(param_id, id, "a first message of another exchange");
                }
                self.upload(request, files);
            }
            Kind::Call { mark, bulk, .. } => {
                assert_eq!(request.param_id.as_deref(), Some(id.as_str()), "another exchange");
                assert_eq!(text_of(request, "mark").as_deref(), Some(mark.as_str()), "{id}");
                assert_eq!(text_of(request, "bulk").unwrap_or_default(), *bulk, "{id}");
            }
            _ => unreachable!(),
        }
    }

    fn upload(&mut self, request: &Request, files: &[File]) {
        let file = files.get(self.file).expect("no more files than were sent");
        let id = &self.id;
        assert_eq!(request.args.len(), 1, "{id}");
        if let Some(meta) = request.args.get("meta") {
            let meta = StringMap::decode(meta.value.as_slice()).expect("a StringMap").entries;
            assert_eq!(meta["filename"], file.name, "{id}");
            match meta["phase"].as_str() {
                "start" => {
                    assert_eq!(self.at, Place::Between, "{id}: a start within a file");
                    self.at = Place::Within(0);
                }
                "end" => {
                    assert_eq!(self.at, Place::Within(file.content.len()), "{id}: an early end");
                    self.at = Place::HalfEnded;
                    if self.marker == EndMarker::Meta {
                        self.next_file();
                    }
                }
                phase => panic!("{id}: a marker {phase:?}"),
            }
            return;
        }
        let chunk = request.args.get("chunk").expect("a marker or a chunk");
        let chunk = FileChunk::decode(chunk.value.as_slice()).expect("a FileChunk");
        assert_eq!(chunk.name, file.name, "{id}");
        if chunk.data.is_empty() {
            let whole = Place::Within(file.content.len());
            let want = if self.marker == EndMarker::Both { Place::HalfEnded } else { whole };
            assert_eq!(self.at, want, "{id}: an early end");
            self.next_file();
            return;
        }
        assert!(chunk.data.len() <= 65_536, "{id}: a chunk of {} bytes", chunk.data.len());
        let Place::Within(at) = self.at else { panic!("{id}: a chunk at {:?}", self.at) };
        let want = file.content.get(at..at + chunk.data.len());
        assert!(want == Some(&chunk.data[..]), "{id}: wrong bytes behind {at}");
        self.at = Place::Within(at + chunk.data.len());
    }

    fn next_file(&mut self) {
        self.file += 1;
        self.at = Place::Between;
    }

    /// The answer that says that it worked, in its frame. `filler`: so many bytes more.
    pub fn answer(&self, filler: usize) -> Vec<u8> {
        let filler = if self.wants_big { 300_000 } else { filler };
        let mut data = vec![("id", json!(self.id)), ("filler", json!("x".repeat(filler)))];
        match self.exchange.as_ref().map(|exchange| &exchange.kind) {
            Some(Kind::Call { mark, .. }) => data.push(("mark", json!(mark))),
            Some(Kind::Upload { files }) => {
                data.push(("files", files.iter().map(digest).collect()));
            }
            _ => {}
        }
        framed(data, self.code(UploadStatusCode::Ok))
    }

    /// An answer that says yes to what was not there yet.
    pub fn hasty_answer(&self) -> Vec<u8> {
        let mut data = vec![("id", json!(self.id))];
        if let Some(Kind::Call { mark, .. }) = self.exchange.as_ref().map(|exchange| &exchange.kind)
        {
            data.push(("mark", json!(mark)));
        }
        framed(data, self.code(UploadStatusCode::Ok))
    }

    /// An answer that says no, within a call that succeeds.
    pub fn refusal(&self) -> Vec<u8> {
        let data = vec![("httpcode", json!(409)), ("message", json!("there is one already"))];
        framed(data, self.code(UploadStatusCode::Failed))
    }

    fn code(&self, code: UploadStatusCode) -> Option<i32> {
        self.is_stream.then_some(code.into())
    }
}

fn framed(data: Vec<(&str, Value)>, code: Option<i32>) -> Vec<u8> {
    let any = |value: Value| {
        let type_url = "type.googleapis.com/google.protobuf.BytesValue".to_owned();
        Any { type_url, value: value.to_string().into_bytes().encode_to_vec() }
    };
    let data: BTreeMap<String, Any> =
        data.into_iter().map(|(key, value)| (key.to_owned(), any(value))).collect();
    let message = Response { data, code, ..Response::default() }.encode_to_vec();
    let mut out = frame::prefix(u32::try_from(message.len()).unwrap()).to_vec();
    debug_assert!(number(out.len()) == 5);
    out.extend(message);
    out
}

fn text_of(request: &Request, key: &str) -> Option<String> {
    let json = Vec::<u8>::decode(request.args.get(key)?.value.as_slice()).expect("a BytesValue");
    serde_json::from_slice(&json).expect("a JSON text")
}
