//! The one other thread: configuration in, snapshots out, and the life of the process.
//!
//! [`start`] opens the listeners, starts the shards and waits for what the operator asks: SIGHUP
//! reads the configuration again, SIGTERM finishes and stops. Nothing here is on the request path.

pub mod admin;
mod certificates;
mod clock;
pub mod cores;
mod crew;
mod dns;
pub mod driver;
mod embedded;
mod files;
mod fleet;
mod health;
mod jwks;
mod letters;
pub mod listening;
mod pages;
mod rate_store;
mod registry;
mod state;
mod telemetry;
mod unary;
mod web;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, select, unbounded};

use crate::base::limits::DNS_START_WAIT;
pub use crate::io::signals::Signal;
use crate::io::signals::Signals;
use crate::observe::notice::{Notice, Notices, Severity};
use crate::policy::limit::book::Book;
use crate::policy::limit::key::Secret;
use crate::proxy::exit::Exit;
use crate::shard::Grace;
use crate::snapshot::Snapshot;
use crate::snapshot::diff::restart_keys;
use crate::snapshot::server::{Listener, Serves};
use crate::snapshot::upstream::Upstream;

use certificates::{Found, Watch};
use clock::Clock;
use dns::Resolver;
use files::Readers;
use fleet::Fleet;
use health::Checker;
use jwks::Keeper;
use rate_store::Courier;
use registry::{Registrar, Registry};
pub use state::State;
use telemetry::Telemetry;

/// Makes snapshots: the configuration as it is now, under the generation number that is given.
pub type Load = Box<dyn FnMut(u64) -> Result<Snapshot, String> + Send>;

/// What control is asked to do.
enum Ask {
    Reload {
        /// Told the generation that runs then, or why the one before stays.
        done: Option<Sender<Result<u64, String>>>,
    },
    /// Names of endpoints have other addresses.
    Renew,
    Stop,
    /// As [`Ask::Stop`]; but a second one changes nothing.
    Drain,
}

/// Between two collections of latencies when nobody reads the metrics.
const COLLECT_INTERVAL: Duration = Duration::from_mins(1);
/// How long a module that was found waits for the addresses of its name.
const RENEW_WAIT: Duration = Duration::from_millis(500);
/// Between two looks at the files of certificates.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Exit code when a drain had to cut connections off.
const CUT_OFF: u8 = 3;
/// How long the log may take to be written at the end.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A gateway that serves.
pub struct Gateway {
    resolver: Resolver,
    fleet: Fleet,
    checker: Checker,
    keeper: Keeper,
    registry: Registry,
    registrar: Registrar,
    readers: Readers,
    state: Arc<State>,
    load: Load,
    asks: Receiver<Ask>,
    asker: Sender<Ask>,
    /// Clients that ask for the end; both ends, so that it never seems to be given up.
    exits: (Sender<Exit>, Receiver<Exit>),
    notices: Notices,
    certificates: Watch,
    /// What is counted, and the counts.
    book: Book,
    telemetry: Telemetry,
    _courier: Option<Courier>,
    clock: Clock,
}

/// Blocks the signals that control waits for, in this thread and all that it starts: call it first
/// of all.
pub fn block_signals() -> Signals {
    Signals::block()
}

/// Keeps the memory of this process as small as what it holds: call it before there is much of it.
pub fn prepare_memory() {
    crate::io::signals::refuse_huge_pages();
}

