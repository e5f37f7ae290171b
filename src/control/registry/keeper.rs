//! The thread that has modules asked for, and says when there are other addresses.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::select;

use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::config::source::write_private;
use crate::gufo::registry::directory::{Directory, News};
use crate::gufo::registry::{MASTER, Said, Wanted, page};
use crate::io::uring::RingBell;
use crate::observe::notice::{Notices, Severity};
use crate::shard::mailbox::{Letter, Postbox};
use crate::snapshot::Snapshot;
use crate::snapshot::registry::Registry as Rules;
use crate::snapshot::upstream::Endpoint;

use super::super::clock::Clock;
use super::super::crew::Crew;
use super::super::notice;
use super::super::state::unix_now;
use super::ask::ask;
use super::store;

/// Questions that run at once.
const QUESTIONS_MAX: usize = 8;
/// Before a letter is posted again to a shard whose mailbox was full.
const POST_AGAIN: Duration = Duration::from_millis(100);
/// What one shard has not been told yet; those beyond wait until their time is over.
const UNSENT_MAX: usize = 1024;
/// A file is written so long after a change: changes come together.
const WRITE_AFTER: Duration = Duration::from_secs(1);

enum Event {
    /// Shards run this generation now.
    Follow(Arc<Snapshot>),
    /// A question ended.
    Answered(Wanted, Result<Said, String>),
    Stop,
}

/// A question, and the generation that says whom to ask.
type Job = (Wanted, Arc<Snapshot>);

/// What is known, for control and for operators. Clones share it.
#[derive(Clone)]
pub(in crate::control) struct Registry {
    directory: Arc<Mutex<Directory>>,
    clock: Clock,
}

impl Registry {
    /// Nothing is known but what the last process kept.
    pub(in crate::control) fn new(snapshot: &Snapshot, prng: Prng, notices: &Notices) -> Self {
        let (directory, clock) = (Arc::new(Mutex::new(Directory::new(prng))), Clock::new());
        let registry = Registry { directory, clock };
        registry.follow(snapshot, true);
        let file = snapshot.gufo.registry.as_ref().and_then(|own| own.file.as_ref());
        let Some(file) = file else { return registry };
        match store::load(file) {
            Ok(kept) => {
                let now = registry.clock.now();
                let mut directory = registry.lock();
                for (wanted, place, age) in kept {
                    directory.restore(wanted, place, age, now);
                }
            }
            Err(why) => {
                let text = format!("{}: {why}; modules are asked for anew", file.display());
                notices.tell(notice(Severity::Warn, "registry_file", text));
            }
        }
        registry
    }

    /// Looks at what is known, at this moment.
    pub(in crate::control) fn look<T>(&self, look: impl FnOnce(&Directory, Instant) -> T) -> T {
        look(&self.lock(), self.clock.now())
    }

    /// Gives a generation the modules that are known.
    pub(in crate::control) fn fill(&self, snapshot: &mut Snapshot) {
        let directory = self.lock();
        let places = directory.places(self.clock.now());
        snapshot.place_found(places.map(|(wanted, place, _)| (wanted, place)));
    }

    fn follow(&self, snapshot: &Snapshot, others: bool) {
        let registry = snapshot.gufo.registry.as_deref();
        let rules = registry.map(|own| own.rules).unwrap_or_default();
        let pinned = registry.map(Rules::pinned).unwrap_or_default();
        self.lock().follow(rules, pinned, others, self.clock.now());
    }

    fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has modules asked for. Dropping it ends that.
pub(in crate::control) struct Registrar {
    events: Sender<Event>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Registrar {
    /// Starts asking as this generation says. `changed` is called whenever addresses are others.
    pub(in crate::control) fn start(
        registry: Registry,
        snapshot: &Arc<Snapshot>,
        postboxes: Arc<Vec<Postbox<RingBell>>>,
        asked: Receiver<Wanted>,
        notices: Notices,
        changed: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (events, inbox) = unbounded();
        let crew = Crew::new("otus-master", QUESTIONS_MAX, events.clone(), work);
        let mut thread = Thread {
            registry,
            snapshot: Arc::clone(snapshot),
            crew,
            unsent: postboxes.iter().map(|_| BTreeMap::new()).collect(),
            postboxes,
            notices,
            changed: Box::new(changed),
            written: None,
            due: Instant::NEVER,
        };
        let run = move || thread.run(&inbox, &asked);
        let thread = std::thread::Builder::new().name("otus-registry".to_owned()).spawn(run)?;
        Ok(Registrar { events, thread: Some(thread) })
    }

    /// The shards run this generation now.
    pub(in crate::control) fn follow(&self, snapshot: &Arc<Snapshot>) {
        let _ = self.events.send(Event::Follow(Arc::clone(snapshot)));
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        // It writes its file; nobody else is waited for.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    registry: Registry,
    snapshot: Arc<Snapshot>,
    crew: Crew<Job, Event>,
    postboxes: Arc<Vec<Postbox<RingBell>>>,
    /// What each shard has not been told yet.
    unsent: Vec<BTreeMap<Wanted, News>>,
    notices: Notices,
    changed: Box<dyn Fn() + Send>,
    /// Whether the file could be written the last time.
    written: Option<bool>,
    /// When the file is to be written.
    due: Instant,
}

impl Thread {
    fn run(&mut self, inbox: &Receiver<Event>, asked: &Receiver<Wanted>) {
        loop {
            let mut wait = self.begin();
            let now = self.registry.clock.now();
            if !self.post() {
                wait = wait.min(now + POST_AGAIN);
            }
            wait = wait.min(self.due);
            select! {
                recv(inbox) -> event => match event {
                    Ok(Event::Follow(snapshot)) => self.follow(snapshot),
                    Ok(Event::Answered(wanted, said)) => self.answered(&wanted, said),
                    Ok(Event::Stop) | Err(_) => break,
                },
                // Shards that are gone ask for nothing; the inbox says when to end.
                recv(asked) -> ask => match ask {
                    Ok(wanted) => self.wanted(&wanted),
                    Err(_) => break,
                },
                default((wait - now).min(Duration::from_hours(1))) => {}
            }
            if self.due <= self.registry.clock.now() {
                self.write();
            }
        }
        if self.due != Instant::NEVER {
            self.write();
        }
    }

    /// Begins what is due, and forgets what is old; gives the time when there is more.
    fn begin(&mut self) -> Instant {
        if self.snapshot.gufo.registry.is_none() {
            return Instant::NEVER;
        }
        let now = self.registry.clock.now();
        let mut directory = self.registry.lock();
        let is_changed = directory.sweep(now);
        let due = directory.begin(self.crew.room(), now);
        let is_busy = self.crew.room() <= due.len();
        let next = directory.next_due();
        drop(directory);
        if is_changed {
            self.moved(now);
        }
        for wanted in due {
            if let Err((wanted, _)) = self.crew.give((wanted, Arc::clone(&self.snapshot))) {
                self.answered(&wanted, Err("there is no thread to ask".to_owned()));
            }
        }
        // Whoever ends makes room.
        if is_busy { Instant::NEVER } else { next }
    }

    fn follow(&mut self, snapshot: Arc<Snapshot>) {
        let others = masters(&snapshot) != masters(&self.snapshot);
        self.registry.follow(&snapshot, others);
        self.snapshot = snapshot;
    }

    fn wanted(&mut self, wanted: &Wanted) {
        let news = self.registry.lock().want(wanted, self.registry.clock.now());
        if let Some(news) = news {
            self.tell(&news);
        }
    }

    fn answered(&mut self, wanted: &Wanted, said: Result<Said, String>) {
        self.crew.ended();
        let now = self.registry.clock.now();
        let change = self.registry.lock().answered(wanted, said, now);
        if change.places {
            self.moved(now);
        }
        if let Some(news) = change.news {
            self.tell(&news);
        }
        if let Some(why) = change.lost {
            let text = format!("the masterservice cannot be asked: {why}; what was known is used");
            self.notices.tell(notice(Severity::Warn, "registry_lost", text));
        }
        if change.back {
            let text = "the masterservice answers again";
            self.notices.tell(notice(Severity::Info, "registry_back", text));
        }
    }

    fn moved(&mut self, now: Instant) {
        self.due = self.due.min(now + WRITE_AFTER);
        (self.changed)();
    }

    fn tell(&mut self, news: &News) {
        for unsent in &mut self.unsent {
            if unsent.len() < UNSENT_MAX || unsent.contains_key(&news.wanted) {
                unsent.insert(news.wanted.clone(), news.clone());
            }
        }
    }

    /// Tells each shard what it does not know yet; false if a mailbox is full.
    fn post(&mut self) -> bool {
        let mut all = true;
        for (postbox, unsent) in self.postboxes.iter().zip(&mut self.unsent) {
            if unsent.is_empty() {
                continue;
            }
            let news = unsent.values().cloned().collect();
            if postbox.post(Letter::Modules { news }).is_ok() {
                unsent.clear();
            } else {
                all = false;
            }
        }
        all
    }

    fn file(&self) -> Option<&PathBuf> {
        self.snapshot.gufo.registry.as_ref()?.file.as_ref()
    }

    fn write(&mut self) {
        let Some(file) = self.file().cloned() else {
            self.due = Instant::NEVER;
            return;
        };
        // What is known is told again and again: how fresh it is must not be forgotten.
        let rules = self.snapshot.gufo.registry.as_ref().map(|own| own.rules).unwrap_or_default();
        self.due = self.registry.clock.now() + (rules.stale_max / 8).max(WRITE_AFTER);
        let text =
            self.registry.look(|directory, now| page::write(directory.places(now), unix_now()));
        let written = write_private(&file, &text, true);
        let before = self.written.replace(written.is_ok());
        if let Err(error) = written
            && before != Some(false)
        {
            let text = format!("{} cannot be written: {error}", file.display());
            self.notices.tell(notice(Severity::Warn, "registry_file", text));
        }
    }
}

/// Who is asked.
fn masters(snapshot: &Snapshot) -> Option<&[Endpoint]> {
    let module = snapshot.gufo.module(MASTER.as_bytes())?;
    snapshot.upstream(module.upstream).map(|upstream| upstream.endpoints.as_slice())
}

/// Asks to the end; a panic is a failure of the question.
fn work((wanted, snapshot): Job) -> Event {
    let run = AssertUnwindSafe(|| ask(&snapshot, &wanted));
    let said = catch_unwind(run).unwrap_or_else(|_| Err("the question broke".to_owned()));
    Event::Answered(wanted, said)
}
