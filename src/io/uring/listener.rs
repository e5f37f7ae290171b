//! A listening address on the ring.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

use monoio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::io::race::{Either, race};
use crate::io::{IoError, Listener, SocketOptions};

use super::{Driver, Ring, RingSocket, borrow, io_error, options};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens a listening socket that shares its address with those of other shards (`SO_REUSEPORT`).
///
/// Options that accepted connections inherit (buffers, congestion control) are set here.
pub fn bind(address: SocketAddr, options: SocketOptions) -> std::io::Result<std::net::TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    options::apply(socket.as_fd(), options);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Implements [`Listener`]. Waits for readiness and accepts without waiting: a future that is
/// dropped leaks no descriptor, and what is queued when we stop is still taken.
#[derive(Clone)]
pub struct RingListener {
    inner: Rc<Inner>,
}

struct Inner {
    ring: Ring,
    /// The same descriptor as a stream type, because readiness is offered there.
    waiter: TcpStream,
    address: SocketAddr,
    cancelled: Cell<bool>,
    bell: super::RingBell,
    ear: super::RingEar,
}

impl RingListener {
    /// Takes over a socket made by [`bind`].
    pub fn new(ring: &Ring, listener: std::net::TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let fd: std::os::fd::OwnedFd = listener.into();
        let waiter = TcpStream::from_std(fd.into())?;
        let (bell, ear) =
            super::bell::pair().map_err(|_| std::io::Error::from(ErrorKind::Other))?;
        let cancelled = Cell::new(false);
        let inner = Inner { ring: ring.clone(), waiter, address, cancelled, bell, ear };
        Ok(RingListener { inner: Rc::new(inner) })
    }

    fn accept_now(&self) -> Option<Result<(RingSocket, SocketAddr), IoError>> {
        let accepted = SockRef::from(&borrow(&self.inner.waiter)).accept();
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => return Some(Err(io_error(&error))),
        };
        let epoll = self.inner.ring.driver() == Driver::Epoll;
        if let Err(error) = socket.set_nonblocking(epoll) {
            return Some(Err(io_error(&error)));
        }
        let Some(address) = address.as_socket() else {
            return Some(Err(IoError::Other(0)));
        };
        let socket = RingSocket::new(&self.inner.ring.shared, socket);
        Some(socket.map(|socket| (socket, address)).map_err(|error| io_error(&error)))
    }
}

impl Listener for RingListener {
    type Socket = RingSocket;

    async fn accept(&self) -> Result<(RingSocket, SocketAddr), IoError> {
        use crate::io::Ear;
        loop {
            if let Some(result) = self.accept_now() {
                return result;
            }
            if self.inner.cancelled.get() {
                // From here on the kernel refuses connections, instead of letting them wait for
                // the end of the drain: clones of this listener keep the descriptor open.
                let _ = SockRef::from(&borrow(&self.inner.waiter)).shutdown(Shutdown::Both);
                return Err(IoError::Cancelled);
            }
            let ready = self.inner.waiter.readable(false);
            if let Either::First(Err(error)) = race(ready, self.inner.ear.listen()).await {
                return Err(io_error(&error));
            }
        }
    }

    fn cancel(&self) {
        use crate::io::Bell;
        self.inner.cancelled.set(true);
        self.inner.bell.ring();
    }

    fn address(&self) -> SocketAddr {
        self.inner.address
    }
}