/// Starts a gateway: all or nothing. The error is for the operator.
pub fn start(mut load: Load) -> Result<Gateway, String> {
    let descriptors = crate::io::signals::raise_open_files();
    crate::io::signals::ignore_full_files();
    let mut snapshot = load(1)?;
    snapshot.gufo.trust.begin(state::unix_now());
    let notices = Notices::new();
    let (asker, asks) = unbounded();
    let renew = asker.clone();
    let changed = move || drop(renew.send(Ask::Renew));
    let resolver = Resolver::start(fleet::prng(), notices.clone(), changed.clone())
        .map_err(|error| format!("no thread for names: {error}"))?;
    let registry = Registry::new(&snapshot, fleet::prng(), &notices);
    registry.fill(&mut snapshot);
    resolver.follow(&mut snapshot, DNS_START_WAIT);
    let readers = Readers::of(&mut snapshot)?;
    let shards = cores::choose(&snapshot.server.workers)?.len();
    let courier = snapshot.rate_store.clone().map(|spec| Courier::start(spec, notices.clone()));
    let courier = courier.transpose().map_err(|error| format!("no thread for rates: {error}"))?;
    let outbox = courier.as_ref().map(Courier::outbox);
    let book = Book::new(Secret::new(fleet::secret()?), shards, outbox);
    let book = snapshot.count_with(&book);
    let snapshot = Arc::new(snapshot);
    let driver = driver::choose(snapshot.server.io, shards, &notices)?;
    let (key_asks, wanted) = jwks::asks();
    let (module_asks, sought) = registry::asks();
    let exits = bounded(1);
    let asks_of_shards = (&key_asks, &module_asks, &exits.0);
    let (telemetry, tells) = Telemetry::start(&snapshot.observe, shards, &notices)
        .map_err(|error| format!("no thread for telemetry: {error}"))?;
    let hardware = (driver, descriptors);
    let fleet = Fleet::start(&snapshot, hardware, notices.clone(), asks_of_shards, tells)?;
    let state = State::new(&snapshot, driver, &fleet, notices.clone(), registry.clone());
    fleet.log_stats().into_iter().for_each(|stats| state.set_log(stats));
    state.set_exports(telemetry.stats());
    let checker = fleet
        .check_health(&snapshot, notices.clone(), state.board())
        .map_err(|error| format!("no thread for health checks: {error}"))?;
    let keeper = fleet
        .keep_keys(&snapshot, notices.clone(), wanted, state.keys())
        .map_err(|error| format!("no thread for keys: {error}"))?;
    let registrar = fleet
        .find_modules(&snapshot, notices.clone(), sought, registry.clone(), changed)
        .map_err(|error| format!("no thread for modules: {error}"))?;
    let state = Arc::new(state);
    let mut certificates = Watch::default();
    certificates.follow(&snapshot);
    let gateway = Gateway {
        resolver,
        fleet,
        checker,
        keeper,
        registry,
        registrar,
        readers,
        state,
        load,
        asks,
        asker,
        exits,
        notices,
        certificates,
        book,
        telemetry,
        _courier: courier,
        clock: Clock::new(),
    };
    gateway.start_admin(&snapshot)?;
    Ok(gateway)
}

