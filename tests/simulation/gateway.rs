//! The gateway under test: production shards on the simulated world, and what must hold of each.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use otus::base::bug;
use otus::base::limits;
use otus::base::time::Instant;
use otus::io::Io;
use otus::io::sim::{Sim, SimBell, World};
use otus::observe::access_log::{self, LogReceiver};
use otus::observe::counters::{Counter, CountersReader, Gauge, ShardCounters};
use otus::observe::latency::{Batch, Kind, Totals};
use otus::proxy::context::Context;
use otus::proxy::reason;
use otus::shard::mailbox::{Full, HealthChange, Letter, Postbox, mailbox};
use otus::shard::{self, Grace};
use otus::snapshot::Snapshot;
use otus::upstream::health::Health;

use crate::dice::{Dice, number};

/// After its deadline a drain has so long to cut off what is left (`shard::AFTERMATH`), and a little.
const DRAIN_SLACK: Duration = Duration::from_millis(1500);

/// So long after the beginning of a drain nobody who says nothing is waited for any more, not even
/// who stood in the queue of a listener.
const GOODBYE: Duration = Duration::from_secs(3);

/// Small buffers of an HTTP/2 connection, at most: 4 MiB.
const HELD: u64 = 256;

/// All shards.
pub struct Gateway {
    sim: Sim,
    pub shards: Vec<Shard>,
    pub snapshot: Arc<Snapshot>,
    drain_start: Option<Instant>,
    drain_deadline: Option<Instant>,
    /// So long a shard, or all of them, could do nothing.
    pub lost_time: Duration,
}

/// One shard.
pub struct Shard {
    pub cx: Rc<Context<Sim>>,
    counters: CountersReader,
    postbox: Postbox<SimBell>,
    /// Letters for which there was no room yet, in their order.
    unsent: RefCell<VecDeque<Letter>>,
    /// Letters that are to be answered.
    unanswered: RefCell<Vec<Receiver<()>>>,
    times: RefCell<Vec<Receiver<Instant>>>,
    /// It does not run until then.
    asleep: Cell<Option<Instant>>,
    /// How many connections were cut off; `None` while it runs.
    ended: Rc<Cell<Option<u32>>>,
    latencies: Receiver<Batch>,
    /// Requests are forwarded to HTTP endpoints.
    pub forwards: bool,
    /// Clients speak HTTP/2 as well.
    pub streams: bool,
    /// Read at each check, so that no record is dropped.
    log: LogReceiver,
}

impl Gateway {
    /// Starts a shard on each group of addresses.
    pub fn start(sim: &Sim, snapshot: Arc<Snapshot>, shards: &[Vec<SocketAddr>]) -> Gateway {
        let shards = shards.iter().zip(0..);
        let shards = shards.map(|(gates, place)| start(sim, &snapshot, gates, place)).collect();
        let sim = sim.clone();
        let (drain_start, drain_deadline) = (None, None);
        let lost_time = Duration::ZERO;
        Gateway { sim, shards, snapshot, drain_start, drain_deadline, lost_time }
    }

    /// Runs a new generation on all shards.
    pub fn publish(&mut self, snapshot: Snapshot) {
        assert_eq!(snapshot.generation, self.snapshot.generation + 1);
        self.snapshot = Arc::new(snapshot);
        for shard in &self.shards {
            let snapshot = Arc::clone(&self.snapshot);
            shard.ask(|done| Letter::Publish { snapshot, done });
        }
    }

    /// Posts what there was no room for.
    pub fn post(&self) {
        self.shards.iter().for_each(Shard::post);
    }

    /// Whether all shards run what has been published; those that could must.
    pub fn check_published(&self) -> bool {
        let is_there = |shard: &Shard| {
            if shard.asleep.get().is_some() || !shard.unsent.borrow().is_empty() {
                return false;
            }
            for answer in shard.unanswered.borrow_mut().drain(..) {
                assert_eq!(answer.try_recv(), Ok(()), "a letter was not read");
            }
            for answer in shard.times.borrow_mut().drain(..) {
                assert!(answer.try_recv().is_ok(), "nobody said what time it is");
            }
            let generation = shard.counters.gauge(Gauge::Generation);
            assert_eq!(generation, self.snapshot.generation);
            true
        };
        self.shards.iter().filter(|shard| is_there(shard)).count() == self.shards.len()
    }

