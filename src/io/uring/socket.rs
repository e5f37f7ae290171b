//! A TCP connection on the ring.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use monoio::net::udp::UdpSocket;
use socket2::SockRef;

use crate::base::time::Instant;
use crate::io::buffer::{Buffer, Gather, SLICES_MAX};
use crate::io::wheel::Key;
use crate::io::{IoError, Socket, SocketOptions};

use super::{Alarm, Driver, RingPipe, Shared, borrow, io_error, options, pipe};

/// Implements [`Socket`]. Clones share one connection.
#[derive(Clone, Debug)]
pub struct RingSocket {
    inner: Rc<Inner>,
}

/// The waits for the read side, one after the other in one allocation.
struct Watch {
    /// Borrows from the [`Inner`] that it lies in. Rests after each wait until it is polled again.
    waits: Pin<Box<dyn Future<Output = Infallible>>>,
    /// A wait has begun and has not ended.
    is_armed: bool,
}

struct Inner {
    /// Outlives who waits: a wait that is given up at its deadline goes on with the next, and that
    /// of an idle connection tells whether anything has come. Dropped before what it borrows.
    watch: RefCell<Option<Watch>>,
    /// How the wait has ended that has just ended.
    seen: Cell<Option<std::io::Result<()>>>,
    /// The connection. Only readiness and closing are asked of this type: of those of the runtime
    /// that offer them it is the one that holds nothing but the descriptor.
    stream: UdpSocket,
    shared: Rc<Shared>,
    /// Writes wait seldom, and take a place in the wheel when they do.
    read: Key,
    cancelled: Cell<bool>,
    /// The kernel tells of a reset once and then reads zero bytes, which would look like an orderly
    /// end.
    reset: Cell<bool>,
    /// The descriptor has `O_NONBLOCK`, which a splice needs: it takes no flag for this end.
    nonblocking: Cell<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RingSocket({})", self.stream.as_raw_fd())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.wheel.borrow_mut().remove(self.read);
    }
}

/// A wait for the read side. All that an idle connection keeps of its wait, so it is small.
pub(super) struct Readable<'a> {
    socket: &'a RingSocket,
    deadline: Instant,
    begun: bool,
}

impl Future for Readable<'_> {
    type Output = Result<(), IoError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, deadline) = (&*self.socket.inner, self.deadline);
        if !self.begun {
            self.begun = true;
            inner.shared.with_wheel(deadline, |wheel| wheel.set(inner.read, deadline));
        }
        let wait = self.socket.poll_watch(cx);
        let result = self.socket.or_expired(inner.read, cx, wait);
        if result.is_ready() {
            inner.shared.wheel.borrow_mut().clear(inner.read);
        }
        result
    }
}

