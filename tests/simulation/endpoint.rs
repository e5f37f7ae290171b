//! Endpoints: gRPC servers made of our own HTTP/2 engine in the other role, with good and bad manners.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::gufo::dialect::EndMarker;
use otus::io::buffer::{Buffer, BufferPool};
use otus::io::sim::{SimListener, SimSocket};
use otus::io::{Io, IoError, Listener, Socket};
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::{Event as H2Event, HeadersKind};
use otus::protocol::h2::frame::{ErrorCode, StreamId};
use otus::proxy::event::Event;

use crate::call::Call;
use crate::deed::Deed;
use crate::dice::{Dice, size};
use crate::relay::{PREFIX, Passed};
use crate::town::{Town, Weather, outgoing};

const HOUR: Duration = Duration::from_hours(1);

/// How an endpoint is set up.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub config: Config,
    /// Before each read.
    pub read_pause: Duration,
    /// Before an answer, at most.
    pub think_max: Duration,
    /// One call in so many meets a bad deed; 0: none.
    pub bad_one_in: u64,
    pub marker: EndMarker,
}

impl Manner {
    pub fn draw(dice: &mut Dice, weather: Weather, marker: EndMarker) -> Manner {
        let Weather { is_calm, is_honest } = weather;
        let window =
            |dice: &mut Dice| dice.pick(&[1, 100, 5000, 65_535, 65_535, 1 << 20, 16 << 20]);
        // Where time is measured, an upload must come to its end within it.
        let window_min = if is_honest {
            2000
        } else if is_calm {
            100
        } else {
            16 // With one byte at a time a run takes minutes, and meets nothing else.
        };
        let config = Config {
            initial_window: window(dice).max(window_min),
            connection_window: window(dice).max(65_535),
            frame_max: dice.pick(&[16_384, 65_536, 1 << 20]),
            header_table: dice.pick(&[0, 4096, 100]),
            streams_max: if is_honest { 100 } else { dice.pick(&[1, 3, 100]) },
            ..Config::server()
        };
        Manner {
            config,
            read_pause: dice.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(2)]),
            think_max: dice.millis(0, 300),
            bad_one_in: if is_honest { 0 } else { dice.pick(&[1, 2, 4, 8]) },
            marker,
        }
    }
}

/// One address with a service behind it.
pub struct Endpoint {
    pub town: Rc<Town>,
    pub manner: Manner,
    pub address: SocketAddr,
    pub dice: RefCell<Dice>,
    pool: BufferPool,
    listener: SimListener,
    peers: RefCell<Vec<Rc<Peer>>>,
}

impl Endpoint {
    pub fn start(town: &Rc<Town>, address: SocketAddr, manner: Manner, dice: Dice) -> Rc<Self> {
        let endpoint = Rc::new(Endpoint {
            town: Rc::clone(town),
            manner,
            address,
            dice: RefCell::new(dice),
            pool: BufferPool::default(),
            listener: town.sim.on_host(address.ip()).listen(address),
            peers: RefCell::default(),
        });
        town.sim.spawn(accept(Rc::clone(&endpoint)));
        endpoint
    }

    /// Calls that have neither ended nor been cancelled, on connections that are read.
    pub fn calls(&self) -> usize {
        let peers = self.peers.borrow();
        let read = peers.iter().filter(|peer| !peer.is_frozen.get() && !peer.is_dead.get());
        read.map(|peer| peer.calls.borrow().len() + peer.passed.borrow().len()).sum()
    }

    /// Ends everything.
    pub fn stop(&self) {
        self.listener.cancel();
        for peer in self.peers.borrow_mut().drain(..) {
            peer.close();
        }
    }
}

