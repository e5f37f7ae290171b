//! What every exchange of a shard can reach: its world, its tables, its state.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam::channel::Sender;

use crate::base::prng::Prng;
use crate::base::spares::Spares;
use crate::io::buffer::BufferPool;
use crate::io::gather::Gather;
use crate::io::{Io, IoError};
use crate::message::head::{RequestHead, ResponseHead};
use crate::observe::access_log::LogSender;
use crate::observe::counters::{Counter, ShardCounters};
use crate::observe::labels::Label;
use crate::observe::latency::ShardLatency;
use crate::observe::span::Tell;
use crate::protocol::h1::encode::http_date;
use crate::snapshot::Snapshot;
use crate::tls::stream::Stream;

use super::embedded::{CallAsk, Calls};
use super::event::Event;
use super::exchange::Scratch;
use super::exit::Exit;
use super::gate::Gate;
use super::h2::connection::Connection;
use super::h2::windows::Allowance;
use super::parked::Parked;
use super::policy::Admissions;
use super::policy::keys::KeyAsk;
use super::policy::queue::Turns;
use super::reason::Reason;
use super::registry::Seekers;
use super::secure::Slots;
use super::tables::{Labels, Tables};

/// Of each part of an exchange so many are kept for reuse by one shard ...
const KEPT: usize = 64;
/// ... and up to so many while they are needed.
const KEPT_MAX: usize = 1024;
/// An answer whose list of parts has grown longer is not kept.
const RANGES_KEPT: usize = 16;
/// A write that has grown larger is not kept.
const GATHER_BYTES_KEPT: usize = 16 * 1024;

/// One shard, as its tasks see it.
pub struct Context<I: Io> {
    /// The world.
    pub io: I,
    /// The number of the shard, from 0.
    pub shard: u16,
    /// Buffers.
    pub buffers: BufferPool,
    /// Clients' connections.
    pub gate: Gate,
    /// As many of them have a descriptor, and another for an endpoint.
    pub room: Cell<u32>,
    /// Tasks that serve the shard itself.
    pub upkeep: Gate,
    /// What is counted.
    pub counters: ShardCounters,
    /// How long things took.
    pub latency: RefCell<ShardLatency>,
    /// Connections that wait for their next request.
    pub parked: Parked<SocketOf<I>>,
    /// Connections that wait for their next request with the state of an exchange at hand.
    pub warm: Cell<u32>,
    /// Handshakes under way.
    pub handshakes: Slots,
    /// Connections with an exchange in flight that is no upload.
    pub exchanges: Parked<SocketOf<I>>,
    /// Connections that speak HTTP/2.
    pub(super) fronts: Parked<Rc<Connection<I>>>,
    /// The streams of those.
    pub(super) streams: Gate,
    /// Calls that wait for the state of a service to change.
    pub(super) watches: Parked<Rc<Event>>,
    /// What clients of HTTP/2 may have under way beyond their first windows.
    pub(super) allowance: Allowance,
    /// Where keys of tokens are asked for; empty where there is no control.
    pub key_asks: OnceCell<Sender<KeyAsk>>,
    /// Requests for modules that are not known yet.
    pub seekers: Seekers,
    /// Where the end of the gateway is asked for; empty where there is no control.
    pub exits: OnceCell<Sender<Exit>>,
    /// Where the transport of the program is asked for calls; empty: it has none.
    pub call_asks: OnceCell<Sender<CallAsk>>,
    /// Those that wait for an answer.
    pub calls: Calls,
    /// Who is told of exchanges beside the log; empty: nobody.
    pub tell: OnceCell<Tell>,
    /// Exchanges that wait for their turn.
    pub(super) turns: Turns<I::Bell>,
    /// Connections with an upload in flight.
    pub uploads: Parked<SocketOf<I>>,
    /// What policies add to exchanges.
    pub(super) admissions: Admissions,
    tables: RefCell<Rc<Tables<I>>>,
    labels: RefCell<Labels>,
    log: LogSender,
    prng: RefCell<Prng>,
    draining: Cell<bool>,
    panics: Cell<u64>,
    heads: RefCell<Spares<Box<HeadText>>>,
    scratches: RefCell<Spares<Box<Scratch>>>,
    answers: RefCell<Spares<Box<AnswerText>>>,
    gathers: RefCell<Spares<Gather>>,
    date: Cell<(u64, [u8; 29])>,
}

