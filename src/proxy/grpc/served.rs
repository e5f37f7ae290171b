//! A call that the gateway answers itself: its messages as they come, and what is said to it.

use crate::base::decimal;
use crate::base::time::Instant;
use crate::io::Io;
use crate::io::gather::Gather;
use crate::protocol::grpc::frame::{FrameError, MessageDecoder};
use crate::protocol::grpc::status::Status;
use crate::protocol::h1::encode;
use crate::proxy::body::{Piece, Received, RequestBody};
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;

/// The one message of a unary call, of at most `max` bytes.
pub(in crate::proxy) async fn read<I: Io>(
    body: &mut RequestBody<'_, I>,
    max: usize,
) -> Result<Vec<u8>, Reason> {
    let mut decoder = MessageDecoder::new(max);
    let mut request = None;
    body.each(|mut bytes| {
        while !bytes.is_empty() {
            let fed = decoder.feed(bytes).map_err(reason_of)?;
            bytes = bytes.get(fed.consumed..).unwrap_or_default();
            if fed.complete && request.replace(decoder.take_message()).is_some() {
                return Err(Reason::BodyMalformed);
            }
        }
        Ok(())
    })
    .await?;
    request.filter(|_| decoder.is_between_messages()).ok_or(Reason::BodyMalformed)
}

fn reason_of(error: FrameError) -> Reason {
    match error {
        FrameError::TooLarge => Reason::BodyTooLarge,
        FrameError::Compressed => Reason::CodingUnsupported,
        FrameError::FlagUnknown => Reason::BodyMalformed,
    }
}

/// The messages of a stream, one after the other. What it holds is one message and one buffer.
#[derive(Debug)]
pub(in crate::proxy) struct Messages {
    decoder: MessageDecoder,
    /// What came with a message, and where in it the next one begins.
    rest: Vec<u8>,
    at: usize,
}

impl Messages {
    /// Messages of at most `max` bytes.
    pub(in crate::proxy) fn new(max: usize) -> Self {
        Messages { decoder: MessageDecoder::new(max), rest: Vec::new(), at: 0 }
    }

    /// The next message, which has to be there at the deadline; none at the end of the stream.
    pub(in crate::proxy) async fn next<I: Io>(
        &mut self,
        exchange: &Exchange<'_, I>,
        body: &mut RequestBody<'_, I>,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Reason> {
        loop {
            while let Some(rest) = self.rest.get(self.at..).filter(|rest| !rest.is_empty()) {
                let fed = self.decoder.feed(rest).map_err(reason_of)?;
                self.at += fed.consumed;
                if fed.complete {
                    return Ok(Some(self.decoder.take_message()));
                }
            }
            if body.is_done() {
                let is_whole = self.decoder.is_between_messages();
                return if is_whole { Ok(None) } else { Err(Reason::BodyMalformed) };
            }
            let over = exchange.cx.io.sleep_until(deadline);
            let Some(received) = body.take_unless(over, false).await? else {
                return Err(Reason::BodyTimedOut);
            };
            let Received::Copied(mut buffer) = received else { return Err(Reason::Bug) };
            self.rest.clear();
            self.at = 0;
            while let Piece::Data(range) = body.next(&mut buffer)? {
                self.rest.extend_from_slice(buffer.range(range));
            }
            body.put(buffer);
        }
    }

    /// What lies behind the last message, as it came.
    pub(in crate::proxy) fn rest(&self) -> &[u8] {
        self.rest.get(self.at..).unwrap_or_default()
    }
}

/// What is said to a call.
pub(in crate::proxy) struct Answer<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    /// Its head has left.
    begun: bool,
    /// Bytes of content.
    sent: u64,
}

impl<'a, I: Io> Answer<'a, I> {
    /// Nothing was said yet.
    pub(in crate::proxy) fn new(exchange: &'a Exchange<'a, I>) -> Self {
        Answer { exchange, begun: false, sent: 0 }
    }

    pub(in crate::proxy) fn exchange(&self) -> &'a Exchange<'a, I> {
        self.exchange
    }

    /// Whether its head has left.
    pub(in crate::proxy) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Bytes of content so far.
    pub(in crate::proxy) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends the last message as it stands in DATA, if there is one, and how the call ended.
    pub(in crate::proxy) async fn end(
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

    /// Sends a message as it stands in DATA; with `end` it is the last.
    pub(in crate::proxy) async fn send(&mut self, message: &[u8], end: bool) -> Result<(), Reason> {
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
