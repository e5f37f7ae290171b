//! The one thread that decides: calls come one after the other, and what they change is stored
//! before they are answered.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::store::{Store, StoreError};
use crate::base::time;
use crate::master::call::Call;
use crate::master::fault::Fault;
use crate::master::rules::{Now, Rules};
use crate::master::table::Table;

/// Calls that wait; beyond them callers are told to come again.
const CALLS_MAX: usize = 1024;
/// Between two looks at what time alone has ended.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Changes of one transaction of a sweep: etcd takes no more than 128 keys in one.
const SWEPT_AT_ONCE: usize = 32;
/// How often a call is decided when other masters change the same meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// What is answered.
pub(super) type Answer = Result<Map<String, Value>, Fault>;

struct Ask {
    call: Call,
    done: oneshot::Sender<Answer>,
}

/// A way to the keeper. When the last one is gone, it ends.
#[derive(Clone)]
pub(super) struct Asker(Sender<Ask>);

impl Asker {
    /// What is answered to a call.
    pub(super) async fn ask(&self, call: Call) -> Answer {
        let (done, answer) = oneshot::channel();
        match self.0.try_send(Ask { call, done }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Fault::unavailable("too many calls wait")),
            Err(TrySendError::Disconnected(_)) => return Err(stopped()),
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> Fault {
    Fault::unavailable("the master stops")
}

struct Keeper {
    table: Table,
    store: Box<dyn Store>,
    started: Instant,
    random: SystemRandom,
}

/// Starts the thread. Fails if what the store keeps cannot be read, unless it may come back.
pub(super) fn spawn(
    rules: Rules,
    store: Box<dyn Store>,
) -> Result<(Asker, JoinHandle<()>), String> {
    let mut keeper = Keeper {
        table: Table::new(rules),
        store,
        started: Instant::now(),
        random: SystemRandom::new(),
    };
    let refreshed = keeper.refresh();
    if !keeper.store.is_remote() {
        refreshed.map_err(text)?;
    }
    let (sender, receiver) = bounded(CALLS_MAX);
    let spawned =
        thread::Builder::new().name("otus-master".to_owned()).spawn(move || keeper.run(&receiver));
    let thread = spawned.map_err(|error: io::Error| error.to_string())?;
    Ok((Asker(sender), thread))
}

fn text(error: StoreError) -> String {
    match error {
        StoreError::Conflict => "others change the same all the time".to_owned(),
        StoreError::Broken(what) => what,
    }
}

impl Keeper {
    fn run(mut self, asks: &Receiver<Ask>) {
        let mut next_sweep = Instant::now() + SWEEP_INTERVAL;
        loop {
            match asks.recv_deadline(next_sweep) {
                Ok(Ask { call, done }) => {
                    // Who has left is not told.
                    let _ = done.send(self.answer(&call));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_sweep {
                self.sweep();
                next_sweep = Instant::now() + SWEEP_INTERVAL;
            }
        }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        for _ in 0..ATTEMPTS_MAX {
            match self.attempt(call) {
                Ok(answer) => return answer,
                Err(StoreError::Conflict) => {}
                Err(StoreError::Broken(what)) => {
                    return Err(Fault::unavailable(format!("the store of the master: {what}")));
                }
            }
        }
        Err(Fault::unavailable("other masters change the same; try again"))
    }

    fn attempt(&mut self, call: &Call) -> Result<Answer, StoreError> {
        self.refresh()?;
        let now = self.now();
        let mut failed = false;
        let random = &self.random;
        let decision = self.table.decide(call, now, &mut |bytes| {
            failed |= random.fill(bytes).is_err();
        });
        if failed {
            return Ok(Err(Fault::unavailable("the kernel gave no random bytes")));
        }
        self.store.keep(&decision.changes)?;
        self.table.apply(&decision.changes, now.clock);
        Ok(decision.answer)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        if let Some(saved) = self.store.load()? {
            let now = self.now().clock;
            self.table.replace(saved, now);
        }
        Ok(())
    }

    /// What has ended is looked at anew whenever it is asked for, so that a store that cannot be
    /// written to now does no harm.
    fn sweep(&mut self) {
        if self.refresh().is_err() {
            return;
        }
        let now = self.now();
        for changes in self.table.expire(now).chunks(SWEPT_AT_ONCE) {
            if self.store.keep(changes).is_err() {
                return;
            }
            self.table.apply(changes, now.clock);
        }
    }

    fn now(&self) -> Now {
        let clock = time::Instant::START + self.started.elapsed();
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now { clock, unix: time::UnixTime(unix.unwrap_or_default()) }
    }
}
