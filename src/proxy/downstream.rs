//! The client's side of an exchange: whom the request comes from and the answer goes to.

use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::{Io, IoError, Socket};

use super::context::SocketOf;
use super::h2::stream::Stream;

/// Where an exchange reads its request body from, and where its answer goes.
///
/// Answers are written as HTTP/1 has them: the text of a head, then content. A stream makes a
/// header block of the one and frames of the other.
pub enum Downstream<'a, I: Io> {
    /// A connection that carries one exchange at a time.
    Http1(&'a SocketOf<I>),
    /// A stream of a connection that carries many.
    Http2(&'a Stream<I>),
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "a derived one would ask it of the world")]
impl<I: Io> Clone for Downstream<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: Io> Copy for Downstream<'_, I> {}

impl<'a, I: Io> Downstream<'a, I> {
    /// The socket of the client's connection.
    #[inline]
    pub(super) fn socket(self) -> &'a SocketOf<I> {
        match self {
            Downstream::Http1(socket) => socket,
            Downstream::Http2(stream) => stream.socket(),
        }
    }

    /// The stream, where the client's connection has several.
    #[inline]
    pub(super) fn stream(self) -> Option<&'a Stream<I>> {
        match self {
            Downstream::Http1(_) => None,
            Downstream::Http2(stream) => Some(stream),
        }
    }

    /// Whether nobody waits for the answer any more.
    #[inline]
    pub(super) fn is_gone(self) -> bool {
        match self {
            Downstream::Http1(socket) => socket.is_peer_gone(),
            Downstream::Http2(stream) => stream.is_gone(),
        }
    }

    /// Bytes that the client said it has room for, where that tells how it reads.
    pub(super) fn window(self) -> Option<u32> {
        match self {
            Downstream::Http1(socket) => socket.window(),
            Downstream::Http2(_) => None,
        }
    }

    /// An answer that was begun cannot be finished: the client must not take it for whole. A stream
    /// without an end is reset.
    pub(super) fn spoil(self) {
        match self {
            Downstream::Http1(socket) => socket.reset_on_close(),
            Downstream::Http2(_) => {}
        }
    }

    /// Puts the head of an answer, which `write` writes as text, in front of what is sent next.
    #[inline]
    pub(super) fn head(self, out: &mut Gather, write: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Downstream::Http1(_) => out.push_with(write),
            Downstream::Http2(stream) => {
                let mut text = Vec::new();
                write(&mut text);
                stream.head(&text);
            }
        }
    }

    /// Sends all of `out`; `end`: it is the end of the answer.
    #[inline]
    pub(super) async fn write(
        self,
        out: Gather,
        end: bool,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather) {
        match self {
            Downstream::Http1(socket) => socket.write(out, deadline).await,
            // Boxed: its state would make that of every other exchange larger.
            Downstream::Http2(stream) => Box::pin(stream.write(out, end, deadline)).await,
        }
    }

    /// Sends an interim answer, which `write` writes as text.
    pub(super) async fn interim(
        self,
        write: impl FnOnce(&mut Vec<u8>),
        deadline: Instant,
    ) -> Result<(), IoError> {
        match self {
            Downstream::Http1(socket) => {
                let mut out = Gather::new();
                out.push_with(write);
                socket.write(out, deadline).await.0
            }
            Downstream::Http2(stream) => {
                let mut text = Vec::new();
                write(&mut text);
                stream.interim(&text)
            }
        }
    }
}