async fn accept(endpoint: Rc<Endpoint>) {
    let town = &endpoint.town;
    loop {
        match endpoint.listener.accept().await {
            Ok((socket, _)) => {
                let peer = Rc::new(Peer {
                    endpoint: Rc::clone(&endpoint),
                    socket,
                    engine: RefCell::new(Connection::new(
                        Role::Server,
                        endpoint.manner.config,
                        town.sim.now(),
                    )),
                    flush: Event::default(),
                    calls: RefCell::default(),
                    passed: RefCell::default(),
                    is_dead: Cell::new(false),
                    is_frozen: Cell::new(false),
                    leaves: Cell::new(false),
                });
                peer.flush.raise();
                endpoint.peers.borrow_mut().push(Rc::clone(&peer));
                town.sim.spawn(read(Rc::clone(&peer)));
                town.sim.spawn(write(peer));
            }
            Err(IoError::Exhausted) => town.sleep(Duration::from_millis(20)).await,
            Err(IoError::Cancelled) => return,
            Err(_) => {} // That connection was gone before it was taken.
        }
    }
}

/// A connection from the gateway.
pub struct Peer {
    pub endpoint: Rc<Endpoint>,
    socket: SimSocket,
    pub engine: RefCell<Connection>,
    /// The engine has something to write.
    pub flush: Event,
    calls: RefCell<BTreeMap<StreamId, Rc<Call>>>,
    /// Those that were passed through.
    passed: RefCell<BTreeMap<StreamId, Rc<Passed>>>,
    pub is_dead: Cell<bool>,
    is_frozen: Cell<bool>,
    /// It has said goodbye and goes when the calls have ended.
    leaves: Cell<bool>,
}

impl Peer {
    /// Ends at once; in good order, unless a reset was asked for.
    pub fn close(&self) {
        self.is_dead.set(true);
        self.socket.cancel();
        self.flush.raise();
        self.calls.borrow_mut().clear();
        self.passed.borrow_mut().clear();
    }

    pub fn reset(&self) {
        self.socket.reset_on_close();
        self.close();
    }

    /// Reads nothing more.
    pub fn freeze(&self) {
        self.is_frozen.set(true);
    }

    /// Takes no streams above the last one; those above `last` are not looked at any more.
    pub fn go_away(&self, last: StreamId) {
        self.engine.borrow_mut().go_away(ErrorCode::NO_ERROR, last);
        self.leaves.set(true);
        let mut calls = self.calls.borrow_mut();
        for call in calls.split_off(&StreamId(last.0 + 1)).into_values() {
            call.seen.is_refused.set(true);
            call.let_go(self);
        }
        drop(calls);
        let passed = self.passed.borrow_mut().split_off(&StreamId(last.0 + 1));
        for call in passed.into_values() {
            call.let_go(self);
        }
        self.leave_if_done();
    }

    /// Gives back what was held of the windows: that of the connection belongs to others, too.
    pub fn give_back(&self, id: StreamId, held: u32) {
        if !self.is_dead.get() {
            self.engine.borrow_mut().release(id, held);
            self.flush.raise();
        }
    }

    /// The call has ended, for one reason or another.
    pub fn forget(&self, call: &Call) {
        self.calls.borrow_mut().remove(&call.id);
        call.let_go(self);
        self.leave_if_done();
    }

    /// The same, of one that was passed through.
    pub fn forget_passed(&self, id: StreamId) {
        let call = self.passed.borrow_mut().remove(&id);
        if let Some(call) = call {
            call.let_go(self);
        }
        self.leave_if_done();
    }

    fn is_done(&self) -> bool {
        self.calls.borrow().is_empty() && self.passed.borrow().is_empty()
    }

    fn leave_if_done(&self) {
        if self.leaves.get() && self.is_done() {
            self.flush.raise();
        }
    }

    fn receive(self: &Rc<Self>, buffer: &mut Buffer) {
        let now = self.endpoint.town.sim.now();
        while !self.is_dead.get() {
            let received = self.engine.borrow_mut().receive(buffer.filled(), now);
            let received = match received {
                Ok(received) => received,
                Err(error) => panic!("the gateway broke HTTP/2: {error:?}"),
            };
            if let Some(event) = received.event {
                self.handle(event, buffer.filled());
            }
            buffer.consume(received.consumed);
            self.engine.borrow().check();
            if received.event.is_none() {
                return;
            }
        }
    }

