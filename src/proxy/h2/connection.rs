//! What the tasks of one client's connection share: the engine, the streams, whose turn it is to
//! write.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::{Io, Socket};
use crate::protocol::h1::request::HeadLimits;
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::engine::Connection as Engine;
use crate::protocol::h2::connection::event::{ConnectionError, Event as H2Event, HeadersKind};
use crate::protocol::h2::frame::{ErrorCode, StreamId, to_usize};
use crate::protocol::h2::request;
use crate::proxy::connection::reason_of;
use crate::proxy::context::{Context, HeadText, SocketOf};
use crate::proxy::event::Event;
use crate::proxy::reason::Reason;
use crate::proxy::turn::Turn;
use crate::snapshot::server::Serves;

use super::inbox::{Arrival, leader};
use super::stream::{Shared, Stream};
use super::windows::{MEASURE, Windows};

/// The PING whose echo says that the client knows of the drain.
const DRAIN: [u8; 8] = *b"otus\0dr\0";
/// A client that echoes nothing is waited for so long.
const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// Memory for frames that is kept by a connection that is quiet.
const QUEUE_KEPT: usize = 4 * 1024;

/// A client's connection.
pub struct Connection<I: Io> {
    pub(super) cx: Rc<Context<I>>,
    pub(super) socket: SocketOf<I>,
    pub(super) peer: SocketAddr,
    /// Whom its listener is for.
    pub(super) serves: Serves,
    pub(super) engine: RefCell<Engine>,
    pub(super) turn: Turn,
    /// Raised when the engine has queued something to write.
    pub(super) flush: Event,
    /// Raised when the task that reads has something else to see to.
    pub(super) look: Event,
    /// Streams whose exchanges run, in the order of their numbers.
    streams: RefCell<Vec<Rc<Shared>>>,
    /// Nothing more is said or heard.
    over: Cell<bool>,
    farewell: Cell<Farewell>,
    /// When the last stream ended.
    idle_since: Cell<Instant>,
    /// Since when the client owes the rest of a head or another small frame.
    amid: Cell<Option<(u64, Instant)>>,
    /// Streams that are sending.
    pub(super) senders: Cell<u32>,
    /// The stream that has sent last.
    pub(super) served: Cell<u32>,
    /// Answers that read into large buffers.
    pub(super) wide: Cell<u32>,
    /// How far the client's windows reach.
    pub(super) windows: Windows,
    streams_max: u32,
}

/// How far the goodbye of a drain has come (RFC 9113 §6.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Farewell {
    Unsaid,
    /// The client was told that no more streams are wanted, then.
    Announced(Instant),
    /// It has been told which one was the last.
    Said,
}

/// A stream whose exchange has not begun.
pub(super) struct Fresh<I: Io> {
    pub(super) stream: Stream<I>,
    pub(super) head: Box<HeadText>,
    /// Its head is refused.
    pub(super) refused: Option<Reason>,
}

