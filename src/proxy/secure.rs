//! The TLS handshake at the beginning of a connection, where the listener asks for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::base::time::Instant;
use crate::io::race::{Either, race};
use crate::io::{Io, IoError, Socket};
use crate::observe::counters::Counter;
use crate::tls::handshake::{HandshakeError, accept};
use crate::tls::stream::Stream;

use super::context::{Context, SocketOf};
use super::proxied::Early;
use super::tables::TlsTable;

/// Makes `socket` a sealed connection if its listener is one for TLS. Takes what came with a PROXY
/// header, and gives what was not for us; `None`: the connection is over.
pub(super) async fn begin<I: Io>(
    cx: &Context<I>,
    socket: &mut SocketOf<I>,
    listener: u16,
    early: Early,
) -> Option<Early> {
    let Some(table) = cx.tables().tls_of(listener) else { return Some(early) };
    // Boxed: its state would make every connection's task larger, for as long as it lives.
    *socket = Box::pin(handshake(cx, socket, &table, early)).await?;
    Some(None)
}

async fn handshake<I: Io>(
    cx: &Context<I>,
    socket: &SocketOf<I>,
    table: &Rc<TlsTable>,
    early: Early,
) -> Option<SocketOf<I>> {
    let Stream::Plain(plain) = socket else { return None };
    let deadline = cx.io.now() + table.handshake_timeout;
    if early.is_none() {
        // No memory is taken before there is something to read, and a drain ends the wait.
        let _place = cx.parked.enter(socket);
        if let Err(error) = plain.readable(deadline).await {
            return failed(cx, HandshakeError::Io(error));
        }
    }
    let Some(_slot) = cx.handshakes.enter(&cx.io, table.handshakes_max, deadline).await else {
        return failed(cx, HandshakeError::Io(IoError::TimedOut));
    };
    let (config, early) = (table.config.clone(), early.map(|early| *early));
    match accept(plain.clone(), config, &cx.buffers, early, deadline).await {
        Ok(stream) => {
            cx.counters.count(Counter::TlsHandshakes);
            if stream.is_resumed() {
                cx.counters.count(Counter::TlsResumptions);
            }
            Some(stream)
        }
        Err(error) => failed(cx, error),
    }
}

fn failed<I: Io>(cx: &Context<I>, error: HandshakeError) -> Option<SocketOf<I>> {
    cx.counters.count(Counter::TlsHandshakesFailed);
    if error == HandshakeError::Io(IoError::TimedOut) {
        cx.counters.count(Counter::DownstreamTimeouts);
    }
    None
}

/// Bounds how much is done at a time. Who waits is served in the order of coming.
#[derive(Debug, Default)]
pub struct Slots {
    taken: Cell<u32>,
    waiting: RefCell<VecDeque<(u64, Waker)>>,
    next: Cell<u64>,
}

/// One of the [`Slots`]; dropping it lets the next in.
#[derive(Debug)]
pub struct Slot<'a>(&'a Slots);

impl Slots {
    /// Waits until fewer than `max` are taken; `None`: the deadline came first.
    pub async fn enter<I: Io>(&self, io: &I, max: u32, deadline: Instant) -> Option<Slot<'_>> {
        if self.taken.get() >= max {
            let number = self.next.get();
            self.next.set(number + 1);
            let turn = poll_fn(|cx| {
                if self.taken.get() < max {
                    return Poll::Ready(());
                }
                let mut waiting = self.waiting.borrow_mut();
                match waiting.iter_mut().find(|(own, _)| *own == number) {
                    Some((_, waker)) => waker.clone_from(cx.waker()),
                    None => waiting.push_back((number, cx.waker().clone())),
                }
                Poll::Pending
            });
            let ended = race(turn, io.sleep_until(deadline)).await;
            self.waiting.borrow_mut().retain(|(own, _)| *own != number);
            if let Either::Second(()) = ended {
                return None;
            }
        }
        self.taken.set(self.taken.get() + 1);
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get().saturating_sub(1));
        let next = self.0.waiting.borrow_mut().pop_front();
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}