    fn handle(self: &Rc<Self>, event: H2Event, bytes: &[u8]) {
        match event {
            H2Event::Headers { id, kind: HeadersKind::Head, end_stream } => {
                let is_passed = {
                    let engine = self.engine.borrow();
                    engine.fields().path().is_some_and(|path| path.starts_with(PREFIX.as_bytes()))
                };
                if is_passed {
                    let call = Passed::new(self, id);
                    self.passed.borrow_mut().insert(id, Rc::clone(&call));
                    return call.begin(self, end_stream);
                }
                assert!(!end_stream, "a call without a message");
                let call = Call::new(self, id);
                self.calls.borrow_mut().insert(id, Rc::clone(&call));
                call.begin(self);
            }
            H2Event::Data { id, start, len, end_stream } => {
                let call = self.calls.borrow().get(&id).cloned();
                let taken = &self.endpoint.town.taken;
                taken.set(taken.get() + u64::from(len));
                let passed = self.passed.borrow().get(&id).cloned();
                let data = &bytes[start..start + size(u64::from(len))];
                if let Some(call) = call {
                    call.data(self, data, end_stream);
                } else if let Some(call) = passed {
                    call.data(self, data, end_stream);
                } else {
                    self.engine.borrow_mut().release(id, len);
                }
            }
            H2Event::Reset { id, by_peer, code } => {
                assert!(by_peer, "the gateway broke HTTP/2 on a stream: {code:?}");
                let call = self.calls.borrow().get(&id).cloned();
                if let Some(call) = call {
                    self.forget(&call);
                }
                self.forget_passed(id);
            }
            H2Event::Headers { .. } | H2Event::HeadTooLarge { .. } => {
                panic!("no trailers: {event:?}")
            }
            _ => {}
        }
    }
}

async fn read(peer: Rc<Peer>) {
    let endpoint = Rc::clone(&peer.endpoint);
    let town = &endpoint.town;
    while !peer.is_dead.get() {
        match peer.socket.readable(town.sim.now() + HOUR).await {
            Ok(()) => {}
            Err(IoError::TimedOut) => continue,
            Err(_) => break,
        }
        if peer.is_frozen.get() {
            if peer.socket.is_peer_gone() {
                break;
            }
            town.sleep(Duration::from_millis(500)).await;
            continue;
        }
        if !endpoint.manner.read_pause.is_zero() {
            town.sleep(endpoint.manner.read_pause).await;
        }
        let (result, mut buffer) = peer.socket.read(endpoint.pool.small(), town.sim.now()).await;
        match result {
            Ok(len) if len > 0 => peer.receive(&mut buffer),
            Err(IoError::TimedOut) => {}
            _ => break,
        }
        peer.flush.raise();
    }
    peer.close();
    endpoint.peers.borrow_mut().retain(|other| !Rc::ptr_eq(other, &peer));
}

async fn write(peer: Rc<Peer>) {
    let town = &peer.endpoint.town;
    loop {
        peer.flush.wait().await;
        if peer.is_dead.get() {
            return;
        }
        let out = outgoing(&peer.engine);
        if !out.is_empty() {
            let (result, _) = peer.socket.write(out, town.sim.now() + HOUR).await;
            if result.is_err() {
                return peer.close();
            }
        }
        if peer.leaves.get() && peer.is_done() {
            return peer.close();
        }
    }
}

/// What an endpoint does to the next call.
pub fn next_deed(endpoint: &Endpoint) -> Deed {
    let mut dice = endpoint.dice.borrow_mut();
    let times = endpoint.manner.bad_one_in;
    if times == 0 || !dice.one_in(times) { Deed::Honest } else { Deed::draw(&mut dice) }
}
