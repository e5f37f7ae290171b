//! A TCP connection on the ring.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::{Gather, SLICES_MAX};
use crate::io::wheel::Key;
use crate::io::{IoError, Socket, SocketOptions};

use super::reactor::{Side, Source};
use super::{Alarm, RingPipe, Shared, io_error, options, pipe, sends};

/// Longer writes leave alone: what a call costs is little beside them.
const TOGETHER_MAX: usize = 16 * 1024;

/// Implements [`Socket`]. Clones share one connection.
#[derive(Clone, Debug)]
pub struct RingSocket {
    inner: Rc<Inner>,
}

struct Inner {
    source: Source,
    /// Writes wait seldom, and take a place in the wheel when they do.
    read: Key,
    cancelled: Cell<bool>,
    /// The kernel tells of a reset once and then reads zero bytes, which would look like an orderly
    /// end.
    reset: Cell<bool>,
    /// It is closed with a reset.
    resets: Cell<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RingSocket({})", self.source.fd().as_raw_fd())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.source.shared().wheel.borrow_mut().remove(self.read);
    }
}

/// A wait for the read side. All that an idle connection keeps of its wait, so it is small.
pub(super) struct Readable<'a> {
    socket: &'a RingSocket,
    deadline: Instant,
    begun: bool,
    /// It ends only when there is something, and not when there may be.
    sure: bool,
}

impl Future for Readable<'_> {
    type Output = Result<(), IoError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, deadline) = (&*self.socket.inner, self.deadline);
        let result = self.socket.poll_side(Side::Read, self.sure, cx);
        if result.is_ready() {
            if self.begun {
                inner.source.shared().wheel.borrow_mut().clear(inner.read);
            }
            return result;
        }
        if !self.begun {
            self.begun = true;
            inner.source.shared().with_wheel(deadline, |wheel| wheel.set(inner.read, deadline));
        }
        inner.source.shared().poll_alarm(inner.read, cx)
    }
}

impl RingSocket {
    /// Takes over a socket that does not block.
    pub(super) fn new(shared: &Rc<Shared>, socket: socket2::Socket) -> std::io::Result<Self> {
        let source = Source::new(shared, socket.into())?;
        let read = shared.wheel.borrow_mut().insert();
        let (cancelled, reset, resets) = (Cell::new(false), Cell::new(false), Cell::new(false));
        Ok(RingSocket { inner: Rc::new(Inner { source, read, cancelled, reset, resets }) })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inner.source.fd()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.inner.cancelled.get()
    }

    /// Whether the kernel has told of a reset before.
    pub(super) fn was_reset(&self) -> bool {
        self.inner.reset.get()
    }

    /// Whether a read would find something, as far as is known. Told of by the next turn at the
    /// latest.
    pub(super) fn may_read(&self) -> bool {
        self.inner.source.is_ready(Side::Read)
    }

    /// Bytes were taken.
    pub(super) fn was_read(&self) {
        self.inner.source.was_read(false);
    }

    /// A call without waiting found that the side is not ready.
    pub(super) fn is_drained(&self, side: Side) {
        self.inner.source.is_drained(side);
    }

