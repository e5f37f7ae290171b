//! One world from a seed: what there is in it, and what happens to it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use otus::gufo::dialect::EndMarker;
use otus::io::sim::{Chance, Faults, World};
use otus::io::{Io, IoError, SocketOptions};
use otus::shard::Grace;
use otus::snapshot::Snapshot;
use otus::snapshot::gufo::{Module, Rate, UploadRoute};
use otus::snapshot::timeouts::Timeouts;
use otus::snapshot::upstream::{Endpoint as Address, Pool, Upstream, UpstreamId};

use crate::client::{self, Style};
use crate::dice::Dice;
use crate::endpoint::{Endpoint, Manner};
use crate::gateway::Gateway;
use crate::ledger::Ledger;
use crate::request::{self, Sizes};
use crate::response::PATIENCE;
use crate::rude;
use crate::town::{Town, Weather};

/// The world advances in such steps; between two of them it is looked at.
const STEP: Duration = Duration::from_millis(250);
/// All clients have ended by then.
const CLIENTS_MAX: Duration = Duration::from_hours(2);

/// What a run has met, for the sum over all seeds.
pub struct Report {
    pub digest: u64,
    pub met: BTreeMap<&'static str, u64>,
}

/// Runs a seed. Panics if something does not hold that must.
pub fn run(seed: u64) -> Report {
    let mut dice = Dice::new(seed);
    let weather = match dice.between(0, 7) {
        0 | 1 => Weather { is_calm: true, is_honest: true },
        2..=4 => Weather { is_calm: true, is_honest: false },
        _ => Weather { is_calm: false, is_honest: dice.one_in(3) },
    };
    let mut world = World::new(seed);
    if !weather.is_calm {
        world.set_faults(Faults::draw(dice.fork().prng()));
    } else if dice.one_in(3) {
        // Nobody notices: what finds no pipe is copied.
        world.set_faults(Faults { pipe_refused: Chance::one_in(2), ..Faults::none() });
    }
    let mut run = Run::begin(&world, dice, weather);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        run.invite();
        run.live(&mut world);
        run.drain(&mut world);
        run.close(&mut world);
    }));
    match lived {
        Ok(()) => run.report(&world),
        Err(panic) => {
            // The world prints the end of its trace; who wants more asks for it.
            if let Some(lines) = std::env::var("TRACE").ok().and_then(|text| text.parse().ok()) {
                eprintln!("{}{weather:?}", world.trace(lines));
            }
            // Nobody may panic a second time, and tasks of the world still hold what is in `run`.
            std::mem::forget(run);
            let _world = world;
            resume_unwind(panic)
        }
    }
}

struct Run {
    dice: Dice,
    town: Rc<Town>,
    gateway: Gateway,
    endpoints: Vec<Rc<Endpoint>>,
    /// The gateway is told to stop while clients are busy.
    drains_early: bool,
}

impl Run {
    fn begin(world: &World, mut dice: Dice, weather: Weather) -> Run {
        let count = dice.count(1, 3);
        let addresses: Vec<SocketAddr> = (1..=3).map(|n| address(1, n, 7000)).collect();
        let marker = dice.pick(&[EndMarker::Meta, EndMarker::EmptyChunk, EndMarker::Both]);
        let snapshot = snapshot(&mut dice, weather, marker, &addresses[..count]);
        let shards = dice.count(1, 3);
        let is_shared = dice.one_in(2);
        let gates = |shard: u8| {
            let own = address(0, 1, 8000 + u16::from(if is_shared { 0 } else { shard }));
            if shard == 0 { vec![own, address(0, 1, 8100)] } else { vec![own] }
        };
        let gates: Vec<Vec<SocketAddr>> = (0..u8::try_from(shards).unwrap()).map(gates).collect();
        let town = Rc::new(Town {
            sim: world.handle(),
            weather,
            ledger: Ledger::default(),
            gates: gates.concat(),
            call_timeout: snapshot.gufo.module(b"echo").unwrap().timeout,
            stream_timeout: snapshot.gufo.module(b"store").unwrap().stream_timeout,
            idle_timeout: snapshot.timeouts.idle,
            draining: Cell::new(false),
            clients: Cell::new(0),
            taken: Cell::new(0),
            met: RefCell::default(),
        });
        let endpoints = addresses.iter().map(|address| {
            let manner = Manner::draw(&mut dice, weather, marker);
            Endpoint::start(&town, *address, manner, dice.fork())
        });
        let endpoints = endpoints.collect();
        let gateway = Gateway::start(&world.handle(), Arc::new(snapshot), &gates);
        let drains_early = dice.one_in(4);
        Run { dice, town, gateway, endpoints, drains_early }
    }

