//! One unary call of gRPC over HTTP/2, for threads that wait for its end.

use crate::base::time::Instant;
use crate::protocol::grpc::frame::MessageDecoder;
use crate::protocol::grpc::status::{self, Opening, Status};
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::engine::Connection;
use crate::protocol::h2::connection::event::{Event, HeadersKind};
use crate::protocol::h2::frame::{StreamId, to_usize};
use crate::protocol::h2::hpack::encode::Block;

use super::wire::Wire;

/// Bytes of frames before the end of the answer, beside the answer itself.
const RECEIVED_BYTES_MAX: usize = 256 * 1024;

/// What is called.
pub(super) struct Question<'a> {
    pub(super) path: &'a str,
    pub(super) authority: &'a str,
    pub(super) user_agent: &'a str,
    /// The message behind its prefix of five bytes.
    pub(super) data: &'a [u8],
    /// Of the answer.
    pub(super) bytes_max: usize,
}

/// Calls, and waits for the end: its status, and the message if there was one.
pub(super) fn call(
    wire: &mut Wire,
    question: &Question<'_>,
) -> Result<(Status, Option<Vec<u8>>), String> {
    let scheme = if wire.is_sealed() { "https" } else { "http" };
    // The clock is for keep-alive and floods, which one call does not live to see.
    let now = Instant::START;
    let config = Config { keep_alive: None, ..Config::client() };
    let mut engine = Connection::new(Role::Client, config, now);
    let id = open(&mut engine, question, scheme).ok_or("the call cannot be opened")?;
    let answer = MessageDecoder::new(question.bytes_max);
    let mut call = Call { id, answer, message: None };
    let mut input = Vec::new();
    let mut received = 0;
    loop {
        wire.write(engine.outgoing())?;
        engine.outgoing().clear();
        wire.read(&mut input)?;
        received += input.len();
        loop {
            let step =
                engine.receive(&input, now).map_err(|_| "its answer is not HTTP/2".to_owned())?;
            let ended = step.event.map_or(Ok(None), |e| call.event(&mut engine, e, &input));
            input.drain(..step.consumed.min(input.len()));
            if let Some(status) = ended? {
                return Ok((status, call.message));
            }
            if step.event.is_none() {
                break;
            }
        }
        if received > RECEIVED_BYTES_MAX + question.bytes_max {
            return Err("its answer has no end".to_owned());
        }
    }
}

fn open(engine: &mut Connection, question: &Question<'_>, scheme: &str) -> Option<StreamId> {
    let block = Block::new()
        .field(b":method", b"POST")
        .field(b":scheme", scheme.as_bytes())
        .compact(b":path", question.path.as_bytes())
        .compact(b":authority", question.authority.as_bytes())
        .compact(b"content-type", b"application/grpc")
        .compact(b"te", b"trailers")
        .compact(b"user-agent", question.user_agent.as_bytes());
    let id = engine.open(block.as_slice(), false).ok()?;
    engine.send_data(id, question.data, true).ok()?;
    Some(id)
}

struct Call {
    id: StreamId,
    answer: MessageDecoder,
    message: Option<Vec<u8>>,
}

impl Call {
    /// How the call ended, once it has.
    fn event(
        &mut self,
        engine: &mut Connection,
        event: Event,
        input: &[u8],
    ) -> Result<Option<Status>, String> {
        match event {
            Event::Headers { id, end_stream, kind: HeadersKind::Head } if id == self.id => {
                let fields = engine.fields();
                let status = fields.status().unwrap_or(0);
                match status::opening(status, end_stream, fields.regular()) {
                    Opening::Messages => Ok(None),
                    Opening::Ended(status) => Ok(Some(status)),
                    Opening::NotGrpc(_) => Err(format!("no gRPC service: HTTP status {status}")),
                }
            }
            Event::Headers { id, kind: HeadersKind::Trailers, .. } if id == self.id => {
                Ok(Some(status::trailers(engine.fields().regular())))
            }
            Event::Data { id, start, len, end_stream } => {
                let data = input.get(start..start + to_usize(len)).unwrap_or_default();
                let fed = self.feed(data);
                engine.release(id, len);
                fed?;
                if end_stream { Ok(Some(Status::Unknown)) } else { Ok(None) }
            }
            Event::Reset { id, .. } if id == self.id => Err("it reset the call".to_owned()),
            _ => Ok(None),
        }
    }

    fn feed(&mut self, mut data: &[u8]) -> Result<(), String> {
        while !data.is_empty() {
            let fed = self.answer.feed(data).map_err(|_| "its answer cannot be read".to_owned())?;
            data = data.get(fed.consumed..).unwrap_or_default();
            if fed.complete && self.message.replace(self.answer.message().to_vec()).is_some() {
                return Err("it answered twice".to_owned());
            }
        }
        Ok(())
    }
}