    /// Waits until there may be something to read: for who reads then, and waits again if there
    /// was nothing.
    pub(super) fn until_readable(&self, deadline: Instant) -> Readable<'_> {
        Readable { socket: self, deadline, begun: false, sure: false }
    }

    /// Waits until the write side is ready, the deadline passes or the connection is cancelled.
    pub(super) async fn writable(&self, deadline: Instant) -> Result<(), IoError> {
        let shared = self.inner.source.shared();
        let alarm = Alarm::new(shared, deadline);
        poll_fn(|cx| match self.poll_side(Side::Write, true, cx) {
            Poll::Pending => shared.poll_alarm(alarm.key, cx),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    fn poll_side(&self, side: Side, sure: bool, cx: &Context<'_>) -> Poll<Result<(), IoError>> {
        if self.inner.cancelled.get() {
            return Poll::Ready(Err(IoError::Cancelled));
        }
        if self.inner.source.poll_ready(side, sure, cx.waker()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    pub(super) fn failed(&self, error: &std::io::Error) -> IoError {
        let error = match io_error(error) {
            // The kernel has given the peer up. It is no deadline of ours, and what comes next, an
            // end, must not look like one that was meant.
            IoError::TimedOut => IoError::Reset,
            other => other,
        };
        if matches!(error, IoError::Reset | IoError::Closed) {
            self.inner.reset.set(true);
        }
        error
    }

    /// One non-blocking write of what follows the first `written` bytes.
    fn send_some(&self, out: &Gather, written: usize, flags: i32) -> std::io::Result<usize> {
        let fd = self.fd();
        let socket = SockRef::from(&fd);
        let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // The usual case; the kernel has less to look at than in a message of slices.
        if let Some(bytes) = out.single(written) {
            return socket.send_with_flags(bytes, flags);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = out.slices(written, &mut slices);
        socket.send_vectored_with_flags(slices.get(..count).unwrap_or_default(), flags)
    }

    /// One non-blocking read; `None`: nothing is there.
    fn receive(&self, buffer: &mut Buffer) -> Option<Result<usize, IoError>> {
        if !self.may_read() {
            return None;
        }
        let room = buffer.room_mut();
        debug_assert!(!room.is_empty(), "a read needs room");
        #[expect(unsafe_code, reason = "recv into the room of a buffer that is initialised memory")]
        // SAFETY: `room` is a live, exclusively borrowed slice and its true length is passed; the
        // descriptor is open as long as `inner.source` lives.
        let got = unsafe {
            libc::recv(
                self.fd().as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if got == 0 && self.inner.reset.get() {
            return Some(Err(IoError::Reset));
        }
        if let Ok(len) = usize::try_from(got) {
            self.inner.source.was_read(len < room.len());
            buffer.fill(len);
            return Some(Ok(len));
        }
        let error = std::io::Error::last_os_error();
        match error.kind() {
            ErrorKind::WouldBlock => {
                self.is_drained(Side::Read);
                None
            }
            ErrorKind::Interrupted => None,
            _ => Some(Err(self.failed(&error))),
        }
    }

    /// Where much is going on, lets a small write leave with those of others, in one call. Says how
    /// much has left.
    async fn send_with_others(&self, out: Gather) -> (Result<usize, IoError>, Gather) {
        let shared = self.inner.source.shared();
        let is_small = out.parts() == 1 && out.len() <= TOGETHER_MAX;
        if !is_small
            || !shared.reactor.is_crowded()
            || self.inner.cancelled.get()
            || !self.inner.source.is_ready(Side::Write)
        {
            return (Ok(0), out);
        }
        let (result, out) = sends::send(shared, self, out).await;
        (result.map_err(|error| self.failed(&error)), out)
    }

    /// Sends what follows the first `written` bytes of `out`, with `flags` besides those that every
    /// send has.
    pub(super) async fn send(
        &self,
        out: &Gather,
        mut written: usize,
        flags: i32,
        deadline: Instant,
    ) -> Result<(), IoError> {
        while written < out.len() {
            if self.inner.cancelled.get() {
                return Err(IoError::Cancelled);
            }
            match self.send_some(out, written, flags) {
                Ok(len) => written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_drained(Side::Write);
                    self.writable(deadline).await?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(())
    }
}

impl Socket for RingSocket {
    type Pipe = RingPipe;

    fn readable(&self, deadline: Instant) -> impl Future<Output = Result<(), IoError>> {
        Readable { socket: self, deadline, begun: false, sure: true }
    }

    fn stirred(&self, deadline: Instant) -> impl Future<Output = Result<(), IoError>> {
        self.until_readable(deadline)
    }

    async fn read(
        &self,
        mut buffer: Buffer,
        deadline: Instant,
    ) -> (Result<usize, IoError>, Buffer) {
        loop {
            if self.inner.cancelled.get() {
                return (Err(IoError::Cancelled), buffer);
            }
            if let Some(result) = self.receive(&mut buffer) {
                return (result, buffer);
            }
            if let Err(error) = self.until_readable(deadline).await {
                return (Err(error), buffer);
            }
        }
    }

    async fn write(&self, out: Gather, deadline: Instant) -> (Result<(), IoError>, Gather) {
        let (sent, out) = self.send_with_others(out).await;
        let result = match sent {
            Ok(written) => self.send(&out, written, 0, deadline).await,
            Err(error) => Err(error),
        };
        (result, out)
    }

    async fn splice_in(
        &self,
        pipe: RingPipe,
        max: usize,
        deadline: Instant,
    ) -> (Result<usize, IoError>, RingPipe) {
        pipe::splice_in(self, pipe, max, deadline).await
    }

    async fn splice_out(
        &self,
        head: Gather,
        pipe: RingPipe,
        len: usize,
        more: bool,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather, RingPipe) {
        pipe::splice_out(self, head, pipe, len, more, deadline).await
    }

    fn try_read(&self, buffer: &mut Buffer) -> Option<Result<usize, IoError>> {
        if self.inner.cancelled.get() {
            return Some(Err(IoError::Cancelled));
        }
        self.receive(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, IoError> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let fd = self.fd();
        match SockRef::from(&fd).send_with_flags(bytes, flags) {
            Ok(len) => Ok(len),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_drained(Side::Write);
                Ok(0)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn cancel(&self) {
        self.inner.cancelled.set(true);
        // An end that the peer hears of before the reset would look like an orderly one.
        let resets = self.inner.resets.get();
        let how = if resets { std::net::Shutdown::Read } else { std::net::Shutdown::Both };
        let _ = SockRef::from(&self.fd()).shutdown(how);
        self.inner.source.wake();
    }

    fn shutdown_write(&self) {
        let _ = SockRef::from(&self.fd()).shutdown(std::net::Shutdown::Write);
    }

    fn is_peer_gone(&self) -> bool {
        options::is_peer_gone(self.fd())
    }

    fn is_quiet(&self) -> bool {
        if self.inner.cancelled.get() {
            return false;
        }
        if self.may_read() {
            // The last read may have taken all that there was.
            if !options::is_quiet(self.fd()) {
                return false;
            }
            self.is_drained(Side::Read);
        }
        true
    }

    fn window(&self) -> Option<u32> {
        options::window(self.fd())
    }

    fn is_paced(&self) -> bool {
        options::is_paced(self.fd())
    }

    fn reset_on_close(&self) {
        self.inner.resets.set(true);
        let _ = SockRef::from(&self.fd()).set_linger(Some(Duration::ZERO));
    }

    fn set_options(&self, options: SocketOptions) {
        options::apply(self.fd(), options);
    }
}

/// Opens a connection: a non-blocking connect, and a wait until it can be written to.
pub(super) async fn connect(
    shared: &Rc<Shared>,
    address: SocketAddr,
    options: SocketOptions,
    deadline: Instant,
) -> Result<RingSocket, IoError> {
    use socket2::{Domain, Protocol, Type};
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))
        .map_err(|error| io_error(&error))?;
    options::apply(socket.as_fd(), options);
    let pending = match socket.connect(&address.into()) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => true,
        Err(error) => return Err(io_error(&error)),
    };
    let socket = RingSocket::new(shared, socket).map_err(|error| io_error(&error))?;
    if pending {
        socket.is_drained(Side::Write);
        socket.writable(deadline).await?;
        let error = SockRef::from(&socket.fd()).take_error().map_err(|error| io_error(&error))?;
        if let Some(error) = error {
            return Err(io_error(&error));
        }
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_socket_is_small() {
        assert!(size_of::<Inner>() <= 40, "{}", size_of::<Inner>());
        assert!(size_of::<Readable<'_>>() <= 24, "{}", size_of::<Readable<'_>>());
    }
}
