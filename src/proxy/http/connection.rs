//! Connections to HTTP/1.1 endpoints, and the pool of those that wait for their next request.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use crate::base::limits::{HTTP_POOL_BEYOND_FACTOR, HTTP_POOL_BEYOND_IDLE};
use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::{Io, Socket};
use crate::observe::counters::Counter;
use crate::protocol::proxy_protocol;
use crate::proxy::context::{Context, SocketOf};
use crate::proxy::dial::{self, Secure};
use crate::proxy::reason::Reason;
use crate::snapshot::upstream::{Endpoint, Upstream};

/// A connection that carries one exchange at a time.
pub(in crate::proxy) struct HttpConnection<I: Io> {
    pub(in crate::proxy) socket: SocketOf<I>,
    /// Whether it has carried an exchange before: then the endpoint may be about to close it.
    pub(in crate::proxy) is_used: bool,
    cx: Rc<Context<I>>,
}

impl<I: Io> Drop for HttpConnection<I> {
    fn drop(&mut self) {
        self.cx.counters.count(Counter::UpstreamConnectionsClosed);
    }
}

/// Idle connections of one shard to one address; the one used last goes out first.
pub struct HttpPool<I: Io> {
    /// Where they lead.
    pub address: SocketAddr,
    secure: Option<Secure>,
    idle: RefCell<Vec<Idle<I>>>,
    /// A task looks after the idle ones.
    is_swept: Cell<bool>,
}

struct Idle<I: Io> {
    connection: HttpConnection<I>,
    until: Instant,
}

impl<I: Io> HttpPool<I> {
    /// No connections yet.
    pub fn new(address: SocketAddr, secure: Option<Secure>) -> Rc<Self> {
        let idle = RefCell::new(Vec::new());
        Rc::new(HttpPool { address, secure, idle, is_swept: Cell::new(false) })
    }

    /// Whether its connections lead to this endpoint, and to no other that only shares its address.
    pub fn is_to(&self, endpoint: &Endpoint) -> bool {
        let secure = self.secure.as_ref();
        self.address == endpoint.address && Secure::is_of(secure, &endpoint.host)
    }

    /// An idle connection on which nothing has happened since it was put back.
    pub(in crate::proxy) fn take(&self, now: Instant) -> Option<HttpConnection<I>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(entry) = idle.pop() {
            // Bytes that nobody asked for, or an end, make it unusable: the rest of a message that
            // should have ended must never become the beginning of another's answer.
            if entry.until > now && entry.connection.socket.is_quiet() {
                return Some(entry.connection);
            }
        }
        None
    }

    /// A new connection.
    pub(in crate::proxy) async fn connect(
        &self,
        cx: &Rc<Context<I>>,
        upstream: &Upstream,
        client: SocketAddr,
        deadline: Instant,
    ) -> Result<HttpConnection<I>, Reason> {
        let socket = dial::connect(cx, self.address, &upstream.transport, deadline).await?;
        cx.counters.count(Counter::UpstreamConnectionsOpened);
        let mut connection = HttpConnection { socket, is_used: false, cx: Rc::clone(cx) };
        if upstream.send_proxy_protocol {
            let mut out = Gather::new();
            out.push_with(|own| proxy_protocol::encode_v2(own, client, self.address));
            let sent = connection.socket.write(out, deadline).await.0;
            sent.map_err(|error| cx.connect_failed(error))?;
        }
        if let Some(secure) = &self.secure {
            // Boxed: its state would make every exchange larger.
            connection.socket =
                Box::pin(dial::seal(cx, &connection.socket, secure, deadline)).await?;
        }
        Ok(connection)
    }

    /// Keeps a connection for the next exchange.
    pub(in crate::proxy) fn put(
        self: &Rc<Self>,
        mut connection: HttpConnection<I>,
        upstream: &Upstream,
        now: Instant,
    ) {
        let mut idle = self.idle.borrow_mut();
        let fits = |max: u32| u32::try_from(idle.len()).is_ok_and(|count| count < max);
        let max = upstream.pool.connections_max;
        // Kept ones would keep the shard alive after its drain: they know its context.
        if !fits(max.saturating_mul(HTTP_POOL_BEYOND_FACTOR)) || connection.cx.is_draining() {
            return;
        }
        // Those beyond go out first. Where more are busy at once than are kept, one that is closed
        // at once is opened anew for the next request.
        let beyond = HTTP_POOL_BEYOND_IDLE.min(upstream.pool.idle);
        let until = now + if fits(max) { upstream.pool.idle } else { beyond };
        connection.is_used = true;
        let cx = Rc::clone(&connection.cx);
        idle.push(Idle { connection, until });
        if !self.is_swept.replace(true) {
            let wait = beyond.min(upstream.pool.idle / 2);
            cx.upkeep.spawn(&cx.io, sweep(Rc::clone(&cx), Rc::downgrade(self), wait));
        }
    }

    /// Closes all idle connections.
    pub(in crate::proxy) fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        drop(idle);
    }

    /// Closes what is too old or was closed by the endpoint; true while some are left.
    fn clean(&self, now: Instant) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|entry| entry.until > now && entry.connection.socket.is_quiet());
        if idle.is_empty() {
            self.is_swept.set(false);
        }
        !idle.is_empty()
    }
}

/// Looks after the idle connections of a pool for as long as there are any, so that those that
/// nobody takes are closed in time.
async fn sweep<I: Io>(cx: Rc<Context<I>>, pool: Weak<HttpPool<I>>, wait: std::time::Duration) {
    loop {
        cx.io.sleep_until(cx.io.now() + wait).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.clean(cx.io.now()) {
            return;
        }
    }
}