/// A request head with the text that it points into.
#[derive(Debug, Default)]
pub struct HeadText {
    /// What was read.
    pub head: RequestHead,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// A response head with the text that it points into.
#[derive(Debug, Default)]
pub(super) struct AnswerText {
    pub(super) head: ResponseHead,
    pub(super) text: Vec<u8>,
    /// Parts of a body; the memory of a list that is empty between uses.
    pub(super) ranges: Vec<Range<usize>>,
}

impl<I: Io> Context<I> {
    /// A shard that runs `snapshot`.
    pub fn new(
        io: I,
        shard: u16,
        snapshot: Arc<Snapshot>,
        counters: ShardCounters,
        log: LogSender,
    ) -> Rc<Self> {
        let mut seed = [0; 8];
        io.secret(&mut seed);
        let mut labels = Labels::default();
        let buffers = BufferPool::new(snapshot.limits.read_buffer_bytes);
        let mut prng = Prng::new(u64::from_le_bytes(seed));
        let tables = Rc::new(Tables::new(snapshot, None, &mut labels, &mut prng));
        let context = Context {
            io,
            shard,
            buffers,
            gate: Gate::default(),
            room: Cell::new(u32::MAX),
            upkeep: Gate::default(),
            counters,
            latency: RefCell::new(ShardLatency::new()),
            parked: Parked::default(),
            warm: Cell::new(0),
            handshakes: Slots::default(),
            exchanges: Parked::default(),
            uploads: Parked::default(),
            fronts: Parked::default(),
            streams: Gate::default(),
            watches: Parked::default(),
            allowance: Allowance::default(),
            key_asks: OnceCell::new(),
            seekers: Seekers::default(),
            exits: OnceCell::new(),
            tell: OnceCell::new(),
            call_asks: OnceCell::new(),
            calls: Calls::default(),
            turns: Turns::default(),
            panics: Cell::new(0),
            admissions: Admissions::default(),
            tables: RefCell::new(tables),
            labels: RefCell::new(labels),
            log,
            prng: RefCell::new(prng),
            draining: Cell::new(false),
            heads: RefCell::new(Spares::new(KEPT, KEPT_MAX)),
            scratches: RefCell::new(Spares::new(KEPT, KEPT_MAX)),
            answers: RefCell::new(Spares::new(KEPT, KEPT_MAX)),
            gathers: RefCell::new(Spares::new(KEPT, KEPT_MAX)),
            date: Cell::new((0, [b' '; 29])),
        };
        context.publish_gauges();
        Rc::new(context)
    }

    /// The generation that an exchange pins at its start.
    pub fn tables(&self) -> Rc<Tables<I>> {
        Rc::clone(&self.tables.borrow())
    }

    /// Runs a new generation from the next exchange on; those under way keep theirs.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let old = self.tables();
        let (labels, prng) = (&mut self.labels.borrow_mut(), &mut self.prng.borrow_mut());
        let tables = Tables::new(snapshot, Some(&old), labels, prng);
        *self.tables.borrow_mut() = Rc::new(tables);
        self.publish_gauges();
        self.tell_watches();
        self.seekers.published();
    }

    /// What can be served may have changed.
    pub fn tell_watches(&self) {
        for watch in self.watches.all() {
            watch.raise();
        }
    }

    fn publish_gauges(&self) {
        use crate::observe::counters::Gauge;
        self.counters.set(Gauge::Generation, self.tables.borrow().snapshot.generation);
    }

    /// The name of a route, for the log.
    pub fn route_name(&self, label: Label) -> String {
        self.labels.borrow().routes.name(label).to_owned()
    }

