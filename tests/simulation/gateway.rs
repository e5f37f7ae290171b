//! The gateway under test: production shards on the simulated world, and what must hold of each.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use otus::base::bug;
use otus::base::time::Instant;
use otus::io::Io;
use otus::io::sim::{Sim, SimBell};
use otus::observe::access_log::{self, LogReceiver};
use otus::observe::counters::{Counter, CountersReader, Gauge, ShardCounters};
use otus::observe::latency::{Batch, Kind, Totals};
use otus::proxy::context::Context;
use otus::proxy::reason;
use otus::shard::mailbox::{Letter, Postbox, mailbox};
use otus::shard::{self, Grace};
use otus::snapshot::Snapshot;

use crate::dice::number;

/// After its deadline a drain has so long to cut off what is left (`shard::AFTERMATH`), and a little.
const DRAIN_SLACK: Duration = Duration::from_millis(1500);

/// All shards.
pub struct Gateway {
    sim: Sim,
    pub shards: Vec<Shard>,
    pub snapshot: Arc<Snapshot>,
    published: Vec<Receiver<()>>,
    drain_deadline: Option<Instant>,
}

/// One shard.
pub struct Shard {
    pub cx: Rc<Context<Sim>>,
    counters: CountersReader,
    postbox: Postbox<SimBell>,
    /// How many connections were cut off; `None` while it runs.
    ended: Rc<Cell<Option<u32>>>,
    latencies: Receiver<Batch>,
    /// Keeps the ring of log records.
    _log: LogReceiver,
}

impl Gateway {
    /// Starts a shard on each group of addresses.
    pub fn start(sim: &Sim, snapshot: Arc<Snapshot>, shards: &[Vec<SocketAddr>]) -> Gateway {
        let shards = shards.iter().zip(0..);
        let shards = shards.map(|(gates, place)| start(sim, &snapshot, gates, place)).collect();
        let sim = sim.clone();
        Gateway { sim, shards, snapshot, published: Vec::new(), drain_deadline: None }
    }

    /// Runs a new generation on all shards.
    pub fn publish(&mut self, mut snapshot: Snapshot) {
        snapshot.generation = self.snapshot.generation + 1;
        self.snapshot = Arc::new(snapshot);
        for shard in &self.shards {
            let (done, published) = bounded(1);
            let snapshot = Arc::clone(&self.snapshot);
            assert!(shard.postbox.post(Letter::Publish { snapshot, done }).is_ok());
            self.published.push(published);
        }
    }

    /// What has been published runs now.
    pub fn check_published(&mut self) {
        for published in self.published.drain(..) {
            assert_eq!(published.try_recv(), Ok(()), "a generation was not taken");
        }
        for shard in &self.shards {
            let generation = shard.counters.gauge(Gauge::Generation);
            assert_eq!(generation, self.snapshot.generation);
        }
    }

    /// Tells all shards to stop.
    pub fn drain(&mut self, grace: Grace) {
        let most = grace.exchanges.max(grace.uploads);
        self.drain_deadline = Some(self.sim.now() + most + DRAIN_SLACK);
        for shard in &self.shards {
            assert!(shard.postbox.post(Letter::Drain { grace }).is_ok());
        }
    }

    /// Whether all shards have ended; they do so by their deadline.
    pub fn is_drained(&self) -> bool {
        let drained = self.shards.iter().all(|shard| shard.ended.get().is_some());
        let is_late = self.drain_deadline.is_some_and(|deadline| self.sim.now() > deadline);
        assert!(drained || !is_late, "a drain outlasted its deadline");
        drained
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
    let home = sim.on_host(gates[0].ip());
    let cx = Context::new(home, number, Arc::clone(snapshot), counters, log);
    let ended = Rc::new(Cell::new(None));
    let (shard, result) = (Rc::clone(&cx), Rc::clone(&ended));
    sim.spawn(async move {
        let cut_off = shard::run(shard, listeners, letters, ear).await;
        result.set(Some(cut_off));
    });
    let (done, latencies) = bounded(1);
    assert!(postbox.post(Letter::Latency { done }).is_ok());
    Shard { cx, counters: reader, postbox, ended, latencies, _log: records }
}

impl Shard {
    fn check(&self, connections_max: u32) {
        let Shard { cx, counters, .. } = self;
        let get = |counter| counters.get(counter);
        assert_eq!(get(Counter::Panics) + cx.gate.panics() + cx.upkeep.panics(), 0, "panics");
        let inside = u64::from(cx.gate.inside());
        assert!(cx.gate.inside() <= connections_max, "{inside} connections");
        let bound = inside + u64::from(cx.upkeep.inside());
        let out = number(cx.buffers.out());
        assert!(out <= bound, "{out} buffers are out for {bound} tasks");
        let open = get(Counter::RequestsStarted) - get(Counter::RequestsEnded);
        assert!(open <= inside, "{open} requests on {inside} connections");
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
