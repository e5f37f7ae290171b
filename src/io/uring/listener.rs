//! A listening address on the ring.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::rc::Rc;
use std::task::Poll;

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockRef, Socket, Type};

use crate::io::{IoError, Listener, SocketOptions};

use super::reactor::{Side, Source};
use super::{Ring, RingSocket, io_error, options};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens a listening socket that shares its address with those of other shards (`SO_REUSEPORT`).
///
/// Options that accepted connections inherit (buffers, congestion control, how a lost client is
/// found out) are set here.
pub fn bind(address: SocketAddr, options: SocketOptions) -> std::io::Result<std::net::TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    options::apply(socket.as_fd(), options);
    options::watch(socket.as_fd());
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Prefers this socket, among those of its address, for connections whose packets the kernel takes
/// on `core` (`SO_INCOMING_CPU`). Others go where their hash says, as they would without.
pub fn prefer(listener: &std::net::TcpListener, core: usize) -> std::io::Result<()> {
    SockRef::from(listener).set_cpu_affinity(core)
}

/// Implements [`Listener`]. Accepts without waiting, and waits for readiness: a future that is
/// dropped leaks no descriptor, and what is queued when we stop is still taken.
#[derive(Clone)]
pub struct RingListener {
    inner: Rc<Inner>,
}

struct Inner {
    source: Source,
    address: SocketAddr,
    cancelled: Cell<bool>,
}

impl RingListener {
    /// Takes over a socket made by [`bind`].
    pub fn new(ring: &Ring, listener: std::net::TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let source = Source::new(&ring.shared, listener.into())?;
        let cancelled = Cell::new(false);
        Ok(RingListener { inner: Rc::new(Inner { source, address, cancelled }) })
    }

    fn accept_now(&self) -> Option<Result<(RingSocket, SocketAddr), IoError>> {
        let (socket, address) = match accept(self.inner.source.fd()) {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.inner.source.is_drained(Side::Read);
                return None;
            }
            Err(error) => return Some(Err(io_error(&error))),
        };
        let Some(address) = address.as_socket() else {
            return Some(Err(IoError::Other(0)));
        };
        let socket = RingSocket::new(self.inner.source.shared(), socket);
        Some(socket.map(|socket| (socket, address)).map_err(|error| io_error(&error)))
    }
}

/// The next connection, which does not block. The usual call would take two more to say so.
fn accept(fd: BorrowedFd<'_>) -> std::io::Result<(Socket, SockAddr)> {
    #[expect(unsafe_code, reason = "nothing safe accepts with this flag")]
    // SAFETY: the kernel is given the place for an address and its true size, and writes to both; a
    // descriptor that it returns belongs to nobody else.
    unsafe {
        let accept = |address: *mut SockAddrStorage, len: *mut libc::socklen_t| {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            let fd = libc::accept4(fd.as_raw_fd(), address.cast(), len, flags);
            if fd < 0 { Err(std::io::Error::last_os_error()) } else { Ok(fd) }
        };
        SockAddr::try_init(accept).map(|(fd, address)| (Socket::from_raw_fd(fd), address))
    }
}

impl Listener for RingListener {
    type Socket = RingSocket;

    async fn accept(&self) -> Result<(RingSocket, SocketAddr), IoError> {
        let inner = &*self.inner;
        loop {
            if let Some(result) = self.accept_now() {
                return result;
            }
            if inner.cancelled.get() {
                // From here on the kernel refuses connections, instead of letting them wait for
                // the end of the drain: clones of this listener keep the descriptor open.
                let _ = SockRef::from(&inner.source.fd()).shutdown(Shutdown::Both);
                return Err(IoError::Cancelled);
            }
            poll_fn(|cx| {
                let ready = inner.source.poll_ready(Side::Read, false, cx.waker());
                if ready || inner.cancelled.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    fn cancel(&self) {
        self.inner.cancelled.set(true);
        self.inner.source.wake();
    }

    fn address(&self) -> SocketAddr {
        self.inner.address
    }
}