    /// From now on every answer closes its connection, and idle connections are closed at once.
    pub fn drain(&self) {
        self.draining.set(true);
        self.parked.cancel_all();
        self.tell_watches();
        for connection in self.fronts.all() {
            connection.begin_drain();
        }
        for upstream in &self.tables().upstreams {
            for pool in &upstream.http_pools {
                pool.close_idle();
            }
        }
    }

    /// Whether the shard takes no new requests.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Draws from the shard's generator.
    pub fn with_prng<T>(&self, draw: impl FnOnce(&mut Prng) -> T) -> T {
        draw(&mut self.prng.borrow_mut())
    }

    /// Where finished exchanges are told about.
    pub fn log(&self) -> &LogSender {
        &self.log
    }

    /// An empty head.
    pub fn take_head(&self) -> Box<HeadText> {
        self.heads.borrow_mut().take().unwrap_or_default()
    }

    /// Gives a head back.
    pub fn put_head(&self, mut head: Box<HeadText>) {
        head.head.clear();
        head.text.clear();
        self.heads.borrow_mut().put(head);
    }

    /// An empty response head.
    #[expect(clippy::unnecessary_box_returns, reason = "it moves in and out of exchanges")]
    pub(super) fn take_answer(&self) -> Box<AnswerText> {
        self.answers.borrow_mut().take().unwrap_or_default()
    }

    /// Gives one back.
    pub(super) fn put_answer(&self, mut answer: Box<AnswerText>) {
        if answer.ranges.capacity() <= RANGES_KEPT {
            answer.ranges.clear();
            answer.head.clear();
            answer.text.clear();
            self.answers.borrow_mut().put(answer);
        }
    }

    /// An empty write.
    pub(super) fn take_gather(&self) -> Gather {
        self.gathers.borrow_mut().take().unwrap_or_default()
    }

    /// Gives one back; what it holds is forgotten.
    pub(super) fn put_gather(&self, mut gather: Gather) {
        drop(gather.take_payload());
        gather.clear();
        if gather.memory() <= GATHER_BYTES_KEPT {
            self.gathers.borrow_mut().put(gather);
        }
    }

    /// Counts what was written to a client, and says what it means if it was not.
    pub(super) fn written(&self, result: Result<(), IoError>, len: usize) -> Result<(), Reason> {
        match result {
            Ok(()) => {
                let len = u64::try_from(len).unwrap_or(u64::MAX);
                self.counters.add(Counter::DownstreamSentBytes, len);
                Ok(())
            }
            Err(IoError::TimedOut) => {
                self.counters.count(Counter::DownstreamTimeouts);
                Err(Reason::ClientStalled)
            }
            Err(_) => Err(Reason::ClientLeft),
        }
    }

    /// Counts a connection to an endpoint that could not be made, and says what it means.
    pub(super) fn connect_failed(&self, error: IoError) -> Reason {
        self.counters.count(Counter::UpstreamConnectFailures);
        match error {
            IoError::TimedOut => Reason::ConnectTimedOut,
            IoError::Refused => Reason::ConnectRefused,
            IoError::Exhausted => Reason::OutOfSockets,
            _ => Reason::ConnectFailed,
        }
    }

    /// Memory to find a route and to make a call with.
    pub(super) fn take_scratch(&self) -> Box<Scratch> {
        self.scratches.borrow_mut().take().unwrap_or_default()
    }

    /// Gives it back.
    pub(super) fn put_scratch(&self, scratch: Box<Scratch>) {
        self.scratches.borrow_mut().put(scratch);
    }

    /// The text of a `Date` field; written anew once a second.
    pub fn date(&self) -> [u8; 29] {
        let now = self.io.unix_now();
        let (second, text) = self.date.get();
        if second == now.seconds() {
            return text;
        }
        let text = http_date(now);
        self.date.set((now.seconds(), text));
        text
    }

    /// Carries the panics of tasks over into the counters.
    pub fn count_panics(&self) {
        let now = self.gate.panics() + self.streams.panics() + self.upkeep.panics();
        self.counters.add(Counter::Panics, now - self.panics.replace(now));
    }
}

/// A connection of the world that the context lives in, with TLS or without.
pub type SocketOf<I> = Stream<<I as Io>::Socket>;
