//! The thread that has endpoints checked, and tells of what changed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as StdInstant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::base::limits::HEALTH_CHECKS_MAX;
use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::io::uring::RingBell;
use crate::observe::notice::{Notices, Severity};
use crate::shard::mailbox::{HealthChange, Letter, Postbox};
use crate::snapshot::Snapshot;
use crate::upstream::health::Health;

use super::super::clock::Clock;
use super::super::crew::Crew;
use super::super::notice;
use super::super::wire::{self, Wire};
use super::probe;
use super::schedule::{Key, Schedule, Target};

/// Before a letter is posted again to a shard whose mailbox was full.
const POST_AGAIN: Duration = Duration::from_millis(100);

/// What is known of the endpoints that are checked: for the metrics page.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Board(Arc<Mutex<BTreeMap<Key, Health>>>);

impl Board {
    /// Each endpoint, and whether it is used.
    pub(in crate::control) fn rows(&self) -> Vec<(String, String, bool)> {
        let row =
            |(key, health): (&Key, &Health)| (key.0.clone(), key.1.to_string(), health.is_usable());
        self.lock().iter().map(row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Health>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Event {
    /// Shards run this generation now.
    Follow(Arc<Snapshot>),
    /// A check ended.
    Ended {
        target: Arc<Target>,
        found: Found,
    },
    Stop,
}

/// What a check says of its endpoint.
enum Found {
    Well,
    Fault(String),
    /// Nothing: we could not ask.
    Nothing,
}

/// A check to run, and until when.
type Job = (Arc<Target>, Duration);

/// The checks of a gateway. Dropping it ends them.
pub(in crate::control) struct Checker {
    events: Sender<Event>,
}

impl Checker {
    /// Starts checking the endpoints of this generation.
    pub(in crate::control) fn start(
        snapshot: &Arc<Snapshot>,
        postboxes: Arc<Vec<Postbox<RingBell>>>,
        notices: Notices,
        board: Board,
        prng: Prng,
    ) -> std::io::Result<Self> {
        let (events, inbox) = unbounded();
        let unsent = postboxes.iter().map(|_| BTreeMap::new()).collect();
        let crew = Crew::new("otus-check", HEALTH_CHECKS_MAX, events.clone(), work);
        let schedule = Schedule::new(prng);
        let clock = Clock::new();
        let mut thread = Thread { clock, schedule, crew, postboxes, unsent, notices, board };
        thread.follow(snapshot);
        let run = move || thread.run(&inbox);
        std::thread::Builder::new().name("otus-health".to_owned()).spawn(run)?;
        Ok(Checker { events })
    }

    /// The shards run this generation now.
    pub(in crate::control) fn follow(&self, snapshot: &Arc<Snapshot>) {
        let _ = self.events.send(Event::Follow(Arc::clone(snapshot)));
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
    }
}

struct Thread {
    clock: Clock,
    schedule: Schedule,
    crew: Crew<Job, Event>,
    postboxes: Arc<Vec<Postbox<RingBell>>>,
    /// What each shard has not been told yet.
    unsent: Vec<BTreeMap<Key, Health>>,
    notices: Notices,
    board: Board,
}

impl Thread {
    fn run(&mut self, inbox: &Receiver<Event>) {
        loop {
            let now = self.clock.now();
            for (target, deadline) in self.schedule.begin(self.crew.room(), now) {
                if let Err((target, _)) = self.crew.give((target, deadline - now)) {
                    self.ended(&target, Found::Nothing);
                }
            }
            let mut wait =
                if self.crew.room() == 0 { Instant::NEVER } else { self.schedule.next_due() };
            if !self.post() {
                wait = wait.min(now + POST_AGAIN);
            }
            match inbox.recv_timeout(wait - now) {
                Ok(Event::Follow(snapshot)) => self.follow(&snapshot),
                Ok(Event::Ended { target, found }) => self.ended(&target, found),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn follow(&mut self, snapshot: &Snapshot) {
        self.schedule.follow(snapshot, self.clock.now());
        let states = self.schedule.states();
        for unsent in &mut self.unsent {
            unsent.retain(|key, _| states.contains_key(key));
        }
        *self.board.lock() = states;
    }

    fn ended(&mut self, target: &Target, found: Found) {
        self.crew.ended();
        let now = self.clock.now();
        let (is_well, why) = match found {
            Found::Well => (Some(true), String::new()),
            Found::Fault(why) => (Some(false), why),
            Found::Nothing => (None, String::new()),
        };
        let Some((before, after)) = self.schedule.ended(target, is_well, now) else {
            return;
        };
        for unsent in &mut self.unsent {
            unsent.insert(target.key.clone(), after);
        }
        self.board.lock().insert(target.key.clone(), after);
        let (name, address) = &target.key;
        let told = match (before, after) {
            (_, Health::Down) => {
                let text = format!("{address} of {name} is not used: {why}");
                notice(Severity::Warn, "endpoint_down", text)
            }
            (Health::Down, _) => {
                let text = format!("{address} of {name} is well again");
                notice(Severity::Info, "endpoint_up", text)
            }
            _ => return,
        };
        let told = told.with("otus.upstream", name).with("otus.endpoint", address.to_string());
        self.notices.tell(told);
    }

    /// Tells each shard what it does not know yet; false if a mailbox is full.
    fn post(&mut self) -> bool {
        let mut all = true;
        for (postbox, unsent) in self.postboxes.iter().zip(&mut self.unsent) {
            if unsent.is_empty() {
                continue;
            }
            let change = |(key, health): (&Key, &Health)| HealthChange {
                upstream: key.0.clone(),
                address: key.1,
                health: *health,
            };
            let changes = unsent.iter().map(change).collect();
            if postbox.post(Letter::Health { changes }).is_ok() {
                unsent.clear();
            } else {
                all = false;
            }
        }
        all
    }
}

/// Runs a check to its end; a panic is a fault of the check.
fn work((target, patience): Job) -> Event {
    let run = AssertUnwindSafe(|| match Wire::open(target.key.1, StdInstant::now() + patience) {
        // Without descriptors all endpoints would seem to be down, those included that serve.
        Err(error) if wire::is_ours(&error) => Found::Nothing,
        opened => match probe::run(&target, opened) {
            Ok(()) => Found::Well,
            Err(why) => Found::Fault(why),
        },
    });
    let found = catch_unwind(run).unwrap_or_else(|_| Found::Fault("the check broke".to_owned()));
    Event::Ended { target, found }
}