impl Gateway {
    /// Where clients connect, with the real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.fleet.addresses()
    }

    /// The same as URLs.
    pub fn urls(&self) -> Vec<String> {
        let snapshot = self.state.snapshot();
        let url = |(address, listener): (&SocketAddr, &Listener)| {
            let scheme = match (listener.serves, &listener.tls) {
                (Serves::Http, None) => "http",
                (Serves::Http, Some(_)) => "https",
                (Serves::Reverse, None) => "grpc",
                (Serves::Reverse, Some(_)) => "grpcs",
            };
            format!("{scheme}://{address}")
        };
        self.addresses().iter().zip(&snapshot.server.listeners).map(url).collect()
    }

    /// Where metrics and readiness are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.state.admin_address()
    }

    /// Where metrics alone are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.state.metrics_address()
    }

    /// How many shards serve, and by what their waits are carried.
    pub fn shards(&self) -> (usize, &'static str) {
        (self.fleet.len(), self.state.driver().name())
    }

    /// Serves until it is told to stop by `signals`, or by [`Stopper::stop`]; returns the exit
    /// code.
    pub fn serve(mut self, signals: Signals) -> ExitCode {
        let asker = self.asker.clone();
        let listen = move || loop {
            let ask = match signals.wait() {
                Signal::Reload => Ask::Reload { done: None },
                Signal::Stop => Ask::Stop,
            };
            if asker.send(ask).is_err() {
                return;
            }
        };
        if std::thread::Builder::new().name("otus-signals".to_owned()).spawn(listen).is_err() {
            return ExitCode::FAILURE;
        }
        self.run()
    }

    /// A handle that can end [`Gateway::run`] from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper { asker: self.asker.clone() }
    }

    /// Serves until it is told to stop; returns the exit code.
    pub fn run(&mut self) -> ExitCode {
        let latency = self.fleet.latency();
        let mut collected = Instant::now();
        loop {
            let wait = if self.certificates.is_empty() { COLLECT_INTERVAL } else { WATCH_INTERVAL };
            let wait = wait.min(self.turn_revocations());
            match self.next_ask(wait) {
                Ok(Ask::Reload { done }) => {
                    let result = self.reload();
                    if let Some(done) = done {
                        let _ = done.try_send(result);
                    }
                }
                Ok(Ask::Renew) => self.renew(),
                Ok(Ask::Stop | Ask::Drain) => return self.stop(),
                Err(RecvTimeoutError::Timeout) => {
                    self.look_at_certificates();
                    // What a shard holds is bounded also if nobody reads the metrics.
                    if collected.elapsed() >= COLLECT_INTERVAL {
                        self.state.collect(&latency());
                        collected = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return ExitCode::FAILURE,
            }
        }
    }

    /// What is asked next, if anything is.
    fn next_ask(&self, wait: Duration) -> Result<Ask, RecvTimeoutError> {
        select! {
            recv(self.asks) -> ask => ask.map_err(|_| RecvTimeoutError::Disconnected),
            recv(self.exits.1) -> _ => Ok(Ask::Drain),
            default(wait) => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Begins new filters of revocations when it is time, and says how long that is not so.
    fn turn_revocations(&self) -> Duration {
        match &self.state.snapshot().people.revocations {
            Some(revocations) => {
                let now = self.clock.now();
                revocations.turn(now) - now
            }
            None => Duration::MAX,
        }
    }

    fn start_admin(&self, snapshot: &Snapshot) -> Result<(), String> {
        let open = |address, metrics_alone, key| {
            let admin = admin::Admin {
                state: Arc::clone(&self.state),
                latency: Box::new(self.fleet.latency()),
                asker: self.asker.clone(),
                metrics_alone,
            };
            admin::start(address, admin)
                .map_err(|error| format!("{key}: cannot listen on {address}: {error}"))
        };
        if let Some(address) = snapshot.server.admin {
            self.state.set_admin_address(open(address, false, "server.admin")?);
        }
        if let Some(address) = snapshot.server.metrics {
            self.state.set_metrics_address(open(address, true, "server.metrics_port")?);
        }
        self.readers.pages.start(&self.state, self.fleet.latency())
    }

    /// All or nothing: on any fault the running generation stays.
    fn reload(&mut self) -> Result<u64, String> {
        self.fleet.reopen_log();
        let running = self.state.snapshot();
        let generation = running.generation + 1;
        let loaded = (self.load)(generation).and_then(|mut snapshot| {
            self.registry.fill(&mut snapshot);
            self.resolver.follow(&mut snapshot, DNS_START_WAIT);
            // What came once must not count again because the file was read anew.
            snapshot.gufo.trust.nonces = Arc::clone(&running.gufo.trust.nonces);
            snapshot.people.follow(&running.people);
            self.readers.attend(&mut snapshot)?;
            let book = snapshot.count_with(&self.book);
            Ok((Arc::new(snapshot), book))
        });
        match loaded.and_then(|loaded| self.fleet.publish(&loaded.0, &running).map(|()| loaded)) {
            Ok((snapshot, book)) => {
                self.book = book;
                let waiting = restart_keys(&running, &snapshot);
                self.checker.follow(&snapshot);
                self.keeper.follow(&snapshot);
                self.registrar.follow(&snapshot);
                self.certificates.follow(&snapshot);
                self.state.publish(snapshot);
                let mut told = notice(Severity::Info, "reload", "the configuration was reloaded")
                    .with("generation", generation.to_string())
                    .with("shards", self.fleet.len().to_string());
                if !waiting.is_empty() {
                    told = told.with("after_restart", waiting.join(", "));
                }
                self.notices.tell(told);
                Ok(generation)
            }
            Err(fault) => {
                self.resolver.follow(&mut Snapshot::clone(&running), Duration::ZERO);
                self.state.reload_failed();
                let stays = format!("generation {} stays: {fault}", running.generation);
                self.notices.tell(notice(Severity::Error, "reload_rejected", stays));
                Err(fault)
            }
        }
    }

    /// The same configuration with the endpoints that its names have now, and with the modules that
    /// are known now.
    fn renew(&mut self) {
        let running = self.state.snapshot();
        let mut next = Snapshot::clone(&running);
        self.registry.fill(&mut next);
        self.resolver.follow(&mut next, RENEW_WAIT);
        if next == *running {
            return; // The generation that runs has them already.
        }
        let generation = running.generation + 1;
        let snapshot = Arc::new(Snapshot { generation, ..next });
        let changed = moved(&running.upstreams, &snapshot.upstreams);
        match self.fleet.publish(&snapshot, &running) {
            Ok(()) => {
                let text = format!("endpoints are others: {}", changed.join(", "));
                let told = notice(Severity::Info, "endpoints", text);
                self.notices.tell(told.with("generation", generation.to_string()));
                self.checker.follow(&snapshot);
                self.registrar.follow(&snapshot);
                self.state.renew(snapshot);
            }
            Err(fault) => {
                let text = format!("generation {} stays: {fault}", running.generation);
                self.notices.tell(notice(Severity::Error, "endpoints_rejected", text));
            }
        }
    }

    /// The same configuration with the certificates that lie on disk now, if those are others.
    fn look_at_certificates(&mut self) {
        let running = self.state.snapshot();
        let (listeners, warnings) = match self.certificates.look(&running) {
            Found::Nothing => return,
            Found::Changed { listeners, warnings } => (listeners, warnings),
            Found::Faulty(faults) => {
                let text = format!("the certificates in use stay: {}", faults.join(" | "));
                self.state.certificates_read(true);
                self.notices.tell(notice(Severity::Error, "certificates_rejected", text));
                return;
            }
        };
        let generation = running.generation + 1;
        let mut snapshot = Snapshot { generation, ..Snapshot::clone(&running) };
        snapshot.server.listeners = listeners;
        let snapshot = Arc::new(snapshot);
        let told = match self.fleet.publish(&snapshot, &running) {
            Ok(()) => {
                self.state.renew(snapshot);
                self.state.certificates_read(false);
                notice(Severity::Info, "certificates", "certificates were read anew")
                    .with("generation", generation.to_string())
            }
            Err(fault) => {
                self.state.certificates_read(true);
                let text = format!("generation {} stays: {fault}", running.generation);
                notice(Severity::Error, "certificates_rejected", text)
            }
        };
        self.notices.tell(told);
        for warning in warnings {
            self.notices.tell(notice(Severity::Warn, "certificates", warning));
        }
    }

    /// Finishes what is in flight. A second request to stop ends the process at once.
    fn stop(&mut self) -> ExitCode {
        let snapshot = self.state.snapshot();
        let server = &snapshot.server;
        let grace = Grace { exchanges: server.shutdown_grace, uploads: server.upload_grace };
        self.state.drain();
        let told = notice(Severity::Info, "drain", "no new connections; finishing")
            .with("shutdown_grace", format!("{:?}", grace.exchanges))
            .with("upload_grace", format!("{:?}", grace.uploads));
        self.notices.tell(told);
        self.fleet.drain(grace);
        let cut_off = loop {
            match self.asks.recv_timeout(Duration::from_millis(20)) {
                Ok(Ask::Stop) => {
                    let text = "stopped at once by a second signal";
                    self.notices.tell(notice(Severity::Warn, "stop_now", text));
                    break None;
                }
                _ if self.fleet.is_finished() => break Some(self.fleet.join()),
                _ => self.fleet.drain(grace),
            }
        };
        self.telemetry.stop();
        let left = cut_off.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        self.notices.tell(notice(Severity::Info, "stop", "stopped").with("cut_off", left));
        self.fleet.stop_log(LOG_PATIENCE);
        match cut_off {
            Some(0) => ExitCode::SUCCESS,
            _ => ExitCode::from(CUT_OFF),
        }
    }
}

/// Upstreams that have other endpoints than before, or are there no more, in words.
fn moved(old: &[Upstream], new: &[Upstream]) -> Vec<String> {
    let other = |own: &Upstream| {
        let before = old.iter().find(|before| before.name == own.name);
        before.is_none_or(|before| before.endpoints != own.endpoints)
    };
    let others = new.iter().filter(|own| other(own));
    let others = others.map(|own| format!("{} has {}", own.name, own.endpoints.len()));
    let is_gone = |own: &&Upstream| new.iter().all(|now| now.name != own.name);
    let gone = old.iter().filter(is_gone).map(|own| format!("{} is gone", own.name));
    others.chain(gone).collect()
}

/// A notice of this moment.
fn notice(severity: Severity, event: &'static str, message: impl Into<String>) -> Notice {
    Notice::new(state::unix_now(), severity, event, message)
}

/// Ends a gateway from another thread.
#[derive(Clone)]
pub struct Stopper {
    asker: Sender<Ask>,
}

impl Stopper {
    /// As SIGTERM.
    pub fn stop(&self) {
        let _ = self.asker.send(Ask::Stop);
    }

    /// As SIGHUP.
    pub fn reload(&self) {
        let _ = self.asker.send(Ask::Reload { done: None });
    }
}