    /// Lets clients come, at moments of their own.
    fn invite(&mut self) {
        let file_max = if self.town.weather.is_calm { 400_000 } else { 100_000 };
        let sizes = Sizes { file_max, bulk_max: 50_000 };
        for client in 0..self.dice.count(2, 16) {
            let dice = &mut self.dice;
            let count = dice.count(1, 6);
            let ends = dice.one_in(3);
            let wires = (0..count).map(|n| {
                let closes = ends && n + 1 == count;
                request::draw(dice, &self.town.ledger, format!("c{client}.{n}"), sizes, closes)
            });
            let wires: Vec<_> = wires.collect();
            let pause = if dice.one_in(3) { dice.millis(0, 10) } else { Duration::ZERO };
            let gap_max = self.town.idle_timeout / 3;
            let style = Style { pipelines: dice.one_in(3), pause, gap_max };
            self.come(client, move |town, dice, host| client::run(town, dice, host, wires, style));
        }
        for client in 0..self.dice.count(0, 8) {
            let id = format!("r{client}");
            self.come(100 + client, move |town, dice, host| rude::run(town, dice, host, id));
        }
    }

    fn come<F: Future<Output = ()> + 'static>(
        &mut self,
        client: usize,
        visit: impl FnOnce(Rc<Town>, Dice, IpAddr) -> F + 'static,
    ) {
        let town = Rc::clone(&self.town);
        town.clients.set(town.clients.get() + 1);
        let host = address(2, u8::try_from(client).unwrap(), 0).ip();
        let (delay, dice) = (self.dice.millis(0, 8000), self.dice.fork());
        self.town.sim.spawn(async move {
            town.sleep(delay).await;
            visit(town, dice, host).await;
        });
    }

    /// Until the last client has gone.
    fn live(&mut self, world: &mut World) {
        let start = world.now();
        let mut lost: Option<IpAddr> = None;
        while self.town.clients.get() > 0 {
            world.run_for(STEP);
            self.gateway.check();
            if !self.town.draining.get() {
                self.gateway.check_published();
            }
            let is_late = world.now() - start > CLIENTS_MAX;
            assert!(!is_late, "{} clients never ended", self.town.clients.get());
            if self.dice.one_in(60) && !self.town.draining.get() {
                self.reload();
            }
            if self.drains_early && self.dice.one_in(40) && !self.town.draining.get() {
                self.begin_drain();
            }
            if let Some(host) = lost.filter(|_| self.dice.one_in(20)) {
                world.find_host(host);
                lost = None;
            } else if !self.town.weather.is_calm && lost.is_none() && self.dice.one_in(100) {
                let host = self.dice.pick(&[address(1, 1, 0), address(2, 1, 0)]).ip();
                world.lose_host(host);
                lost = Some(host);
            }
            if self.town.draining.get() {
                self.gateway.is_drained();
            }
        }
        if let Some(host) = lost {
            world.find_host(host);
        }
    }

    fn reload(&mut self) {
        self.town.met("reloads");
        let mut snapshot = (*self.gateway.snapshot).clone();
        let dice = &mut self.dice;
        match dice.between(0, 2) {
            0 => snapshot.upstreams[0].transport.nodelay ^= true,
            1 => {
                let count = dice.count(1, self.endpoints.len());
                let from = self.endpoints.iter().take(count);
                snapshot.upstreams[0].endpoints =
                    from.map(|endpoint| host_of(endpoint.address)).collect();
            }
            _ => {
                let upload = dice.pick(&[100, 5000, 65_536]);
                snapshot.gufo.modules_mut().iter_mut().for_each(|module| {
                    module.upload.chunk_bytes = upload;
                });
            }
        }
        self.gateway.publish(snapshot);
    }

    fn begin_drain(&mut self) {
        self.town.met("drains");
        self.town.draining.set(true);
        let (exchanges, uploads) = (self.dice.millis(0, 8000), self.dice.millis(0, 20_000));
        self.gateway.drain(Grace { exchanges, uploads });
        let (town, gate) = (Rc::clone(&self.town), self.dice.pick(&self.town.gates));
        self.town.sim.spawn(async move {
            town.sleep(Duration::from_secs(1)).await;
            let deadline = town.sim.now() + Duration::from_secs(5);
            let late = town.sim.connect(gate, SocketOptions::default(), deadline).await;
            let is_refused = late.is_err_and(|error| error == IoError::Refused);
            assert!(is_refused || !town.weather.is_calm, "who comes late waits in vain");
        });
    }

    /// Stops the gateway, if it has not been told to before.
    fn drain(&mut self, world: &mut World) {
        if !self.town.draining.get() {
            if self.dice.one_in(2) {
                self.check_forgotten(world);
                // Idle connections end by themselves, on both sides.
                world.run_for(Duration::from_mins(20));
                self.gateway.check_empty();
                if self.town.weather.is_calm {
                    self.gateway.check_home();
                }
            }
            self.begin_drain();
        }
        while !self.gateway.is_drained() {
            world.run_for(STEP);
            self.gateway.check();
        }
        let in_peace = self.town.weather.is_calm && !self.drains_early;
        assert!(!in_peace || self.gateway.cut_off() == 0, "a drain cut off what was not there");
    }

    /// Without exchanges there are no calls: endpoints know that nobody waits for them. A client
    /// that has sent all of an upload, and its end behind that, may be gone for all we can see: it
    /// goes on for as long as its service takes something.
    fn check_forgotten(&self, world: &mut World) {
        let (mut start, mut taken) = (world.now(), self.town.taken.get());
        while !self.gateway.is_empty() {
            world.run_for(STEP);
            if self.town.taken.get() != taken {
                (start, taken) = (world.now(), self.town.taken.get());
            }
            assert!(world.now() - start < PATIENCE, "connections outlive their clients");
        }
        world.run_for(Duration::from_secs(1));
        if self.town.weather.is_calm {
            let calls: usize = self.endpoints.iter().map(|endpoint| endpoint.calls()).sum();
            assert_eq!(calls, 0, "calls outlive their exchanges");
        }
    }

    /// Nothing is left when all have gone.
    fn close(&mut self, world: &mut World) {
        self.endpoints.iter().for_each(|endpoint| endpoint.stop());
        world.run_for(Duration::from_mins(30));
        self.gateway.check_empty();
        self.gateway.check_home();
        self.gateway.check_over();
        self.town.ledger.check();
        assert_eq!((world.tasks(), world.sockets()), (0, 0), "tasks and sockets are left");
        assert_eq!(world.pipes().out, 0, "pipes are out");
        let timeouts = self.gateway.snapshot.timeouts;
        let longest = self.gateway.longest("echo");
        assert!(longest <= call_max(&timeouts, self.town.call_timeout), "a call took {longest:?}");
    }

    fn report(self, world: &World) -> Report {
        let mut met = self.town.met.take();
        for (reason, times) in self.gateway.reasons() {
            *met.entry(reason).or_insert(0) += times;
        }
        let faults = world.faults_met().into_iter();
        met.extend(faults.map(|(kind, times)| (fault_name(kind), times)));
        let pipes = world.pipes();
        met.extend([
            ("pipes that came home", pipes.home),
            ("pipes that were closed", pipes.closed),
        ]);
        Report { digest: world.digest(), met }
    }
}

