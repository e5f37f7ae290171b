//! The messages of a service, one by one. What was not taken keeps the window of the stream shut.

use crate::base::limits;
use crate::base::time::Instant;
use crate::gufo::stream::Said;
use crate::io::Io;
use crate::io::buffer::Buffer;
use crate::io::race::race;
use crate::observe::counters::Counter;
use crate::protocol::grpc::frame::{FrameError, MessageDecoder};
use crate::protocol::grpc::status::Status;
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::context::AnswerText;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc::stream::GrpcStream;
use crate::proxy::reason::Reason;

/// What comes next.
pub(super) enum Next {
    /// A message.
    Message(Vec<u8>),
    /// The service has ended the stream, with success.
    End,
}

/// What a service says on a stream that is passed through.
///
/// Held are one message, which is bounded, and what the window of the stream allows.
pub(super) struct Answers<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    stream: &'a GrpcStream<I>,
    decoder: MessageDecoder,
    /// What came last; what is left of it was not looked at.
    buffer: Option<Buffer>,
    /// Bytes of it, which the service may send again when all of it was taken.
    owed: usize,
    /// How the service has ended the stream.
    pub(super) status: Option<Status>,
}

impl<'a, I: Io> Answers<'a, I> {
    pub(super) fn new(exchange: &'a Exchange<'a, I>, stream: &'a GrpcStream<I>) -> Self {
        let decoder = MessageDecoder::new(limits::GRPC_MESSAGE_BYTES_MAX);
        Answers { exchange, stream, decoder, buffer: None, owed: 0, status: None }
    }

    /// What comes next, before `deadline`. Gives up soon after the client has left.
    pub(super) async fn next(&mut self, deadline: Instant) -> Result<Next, Reason> {
        let io = &self.exchange.cx.io;
        loop {
            if let Some(next) = self.next_until(io.now() + LOOK_INTERVAL, deadline).await? {
                return Ok(next);
            }
            if self.exchange.down.is_gone() {
                return Err(Reason::ClientLeft);
            }
        }
    }

    /// The same; nothing if nothing has come until `pause`, or somewhat earlier.
    pub(super) async fn next_until(
        &mut self,
        pause: Instant,
        deadline: Instant,
    ) -> Result<Option<Next>, Reason> {
        if let Some(next) = self.take()? {
            return Ok(Some(next));
        }
        let cx = self.exchange.cx;
        race(self.stream.said_more(), cx.io.sleep_until(pause.min(deadline))).await;
        let next = self.take()?;
        if next.is_none() && cx.io.now() >= deadline {
            cx.counters.count(Counter::UpstreamTimeouts);
            return Err(Reason::UpstreamTimedOut);
        }
        Ok(next)
    }

    /// What is here.
    fn take(&mut self) -> Result<Option<Next>, Reason> {
        if let Some(says) = self.stream.take_head() {
            self.begin(&says);
            self.exchange.cx.put_answer(says);
        }
        loop {
            if let Some(buffer) = &mut self.buffer {
                let fed = self.decoder.feed(buffer.filled()).map_err(|error| match error {
                    FrameError::TooLarge => Reason::AnswerTooLarge,
                    FrameError::Compressed | FrameError::FlagUnknown => Reason::AnswerMalformed,
                })?;
                buffer.consume(fed.consumed);
                if fed.complete {
                    return Ok(Some(Next::Message(self.decoder.take_message())));
                }
                self.buffer = None;
                self.stream.release(self.owed);
            } else if let Some(content) = self.stream.take_content() {
                self.owed = content.len();
                self.buffer = Some(content);
            } else if let Some(lines) = self.stream.take_end() {
                return self.end(&lines).map(Some);
            } else if self.stream.is_over() {
                return Err(self.stream.why_over());
            } else {
                return Ok(None);
            }
        }
    }

    /// The head: of a service that has nothing else to say it is the end as well.
    fn begin(&mut self, says: &AnswerText) {
        let AnswerText { head, text, .. } = says;
        self.status = if head.status == 200 {
            head.by_name(text, "grpc-status").map(status_of)
        } else {
            Some(Status::from_http(head.status))
        };
    }

    fn end(&mut self, lines: &[u8]) -> Result<Next, Reason> {
        let found = lines.split(|byte| *byte == b'\n').find_map(|line| {
            line.strip_prefix(b"grpc-status: ").map(|value| status_of(value.trim_ascii_end()))
        });
        // gRPC ends with trailers; a stream that ends without has no status.
        let status = found.or(self.status).unwrap_or(Status::Unknown);
        self.status = Some(status);
        self.exchange.cx.counters.grpc_status(u32::from(status.code()));
        // It is over: nothing needs to be cancelled.
        self.stream.abandon(Reason::UpstreamEndedEarly);
        match status {
            Status::Ok if self.decoder.is_between_messages() => Ok(Next::End),
            Status::Ok => Err(Reason::AnswerMalformed),
            status => Err(Reason::ServiceFailed(status)),
        }
    }
}

fn status_of(value: &[u8]) -> Status {
    let code = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    code.map_or(Status::Unknown, Status::from_code)
}

/// Reads what a message says.
pub(super) fn read(message: &[u8]) -> Result<Said<'_>, Reason> {
    Said::read(message).map_err(|_| Reason::AnswerMalformed)
}
