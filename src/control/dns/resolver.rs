//! The thread that has names asked for, and says when addresses have changed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::base::limits::DNS_QUESTIONS_MAX;
use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::observe::notice::{Notice, Notices, Severity};
use crate::snapshot::Snapshot;
use crate::snapshot::dns::Dns;

use super::super::clock::Clock;
use super::super::crew::Crew;
use super::super::notice;
use super::client;
use super::names::{Change, Names, Question, Reply};

enum Event {
    /// There may be something to ask.
    Look,
    Replied(Question, Reply),
    Stop,
}

/// A question, and the rules by which it is asked.
type Job = (Question, Arc<Dns>);

struct Shared {
    names: Mutex<Names>,
    settled: Condvar,
    clock: Clock,
}

impl Shared {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of a gateway. Dropping it ends the asking.
pub(in crate::control) struct Resolver {
    shared: Arc<Shared>,
    events: Sender<Event>,
}

impl Resolver {
    /// Begins without names. `changed` is called whenever addresses are others.
    pub(in crate::control) fn start(
        prng: Prng,
        notices: Notices,
        changed: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (names, settled) = (Mutex::new(Names::new(prng)), Condvar::new());
        let shared = Arc::new(Shared { names, settled, clock: Clock::new() });
        let (events, inbox) = unbounded();
        let crew = Crew::new("otus-dns-ask", DNS_QUESTIONS_MAX, events.clone(), ask);
        let changed = Box::new(changed);
        let mut thread = Thread { shared: Arc::clone(&shared), crew, notices, changed };
        let run = move || thread.run(&inbox);
        std::thread::Builder::new().name("otus-dns".to_owned()).spawn(run)?;
        Ok(Resolver { shared, events })
    }

    /// Resolves the names of this configuration from now on, and puts what is known of them into
    /// it. New names are waited for, but not for longer than `patience`.
    pub(in crate::control) fn follow(&self, snapshot: &mut Snapshot, patience: Duration) {
        let mut names = self.shared.names();
        names.follow(snapshot, self.shared.clock.now());
        let _ = self.events.send(Event::Look);
        let waiting =
            self.shared.settled.wait_timeout_while(names, patience, |names| !names.is_settled());
        let (names, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        names.fill(&mut snapshot.upstreams);
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
    }
}

struct Thread {
    shared: Arc<Shared>,
    crew: Crew<Job, Event>,
    notices: Notices,
    changed: Box<dyn Fn() + Send>,
}

impl Thread {
    fn run(&mut self, inbox: &Receiver<Event>) {
        loop {
            let wait = self.begin();
            match inbox.recv_timeout(wait) {
                Ok(Event::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Event::Replied(question, reply)) => {
                    self.crew.ended();
                    self.replied(&question, reply);
                }
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Begins what is due; gives the time until more is.
    fn begin(&mut self) -> Duration {
        let now = self.shared.clock.now();
        let mut names = self.shared.names();
        let rules = Arc::new(names.rules().clone());
        let due = names.begin(self.crew.room(), now);
        let next = if self.crew.room() > due.len() { names.next_due() } else { Instant::NEVER };
        drop(names);
        for question in due {
            if let Err((question, _)) = self.crew.give((question, Arc::clone(&rules))) {
                self.crew.ended();
                self.replied(&question, Reply::Failed("there is no thread to ask".to_owned()));
            }
        }
        next - now
    }

    fn replied(&self, question: &Question, reply: Reply) {
        let now = self.shared.clock.now();
        let mut names = self.shared.names();
        let change = names.replied(question, reply, now);
        if names.is_settled() {
            self.shared.settled.notify_all();
        }
        drop(names);
        match change {
            Change::None => {}
            Change::Records => (self.changed)(),
            Change::Failing(why) => {
                let text =
                    format!("{} does not resolve: {why}; what was known is used", question.name);
                self.tell(question, notice(Severity::Warn, "dns_failed", text));
            }
            Change::Recovered { with_other_records } => {
                let text = format!("{} resolves again", question.name);
                self.tell(question, notice(Severity::Info, "dns_recovered", text));
                if with_other_records {
                    (self.changed)();
                }
            }
        }
    }

    fn tell(&self, question: &Question, notice: Notice) {
        let notice = notice.with("dns.question.name", &question.name);
        self.notices.tell(notice.with("dns.question.type", question.kind.name()));
    }
}

/// Asks a question to its end; a panic is a failure of the question.
fn ask((question, rules): Job) -> Event {
    let run = AssertUnwindSafe(|| client::ask(&question, &rules));
    let reply =
        catch_unwind(run).unwrap_or_else(|_| Reply::Failed("the resolver broke".to_owned()));
    Event::Replied(question, reply)
}
