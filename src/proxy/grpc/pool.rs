//! The connections of one shard to one endpoint.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use crate::base::time::Instant;
use crate::io::Io;
use crate::io::race::{Either, race};
use crate::proxy::context::Context;
use crate::proxy::dial::Secure;
use crate::proxy::event::Crowd;
use crate::proxy::reason::Reason;
use crate::snapshot::upstream::{Endpoint, Upstream};

use super::connection::GrpcConnection;
use super::stream::GrpcStream;

/// Connections to one address. Lives as long as a generation names the address.
pub struct EndpointPool<I: Io> {
    /// Where they lead.
    pub address: SocketAddr,
    pub(super) secure: Option<Secure>,
    pub(super) crowd: Crowd,
    connections: RefCell<Vec<Rc<GrpcConnection<I>>>>,
    connecting: Cell<u32>,
}

impl<I: Io> EndpointPool<I> {
    /// No connections yet.
    pub fn new(address: SocketAddr, secure: Option<Secure>) -> Rc<Self> {
        Rc::new(EndpointPool {
            address,
            secure,
            crowd: Crowd::default(),
            connections: RefCell::new(Vec::new()),
            connecting: Cell::new(0),
        })
    }

    /// Whether its connections lead to this endpoint, and to no other that only shares its address.
    pub fn is_to(&self, endpoint: &Endpoint) -> bool {
        let secure = self.secure.as_ref();
        self.address == endpoint.address && Secure::is_of(secure, &endpoint.host)
    }

    /// Opens a stream on the least busy connection, on a new one where that is better, or waits for
    /// room.
    ///
    /// `now` is the time. On an error nothing of the call has left.
    pub async fn open(
        self: &Rc<Self>,
        cx: &Rc<Context<I>>,
        upstream: &Upstream,
        block: &[u8],
        upload: bool,
        mut now: Instant,
        deadline: Instant,
    ) -> Result<GrpcStream<I>, Reason> {
        loop {
            let may_connect = self.size() < upstream.pool.connections_max;
            if let Some(connection) = self.pick(may_connect) {
                match connection.open(block, upload) {
                    Ok(call) => return Ok(GrpcStream::new(cx, connection, call, now)),
                    // It had room and takes no stream: not one to try again.
                    Err(_) => connection.retire(),
                }
                continue;
            }
            if may_connect {
                let connected = self.connect(cx, upstream, deadline).await;
                now = cx.io.now();
                if let Err(reason) = connected {
                    // The endpoint takes no more connections, but those it has may carry the call.
                    let Some(connection) = self.pick(false) else { return Err(reason) };
                    if let Ok(call) = connection.open(block, upload) {
                        return Ok(GrpcStream::new(cx, connection, call, now));
                    }
                }
                continue;
            }
            let wait = cx.io.sleep_until(deadline);
            if let Either::Second(()) = race(self.crowd.wait(), wait).await {
                return Err(Reason::PoolExhausted);
            }
            now = cx.io.now();
        }
    }

    fn size(&self) -> u32 {
        let open = u32::try_from(self.connections.borrow().len()).unwrap_or(u32::MAX);
        open.saturating_add(self.connecting.get())
    }

    /// The least busy connection with room. One that carries an upload is chosen only if no other
    /// may be opened: a service that stalls an upload must not hold up other calls by the shared
    /// window.
    fn pick(&self, may_connect: bool) -> Option<Rc<GrpcConnection<I>>> {
        let connections = self.connections.borrow();
        let best = connections.iter().filter(|c| c.has_room()).min_by_key(|c| c.load())?;
        if may_connect && best.load().0 > 0 {
            return None;
        }
        Some(Rc::clone(best))
    }

    async fn connect(
        self: &Rc<Self>,
        cx: &Rc<Context<I>>,
        upstream: &Upstream,
        deadline: Instant,
    ) -> Result<(), Reason> {
        self.connecting.set(self.connecting.get() + 1);
        let deadline = deadline.min(cx.io.now() + upstream.connect_timeout);
        let result = GrpcConnection::connect(cx, self, upstream, deadline).await;
        self.connecting.set(self.connecting.get().saturating_sub(1));
        if let Ok(connection) = &result {
            self.connections.borrow_mut().push(Rc::clone(connection));
        }
        self.crowd.wake();
        result.map(|_| ())
    }

    /// Lets go of connections that are lost.
    pub(super) fn forget_lost(&self) {
        self.connections.borrow_mut().retain(|connection| !connection.is_lost());
        self.crowd.wake();
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.connections.borrow().len()
    }
}

impl<I: Io> Drop for EndpointPool<I> {
    fn drop(&mut self) {
        for connection in self.connections.borrow_mut().drain(..) {
            connection.retire();
        }
    }
}