/// The longest that a unary call may take from its first byte, whatever its client does: its head,
/// its body at the slowest pace allowed, the call, and the answer.
fn call_max(timeouts: &Timeouts, call: Duration) -> Duration {
    let windows = 130; // 90,000 bytes at 1 KiB for each window, and some.
    let body = timeouts.body_rate_window * windows + timeouts.body_idle;
    timeouts.head + body + call + 2 * timeouts.write + Duration::from_secs(10)
}

/// An address of the gateway (0), the endpoints (1) or the clients (2).
fn address(net: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, net, 0, host).into(), port)
}

fn host_of(address: SocketAddr) -> Address {
    Address::new(address.ip().to_string(), address)
}

fn snapshot(
    dice: &mut Dice,
    weather: Weather,
    marker: EndMarker,
    addresses: &[SocketAddr],
) -> Snapshot {
    let mut snapshot = Snapshot::minimal();
    snapshot.timeouts = Timeouts {
        head: dice.millis(2000, 5000),
        idle: dice.millis(3000, 60_000),
        body_idle: dice.millis(3000, 10_000),
        write: dice.millis(3000, 10_000),
        body_rate_bytes: 1024,
        body_rate_window: dice.millis(2000, 8000),
        linger: dice.millis(500, 2000),
    };
    snapshot.limits.read_buffer_bytes = 16_384 << dice.between(0, 4);
    if !weather.is_calm && dice.one_in(4) {
        snapshot.limits.connections = dice.pick(&[1, 3, 10]);
    }
    snapshot.gufo.legacy_status = dice.one_in(2);
    let mut upstream = Upstream::grpc("all", addresses[0]);
    upstream.endpoints = addresses.iter().copied().map(host_of).collect();
    upstream.connect_timeout = dice.millis(1000, 5000);
    upstream.pool = Pool {
        connections_max: dice.pick(&[1, 2, 4]),
        streams_per_connection_max: if weather.is_quiet() { 100 } else { dice.pick(&[1, 5, 100]) },
        keep_alive_interval: dice.one_in(2).then(|| dice.millis(1000, 30_000)),
        keep_alive_timeout: dice.millis(2000, 10_000),
        idle: dice.millis(1000, 60_000),
    };
    upstream.retry.attempts_max = dice.pick(&[1, 2, 4]);
    snapshot.upstreams.push(upstream);
    for name in ["echo", "store"] {
        let mut module = Module::new(name, UpstreamId::at(0));
        module.timeout = dice.millis(2000, 5000);
        module.stream_timeout = dice.millis(4000, 30_000);
        module.upload.end_marker = marker;
        module.upload.chunk_bytes = dice.pick(&[64, 1000, 4096, 65_536, 65_536]);
        module.upload.min_rate =
            dice.one_in(3).then(|| Rate { bytes: 100, window: Duration::from_secs(3) });
        snapshot.gufo.insert(module);
    }
    snapshot.gufo.upload_routes.push(UploadRoute {
        id: "drop".to_owned(),
        path: "/drop".to_owned(),
        module: "store".to_owned(),
        param: "drop".to_owned(),
    });
    snapshot
}

fn fault_name(kind: otus::io::sim::FaultKind) -> &'static str {
    format!("fault: {kind:?}").leak()
}