impl RingSocket {
    pub(super) fn new(shared: &Rc<Shared>, socket: socket2::Socket) -> std::io::Result<Self> {
        let stream = UdpSocket::from_std(socket.into())?;
        let read = shared.wheel.borrow_mut().insert();
        let shared = Rc::clone(shared);
        Ok(RingSocket {
            inner: Rc::new(Inner {
                watch: RefCell::new(None),
                seen: Cell::new(None),
                stream,
                shared,
                read,
                cancelled: Cell::new(false),
                reset: Cell::new(false),
                nonblocking: Cell::new(false),
            }),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        borrow(&self.inner.stream)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.inner.cancelled.get()
    }

    /// Whether the kernel has told of a reset before.
    pub(super) fn was_reset(&self) -> bool {
        self.inner.reset.get()
    }

    /// Makes calls that take no flag for it return instead of waiting.
    pub(super) fn never_block(&self) -> Result<(), IoError> {
        if !self.inner.nonblocking.get() {
            SockRef::from(&self.fd()).set_nonblocking(true).map_err(|error| io_error(&error))?;
            self.inner.nonblocking.set(true);
        }
        Ok(())
    }

    pub(super) fn until_readable(&self, deadline: Instant) -> Readable<'_> {
        Readable { socket: self, deadline, begun: false }
    }

    /// Waits until the write side is ready, the deadline passes or the connection is cancelled.
    pub(super) async fn writable(&self, deadline: Instant) -> Result<(), IoError> {
        let alarm = Alarm::new(&self.inner.shared, deadline);
        // Boxed: it would make every future that might write larger.
        let mut wait = Box::pin(self.inner.stream.writable(false));
        poll_fn(|cx| {
            let wait = wait.as_mut().poll(cx);
            self.or_expired(alarm.key, cx, wait)
        })
        .await
    }

    fn or_expired(
        &self,
        key: Key,
        cx: &Context<'_>,
        wait: Poll<std::io::Result<()>>,
    ) -> Poll<Result<(), IoError>> {
        if let Poll::Ready(result) = wait {
            if self.inner.cancelled.get() {
                return Poll::Ready(Err(IoError::Cancelled));
            }
            return Poll::Ready(result.map_err(|error| io_error(&error)));
        }
        if self.inner.shared.wheel.borrow_mut().poll(key, cx.waker()) {
            return Poll::Ready(Err(IoError::TimedOut));
        }
        Poll::Pending
    }

    /// Goes on with the wait for the read side, or begins one.
    fn poll_watch(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut watch = self.inner.watch.borrow_mut();
        let watch = watch.get_or_insert_with(|| self.new_watch());
        let Poll::Pending = watch.waits.as_mut().poll(cx);
        let seen = self.inner.seen.take();
        watch.is_armed = seen.is_none();
        seen.map_or(Poll::Pending, Poll::Ready)
    }

    fn is_watching(&self) -> bool {
        self.inner.watch.borrow().as_ref().is_some_and(|watch| watch.is_armed)
    }

    /// Bytes were taken: what a wait saw coming may have been they.
    pub(super) fn was_read(&self) {
        if self.is_watching() {
            self.inner.watch.borrow_mut().take();
        }
    }

    fn new_watch(&self) -> Watch {
        let inner = &*self.inner;
        let waits: Pin<Box<dyn Future<Output = Infallible> + '_>> = Box::pin(async move {
            loop {
                inner.seen.set(Some(inner.stream.readable(false).await));
                let mut is_told = false;
                poll_fn(|_| {
                    if std::mem::replace(&mut is_told, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
        });
        #[expect(unsafe_code, reason = "a future that lies beside the stream that it borrows")]
        // SAFETY: only the lifetime changes. What is borrowed lies in the heap memory of
        // `Rc<Inner>`, which does not move, and is not replaced; the future is kept in
        // `Inner::watch` alone, which is declared, and so dropped, before the rest.
        let waits = unsafe {
            std::mem::transmute::<
                Pin<Box<dyn Future<Output = Infallible> + '_>>,
                Pin<Box<dyn Future<Output = Infallible>>>,
            >(waits)
        };
        Watch { waits, is_armed: false }
    }

    pub(super) fn failed(&self, error: &std::io::Error) -> IoError {
        let error = io_error(error);
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
        let room = buffer.room_mut();
        debug_assert!(!room.is_empty(), "a read needs room");
        #[expect(unsafe_code, reason = "recv into the room of a buffer that is initialised memory")]
        // SAFETY: `room` is a live, exclusively borrowed slice and its true length is passed; the
        // descriptor is open as long as `inner.stream` lives.
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
            buffer.fill(len);
            self.was_read();
            return Some(Ok(len));
        }
        let error = std::io::Error::last_os_error();
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => None,
            _ => Some(Err(self.failed(&error))),
        }
    }

    /// Sends all of `out`, with `flags` besides those that every send has.
    pub(super) async fn send(
        &self,
        out: &Gather,
        flags: i32,
        deadline: Instant,
    ) -> Result<(), IoError> {
        let mut written = 0;
        while written < out.len() {
            if self.inner.cancelled.get() {
                return Err(IoError::Cancelled);
            }
            match self.send_some(out, written, flags) {
                Ok(len) => written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
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
        let result = self.send(&out, 0, deadline).await;
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
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn cancel(&self) {
        self.inner.cancelled.set(true);
        // Ends pending polls of both directions.
        let _ = SockRef::from(&self.fd()).shutdown(std::net::Shutdown::Both);
    }

    fn shutdown_write(&self) {
        let _ = SockRef::from(&self.fd()).shutdown(std::net::Shutdown::Write);
    }

    fn is_peer_gone(&self) -> bool {
        options::is_peer_gone(self.fd())
    }

    fn watch(&self) {
        // If it is over at once, `is_quiet` asks the kernel.
        let _ = self.poll_watch(&mut Context::from_waker(Waker::noop()));
    }

    fn is_quiet(&self) -> bool {
        if self.inner.cancelled.get() {
            return false;
        }
        if !self.is_watching() {
            return options::is_quiet(self.fd());
        }
        self.poll_watch(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn window(&self) -> Option<u32> {
        options::window(self.fd())
    }

    fn is_paced(&self) -> bool {
        options::is_paced(self.fd())
    }

    fn reset_on_close(&self) {
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
        socket.writable(deadline).await?;
        let error = SockRef::from(&socket.fd()).take_error().map_err(|error| io_error(&error))?;
        if let Some(error) = error {
            return Err(io_error(&error));
        }
    }
    if shared.driver == Driver::IoUring {
        // A ring waits by itself; only epoll needs the flag.
        let _ = SockRef::from(&socket.fd()).set_nonblocking(false);
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_socket_is_small() {
        assert!(size_of::<Inner>() <= 80, "{}", size_of::<Inner>());
        assert!(size_of::<Readable<'_>>() <= 24, "{}", size_of::<Readable<'_>>());
    }
}
