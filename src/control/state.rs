//! What control knows of the running gateway; shared with the admin listener.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::time::{Instant as Moment, UnixTime};
use crate::io::uring::Driver;
use crate::observe::counters::CountersReader;
use crate::observe::exposition::{self, CertificateReads, Compat, KeyRow, Running, View};
use crate::observe::labels::Label;
use crate::observe::latency::{Batch, Totals};
use crate::observe::log_writer::LogStats;
use crate::observe::notice::Notices;
use crate::observe::process::ProcessStats;
use crate::observe::span::ExportStats;
use crate::policy::auth::refused::Refused;
use crate::proxy::reason;
use crate::proxy::tables::Labels;
use crate::snapshot::Snapshot;
use crate::snapshot::auth::{KeyPlace, KeySource};

use super::clock::Clock;
use super::fleet::Fleet;
use super::health::Board;
use super::jwks::{KeyBoard, Row};
use super::registry::Registry;

/// The state of the process, off the shards.
pub struct State {
    driver: Driver,
    readers: Vec<CountersReader>,
    notices: Notices,
    reasons: Vec<&'static str>,
    refusals: [&'static str; Refused::ALL.len()],
    log: OnceLock<Arc<LogStats>>,
    exports: OnceLock<Vec<(&'static str, Arc<ExportStats>)>>,
    admin: OnceLock<SocketAddr>,
    metrics: OnceLock<SocketAddr>,
    started: Instant,
    addresses: Vec<SocketAddr>,
    /// That of the shards.
    clock: Clock,
    keys: KeyBoard,
    registry: Registry,
    draining: AtomicBool,
    board: Board,
    inner: Mutex<Inner>,
}

struct Inner {
    snapshot: Arc<Snapshot>,
    labels: Labels,
    /// The paths of routes, by the place of their label.
    paths: Vec<String>,
    latency: Totals,
    reload_successful: bool,
    reload_time: UnixTime,
    certificate_reads: CertificateReads,
}

impl Inner {
    /// Takes in what a snapshot names anew.
    fn learn(&mut self, snapshot: &Snapshot) {
        self.labels.learn(snapshot);
        let base = snapshot.gufo.bases.first().map_or("", |base| &base.prefix);
        let own = [(Label::HEALTH, "health"), (Label::INFO, "info"), (Label::METRICS, "metrics")];
        for (label, name) in own {
            set_path(&mut self.paths, label, format!("{base}/{name}"));
        }
        for module in snapshot.gufo.modules() {
            let label = self.labels.routes.label(&module.name);
            set_path(&mut self.paths, label, format!("{base}/{}", module.name));
        }
        let rules = snapshot.routes.table().rules();
        for (route, rule) in snapshot.routes.list().iter().zip(rules) {
            let label = self.labels.routes.label(&route.id);
            set_path(&mut self.paths, label, rule.path.to_string());
        }
    }
}

fn set_path(paths: &mut Vec<String>, label: Label, path: String) {
    if paths.len() <= label.place() {
        paths.resize(label.place() + 1, String::new());
    }
    if let Some(place) = paths.get_mut(label.place()).filter(|_| label != Label::OTHER) {
        *place = path;
    }
}

impl State {
    pub(super) fn new(
        snapshot: &Arc<Snapshot>,
        driver: Driver,
        fleet: &Fleet,
        notices: Notices,
        registry: Registry,
    ) -> Self {
        let mut inner = Inner {
            snapshot: Arc::clone(snapshot),
            labels: Labels::default(),
            paths: Vec::new(),
            latency: Totals::new(),
            reload_successful: true,
            reload_time: unix_now(),
            certificate_reads: CertificateReads::default(),
        };
        inner.learn(snapshot);
        State {
            driver,
            readers: fleet.readers(),
            notices,
            refusals: Refused::ALL.map(Refused::code),
            reasons: reason::ALL.iter().map(|reason| reason.row().code).collect(),
            log: OnceLock::new(),
            exports: OnceLock::new(),
            admin: OnceLock::new(),
            metrics: OnceLock::new(),
            started: Instant::now(),
            addresses: fleet.addresses().to_vec(),
            clock: Clock::of(fleet.now().unwrap_or(Moment::START)),
            keys: KeyBoard::default(),
            registry,
            draining: AtomicBool::new(false),
            board: Board::default(),
            inner: Mutex::new(inner),
        }
    }

    /// What carries the shards' waits.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The generation that was published last.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner().snapshot)
    }

    /// Whether the gateway takes requests.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }

    /// Since the start of the process.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What time it is on the shards.
    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Where it is written which keys were found.
    pub(super) fn keys(&self) -> KeyBoard {
        self.keys.clone()
    }

    /// What is known of modules that were found.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where clients connect.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn shards(&self) -> usize {
        self.readers.len()
    }

