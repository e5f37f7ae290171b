//! `grpc.health.v1.Health` of the gateway itself: whether it, or what is behind it, takes calls.

use std::rc::Rc;
use std::time::Duration;

use prost::Message;

use crate::base::decimal;
use crate::io::Io;
use crate::io::buffer::Gather;
use crate::io::race::race;
use crate::message::head::Method;
use crate::protocol::grpc::frame::{FrameError, MessageDecoder};
use crate::protocol::grpc::health::{self, CHECK, Request, Serving, WATCH};
use crate::protocol::grpc::status::Status;
use crate::protocol::h1::encode;
use crate::proxy::body::{Piece, RequestBody};
use crate::proxy::event::Event;
use crate::proxy::exchange::Exchange;
use crate::proxy::http::response::Delivered;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;

use super::fault;

/// Of a request; a real one is the name of a service.
const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Calls of one shard that wait for changes at the same time.
const WATCHES_MAX: usize = 1024;
/// A client that is gone without a word is found out by being told again.
const AGAIN: Duration = Duration::from_mins(5);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::proxy) enum Asked {
    /// How it is now.
    Check,
    /// And whenever that changes.
    Watch,
}

impl Asked {
    /// What a request asks, if that is for us to say.
    pub(in crate::proxy) fn by<I: Io>(exchange: &Exchange<'_, I>) -> Option<Self> {
        let (head, text) = (exchange.head, exchange.text);
        let path = head.path.of(text);
        let asked = match path {
            _ if path == CHECK.as_bytes() => Asked::Check,
            _ if path == WATCH.as_bytes() => Asked::Watch,
            _ => return None,
        };
        let is_offered = exchange.tables.snapshot.server.http2.grpc_health;
        (is_offered && head.method == Method::Post && fault::is_call(head, text)).then_some(asked)
    }
}

/// Answers a call. An error: nothing was said to the client yet.
pub(in crate::proxy) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    asked: Asked,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Delivered, Reason> {
    let service = read(body).await?;
    let mut answer = Answer { exchange, begun: false, sent: 0 };
    let told = match (asked, state(exchange, &service)) {
        (Asked::Check, None) => answer.end(Status::NotFound, &[], record).await,
        (Asked::Check, Some(state)) => answer.end(Status::Ok, &health::answer(state), record).await,
        (Asked::Watch, _) => answer.watch(&service, record).await,
    };
    let Answer { begun, sent, .. } = answer;
    match told {
        Err(reason) if !begun => Err(reason),
        told => Ok(Delivered::here(sent, told.err())),
    }
}

/// The name of the service that is asked about.
async fn read<I: Io>(body: &mut RequestBody<'_, I>) -> Result<String, Reason> {
    let mut decoder = MessageDecoder::new(REQUEST_BYTES_MAX);
    let mut request = None;
    while !body.is_done() {
        let mut buffer = body.take().await?;
        while let Piece::Data(range) = body.next(&mut buffer)? {
            let mut rest = buffer.range(range);
            while !rest.is_empty() {
                let fed = decoder.feed(rest).map_err(|error| match error {
                    FrameError::TooLarge => Reason::BodyTooLarge,
                    FrameError::Compressed | FrameError::FlagUnknown => Reason::BodyMalformed,
                })?;
                rest = rest.get(fed.consumed..).unwrap_or_default();
                if fed.complete && request.replace(decoder.take_message()).is_some() {
                    return Err(Reason::BodyMalformed);
                }
            }
        }
        body.put(buffer);
    }
    let request = request.filter(|_| decoder.is_between_messages());
    let request = request.ok_or(Reason::BodyMalformed)?;
    let read = Request::decode(request.as_slice()).map_err(|_| Reason::BodyMalformed)?;
    Ok(read.service)
}

/// How a service is now; `None`: there is none of that name. A shard that drains serves nothing.
fn state<I: Io>(exchange: &Exchange<'_, I>, service: &str) -> Option<Serving> {
    let is_served = service.is_empty() || exchange.cx.tables().is_served(service)?;
    let is_served = is_served && !exchange.cx.is_draining();
    Some(if is_served { Serving::Serving } else { Serving::NotServing })
}

struct Answer<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    /// Its head has left.
    begun: bool,
    /// Bytes of content.
    sent: u64,
}

impl<I: Io> Answer<'_, I> {
    /// Tells of the state at once and whenever it changes, until the client leaves or the shard
    /// takes its leave.
    async fn watch(&mut self, service: &str, record: &mut Record) -> Result<(), Reason> {
        let cx = self.exchange.cx;
        let Some(stream) = self.exchange.down.stream() else { return Err(Reason::Bug) };
        let changed = Rc::new(Event::default());
        if cx.watches.len() >= WATCHES_MAX {
            return self.end(Status::ResourceExhausted, &[], record).await;
        }
        let _place = cx.watches.enter(&changed);
        let (mut last, mut again) = (None, cx.io.now() + AGAIN);
        loop {
            let state = state(self.exchange, service).unwrap_or(Serving::ServiceUnknown);
            if cx.is_draining() {
                // What is in flight is waited for: this would never end.
                return self.end(Status::Unavailable, &health::answer(state), record).await;
            }
            if last.replace(state) != Some(state) || cx.io.now() >= again {
                self.send(&health::answer(state), false).await?;
                again = cx.io.now() + AGAIN;
            }
            let moved = race(changed.wait(), cx.io.sleep_until(again));
            race(stream.gone(), moved).await;
            if stream.is_gone() {
                return Err(Reason::ClientLeft);
            }
        }
    }

    /// Sends the last message, if there is one, and how the call ended.
    async fn end(
        &mut self,
        status: Status,
        message: &[u8],
        record: &mut Record,
    ) -> Result<(), Reason> {
        record.grpc_status = Some(status.code());
        let mut lines = b"grpc-status: ".to_vec();
        decimal::push(&mut lines, status.code());
        lines.extend_from_slice(encode::CRLF);
        if let Some(stream) = self.exchange.down.stream() {
            stream.trailers(&lines);
        }
        self.send(message, true).await
    }

    async fn send(&mut self, message: &[u8], end: bool) -> Result<(), Reason> {
        let Exchange { cx, down, request_id, .. } = self.exchange;
        let mut out = Gather::new();
        if !std::mem::replace(&mut self.begun, true) {
            down.head(&mut out, |own| {
                encode::status_line(own, 200);
                encode::field(own, b"content-type", b"application/grpc");
                encode::field(own, b"x-request-id", request_id.as_bytes());
                encode::field(own, b"date", &cx.date());
                encode::end(own);
            });
        }
        out.push(message);
        let len = out.len();
        let deadline = cx.io.now() + self.exchange.tables.snapshot.timeouts.write;
        let (result, _) = down.write(out, end, deadline).await;
        cx.written(result, len)?;
        self.sent += u64::try_from(len).unwrap_or(u64::MAX);
        Ok(())
    }
}
