//! All shards together, and the log thread that empties their rings.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use ring::rand::{SecureRandom, SystemRandom};

use crate::base::prng::Prng;
use crate::base::time::Instant as Moment;
use crate::gufo::registry::Wanted;
use crate::io::uring::{Driver, RingBell, bind, prefer};
use crate::observe::access_log::{self, LineForm};
use crate::observe::counters::{CountersReader, ShardCounters};
use crate::observe::latency::Batch;
use crate::observe::log_writer::{LogStats, LogTarget, LogWriter};
use crate::observe::notice::Notices;
use crate::observe::span::Tell;
use crate::proxy::exit::Exit;
use crate::proxy::policy::keys::KeyAsk;
use crate::proxy::tables::socket_options;
use crate::shard::Grace;
use crate::shard::mailbox::{Letter, Postbox};
use crate::shard::thread::{Shard, Spec, start};
use crate::snapshot::Snapshot;
use crate::snapshot::observe::{LogForm, LogTarget as TargetSpec};
use crate::snapshot::server::Steering;

use super::cores;
use super::embedded;
use super::health::{Board, Checker};
use super::jwks::{Keeper, KeyBoard};
use super::letters;
use super::registry::{Registrar, Registry};

/// How long a shard may take to answer a letter before it counts as stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The shards.
pub(super) struct Fleet {
    shards: Vec<Option<Shard>>,
    postboxes: Arc<Vec<Postbox<RingBell>>>,
    readers: Vec<CountersReader>,
    addresses: Vec<SocketAddr>,
    log: Option<LogWriter>,
    told_to_stop: Vec<bool>,
    cut_off: u32,
}

impl Fleet {
    pub(super) fn start(
        snapshot: &Arc<Snapshot>,
        (driver, descriptors): (Driver, u64),
        notices: Notices,
        (key_asks, module_asks, exits): (&Sender<KeyAsk>, &Sender<Wanted>, &Sender<Exit>),
        mut tells: Vec<Tell>,
    ) -> Result<Self, String> {
        let cores = cores::choose(&snapshot.server.workers)?;
        let (addresses, mut listeners) = listen(snapshot, cores.len())?;
        let mut fleet = Fleet {
            shards: Vec::new(),
            postboxes: Arc::default(),
            readers: Vec::new(),
            addresses,
            log: None,
            told_to_stop: Vec::new(),
            cut_off: 0,
        };
        let transport = snapshot.embedded.transport.as_ref();
        let calls = transport.map(|_| embedded::asks());
        let room = cores::room(descriptors, cores.len());
        let mut rings = Vec::new();
        let mut postboxes = Vec::new();
        for (number, core) in cores.into_iter().enumerate() {
            let (sender, receiver) = access_log::ring();
            rings.push(receiver);
            let counters = ShardCounters::new();
            fleet.readers.push(counters.reader());
            let number = u16::try_from(number).map_err(|_| "more than 65,535 shards".to_owned())?;
            let spec = Spec {
                number,
                core,
                driver,
                room,
                listeners: steer(snapshot, listeners.pop().unwrap_or_default(), core)?,
                snapshot: Arc::clone(snapshot),
                counters,
                log: sender,
                key_asks: key_asks.clone(),
                module_asks: module_asks.clone(),
                exits: exits.clone(),
                tell: tells.pop(),
                call_asks: calls.as_ref().map(|(asks, _)| asks.clone()),
            };
            let (shard, postbox) =
                start(spec).map_err(|error| format!("shard {number} did not start: {error}"))?;
            fleet.shards.push(Some(shard));
            postboxes.push(postbox);
        }
        fleet.postboxes = Arc::new(postboxes);
        if let (Some(transport), Some((_, asks))) = (transport, &calls) {
            embedded::start(asks, &fleet.postboxes, transport.at_once())
                .map_err(|error| format!("no thread for calls: {error}"))?;
        }
        let log = LogWriter::spawn(rings, notices, target(snapshot), form(snapshot))
            .map_err(|error| format!("server.access_log: {error}"))?;
        fleet.log = Some(log);
        Ok(fleet)
    }