    /// Fills the mailboxes with letters of all kinds; of health those that change something only if
    /// that may be.
    pub fn fill(&self, dice: &mut Dice, is_quiet: bool) {
        for shard in self.shards.iter().filter(|shard| shard.ended.get().is_none()) {
            shard.post();
            let mut posted = 0;
            while shard.unsent.borrow().is_empty() && posted <= limits::LETTERS_MAX {
                let letter = match dice.between(1, 5) {
                    1 => Letter::Keys { news: Vec::new() },
                    2 => Letter::Modules { news: Vec::new() },
                    3 => Letter::Called { number: dice.between(0, 9) },
                    4 => {
                        let (done, answer) = bounded(1);
                        shard.times.borrow_mut().push(answer);
                        Letter::Clock { done }
                    }
                    _ => Letter::Health { changes: vec![self.change(dice, is_quiet)] },
                };
                shard.send(letter);
                posted += 1;
            }
            assert!(!shard.unsent.borrow().is_empty(), "{posted} letters in a mailbox");
        }
    }

    fn change(&self, dice: &mut Dice, is_quiet: bool) -> HealthChange {
        let upstream = &self.snapshot.upstreams[dice.count(0, 1)];
        let place = dice.count(0, upstream.endpoints.len() - 1);
        let is_well = is_quiet || !dice.one_in(4);
        let health = if is_well { Health::Up } else { Health::Down };
        let address = upstream.endpoints[place].address;
        HealthChange { upstream: upstream.name.clone(), address, health }
    }

    /// A shard is not scheduled for so long.
    pub fn suspend(&mut self, world: &mut World, shard: usize, time: Duration) {
        let Shard { asleep, cx, .. } = &self.shards[shard];
        asleep.set(Some(world.now() + time));
        world.suspend(u32::from(cx.shard) + 1);
        self.excuse(time);
    }

    /// It is again.
    pub fn resume(&self, world: &mut World, shard: usize) {
        let Shard { asleep, cx, .. } = &self.shards[shard];
        asleep.set(None);
        world.resume(u32::from(cx.shard) + 1);
    }

    /// So long nothing could be done.
    pub fn excuse(&mut self, time: Duration) {
        self.lost_time += time;
        self.drain_deadline = self.drain_deadline.map(|deadline| deadline + time);
    }

    /// Tells all shards to stop.
    pub fn drain(&mut self, grace: Grace) {
        let most = grace.exchanges.max(grace.uploads);
        let now = self.sim.now();
        let asleep = self.shards.iter().filter_map(|shard| shard.asleep.get());
        let begins = asleep.max().map_or(now, |until| until.max(now));
        self.drain_start = Some(begins);
        self.drain_deadline = Some(begins + most + DRAIN_SLACK);
        for shard in &self.shards {
            shard.send(Letter::Drain { grace });
        }
    }

    /// Whether all shards have ended; they do so by their deadline.
    pub fn is_drained(&self) -> bool {
        let drained = self.shards.iter().all(|shard| shard.ended.get().is_some());
        let is_late = self.drain_deadline.is_some_and(|deadline| self.sim.now() > deadline);
        assert!(drained || !is_late, "a drain outlasted its deadline");
        drained
    }

    /// A drain has ended the waits for requests that nobody may send any more.
    pub fn check_farewell(&self) {
        let Some(start) = self.drain_start else { return };
        if self.sim.now() > start + GOODBYE {
            let parked: usize = self.shards.iter().map(|shard| shard.cx.parked.len()).sum();
            assert_eq!(parked, 0, "idle connections outlast the beginning of a drain");
        }
    }

    /// Whether no client is left.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.cx.gate.inside() == 0)
    }

    /// Connections that a drain cut off.
    pub fn cut_off(&self) -> u32 {
        self.shards.iter().filter_map(|shard| shard.ended.get()).sum()
    }

    /// What must hold at any time.
    pub fn check(&self) {
        for shard in &self.shards {
            shard.check(self.snapshot.limits.connections);
        }
        assert_eq!(bug::met(), 0, "bugs were met");
    }

    /// What must hold when all clients are gone and nothing happens any more.
    pub fn check_empty(&self) {
        self.check();
        for shard in &self.shards {
            shard.check_balance();
        }
    }

    /// What must hold when the connections to endpoints are closed as well.
    pub fn check_home(&self) {
        for Shard { cx, counters, .. } in &self.shards {
            assert_eq!(cx.buffers.out(), 0, "buffers are out");
            let opened = counters.get(Counter::UpstreamConnectionsOpened);
            let closed = counters.get(Counter::UpstreamConnectionsClosed);
            assert_eq!(opened, closed, "connections to endpoints: opened and closed");
        }
    }

    /// No task is left.
    pub fn check_over(&self) {
        for Shard { cx, .. } in &self.shards {
            assert_eq!((cx.gate.inside(), cx.upkeep.inside()), (0, 0), "tasks are left");
        }
    }

    /// The longest that any request to a module took, in the gateway's own words.
    pub fn longest(&self, module: &str) -> Duration {
        let mut totals = Totals::new();
        let mut labels = otus::proxy::tables::Labels::default();
        labels.learn(&self.snapshot);
        let label = labels.routes.label(module);
        for shard in &self.shards {
            let batches = shard.latencies.try_iter();
            batches.for_each(|batch| totals.add(&batch));
            totals.add(&shard.cx.latency.borrow_mut().take());
        }
        let of_module = totals.of(Kind::Request).filter(|(key, _)| key.label == label);
        of_module.map(|(_, total)| total.quantile(1.0)).max().unwrap_or_default()
    }

    /// How often each reason was given.
    pub fn reasons(&self) -> Vec<(&'static str, u64)> {
        let times = |place| self.shards.iter().map(|shard| shard.counters.reason(place)).sum();
        reason::ALL.iter().enumerate().map(|(at, reason)| (reason.row().code, times(at))).collect()
    }
}

