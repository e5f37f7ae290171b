//! The client's side of an exchange: whom the request comes from and the answer goes to.

use crate::io::{Io, Socket};

use super::context::SocketOf;

/// Where an exchange reads its request body from, and where its answer goes.
pub enum Downstream<'a, I: Io> {
    /// A connection that carries one exchange at a time.
    Http1(&'a SocketOf<I>),
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
        }
    }

    /// Whether nobody waits for the answer any more.
    #[inline]
    pub(super) fn is_gone(self) -> bool {
        match self {
            Downstream::Http1(socket) => socket.is_peer_gone(),
        }
    }

    /// An answer that was begun cannot be finished: the client must not take it for whole.
    pub(super) fn spoil(self) {
        match self {
            Downstream::Http1(socket) => socket.reset_on_close(),
        }
    }
}