    pub(super) fn len(&self) -> usize {
        self.postboxes.len()
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn readers(&self) -> Vec<CountersReader> {
        self.readers.clone()
    }

    /// Asks all shards for what they have measured since the last time.
    pub(super) fn latency(&self) -> impl Fn() -> Vec<Batch> + Send + Sync + use<> {
        let postboxes = Arc::clone(&self.postboxes);
        move || {
            let (done, batches) = bounded(postboxes.len());
            let posted = postboxes
                .iter()
                .filter(|postbox| postbox.post(Letter::Latency { done: done.clone() }).is_ok())
                .count();
            let deadline = Instant::now() + Duration::from_secs(1);
            (0..posted).map_while(|_| batches.recv_deadline(deadline).ok()).collect()
        }
    }

    /// What time it is on the shards; nothing if none of them answers.
    pub(super) fn now(&self) -> Option<Moment> {
        let (done, answer) = bounded(1);
        self.postboxes.first()?.post(Letter::Clock { done }).ok()?;
        answer.recv_timeout(ANSWER_TIMEOUT).ok()
    }

    /// Gives the snapshot to every shard; returns when all run it. On a fault all keep `running`.
    pub(super) fn publish(
        &self,
        next: &Arc<Snapshot>,
        running: &Arc<Snapshot>,
    ) -> Result<(), String> {
        letters::publish(&self.postboxes, next, running, ANSWER_TIMEOUT)
    }

    /// Starts the active checks of endpoints.
    pub(super) fn check_health(
        &self,
        snapshot: &Arc<Snapshot>,
        notices: Notices,
        board: Board,
    ) -> std::io::Result<Checker> {
        Checker::start(snapshot, Arc::clone(&self.postboxes), notices, board, prng())
    }

    /// Starts looking for the keys of tokens.
    pub(super) fn keep_keys(
        &self,
        snapshot: &Arc<Snapshot>,
        notices: Notices,
        asked: Receiver<KeyAsk>,
        board: KeyBoard,
    ) -> std::io::Result<Keeper> {
        Keeper::start(snapshot, Arc::clone(&self.postboxes), notices, asked, board, prng())
    }

    /// Starts looking for modules.
    pub(super) fn find_modules(
        &self,
        snapshot: &Arc<Snapshot>,
        notices: Notices,
        asked: Receiver<Wanted>,
        registry: Registry,
        changed: impl Fn() + Send + 'static,
    ) -> std::io::Result<Registrar> {
        let postboxes = Arc::clone(&self.postboxes);
        Registrar::start(registry, snapshot, postboxes, asked, notices, changed)
    }

    /// Tells all to stop. To be called again until the end: a mailbox may be full.
    pub(super) fn drain(&mut self, grace: Grace) {
        letters::drain(&self.postboxes, &mut self.told_to_stop, grace);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.shards.iter().flatten().all(Shard::is_finished)
    }

    /// Waits for the threads; returns how many connections were cut off.
    pub(super) fn join(&mut self) -> u32 {
        for shard in self.shards.iter_mut().filter_map(Option::take) {
            self.cut_off += shard.join();
        }
        self.cut_off
    }

    /// What the log thread does.
    pub(super) fn log_stats(&self) -> Option<Arc<LogStats>> {
        self.log.as_ref().map(LogWriter::stats)
    }

    /// Opens the access log anew, after a rotation has renamed it.
    pub(super) fn reopen_log(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
    }

    pub(super) fn stop_log(&mut self, patience: Duration) {
        if let Some(log) = self.log.take() {
            log.stop(patience);
        }
    }
}

/// Chance for control. It is for jitter: without it, things are done in step, and that is all.
pub(super) fn prng() -> Prng {
    let mut seed = [0; 8];
    let _ = SystemRandom::new().fill(&mut seed);
    Prng::new(u64::from_le_bytes(seed))
}

/// What keys of clients are hashed with. Without chance there is no start: whoever knew it could
/// choose keys that meet in one place.
pub(super) fn secret() -> Result<[u8; 16], String> {
    let mut secret = [0; 16];
    let filled = SystemRandom::new().fill(&mut secret);
    filled.map(|()| secret).map_err(|_| "the system gives no random bytes".to_owned())
}

fn target(snapshot: &Snapshot) -> LogTarget {
    match &snapshot.observe.access_log {
        Some(TargetSpec::Stderr) => LogTarget::Stderr,
        Some(TargetSpec::File(path)) => LogTarget::File(path.clone()),
        Some(TargetSpec::Daily(folder)) => LogTarget::Daily(folder.clone()),
        Some(TargetSpec::Stdout) => LogTarget::Stdout,
        None => LogTarget::Off,
    }
}

fn form(snapshot: &Snapshot) -> LineForm {
    match snapshot.observe.log_form {
        LogForm::Otus => LineForm::Otus,
        LogForm::Gufo => LineForm::Gufo,
        LogForm::Threex => LineForm::Threex,
    }
}

/// The listeners of a shard on `core`, with what it is preferred for, if that is asked for.
fn steer(
    snapshot: &Snapshot,
    listeners: Vec<TcpListener>,
    core: Option<usize>,
) -> Result<Vec<TcpListener>, String> {
    if let (Steering::Core, Some(core)) = (snapshot.server.steering, core) {
        for listener in &listeners {
            prefer(listener, core).map_err(|error| format!("server.steering: {error}"))?;
        }
    }
    Ok(listeners)
}

/// Opens every listener once for each shard, so that a taken port is known before anything runs.
///
/// A port 0 is chosen once and shared by the shards.
fn listen(
    snapshot: &Snapshot,
    shards: usize,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), String> {
    let mut addresses = Vec::new();
    let mut sockets: Vec<Vec<TcpListener>> = (0..shards).map(|_| Vec::new()).collect();
    for listener in &snapshot.server.listeners {
        let mut address = listener.address;
        let options = socket_options(&listener.transport, address);
        for shard in &mut sockets {
            let fail = |error| {
                format!("listener `{}`: cannot listen on {address}: {error}", listener.name)
            };
            let socket = bind(address, options).map_err(fail)?;
            address = socket.local_addr().map_err(fail)?;
            shard.push(socket);
        }
        addresses.push(address);
    }
    Ok((addresses, sockets))
}