    /// Whether the last reload gave the generation that runs.
    pub(super) fn reload_successful(&self) -> bool {
        self.inner().reload_successful
    }

    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.get().copied()
    }

    pub(super) fn set_admin_address(&self, address: SocketAddr) {
        let _ = self.admin.set(address);
    }

    pub(super) fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.get().copied()
    }

    pub(super) fn set_metrics_address(&self, address: SocketAddr) {
        let _ = self.metrics.set(address);
    }

    pub(super) fn set_log(&self, stats: Arc<LogStats>) {
        let _ = self.log.set(stats);
    }

    pub(super) fn set_exports(&self, exports: Vec<(&'static str, Arc<ExportStats>)>) {
        let _ = self.exports.set(exports);
    }

    /// Where the states of endpoints are written that are checked.
    pub(super) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Takes in what the shards have measured.
    pub(super) fn collect(&self, batches: &[Batch]) {
        let mut inner = self.inner();
        for batch in batches {
            inner.latency.add(batch);
        }
    }

    pub(super) fn publish(&self, snapshot: Arc<Snapshot>) {
        let mut inner = self.inner();
        inner.learn(&snapshot);
        inner.snapshot = snapshot;
        inner.reload_successful = true;
        inner.reload_time = unix_now();
        // The files are read with the rest, and were not refused.
        inner.certificate_reads.is_refused = false;
    }

    /// The endpoints are others, and the configuration is not.
    pub(super) fn renew(&self, snapshot: Arc<Snapshot>) {
        let mut inner = self.inner();
        inner.labels.learn(&snapshot);
        inner.snapshot = snapshot;
    }

    /// Certificates were read anew: they are used, or refused.
    pub(super) fn certificates_read(&self, is_refused: bool) {
        let reads = &mut self.inner().certificate_reads;
        reads.refused += u64::from(is_refused);
        reads.is_refused = is_refused;
    }

    pub(super) fn reload_failed(&self) {
        self.inner().reload_successful = false;
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The metrics page, with what the shards have measured since the last one.
    pub(super) fn metrics(&self, batches: &[Batch]) -> String {
        self.seen(batches, |view| {
            let mut page = String::new();
            exposition::render(&mut page, view);
            page
        })
    }

    /// What of it is open to all: names of other gateways, but those of Gufo.
    pub(super) fn open_metrics(&self, batches: &[Batch]) -> String {
        self.seen(batches, |view| {
            let mut page = String::new();
            let compat = Compat { gufo: false, ..view.compat };
            exposition::render_compat(&mut page, &View { compat, ..*view });
            page
        })
    }

    /// What is told at `/__stats`, if it is.
    pub(super) fn stats(&self, batches: &[Batch]) -> Option<Vec<u8>> {
        let is_told = self.snapshot().observe.compat.hanzo;
        is_told.then(|| self.seen(batches, |view| exposition::stats(view, unix_now())))
    }

    /// Shows everything as it is now.
    fn seen<T>(&self, batches: &[Batch], show: impl FnOnce(&View<'_>) -> T) -> T {
        self.collect(batches);
        let inner = self.inner();
        let process = ProcessStats::read().ok();
        let endpoints = self.board.rows();
        let listeners = inner.snapshot.server.listeners.iter();
        let shown = listeners.filter_map(|listener| listener.tls.as_ref()).flat_map(|t| &t.shown);
        let certificates: Vec<_> = shown.map(|one| (one.name.as_str(), one.until)).collect();
        let keys: Vec<_> = self.key_rows(&inner.snapshot.auth.sources).collect();
        let compat = inner.snapshot.observe.compat;
        let view = View {
            certificates: &certificates,
            shards: &self.readers,
            latency: &inner.latency,
            routes: &inner.labels.routes,
            upstreams: &inner.labels.upstreams,
            endpoints: &endpoints,
            reasons: &self.reasons,
            refusals: &self.refusals,
            keys: &keys,
            certificate_reads: inner.certificate_reads,
            compat: Compat {
                gufo: compat.gufo,
                threex: compat.threex,
                fold: compat.fold,
                paths: &inner.paths,
            },
            exports: self.exports.get().map_or(&[], Vec::as_slice),
            log: self.log.get().map(|stats| &**stats),
            notices: &self.notices,
            process: process.as_ref(),
            running: Running {
                version: env!("CARGO_PKG_VERSION"),
                io_driver: self.driver.name(),
                generation: inner.snapshot.generation,
                reload_successful: inner.reload_successful,
                reload_time: inner.reload_time,
            },
        };
        show(&view)
    }

    /// What is known of keys that are looked for.
    fn key_rows<'a>(&'a self, sources: &'a [KeySource]) -> impl Iterator<Item = KeyRow> + 'a {
        let looked_for = |source: &&KeySource| !matches!(source.place, KeyPlace::Fixed(_));
        sources.iter().filter(looked_for).map(|source| {
            let Row { found, failures } = self.keys.row(&source.name);
            let at_start = source.place.initial().map_or(0, |keys| keys.len());
            KeyRow {
                source: source.name.as_ref().to_owned(),
                keys: found.map_or(at_start, |(keys, _)| keys),
                found: found.map(|(_, time)| time),
                failures,
            }
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What a panic left half done here is a number on a page.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calendar.
pub(super) fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