impl<I: Io> Connection<I> {
    pub(super) fn new(
        cx: &Rc<Context<I>>,
        socket: &SocketOf<I>,
        peer: SocketAddr,
        serves: Serves,
    ) -> Rc<Self> {
        let now = cx.io.now();
        let tables = cx.tables();
        let (heads, http2) = (&tables.snapshot.limits, &tables.snapshot.server.http2);
        let list = u32::try_from(heads.head_bytes + 32 * heads.head_fields).unwrap_or(u32::MAX);
        let config = Config {
            streams_max: http2.streams,
            initial_window: http2.stream_window,
            connection_window: http2.connection_window,
            header_list_max: list,
            connect_protocol: serves == Serves::Http,
            keep_alive: (serves == Serves::Reverse).then_some(limits::REVERSE_PINGS),
            keep_alive_max: limits::REVERSE_PINGS.0,
            ..Config::server()
        };
        Rc::new(Connection {
            cx: Rc::clone(cx),
            socket: socket.clone(),
            peer,
            serves,
            engine: RefCell::new(Engine::new(Role::Server, config, now)),
            turn: Turn::default(),
            flush: Event::default(),
            look: Event::default(),
            streams: RefCell::new(Vec::new()),
            over: Cell::new(false),
            farewell: Cell::new(Farewell::Unsaid),
            idle_since: Cell::new(now),
            amid: Cell::new(Some((0, now))),
            senders: Cell::new(0),
            served: Cell::new(0),
            wide: Cell::new(0),
            windows: Windows::new(http2),
            streams_max: http2.streams,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Ends everything that goes on; the socket may still be written to.
    pub(super) fn end(&self) {
        self.over.set(true);
        for stream in self.streams.borrow().iter() {
            stream.wake();
        }
        self.flush.raise();
        self.look.raise();
    }

    /// The same, and whoever waits for the socket waits no longer.
    pub(super) fn lose(&self) {
        self.end();
        self.socket.cancel();
    }

    /// How many streams have an exchange, the client's resets notwithstanding.
    pub(super) fn live(&self) -> usize {
        self.streams.borrow().len()
    }

    /// Whether so many exchanges go on that no more are begun: those of streams that were reset
    /// end soon, and what they cost is bounded.
    pub(super) fn is_crowded(&self) -> bool {
        self.live() >= 2 * to_usize(self.streams_max)
    }

    /// Whether a body is under way, so that much may come at once.
    pub(super) fn expects_data(&self) -> bool {
        self.streams.borrow().iter().any(|stream| !stream.inbox.borrow().ended)
    }

    /// Moves what the engine has queued to the front of a write.
    pub(super) fn take_queued(&self, out: &mut Gather) {
        let mut engine = self.engine.borrow_mut();
        let queued = engine.outgoing();
        out.push(queued);
        queued.clear();
        queued.shrink_to(QUEUE_KEPT);
    }

    pub(super) fn queued(&self) -> usize {
        self.engine.borrow_mut().outgoing().len()
    }

    /// Tells the client that the shard takes no new requests for much longer.
    pub(in crate::proxy) fn begin_drain(&self) {
        if self.farewell.get() != Farewell::Unsaid {
            return;
        }
        self.farewell.set(Farewell::Announced(self.cx.io.now()));
        let mut engine = self.engine.borrow_mut();
        engine.go_away(ErrorCode::NO_ERROR, StreamId::MAX);
        engine.ping(DRAIN);
        drop(engine);
        self.flush.raise();
        self.look.raise();
    }

    /// Tells the client which stream is the last. Those that it opened meanwhile are served.
    pub(super) fn say_goodbye(&self, code: ErrorCode) {
        self.farewell.set(Farewell::Said);
        let mut engine = self.engine.borrow_mut();
        let last = StreamId(engine.last_peer_stream());
        engine.go_away(code, last);
        drop(engine);
        self.flush.raise();
    }

    /// The next moment at which the connection has something to do without being told; none if it
    /// has come to its end: nothing is left to do, or the client has said nothing for too long.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let timeouts = self.cx.tables().snapshot.timeouts;
        let tick = self.engine.borrow_mut().tick(now);
        if tick.dead {
            return None;
        }
        let mut deadline = tick.deadline.unwrap_or(Instant::NEVER);
        match self.farewell.get() {
            Farewell::Announced(at) if now >= at + DRAIN_WAIT => {
                self.say_goodbye(ErrorCode::NO_ERROR);
            }
            Farewell::Announced(at) => deadline = deadline.min(at + DRAIN_WAIT),
            Farewell::Unsaid | Farewell::Said => {}
        }
        let is_quiet = self.live() == 0;
        if self.farewell.get() == Farewell::Said && is_quiet {
            return None;
        }
        if let Some((_, since)) = self.amid.get() {
            deadline = deadline.min(since + timeouts.head);
            if now >= since + timeouts.head {
                return None;
            }
        }
        // While there are streams, whether the last one has ended is looked at now and then.
        let since = if is_quiet { self.idle_since.get() } else { now };
        if now >= since + timeouts.idle {
            return None;
        }
        Some(deadline.min(since + timeouts.idle))
    }

    fn stream(&self, id: StreamId) -> Option<Rc<Shared>> {
        let streams = self.streams.borrow();
        let index = streams.binary_search_by_key(&id, |stream| stream.id).ok()?;
        streams.get(index).cloned()
    }

    /// The exchange of a stream is over.
    pub(super) fn forget(&self, id: StreamId) {
        let crowded = self.is_crowded();
        let mut streams = self.streams.borrow_mut();
        if let Ok(index) = streams.binary_search_by_key(&id, |stream| stream.id) {
            streams.remove(index);
        }
        if streams.is_empty() {
            self.idle_since.set(self.cx.io.lately());
        }
        drop(streams);
        self.narrow();
        // It waits for the last one only where it could not go on without.
        if crowded || (self.live() == 0 && (self.over.get() || self.cx.is_draining())) {
            self.look.raise();
        }
    }

    /// Wakes all that wait for room, those first that have not had it for the longest time.
    fn wake_all(&self) {
        let streams = self.streams.borrow();
        let next = streams.partition_point(|stream| stream.id.0 <= self.served.get());
        let (before, behind) = streams.split_at_checked(next).unwrap_or((&[], &streams));
        for stream in behind.iter().chain(before) {
            stream.wake();
        }
    }

    /// Hands out what the bytes say, and gives the streams that they open.
    pub(super) fn receive(
        self: &Rc<Self>,
        mut buffer: Buffer,
        now: Instant,
        fresh: &mut Vec<Fresh<I>>,
    ) -> Result<(), ConnectionError> {
        let mut arrivals = Vec::new();
        let held = self.engine.borrow().unreleased();
        loop {
            let received = self.engine.borrow_mut().receive(buffer.filled(), now)?;
            match received.event {
                Some(H2Event::Pong { payload: MEASURE }) => self.windows.answered(now),
                Some(event) => self.take(event, buffer.position(), &mut arrivals, fresh),
                None => {}
            }
            buffer.consume(received.consumed);
            if received.event.is_none() {
                break;
            }
        }
        let amid = self.engine.borrow().amid().map(|what| match self.amid.get() {
            Some((before, since)) if before == what => (what, since),
            _ => (what, now),
        });
        self.amid.set(amid);
        if !arrivals.is_empty() {
            let len: usize = arrivals.iter().map(|arrival| arrival.range.len()).sum();
            self.measure(len, held, now);
            self.distribute(buffer, &arrivals);
        }
        Ok(())
    }

    fn take(
        self: &Rc<Self>,
        event: H2Event,
        position: usize,
        arrivals: &mut Vec<Arrival>,
        fresh: &mut Vec<Fresh<I>>,
    ) {
        match event {
            H2Event::Headers { id, end_stream, kind: HeadersKind::Head } => {
                fresh.push(self.open(id, end_stream));
            }
            H2Event::HeadTooLarge { id } => {
                let head = self.cx.take_head();
                let refused = Some(Reason::HeadTooLarge);
                fresh.push(Fresh { stream: self.begin(id, true), head, refused });
            }
            H2Event::Headers { id, .. } => {
                if let Some(stream) = self.stream(id) {
                    request::trailers(
                        self.engine.borrow().fields(),
                        &mut stream.inbox.borrow_mut().trailers,
                    );
                }
                arrivals.push(Arrival { id: id.0, range: 0..0, end: true });
            }
            H2Event::Data { id, start, len, end_stream } => {
                let start = position + start;
                let range = start..start + to_usize(len);
                arrivals.push(Arrival { id: id.0, range, end: end_stream });
            }
            H2Event::Reset { id, .. } => {
                if let Some(stream) = self.stream(id) {
                    stream.reset();
                }
            }
            H2Event::Writable { id: Some(id) } => {
                if let Some(stream) = self.stream(id) {
                    stream.wake();
                }
            }
            H2Event::Writable { id: None } | H2Event::SettingsApplied => self.wake_all(),
            H2Event::Pong { payload: DRAIN } => self.say_goodbye(ErrorCode::NO_ERROR),
            H2Event::Pong { .. } | H2Event::GoAway { .. } | H2Event::SettingsAcknowledged => {}
        }
    }

    /// A stream begins with a head.
    fn open(self: &Rc<Self>, id: StreamId, end_stream: bool) -> Fresh<I> {
        let tables = self.cx.tables();
        let limits = &tables.snapshot.limits;
        let limits = HeadLimits {
            bytes: limits.head_bytes,
            target: limits.target_bytes,
            fields: limits.head_fields,
        };
        let mut head = self.cx.take_head();
        let HeadText { head: made, text } = &mut *head;
        let engine = self.engine.borrow();
        let read = request::request(engine.fields(), end_stream, limits, made, text);
        drop(engine);
        if made.is_extended_connect() {
            let mut key = [0; 16];
            self.cx.io.secret(&mut key);
            request::add_key(made, text, &key);
        }
        let refused = read.err().map(reason_of);
        if refused.is_some() {
            head.head.clear();
            head.text.clear();
        }
        Fresh { stream: self.begin(id, end_stream), head, refused }
    }

    fn begin(self: &Rc<Self>, id: StreamId, ended: bool) -> Stream<I> {
        let shared = Rc::new(Shared::new(id, ended));
        self.streams.borrow_mut().push(Rc::clone(&shared));
        Stream::new(Rc::clone(self), shared)
    }

    /// Gives DATA to its streams. Who has most of the buffer is given the buffer itself.
    fn distribute(&self, buffer: Buffer, arrivals: &[Arrival]) {
        let leader = leader(arrivals, buffer.size())
            .and_then(|(id, most)| Some((self.stream(StreamId(id))?, most)))
            .filter(|(stream, most)| stream.inbox.borrow().takes_whole(*most, buffer.size()))
            .map(|(stream, _)| stream);
        let mut ranges = VecDeque::new();
        let mut last: Option<Rc<Shared>> = None;
        for arrival in arrivals {
            let id = StreamId(arrival.id);
            if last.as_ref().is_none_or(|stream| stream.id != id) {
                last = self.stream(id);
            }
            let len = u32::try_from(arrival.range.len()).unwrap_or(u32::MAX);
            let taken = last.as_ref().filter(|stream| !stream.inbox.borrow().closed);
            let Some(stream) = taken else {
                self.engine.borrow_mut().release(id, len);
                continue;
            };
            let mut inbox = stream.inbox.borrow_mut();
            inbox.unreleased += len;
            inbox.ended |= arrival.end;
            if leader.as_ref().is_none_or(|leader| leader.id != id) {
                inbox.copy(buffer.range(arrival.range.clone()), &self.cx.buffers);
            } else if !arrival.range.is_empty() {
                ranges.push_back(arrival.range.clone());
            }
            drop(inbox);
            stream.wake();
        }
        if let Some(stream) = leader.filter(|_| !ranges.is_empty()) {
            stream.inbox.borrow_mut().give(buffer, ranges);
        }
        if self.queued() > 0 {
            self.flush.raise();
        }
    }
}
