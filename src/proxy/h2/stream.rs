//! An exchange's end of a stream: its request body as it comes, and its answer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::race::{Either, race};
use crate::io::{Io, IoError};
use crate::protocol::h2::frame::{ErrorCode, StreamId};
use crate::protocol::h2::response;
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::context::SocketOf;

use super::connection::Connection;
use super::inbox::Inbox;

/// What the task that reads knows of a stream.
pub(super) struct Shared {
    pub(super) id: StreamId,
    pub(super) inbox: RefCell<Inbox>,
    /// Nothing can be said on it any more.
    reset: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Shared {
    pub(super) fn new(id: StreamId, ended: bool) -> Self {
        let inbox = RefCell::new(Inbox::new(ended));
        Shared { id, inbox, reset: Cell::new(false), waker: RefCell::new(None) }
    }

    /// Whoever waits for something of the stream looks again.
    pub(super) fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The client has given the stream up, or broken it.
    pub(super) fn reset(&self) {
        self.reset.set(true);
        self.wake();
    }

    fn park(&self, waker: &Waker) {
        let mut parked = self.waker.borrow_mut();
        match &*parked {
            Some(old) if old.will_wake(waker) => {}
            _ => *parked = Some(waker.clone()),
        }
    }
}

/// A stream, for the exchange that runs on it. Dropping it ends what is still open of it.
pub struct Stream<I: Io> {
    pub(super) connection: Rc<Connection<I>>,
    pub(super) shared: Rc<Shared>,
    /// The head of the answer, until its first bytes leave or its end is known.
    pub(super) block: RefCell<Option<Vec<u8>>>,
    /// The trailers of the answer, until all else has left.
    pub(super) trailers: RefCell<Option<Vec<u8>>>,
    /// All of the answer was said.
    pub(super) said: Cell<bool>,
    /// The answer reads into large buffers.
    wide: Cell<bool>,
}

/// Answers of one connection that may read into large buffers at the same time.
const WIDE_MAX: u32 = 4;
/// Room in the window that makes a large buffer worth it.
const WIDE_ROOM: u32 = 64 * 1024;

impl<I: Io> Stream<I> {
    pub(super) fn new(connection: Rc<Connection<I>>, shared: Rc<Shared>) -> Self {
        let (block, trailers) = (RefCell::new(None), RefCell::new(None));
        let (said, wide) = (Cell::new(false), Cell::new(false));
        Stream { connection, shared, block, trailers, said, wide }
    }

    /// The socket of its connection.
    pub(in crate::proxy) fn socket(&self) -> &SocketOf<I> {
        &self.connection.socket
    }

    /// Whether nobody waits for the answer any more.
    pub(in crate::proxy) fn is_gone(&self) -> bool {
        self.shared.reset.get() || self.connection.is_over()
    }

    /// Whether the answer had better be read into a large buffer: what the client does not take is
    /// held meanwhile, by each of its streams.
    pub(in crate::proxy) fn is_wide(&self) -> bool {
        let wide = &self.connection.wide;
        if !self.wide.get() && wide.get() < WIDE_MAX {
            self.wide.set(true);
            wide.set(wide.get() + 1);
        }
        self.wide.get() && self.connection.engine.borrow().capacity(self.shared.id) >= WIDE_ROOM
    }

    /// Takes the head of the answer, which `text` is in HTTP/1. It leaves with what follows it.
    pub(in crate::proxy) fn head(&self, text: &[u8]) {
        let mut block = Vec::with_capacity(text.len());
        response::response(text, &mut block);
        self.block.replace(Some(block));
    }

    /// Takes the trailers of the answer, which are lines as in HTTP/1. They leave behind its end.
    pub(in crate::proxy) fn trailers(&self, lines: &[u8]) {
        if !lines.is_empty() {
            let mut block = Vec::with_capacity(lines.len());
            response::fields(lines, &mut block);
            self.trailers.replace(Some(block));
        }
    }

    /// Sends an interim answer.
    pub(in crate::proxy) fn interim(&self, text: &[u8]) -> Result<(), IoError> {
        let mut block = Vec::with_capacity(text.len());
        response::response(text, &mut block);
        let mut engine = self.connection.engine.borrow_mut();
        let sent = engine.send_informational(self.shared.id, &block);
        drop(engine);
        self.connection.flush.raise();
        sent.map_err(|_| IoError::Reset)
    }

