//! The client's end of a WebSocket: bytes in, frames out, over HTTP/1.1 or a stream of HTTP/2.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::{Io, IoError, Socket};
use crate::message::known::Known;
use crate::observe::counters::Counter;
use crate::protocol::h1::encode;
use crate::protocol::websocket;
use crate::proxy::downstream::Downstream;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::turn::Turn;

/// Bytes of one write. A client that takes so much within the time-out makes progress.
const WRITE_BYTES: usize = 64 * 1024;

/// Bytes that came.
pub(super) struct Bytes {
    pub(super) buffer: Buffer,
    pub(super) ranges: VecDeque<Range<usize>>,
}

impl Bytes {
    fn all_of(buffer: Buffer) -> Self {
        let range = buffer.position()..buffer.position() + buffer.len();
        Bytes { buffer, ranges: VecDeque::from([range]) }
    }
}

/// What a read has brought.
pub(super) enum Read {
    Bytes(Bytes),
    /// Nothing more comes.
    End,
    /// Nothing has come in time.
    Nothing,
}

pub(super) struct Wire<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    /// Frames are not mixed.
    turn: Turn,
    /// Nothing may be said any more.
    is_closed: Cell<bool>,
    sent: Cell<u64>,
}

impl<'a, I: Io> Wire<'a, I> {
    pub(super) fn new(exchange: &'a Exchange<'a, I>) -> Self {
        let (is_closed, sent) = (Cell::new(false), Cell::new(0));
        Wire { exchange, turn: Turn::default(), is_closed, sent }
    }

    /// Bytes of frames that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Whether a close was sent.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Takes the handshake: the rest of the connection, or of the stream, is frames.
    pub(super) async fn accept(&self) -> Result<(), Reason> {
        let exchange = self.exchange;
        let is_stream = exchange.down.stream().is_some();
        let key = exchange.head.value(exchange.text, Known::SecWebSocketKey).unwrap_or_default();
        let mut out = exchange.cx.take_gather();
        exchange.down.head(&mut out, |own| {
            // On a stream a success says that there is a tunnel, and no key is answered
            // (RFC 8441 §5).
            encode::status_line(own, if is_stream { 200 } else { 101 });
            if !is_stream {
                own.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
                encode::field(own, b"sec-websocket-accept", &websocket::accept(key));
            }
            own.extend_from_slice(exchange.answer_lines());
            encode::field(own, b"x-request-id", exchange.request_id.as_bytes());
            encode::end(own);
        });
        let deadline = exchange.cx.io.now() + exchange.tables.snapshot.timeouts.write;
        let len = out.len();
        let (result, out) = exchange.down.write(out, false, deadline).await;
        exchange.cx.put_gather(out);
        exchange.cx.written(result, len)
    }

    /// What comes next, until `deadline`. May be dropped while nothing is there.
    pub(super) async fn readable(&self, deadline: Instant) -> Result<(), IoError> {
        match self.exchange.down {
            Downstream::Http1(socket) => socket.readable(deadline).await,
            Downstream::Http2(stream) => stream.readable(deadline).await,
        }
    }

    /// Takes what is there, once it is readable.
    pub(super) async fn read(&self) -> Result<Read, Reason> {
        let cx = self.exchange.cx;
        match self.exchange.down {
            Downstream::Http1(socket) => {
                let deadline = cx.io.now() + self.exchange.tables.snapshot.timeouts.body_idle;
                let (result, buffer) = socket.read(cx.buffers.small(), deadline).await;
                match result {
                    Ok(0) => Ok(Read::End),
                    Ok(len) => {
                        let len = u64::try_from(len).unwrap_or(u64::MAX);
                        cx.counters.add(Counter::DownstreamReceivedBytes, len);
                        Ok(Read::Bytes(Bytes::all_of(buffer)))
                    }
                    Err(IoError::TimedOut) => Ok(Read::Nothing),
                    Err(_) => Err(Reason::ClientLeft),
                }
            }
            Downstream::Http2(stream) => match stream.take() {
                Some((buffer, ranges)) => Ok(Read::Bytes(Bytes { buffer, ranges })),
                None if stream.is_over() => Ok(Read::End),
                None => Ok(Read::Nothing),
            },
        }
    }

    /// What had come with the head.
    pub(super) fn rest(rest: Option<Buffer>) -> Option<Bytes> {
        rest.filter(|rest| !rest.is_empty()).map(Bytes::all_of)
    }

    /// So much was used: the client may send as much again.
    pub(super) fn release(&self, len: usize) {
        if let Some(stream) = self.exchange.down.stream() {
            stream.release(u32::try_from(len).unwrap_or(u32::MAX));
        }
    }

    /// Sends a frame whole; nothing behind a close. `end`: this is one.
    pub(super) async fn say(&self, frame: &[u8], end: bool) -> Result<(), Reason> {
        let _turn = self.turn.take().await;
        if self.is_closed.replace(self.is_closed.get() || end) {
            return Ok(());
        }
        let cx = self.exchange.cx;
        let mut pieces = frame.chunks(WRITE_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            let mut out = cx.take_gather();
            out.push(piece);
            let deadline = cx.io.now() + self.exchange.tables.snapshot.timeouts.write;
            let last = end && pieces.peek().is_none();
            let (result, out) = self.exchange.down.write(out, last, deadline).await;
            cx.put_gather(out);
            cx.written(result, piece.len())?;
            self.sent.set(self.sent.get() + u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        if let (true, Downstream::Http1(socket)) = (end, self.exchange.down) {
            // Who serves ends the connection first (RFC 6455 §7.1.1); a stream has ended with it.
            socket.shutdown_write();
        }
        Ok(())
    }
}
