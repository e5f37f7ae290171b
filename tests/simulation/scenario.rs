//! One world from a seed: what there is in it, and what happens to it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use otus::gufo::dialect::EndMarker;
use otus::io::sim::{Chance, FaultKind, Faults, World};
use otus::io::{Io, IoError, SocketOptions};
use otus::policy::limit::book::Book;
use otus::policy::limit::key::Secret;
use otus::shard::Grace;

use crate::client::{self, Style};
use crate::client2;
use crate::dice::Dice;
use crate::endpoint::{Endpoint, Manner};
use crate::gateway::Gateway;
use crate::ledger::{Kind, Ledger};
use crate::manner;
use crate::origin::Origin;
use crate::request::{self, Mix, Sizes};
use crate::response::PATIENCE;
use crate::rude;
use crate::rude2;
use crate::settings::{self, host_of};
use crate::town::{Town, Weather};
use crate::trouble::Trouble;
use crate::tunnel::{self, Tunnel};
use crate::web::{self, Doors};

/// The world advances in such steps; between two of them it is looked at.
const STEP: Duration = Duration::from_millis(250);
/// Turns of tasks in one world: more, and somebody goes in circles.
const STEPS_MAX: u64 = 100_000_000;
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
        run.invite(&world);
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
    origins: Vec<Rc<Origin>>,
    mix: Mix,
    speaks_h2: bool,
    /// What policies have counted.
    book: Book,
    trouble: Trouble,
    /// The gateway is told to stop while clients are busy.
    drains_early: bool,
}

