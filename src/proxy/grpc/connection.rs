//! One HTTP/2 connection to an endpoint and the two tasks that serve it.
//!
//! One task reads and hands out what came; one writes what the engine has queued. Calls with
//! payload write it themselves, from the buffer it was received into, while they hold the `Turn`.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::buffer::{Buffer, BufferPool};
use crate::io::gather::Gather;
use crate::io::{Io, IoError, Socket};
use crate::observe::counters::Counter;
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::engine::Connection;
use crate::protocol::h2::connection::event::{Event as H2Event, HeadersKind, OpenError};
use crate::protocol::h2::frame::{ErrorCode, StreamId, to_usize};
use crate::proxy::attempt::lost;
use crate::proxy::context::{Context, SocketOf};
use crate::proxy::dial;
use crate::proxy::event::Event;
use crate::proxy::reason::Reason;
use crate::proxy::turn::Turn;
use crate::snapshot::upstream::{Pool as PoolRule, Upstream};

use super::pool::EndpointPool;
use super::stream::{Call, End};

/// A connection to an endpoint; lives until it is lost, or idle for too long.
pub struct GrpcConnection<I: Io> {
    pub(super) socket: SocketOf<I>,
    pub(super) engine: RefCell<Connection>,
    pub(super) turn: Turn,
    /// Raised when the engine has queued something to write.
    pub(super) flush: Event,
    /// Open calls in the order of their streams.
    calls: RefCell<Vec<Rc<Call>>>,
    lost: Cell<Option<Reason>>,
    /// No new streams: the endpoint has said goodbye, or the pool is gone.
    retired: Cell<bool>,
    uploads: Cell<u32>,
    /// The socket is paced, so that payload had better leave in few large writes.
    paced: bool,
    idle_since: Cell<Instant>,
    /// When the endpoint has said anything the last time.
    heard: Cell<Instant>,
    pool: Weak<EndpointPool<I>>,
    rule: PoolRule,
}

/// What the engine of a connection to an endpoint is told.
fn config(rule: &PoolRule) -> Config {
    let mut config = Config::client();
    config.keep_alive =
        rule.keep_alive_interval.map(|interval| (interval, rule.keep_alive_timeout));
    config
}

impl<I: Io> GrpcConnection<I> {
    /// Connects, and starts the tasks that serve the connection.
    pub(super) async fn connect(
        cx: &Rc<Context<I>>,
        pool: &Rc<EndpointPool<I>>,
        upstream: &Upstream,
        deadline: Instant,
    ) -> Result<Rc<Self>, Reason> {
        let mut socket = dial::connect(cx, pool.address, &upstream.transport, deadline).await?;
        if let Some(secure) = &pool.secure {
            // Boxed: its state would make every call larger.
            socket = Box::pin(dial::seal(cx, &socket, secure, deadline)).await?;
        }
        let now = cx.io.now();
        let paced = socket.is_paced() || !socket.can_splice();
        let connection = Rc::new(GrpcConnection {
            socket,
            engine: RefCell::new(Connection::new(Role::Client, config(&upstream.pool), now)),
            turn: Turn::default(),
            flush: Event::default(),
            calls: RefCell::new(Vec::new()),
            lost: Cell::new(None),
            retired: Cell::new(false),
            uploads: Cell::new(0),
            paced,
            idle_since: Cell::new(now),
            heard: Cell::new(now),
            pool: Rc::downgrade(pool),
            rule: upstream.pool,
        });
        cx.counters.count(Counter::UpstreamConnectionsOpened);
        cx.counters.count(Counter::GrpcConnectionsOpened);
        cx.upkeep.spawn(&cx.io, read_task(Rc::clone(cx), Rc::clone(&connection)));
        cx.upkeep.spawn(&cx.io, write_task(Rc::clone(cx), Rc::clone(&connection)));
        connection.flush.raise();
        Ok(connection)
    }

    /// Whether another stream may be opened.
    pub(super) fn has_room(&self) -> bool {
        let engine = self.engine.borrow();
        self.lost.get().is_none()
            && !self.retired.get()
            && engine.can_open()
            && engine.streams_open() < self.rule.streams_per_connection_max
    }

    /// Whether payload had better leave out of a pipe than out of a buffer.
    pub(super) fn prefers_pipes(&self) -> bool {
        !self.paced && self.engine.borrow().max_frame_size() >= limits::PIPED_FRAME_MIN
    }

    /// How busy it is: uploads first, then streams.
    pub(super) fn load(&self) -> (u32, u32) {
        (self.uploads.get(), self.engine.borrow().streams_open())
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Takes no new streams; ends when the open ones have.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.close_if_unused();
    }

    /// A call that began at `begun` was not answered in time. If nothing at all came meanwhile, the
    /// endpoint may be gone without a word: further calls do not wait for the PING that finds out.
    pub(super) fn distrust(&self, begun: Instant) {
        if self.heard.get() <= begun {
            self.retire();
        }
    }

