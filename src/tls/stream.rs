//! A connection with TLS or without.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::{IoError, Socket, SocketOptions};

use super::handshake::Protocol;
use super::session::Session;

/// Implements [`Socket`] over any other. Clones share one connection.
pub enum Stream<S: Socket> {
    /// Bytes as they are.
    Plain(S),
    /// Sealed bytes.
    Tls(Rc<Session<S>>),
}

impl<S: Socket> Clone for Stream<S> {
    fn clone(&self) -> Self {
        match self {
            Stream::Plain(socket) => Stream::Plain(socket.clone()),
            Stream::Tls(session) => Stream::Tls(Rc::clone(session)),
        }
    }
}

impl<S: Socket> Stream<S> {
    /// Whether it is sealed.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// What both sides agreed to speak, if they talked about it (ALPN).
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(session) => session.protocol(),
        }
    }

    /// Whether its handshake went on from an earlier one.
    pub fn is_resumed(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(session) => session.is_resumed(),
        }
    }

    /// Whether the peer has ended it with an alert. One of TLS 1.3 that does not like a certificate
    /// says so only when the other side takes the handshake for done.
    pub fn is_alerted(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(session) => session.is_alerted(),
        }
    }

    /// The certificate (DER) that the client has shown and that was verified, if there is one.
    pub fn client_certificate(&self) -> Option<Vec<u8>> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(session) => session.peer_certificate(),
        }
    }

    /// Reads after [`stirred`](Socket::stirred); `None`: nothing is there after all. What is sealed
    /// is sure to be there, and is read by `deadline` at the latest.
    pub async fn read_stirred(
        &self,
        mut buffer: Buffer,
        deadline: Instant,
    ) -> (Option<Result<usize, IoError>>, Buffer) {
        match self {
            Stream::Plain(socket) => (socket.try_read(&mut buffer), buffer),
            Stream::Tls(session) => {
                let (result, buffer) = session.read(buffer, deadline).await;
                (Some(result), buffer)
            }
        }
    }

    /// Like [`readable`](Socket::readable), for who takes a body next: sealed bytes are received in
    /// large pieces at once, and only a piece that holds payload is kept.
    pub async fn body_readable(&self, deadline: Instant) -> Result<(), IoError> {
        match self {
            Stream::Plain(socket) => socket.readable(deadline).await,
            // Boxed: see `readable`.
            Stream::Tls(session) => Box::pin(session.body_readable(deadline)).await,
        }
    }

    /// Gives the buffer away in which payload was received and opened, and appends where in it the
    /// payload is, counted from the start of the whole buffer. `None`: nothing is opened, so that
    /// it has to be read.
    pub fn take_opened(&self, ranges: &mut VecDeque<Range<usize>>) -> Option<Buffer> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(session) => session.take_opened(ranges),
        }
    }

    fn inner(&self) -> &S {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(session) => &session.socket,
        }
    }
}

impl<S: Socket> Socket for Stream<S> {
    type Pipe = S::Pipe;

    async fn readable(&self, deadline: Instant) -> Result<(), IoError> {
        match self {
            Stream::Plain(socket) => socket.readable(deadline).await,
            // Boxed: every connection's task would be larger, with TLS or without.
            Stream::Tls(session) => Box::pin(session.readable(deadline)).await,
        }
    }

    async fn stirred(&self, deadline: Instant) -> Result<(), IoError> {
        match self {
            Stream::Plain(socket) => socket.stirred(deadline).await,
            // Boxed, as above.
            Stream::Tls(session) => Box::pin(session.readable(deadline)).await,
        }
    }

    async fn read(&self, buffer: Buffer, deadline: Instant) -> (Result<usize, IoError>, Buffer) {
        match self {
            Stream::Plain(socket) => socket.read(buffer, deadline).await,
            Stream::Tls(session) => session.read(buffer, deadline).await,
        }
    }

    async fn write(&self, out: Gather, deadline: Instant) -> (Result<(), IoError>, Gather) {
        match self {
            Stream::Plain(socket) => socket.write(out, deadline).await,
            Stream::Tls(session) => session.write(out, deadline).await,
        }
    }

    async fn splice_in(
        &self,
        pipe: S::Pipe,
        max: usize,
        deadline: Instant,
    ) -> (Result<usize, IoError>, S::Pipe) {
        match self {
            Stream::Plain(socket) => socket.splice_in(pipe, max, deadline).await,
            Stream::Tls(_) => (Err(IoError::Closed), pipe),
        }
    }

    async fn splice_out(
        &self,
        head: Gather,
        pipe: S::Pipe,
        len: usize,
        more: bool,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather, S::Pipe) {
        match self {
            Stream::Plain(socket) => socket.splice_out(head, pipe, len, more, deadline).await,
            Stream::Tls(_) => (Err(IoError::Closed), head, pipe),
        }
    }

    fn try_read(&self, buffer: &mut Buffer) -> Option<Result<usize, IoError>> {
        match self {
            Stream::Plain(socket) => socket.try_read(buffer),
            Stream::Tls(session) => session.try_read(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, IoError> {
        match self {
            Stream::Plain(socket) => socket.try_write(bytes),
            Stream::Tls(_) => Ok(0),
        }
    }

    fn can_splice(&self) -> bool {
        !self.is_tls()
    }

    fn cancel(&self) {
        self.inner().cancel();
    }

    fn shutdown_write(&self) {
        match self {
            Stream::Plain(socket) => socket.shutdown_write(),
            Stream::Tls(session) => session.shutdown_write(),
        }
    }

    fn is_peer_gone(&self) -> bool {
        self.inner().is_peer_gone()
    }

    fn is_quiet(&self) -> bool {
        match self {
            Stream::Plain(socket) => socket.is_quiet(),
            Stream::Tls(session) => session.is_quiet(),
        }
    }

    fn window(&self) -> Option<u32> {
        self.inner().window()
    }

    fn is_paced(&self) -> bool {
        self.inner().is_paced()
    }

    fn reset_on_close(&self) {
        match self {
            Stream::Plain(socket) => socket.reset_on_close(),
            Stream::Tls(session) => session.reset_on_close(),
        }
    }

    fn set_options(&self, options: SocketOptions) {
        self.inner().set_options(options);
    }
}
