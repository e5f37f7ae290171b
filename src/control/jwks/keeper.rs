//! The thread that has keys looked for, and tells shards what was found.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::select;

use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::io::uring::RingBell;
use crate::observe::notice::{Notices, Severity};
use crate::proxy::policy::keys::{KeyAsk, KeyNews};
use crate::shard::mailbox::{Letter, Postbox};
use crate::snapshot::Snapshot;
use crate::snapshot::auth::KeySource;

use super::super::clock::Clock;
use super::super::crew::Crew;
use super::super::notice;
use super::super::state::unix_now;
use super::board::KeyBoard;
use super::fetch::{Found, look};
use super::schedule::{Change, Schedule};

/// Looks that run at once.
const LOOKS_MAX: usize = 8;
/// Before a letter is posted again to a shard whose mailbox was full.
const POST_AGAIN: Duration = Duration::from_millis(100);

enum Event {
    /// Shards run this generation now.
    Follow(Arc<Snapshot>),
    /// A look ended.
    Ended {
        source: Arc<KeySource>,
        result: Result<Found, String>,
    },
    Stop,
}

/// Looks for the keys of a gateway. Dropping it ends that.
pub(in crate::control) struct Keeper {
    events: Sender<Event>,
}

impl Keeper {
    /// Starts looking for the keys of this generation.
    pub(in crate::control) fn start(
        snapshot: &Arc<Snapshot>,
        postboxes: Arc<Vec<Postbox<RingBell>>>,
        notices: Notices,
        asked: Receiver<KeyAsk>,
        board: KeyBoard,
        prng: Prng,
    ) -> std::io::Result<Self> {
        let (events, inbox) = unbounded();
        let crew = Crew::new("otus-key", LOOKS_MAX, events.clone(), work);
        let mut thread = Thread {
            clock: Clock::new(),
            schedule: Schedule::new(prng),
            crew,
            unsent: postboxes.iter().map(|_| BTreeMap::new()).collect(),
            postboxes,
            notices,
            board,
        };
        thread.schedule.follow(&snapshot.auth, thread.clock.now());
        let run = move || thread.run(&inbox, &asked);
        std::thread::Builder::new().name("otus-keys".to_owned()).spawn(run)?;
        Ok(Keeper { events })
    }

    /// The shards run this generation now.
    pub(in crate::control) fn follow(&self, snapshot: &Arc<Snapshot>) {
        let _ = self.events.send(Event::Follow(Arc::clone(snapshot)));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
    }
}

struct Thread {
    clock: Clock,
    schedule: Schedule,
    crew: Crew<Arc<KeySource>, Event>,
    postboxes: Arc<Vec<Postbox<RingBell>>>,
    /// What each shard has not been told yet, by source.
    unsent: Vec<BTreeMap<Arc<str>, (KeyNews, Instant)>>,
    notices: Notices,
    board: KeyBoard,
}

impl Thread {
    fn run(&mut self, inbox: &Receiver<Event>, asked: &Receiver<KeyAsk>) {
        loop {
            let now = self.clock.now();
            for source in self.schedule.begin(self.crew.room(), now) {
                if let Err(source) = self.crew.give(source) {
                    self.ended(&source, Err("there is no thread to look for them".to_owned()));
                }
            }
            let mut wait =
                if self.crew.room() == 0 { Instant::NEVER } else { self.schedule.next_due() };
            if !self.post() {
                wait = wait.min(now + POST_AGAIN);
            }
            select! {
                recv(inbox) -> event => match event {
                    Ok(Event::Follow(snapshot)) => self.follow(&snapshot),
                    Ok(Event::Ended { source, result }) => self.ended(&source, result),
                    Ok(Event::Stop) | Err(_) => return,
                },
                // Shards that are gone ask for nothing; the inbox says when to end.
                recv(asked) -> ask => match ask {
                    Ok(ask) => self.wanted(&ask),
                    Err(_) => return,
                },
                default((wait - now).min(Duration::from_hours(1))) => {}
            }
        }
    }

    fn follow(&mut self, snapshot: &Snapshot) {
        self.schedule.follow(&snapshot.auth, self.clock.now());
    }

    fn wanted(&mut self, ask: &KeyAsk) {
        let now = self.clock.now();
        if let Some(news) = self.schedule.want(ask, now) {
            self.tell(&news, now);
        }
    }

    fn ended(&mut self, source: &Arc<KeySource>, result: Result<Found, String>) {
        self.crew.ended();
        let (found, skipped, fault) = match result {
            Ok((keys, skipped)) => {
                self.board.write(&source.name, keys.len(), unix_now());
                (Some(keys), skipped, String::new())
            }
            Err(fault) => {
                self.board.failed(&source.name);
                (None, Vec::new(), fault)
            }
        };
        let now = self.clock.now();
        let Some((news, change)) = self.schedule.ended(source, found, now) else { return };
        self.tell(&news, now);
        let count = news.keys.as_ref().map_or(0, |keys| keys.len());
        let name = &source.name;
        let told = match change {
            Change::Nothing | Change::StillLost => return,
            Change::Lost => {
                let stay = if count > 0 { "those that are known stay" } else { "there are none" };
                let text = format!("keys of {name} cannot be had: {fault}; {stay}");
                notice(Severity::Warn, "keys_lost", text)
            }
            Change::Keys | Change::Back if skipped.is_empty() => {
                notice(Severity::Info, "keys", format!("{count} keys of {name}"))
            }
            Change::Keys | Change::Back => {
                let odd = skipped.iter().take(4).map(|odd| format!("{}: {}", odd.place, odd.why));
                let odd: Vec<_> = odd.collect();
                let text = format!(
                    "{count} keys of {name}; {} are not used ({})",
                    skipped.len(),
                    odd.join(", ")
                );
                notice(Severity::Info, "keys", text)
            }
        };
        self.notices.tell(told.with("otus.auth", &**name));
    }

    fn tell(&mut self, news: &KeyNews, now: Instant) {
        for unsent in &mut self.unsent {
            unsent.insert(Arc::clone(&news.source.name), (news.clone(), now));
        }
    }

    /// Tells each shard what it does not know yet; false if a mailbox is full.
    fn post(&mut self) -> bool {
        let now = self.clock.now();
        let mut all = true;
        for (postbox, unsent) in self.postboxes.iter().zip(&mut self.unsent) {
            if unsent.is_empty() {
                continue;
            }
            let told = |(news, then): &(KeyNews, Instant)| KeyNews {
                quiet: news.quiet.saturating_sub(now - *then),
                ..news.clone()
            };
            let news = unsent.values().map(told).collect();
            if postbox.post(Letter::Keys { news }).is_ok() {
                unsent.clear();
            } else {
                all = false;
            }
        }
        all
    }
}

/// Looks once, to the end; a panic is a fault of the look.
fn work(source: Arc<KeySource>) -> Event {
    let run = AssertUnwindSafe(|| look(&source));
    let result = catch_unwind(run).unwrap_or_else(|_| Err("the look broke".to_owned()));
    Event::Ended { source, result }
}