    fn close_if_unused(&self) {
        if self.retired.get() && self.calls.borrow().is_empty() {
            self.lose(Reason::UpstreamClosed);
        }
    }

    /// Opens a stream; its head is queued.
    pub(super) fn open(&self, block: &[u8], upload: bool) -> Result<Rc<Call>, OpenError> {
        let id = self.engine.borrow_mut().open(block, false)?;
        let call = Rc::new(Call::new(id, upload));
        self.calls.borrow_mut().push(Rc::clone(&call));
        self.uploads.set(self.uploads.get() + u32::from(upload));
        self.flush.raise();
        Ok(call)
    }

    /// The stream is over; nothing of it is waited for any more.
    pub(super) fn forget(&self, call: &Call, cx: &Context<I>) {
        let mut calls = self.calls.borrow_mut();
        if let Ok(index) = calls.binary_search_by_key(&call.id, |call| call.id) {
            calls.remove(index);
            self.uploads.set(self.uploads.get().saturating_sub(u32::from(call.upload)));
        }
        if calls.is_empty() {
            self.idle_since.set(cx.io.now());
        }
        drop(calls);
        self.close_if_unused();
        if let Some(pool) = self.pool.upgrade() {
            pool.crowd.wake();
        }
    }

    /// The connection is of no use any more: every call ends, both tasks end.
    pub(super) fn lose(&self, reason: Reason) {
        if self.lost.replace(Some(reason)).is_some() {
            return;
        }
        self.socket.cancel();
        for call in self.calls.borrow().iter() {
            call.end(End::Lost(reason));
        }
        self.flush.raise();
        if let Some(pool) = self.pool.upgrade() {
            pool.forget_lost();
        }
    }

    /// Moves what the engine has queued to the front of a write.
    pub(super) fn take_queued(&self, out: &mut Gather) {
        let mut engine = self.engine.borrow_mut();
        let queued = engine.outgoing();
        out.push(queued);
        queued.clear();
    }

    /// So many bytes of an answer that is passed through have left.
    pub(super) fn release(&self, id: StreamId, len: u32) {
        let mut engine = self.engine.borrow_mut();
        engine.release(id, len);
        if !engine.outgoing().is_empty() {
            self.flush.raise();
        }
    }

    fn call(&self, id: StreamId) -> Option<Rc<Call>> {
        let calls = self.calls.borrow();
        let index = calls.binary_search_by_key(&id, |call| call.id).ok()?;
        calls.get(index).cloned()
    }

    /// Hands out what the bytes say.
    fn receive(
        &self,
        buffer: &mut Buffer,
        now: Instant,
        buffers: &BufferPool,
    ) -> Result<(), Reason> {
        loop {
            let received = self.engine.borrow_mut().receive(buffer.filled(), now);
            let Ok(received) = received else {
                return Err(Reason::UpstreamProtocol);
            };
            if let Some(event) = received.event {
                self.hand_out(event, buffer.filled(), buffers);
            }
            buffer.consume(received.consumed);
            if received.event.is_none() {
                return Ok(());
            }
        }
    }

    fn hand_out(&self, event: H2Event, bytes: &[u8], buffers: &BufferPool) {
        match event {
            H2Event::Headers { kind: HeadersKind::Informational, .. } => {}
            H2Event::Headers { id, end_stream, .. } => {
                if let Some(call) = self.call(id) {
                    call.head(self.engine.borrow().fields(), end_stream);
                }
            }
            H2Event::Data { id, start, len, end_stream } => {
                let data = bytes.get(start..start + to_usize(len)).unwrap_or_default();
                let call = self.call(id);
                if let Some(call) = &call
                    && let Some(raw) = call.raw.borrow_mut().as_mut()
                {
                    // Released when it has left for the client.
                    raw.data(data, end_stream, buffers);
                    return call.wake();
                }
                if let Some(call) = call {
                    call.data(data, end_stream);
                }
                self.engine.borrow_mut().release(id, len);
            }
            H2Event::Reset { id, code, .. } => {
                if let Some(call) = self.call(id) {
                    call.end(End::Reset(code));
                }
            }
            H2Event::Writable { id: Some(id) } => {
                if let Some(call) = self.call(id) {
                    call.wake();
                }
            }
            H2Event::Writable { id: None } | H2Event::SettingsApplied => self.wake_all(),
            H2Event::GoAway { .. } => self.goodbye(),
            _ => {}
        }
    }

    fn wake_all(&self) {
        for call in self.calls.borrow().iter() {
            call.wake();
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.crowd.wake();
        }
    }

    /// The endpoint takes no new streams. Those that it has not looked at are reset one by one.
    fn goodbye(&self) {
        self.retired.set(true);
        if let Some(pool) = self.pool.upgrade() {
            pool.crowd.wake();
        }
    }