    /// Whether the request is here whole.
    pub(in crate::proxy) fn is_here(&self) -> bool {
        self.shared.inbox.borrow().ended
    }

    /// Whether all of the request's body was taken.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        self.shared.inbox.borrow().is_over()
    }

    /// Bytes of the request's body that wait to be taken.
    pub(in crate::proxy) fn held(&self) -> usize {
        self.shared.inbox.borrow().len
    }

    /// Whether trailers of the request have come.
    pub(super) fn has_trailers(&self) -> bool {
        !self.shared.inbox.borrow().trailers.is_empty()
    }

    /// Takes the trailers of the request, as lines of HTTP/1.
    pub(in crate::proxy) fn take_trailers(&self) -> Vec<u8> {
        std::mem::take(&mut self.shared.inbox.borrow_mut().trailers)
    }

    /// Takes what came of the request's body.
    pub(in crate::proxy) fn take(&self) -> Option<(Buffer, VecDeque<Range<usize>>)> {
        let chunk = self.shared.inbox.borrow_mut().take()?;
        Some((chunk.buffer, chunk.ranges))
    }

    /// So many bytes were used: the client may send as many again.
    pub(in crate::proxy) fn release(&self, len: u32) {
        if len == 0 {
            return;
        }
        let mut inbox = self.shared.inbox.borrow_mut();
        let len = len.min(inbox.unreleased);
        inbox.unreleased -= len;
        drop(inbox);
        self.connection.engine.borrow_mut().release(self.shared.id, len);
        if self.connection.queued() > 0 {
            self.connection.flush.raise();
        }
    }

    /// Waits until some of the request's body is there, or its end. May be dropped.
    pub(in crate::proxy) async fn readable(&self, deadline: Instant) -> Result<(), IoError> {
        let io = &self.connection.cx.io;
        let mut deadline = deadline;
        loop {
            let ready = self.until(|| self.shared.inbox.borrow().is_ready());
            match race(ready, io.sleep_until(deadline)).await {
                Either::First(result) => return result,
                // The window may be taken up by other streams: that is not this one's fault.
                Either::Second(()) if self.connection.engine.borrow().is_choked() => {
                    deadline = io.now() + LOOK_INTERVAL;
                }
                Either::Second(()) => return Err(IoError::TimedOut),
            }
        }
    }

    /// Ends the stream in both directions; whoever waits for something of it waits no longer.
    pub(in crate::proxy) fn abort(&self, code: ErrorCode) {
        self.connection.engine.borrow_mut().reset(self.shared.id, code);
        self.connection.flush.raise();
        self.shared.reset();
    }

    /// Waits until nobody waits for the answer any more. May be dropped.
    pub(in crate::proxy) async fn gone(&self) {
        let _ = self.until(|| false).await;
    }

    /// Waits until payload may be sent. May be dropped.
    pub(super) async fn writable(&self, deadline: Instant) -> Result<(), IoError> {
        let id = self.shared.id;
        let ready = self.until(|| self.connection.engine.borrow().capacity(id) > 0);
        match race(ready, self.connection.cx.io.sleep_until(deadline)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(IoError::TimedOut),
        }
    }

    async fn until(&self, is_reached: impl Fn() -> bool) -> Result<(), IoError> {
        poll_fn(|cx| {
            if self.is_gone() {
                return Poll::Ready(Err(IoError::Reset));
            }
            if is_reached() {
                return Poll::Ready(Ok(()));
            }
            self.shared.park(cx.waker());
            Poll::Pending
        })
        .await
    }
}

impl<I: Io> Drop for Stream<I> {
    fn drop(&mut self) {
        let Stream { connection, shared, .. } = self;
        let unreleased = shared.inbox.borrow_mut().close();
        if self.wide.get() {
            connection.wide.set(connection.wide.get().saturating_sub(1));
        }
        let mut engine = connection.engine.borrow_mut();
        // Nothing happens if it is over. After a whole answer this is no complaint (§8.1): the
        // rest of the request is not wanted.
        let said = self.said.get();
        engine.reset(shared.id, if said { ErrorCode::NO_ERROR } else { ErrorCode::INTERNAL_ERROR });
        engine.release(shared.id, unreleased);
        if !engine.outgoing().is_empty() {
            connection.flush.raise();
        }
        drop(engine);
        connection.forget(shared.id);
        if std::thread::panicking() {
            connection.lose();
        }
    }
}
