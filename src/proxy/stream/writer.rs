//! An answer that is put together here, and leaves as it comes.

use crate::io::Io;
use crate::io::gather::Gather;
use crate::message::head::{Method, Version};
use crate::protocol::h1::encode;
use crate::proxy::exchange::Exchange;
use crate::proxy::http::response::Delivered;
use crate::proxy::reason::Reason;

/// Content of one write. A client that takes so much within the time-out makes progress.
const WRITE_BYTES: usize = 64 * 1024;

/// How the content is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// There is none.
    Empty,
    /// So much is left of it.
    Length(u64),
    /// In chunks.
    Chunked,
    /// It ends with the connection, or with the stream of HTTP/2.
    Plain,
}

/// An answer under way.
pub(super) struct Writer<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    /// The head, until content follows.
    out: Gather,
    shape: Shape,
    status: u16,
    keep: bool,
    sent: u64,
}

impl<'a, I: Io> Writer<'a, I> {
    /// Begins an answer with `status`, `length` bytes of content where that is known, and the
    /// fields that `fields` writes. It leaves with what follows.
    pub(super) fn begin(
        exchange: &'a Exchange<'a, I>,
        status: u16,
        length: Option<u64>,
        fields: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        exchange.head_came(status);
        let is_stream = exchange.down.stream().is_some();
        let shape = match (exchange.head.method, status, length) {
            (Method::Head, ..) | (_, 204 | 304, _) => Shape::Empty,
            (_, _, Some(length)) => Shape::Length(length),
            _ if !is_stream && exchange.head.version == Version::Http11 => Shape::Chunked,
            _ => Shape::Plain,
        };
        let keep = !is_stream
            && exchange.head.keep_alive
            && shape != Shape::Plain
            && !exchange.cx.is_draining();
        let mut out = exchange.cx.take_gather();
        exchange.down.head(&mut out, |own| {
            encode::status_line(own, status);
            own.extend_from_slice(&exchange.tables.default_lines);
            own.extend_from_slice(exchange.answer_lines());
            fields(own);
            encode::field(own, b"x-request-id", exchange.request_id.as_bytes());
            encode::field(own, b"date", &exchange.cx.date());
            match (shape, length) {
                (Shape::Chunked, _) => encode::chunked(own),
                (_, Some(length)) if status != 204 => encode::content_length(own, length),
                _ => {}
            }
            match (keep, exchange.head.version) {
                (false, _) if is_stream => {}
                (false, _) => encode::connection_close(own),
                (true, Version::Http10) => {
                    own.extend_from_slice(b"connection: keep-alive\r\n");
                }
                (true, _) => {}
            }
            encode::end(own);
        });
        Writer { exchange, out, shape, status, keep, sent: 0 }
    }

    /// Whether it has no content, whatever the service says.
    pub(super) fn is_bare(&self) -> bool {
        self.shape == Shape::Empty
    }

    /// Sends content at once. More than the length that was told is an error, and none of it is
    /// sent.
    pub(super) async fn write(&mut self, content: &[u8]) -> Result<(), Reason> {
        let len = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if let Shape::Length(left) = &mut self.shape {
            *left = left.checked_sub(len).ok_or(Reason::AnswerMalformed)?;
        }
        for piece in content.chunks(WRITE_BYTES) {
            let len = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            let is_chunk = self.shape == Shape::Chunked;
            if is_chunk {
                self.out.push_with(|own| encode::chunk_head(own, len));
            }
            self.out.push(piece);
            if is_chunk {
                self.out.push(encode::CRLF);
            }
            self.flush(false).await?;
            self.sent += len;
        }
        Ok(())
    }

    /// Sends the head, if nothing has left yet.
    pub(super) async fn send_head(&mut self) -> Result<(), Reason> {
        self.flush(false).await
    }

    /// Ends the answer.
    pub(super) async fn finish(&mut self) -> Result<(), Reason> {
        match self.shape {
            Shape::Length(left) if left > 0 => return Err(Reason::UpstreamEndedEarly),
            Shape::Chunked => self.out.push(encode::LAST_CHUNK),
            _ => {}
        }
        self.flush(true).await
    }

    /// What is told of it; with a reason, it is not whole, and must not look so.
    pub(super) fn delivered(self, cut: Option<Reason>) -> Delivered {
        if cut.is_some() {
            self.exchange.down.spoil();
        }
        self.exchange.cx.put_gather(self.out);
        Delivered::own(self.status, self.sent, self.keep && cut.is_none(), cut)
    }

    async fn flush(&mut self, end: bool) -> Result<(), Reason> {
        let cx = self.exchange.cx;
        // A stream has an end of its own to say.
        if self.out.is_empty() && self.exchange.down.stream().is_none() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let len = out.len();
        let deadline = cx.io.now() + self.exchange.tables.snapshot.timeouts.write;
        let (result, mut out) = self.exchange.down.write(out, end, deadline).await;
        out.clear();
        self.out = out;
        cx.written(result, len)
    }
}