    /// The next moment at which the connection has something to do without being told.
    fn deadline(&self, now: Instant) -> Result<Instant, Reason> {
        let tick = self.engine.borrow_mut().tick(now);
        if tick.dead {
            return Err(Reason::UpstreamTimedOut);
        }
        // A stream that is opened while we wait starts the keep-alive anew, so look now and then.
        let look = self.rule.keep_alive_interval.map_or(Instant::NEVER, |every| now + every / 3);
        let mut deadline = tick.deadline.unwrap_or(Instant::NEVER).min(look);
        // The last call may end without a word from the endpoint.
        let mut end = now + self.rule.idle;
        if self.calls.borrow().is_empty() {
            end = self.idle_since.get() + self.rule.idle;
            if end <= now || self.retired.get() {
                return Err(Reason::UpstreamClosed);
            }
        }
        deadline = deadline.min(end);
        Ok(deadline)
    }
}

async fn read_task<I: Io>(cx: Rc<Context<I>>, connection: Rc<GrpcConnection<I>>) {
    let mut now = cx.io.now();
    let reason = loop {
        match read_once(&cx, &connection, now).await {
            Ok(then) => now = then,
            Err(reason) => break reason,
        }
    };
    if reason == Reason::UpstreamProtocol {
        say_goodbye(&cx, &connection).await;
    }
    connection.lose(reason);
    cx.counters.count(Counter::UpstreamConnectionsClosed);
}

/// Waits for bytes from `now` on and hands them out; says when it did.
async fn read_once<I: Io>(
    cx: &Rc<Context<I>>,
    connection: &GrpcConnection<I>,
    now: Instant,
) -> Result<Instant, Reason> {
    let deadline = connection.deadline(now)?;
    if !connection.engine.borrow_mut().outgoing().is_empty() {
        connection.flush.raise();
    }
    match connection.socket.stirred(deadline).await {
        Ok(()) => {}
        Err(IoError::TimedOut) => return Ok(cx.io.now()),
        Err(_) => return Err(lost::<I>(&connection.socket)),
    }
    // Ready, so this does not wait; memory is taken only now.
    let now = cx.io.now();
    let read_deadline = now + connection.rule.keep_alive_timeout;
    let buffer = cx.buffers.small();
    let (result, mut buffer) = connection.socket.read_stirred(buffer, read_deadline).await;
    let Some(result) = result else { return Ok(now) };
    match result {
        Ok(0) => return Err(Reason::UpstreamClosed),
        Ok(len) => {
            connection.heard.set(now);
            cx.counters.add(Counter::UpstreamReceivedBytes, u64::try_from(len).unwrap_or(u64::MAX));
        }
        Err(IoError::TimedOut) => return Ok(cx.io.now()),
        Err(_) => return Err(lost::<I>(&connection.socket)),
    }
    connection.receive(&mut buffer, now, &cx.buffers)?;
    Ok(now)
}

/// Tells the endpoint what it did wrong, as far as it listens.
async fn say_goodbye<I: Io>(cx: &Rc<Context<I>>, connection: &GrpcConnection<I>) {
    let _turn = connection.turn.take().await;
    let mut out = Gather::new();
    connection.take_queued(&mut out);
    let deadline = cx.io.now() + std::time::Duration::from_secs(1);
    let _ = connection.socket.write(out, deadline).await;
}

/// How often a write gives way to others while they bring more.
const ROUNDS: u32 = 2;
/// So much is worth a write of its own.
const ENOUGH: usize = 16 * 1024;

/// Lets calls whose requests are here already queue what they have. Each write costs the kernel and
/// the endpoint more than the whole handling of a small call, and its acknowledgement as much.
async fn gather<I: Io>(cx: &Rc<Context<I>>, connection: &GrpcConnection<I>) {
    let mut len = 0;
    for _ in 0..ROUNDS {
        let queued = connection.engine.borrow_mut().outgoing().len();
        // A call that is alone waits for nobody.
        if queued == len || queued > ENOUGH || connection.calls.borrow().len() < 2 {
            return;
        }
        len = queued;
        cx.io.yield_now().await;
    }
}

/// Writes what is queued whenever nobody else does. What several calls queue at about the same time
/// leaves in one write.
async fn write_task<I: Io>(cx: Rc<Context<I>>, connection: Rc<GrpcConnection<I>>) {
    let mut out = Gather::new();
    while !connection.is_lost() {
        connection.flush.wait().await;
        gather(&cx, &connection).await;
        let turn = connection.turn.take().await;
        connection.take_queued(&mut out);
        if out.is_empty() {
            continue;
        }
        let deadline = cx.io.lately() + connection.rule.keep_alive_timeout;
        let len = out.len();
        let (result, back) = connection.socket.write(out, deadline).await;
        drop(turn);
        out = back;
        out.clear();
        match result {
            Ok(()) => {
                cx.counters.add(Counter::UpstreamSentBytes, u64::try_from(len).unwrap_or(u64::MAX));
            }
            Err(IoError::TimedOut) => connection.lose(Reason::UpstreamTimedOut),
            Err(_) => connection.lose(Reason::UpstreamReset),
        }
    }
}

/// What a reset by the endpoint says about the request: whether it was looked at at all.
pub(super) fn was_refused(code: ErrorCode) -> bool {
    code == ErrorCode::REFUSED_STREAM
}