impl Run {
    fn begin(world: &World, mut dice: Dice, weather: Weather) -> Run {
        let count = dice.count(1, 3);
        let addresses: Vec<SocketAddr> = (1..=3).map(|n| address(1, n, 7000)).collect();
        let marker = dice.pick(&[EndMarker::Meta, EndMarker::EmptyChunk, EndMarker::Both]);
        let origins: Vec<SocketAddr> = (4..=6).map(|n| address(1, n, 7000)).collect();
        let mut snapshot = settings::snapshot(&mut dice, weather, marker, &addresses[..count]);
        let count = dice.count(1, 3);
        let upstream = web::upstream(&mut dice, weather, &origins[..count]);
        snapshot.upstreams.push(upstream);
        for (number, address) in (1..).zip(addresses.iter().chain(&origins)) {
            world.handle().name(address.ip(), &format!("endpoint {number}"));
        }
        world.handle().name(address(0, 1, 0).ip(), "the gateway");
        let doors = Doors::draw(&mut dice);
        web::mark(&mut snapshot, doors, &mut dice);
        let shards = dice.count(1, 3);
        let book = Book::new(Secret::new([7; 16]), shards, None);
        let book = snapshot.count_with(&book);
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
            generation: Cell::new(1),
            doors,
            behind: Cell::new(0),
            asking: Cell::new((0, 0)),
            draining: Cell::new(false),
            was_drained_early: Cell::new(false),
            clients: Cell::new(0),
            taken: Cell::new(0),
            met: RefCell::default(),
        });
        let endpoints = addresses.iter().map(|address| {
            let manner = Manner::draw(&mut dice, weather, marker);
            Endpoint::start(&town, *address, manner, dice.fork())
        });
        let endpoints = endpoints.collect();
        let origins = origins.iter().map(|address| {
            let manner = manner::Manner::draw(&mut dice, weather);
            Origin::start(&town, *address, manner, dice.fork())
        });
        let origins = origins.collect();
        let mix = dice.pick(&[Mix::Gufo, Mix::Forwards, Mix::Forwards, Mix::Both]);
        let mut gateway = Gateway::start(&world.handle(), Arc::new(snapshot), &gates);
        let speaks_h2 = dice.one_in(2);
        for shard in &mut gateway.shards {
            shard.forwards = mix != Mix::Gufo;
            shard.streams = speaks_h2;
        }
        let drains_early = dice.one_in(4);
        let hosts = [address(1, 1, 0), address(2, 1, 0)].map(|address| address.ip());
        let trouble = Trouble::draw(&town, dice.fork(), hosts);
        Run { dice, town, gateway, endpoints, origins, mix, speaks_h2, book, trouble, drains_early }
    }

    /// Lets clients come, at moments of their own.
    fn invite(&mut self, world: &World) {
        // Where links may hold next to nothing, each byte can come alone and cost a hundred turns.
        let file_max = match world.faults().buffer_min {
            _ if self.town.weather.is_calm => 400_000,
            ..8 => 20_000,
            _ => 100_000,
        };
        let mix = self.mix;
        // A module's call is dearer than a request that is only forwarded.
        let most = if self.mix == Mix::Forwards { 9 } else { 6 };
        // Once in a while a crowd, of which each asks little.
        let is_crowd = self.dice.one_in(60);
        let clients = if is_crowd { self.dice.count(100, 200) } else { self.dice.count(2, 16) };
        let most = if is_crowd { 1 } else { most };
        let sizes = if is_crowd { (5000, 2000) } else { (file_max, file_max.min(50_000)) };
        let (file_max, bulk_max) = sizes;
        for client in 0..clients {
            let dice = &mut self.dice;
            let is_h2 = self.speaks_h2 && dice.one_in(2);
            let streams = is_h2 && dice.one_in(2);
            let sizes = Sizes { file_max, bulk_max, mix, doors: true, streams };
            let count = dice.count(1, most);
            let ends = dice.one_in(3);
            let wires = (0..count).map(|n| {
                let closes = ends && n + 1 == count;
                request::draw(dice, &self.town.ledger, format!("c{client}.{n}"), sizes, closes)
            });
            let wires: Vec<_> = wires.collect();
            let pause = if dice.one_in(3) { dice.millis(0, 10) } else { Duration::ZERO };
            let gap_max = self.town.idle_timeout / 3;
            let style = Style { pipelines: dice.one_in(3), pause, gap_max };
            if is_h2 {
                self.come(client, move |town, dice, host| {
                    client::run(town, dice, host, wires, style, client2::talk)
                });
                continue;
            }
            self.come(client, move |town, dice, host| {
                client::run(town, dice, host, wires, style, client::talk)
            });
        }
        let tunnels = if self.mix != Mix::Gufo && self.dice.one_in(3) { 4 } else { 0 };
        for client in 0..tunnels {
            let id = format!("t{client}");
            let kind = Kind::Tunnel(Tunnel::new(&id, self.dice.log(200_000)));
            let exchange = self.town.ledger.open(id, kind);
            self.come(500 + client, move |town, dice, host| {
                tunnel::run(town, dice, host, exchange)
            });
        }
        for client in 0..self.dice.count(0, 8) {
            let id = format!("r{client}");
            if self.speaks_h2 && self.dice.one_in(2) {
                self.come(600 + client, move |town, dice, host| async move {
                    rude2::run(town, dice, host, id).await;
                });
                continue;
            }
            self.come(600 + client, move |town, dice, host| rude::run(town, dice, host, id));
        }
    }

    fn come<F: Future<Output = ()> + 'static>(
        &mut self,
        client: usize,
        visit: impl FnOnce(Rc<Town>, Dice, IpAddr) -> F + 'static,
    ) {
        let town = Rc::clone(&self.town);
        town.clients.set(town.clients.get() + 1);
        let host = address(2, u16::try_from(client).unwrap(), 0).ip();
        let rude = client.checked_sub(600);
        let name = rude.map_or_else(|| format!("client c{client}"), |rude| format!("rude r{rude}"));
        town.sim.name(host, &name);
        let (delay, dice) = (self.dice.millis(0, 8000), self.dice.fork());
        self.town.sim.spawn(async move {
            town.sleep(delay).await;
            visit(town, dice, host).await;
        });
    }

    /// Until the last client has gone.
    fn live(&mut self, world: &mut World) {
        let start = world.now();
        while self.town.clients.get() > 0 {
            self.gateway.post();
            world.run_for(STEP);
            self.gateway.check();
            if !self.town.draining.get() && self.gateway.check_published() {
                self.town.generation.set(self.gateway.snapshot.generation);
            }
            assert!(world.steps() < STEPS_MAX, "tasks run in circles, slowly");
            let is_late = world.now() - start > CLIENTS_MAX;
            assert!(!is_late, "{} clients never ended", self.town.clients.get());
            if self.dice.one_in(60) && !self.town.draining.get() {
                self.reload();
            }
            if self.drains_early && self.dice.one_in(40) && !self.town.draining.get() {
                self.town.was_drained_early.set(true);
                self.begin_drain();
            }
            self.trouble.strike(world, &mut self.gateway);
            if self.town.draining.get() {
                self.gateway.is_drained();
                if self.town.weather.is_calm {
                    self.gateway.check_farewell();
                }
            }
        }
        self.trouble.end(world, &mut self.gateway);
    }

    fn reload(&mut self) {
        self.town.met("reloads");
        let mut snapshot = (*self.gateway.snapshot).clone();
        let dice = &mut self.dice;
        match dice.between(0, 4) {
            0 => snapshot.upstreams[0].transport.nodelay ^= true,
            1 => {
                let count = dice.count(1, self.endpoints.len());
                let from = self.endpoints.iter().take(count);
                snapshot.upstreams[0].endpoints =
                    from.map(|endpoint| host_of(endpoint.address)).collect();
            }
            2 => {
                let count = dice.count(1, self.origins.len());
                let from = self.origins.iter().take(count);
                snapshot.upstreams[1].endpoints =
                    from.map(|origin| host_of(origin.address)).collect();
            }
            3 => snapshot.upstreams[1].pool.connections_max = dice.pick(&[1, 2, 4]),
            _ => {
                let upload = dice.pick(&[100, 5000, 65_536]);
                snapshot.gufo.modules_mut().iter_mut().for_each(|module| {
                    module.upload.chunk_bytes = upload;
                });
            }
        }
        snapshot.generation += 1;
        web::mark(&mut snapshot, self.town.doors, &mut self.dice);
        self.book = snapshot.count_with(&self.book);
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
            self.gateway.post();
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
        self.origins.iter().for_each(|origin| origin.stop());
        world.run_for(Duration::from_mins(30));
        self.gateway.check_empty();
        self.gateway.check_home();
        self.gateway.check_over();
        self.town.ledger.check(&self.town);
        assert_eq!((world.tasks(), world.sockets()), (0, 0), "tasks and sockets are left");
        assert_eq!(world.pipes().out, 0, "pipes are out");
        let timeouts = self.gateway.snapshot.timeouts;
        let longest = self.gateway.longest("echo");
        let most = settings::call_max(&timeouts, self.town.call_timeout) + self.gateway.lost_time;
        assert!(longest <= most, "a call took {longest:?}");
    }

    fn report(self, world: &World) -> Report {
        let mut met = self.town.met.take();
        for (reason, times) in self.gateway.reasons() {
            *met.entry(reason).or_insert(0) += times;
        }
        let faults = world.faults_met().into_iter();
        met.extend(faults.map(|(kind, times)| (name_of(kind), times)));
        let pipes = world.pipes();
        met.extend([
            ("pipes that came home", pipes.home),
            ("pipes that were closed", pipes.closed),
        ]);
        Report { digest: world.digest(), met }
    }
}

/// An address of the gateway (0), the endpoints (1) or the clients (2).
fn address(net: u8, host: u16, port: u16) -> SocketAddr {
    let [high, low] = host.to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(10, net, high, low).into(), port)
}

/// What a kind of fault is called in a report.
pub fn name_of(kind: FaultKind) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let name = |kind| format!("fault: {kind:?}");
    let names = NAMES.get_or_init(|| FaultKind::ALL.into_iter().map(name).collect());
    &names[FaultKind::ALL.iter().position(|other| *other == kind).unwrap()]
}