fn start(sim: &Sim, snapshot: &Arc<Snapshot>, gates: &[SocketAddr], number: u16) -> Shard {
    let counters = ShardCounters::new();
    let reader = counters.reader();
    let (log, records) = access_log::ring();
    let listeners = gates.iter().map(|gate| sim.listen(*gate)).collect();
    let (bell, ear) = sim.bell().expect("a bell");
    let (postbox, letters) = mailbox(bell);
    let home = sim.on_host(gates[0].ip()).in_crew(u32::from(number) + 1);
    let cx = Context::new(home.clone(), number, Arc::clone(snapshot), counters, log);
    let ended = Rc::new(Cell::new(None));
    let (shard, result) = (Rc::clone(&cx), Rc::clone(&ended));
    home.spawn(async move {
        let cut_off = shard::run(shard, listeners, letters, ear).await;
        result.set(Some(cut_off));
    });
    let (done, latencies) = bounded(1);
    assert!(postbox.post(Letter::Latency { done }).is_ok());
    Shard {
        cx,
        counters: reader,
        postbox,
        unsent: RefCell::default(),
        unanswered: RefCell::default(),
        times: RefCell::default(),
        asleep: Cell::new(None),
        ended,
        latencies,
        forwards: false,
        streams: false,
        log: records,
    }
}

impl Shard {
    /// Sends a letter, as soon as there is room and behind those that wait.
    fn send(&self, letter: Letter) {
        self.unsent.borrow_mut().push_back(letter);
        self.post();
    }

    fn ask(&self, letter: impl FnOnce(Sender<()>) -> Letter) {
        let (done, answer) = bounded(1);
        self.unanswered.borrow_mut().push(answer);
        self.send(letter(done));
    }

    fn post(&self) {
        let mut unsent = self.unsent.borrow_mut();
        while let Some(letter) = unsent.pop_front() {
            if let Err(Full(letter)) = self.postbox.post(letter) {
                return unsent.push_front(letter);
            }
        }
    }

    fn check(&self, connections_max: u32) {
        let Shard { cx, counters, .. } = self;
        while self.log.take().is_some() {}
        let get = |counter| counters.get(counter);
        assert_eq!(get(Counter::Panics) + cx.gate.panics() + cx.upkeep.panics(), 0, "panics");
        let inside = u64::from(cx.gate.inside());
        assert!(cx.gate.inside() <= connections_max, "{inside} connections");
        // A request that is forwarded owns one for each direction.
        let each = if self.forwards { 2 } else { 1 };
        let (lent, budget) =
            (counters.gauge(Gauge::WindowsLent), cx.tables().snapshot.server.http2);
        let budget = budget.window_budget;
        assert!(lent <= budget, "{lent} bytes of windows are lent of {budget}");
        let open = get(Counter::RequestsStarted) - get(Counter::RequestsEnded);
        // A connection of HTTP/2 holds what came and was not taken: its window, four times over.
        // Exchanges of streams that were reset end soon: with them there are twice as many.
        let (each, most) = if self.streams { (each + HELD, 2 * 100) } else { (each, 1) };
        let bound = each * inside + 2 * open + u64::from(cx.upkeep.inside());
        let out = number(cx.buffers.out());
        assert!(out <= bound, "{out} buffers are out for {bound} tasks");
        assert!(open <= most * inside, "{open} requests on {inside} connections");
    }

    fn check_balance(&self) {
        let pairs = [
            (Counter::ConnectionsAccepted, Counter::ConnectionsClosed),
            (Counter::RequestsStarted, Counter::RequestsEnded),
            (Counter::UploadsStarted, Counter::UploadsEnded),
            (Counter::UpstreamStreamsOpened, Counter::UpstreamStreamsClosed),
        ];
        for (begun, ended) in pairs {
            let (begins, ends) = (self.counters.get(begun), self.counters.get(ended));
            assert_eq!(begins, ends, "{begun:?} and {ended:?}");
        }
        assert_eq!(self.cx.gate.inside(), 0, "connections are left");
        assert_eq!(self.counters.get(Counter::LogDropped), 0);
    }
}
