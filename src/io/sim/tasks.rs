//! Tasks, and in which order they run.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use crate::base::prng::Prng;

use super::faults::below;

/// Something to run.
pub(super) type Body = Pin<Box<dyn Future<Output = ()>>>;

/// Those whose tasks run on one thread; zero: on one that is never made to wait.
pub(super) type Crew = u32;

/// Tasks that were woken and that the executor has not seen yet. Shared, because wakers must be
/// `Send`; nobody ever waits for the lock.
#[derive(Debug, Default)]
pub(super) struct Woken {
    ids: Mutex<Vec<u64>>,
}

impl Woken {
    fn push(&self, id: u64) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    fn drain_into(&self, out: &mut Vec<u64>) {
        out.append(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct TaskWaker {
    id: u64,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.id);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.push(self.id);
    }
}

struct Task {
    crew: Crew,
    body: Body,
    waker: Waker,
    queued: bool,
}

/// All tasks, and those of them that are ready.
///
/// Ready tasks run in rounds: what is ready when a round begins runs in it, in any order; what
/// becomes ready meanwhile joins this round or the next by chance. So any order is possible and
/// nobody starves.
#[derive(Default)]
pub(super) struct Tasks {
    all: BTreeMap<u64, Task>,
    last: u64,
    round: u64,
    now: Vec<u64>,
    next: Vec<u64>,
    heard: Vec<u64>,
    /// Crews whose threads wait, and the tasks of theirs that are ready.
    suspended: BTreeSet<Crew>,
    held: Vec<u64>,
    woken: Arc<Woken>,
}

impl Tasks {
    /// How many have not ended.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Number of the round that runs.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Takes a task in; it is ready.
    pub(super) fn insert(&mut self, (crew, body): (Crew, Body), prng: &mut Prng) {
        self.last += 1;
        let id = self.last;
        let waker = Waker::from(Arc::new(TaskWaker { id, woken: Arc::clone(&self.woken) }));
        self.all.insert(id, Task { crew, body, waker, queued: false });
        self.queue(id, prng);
    }

    fn queue(&mut self, id: u64, prng: &mut Prng) {
        if let Some(task) = self.all.get_mut(&id)
            && !task.queued
        {
            task.queued = true;
            if self.suspended.contains(&task.crew) {
                self.held.push(id);
                return;
            }
            let round = if prng.one_in(2) { &mut self.now } else { &mut self.next };
            round.push(id);
        }
    }

    /// Makes ready what was woken.
    pub(super) fn hear(&mut self, prng: &mut Prng) {
        let mut heard = std::mem::take(&mut self.heard);
        self.woken.drain_into(&mut heard);
        for id in heard.drain(..) {
            self.queue(id, prng);
        }
        self.heard = heard;
    }

    /// No task of this crew runs until it is resumed; those that are ready stay so.
    pub(super) fn suspend(&mut self, crew: Crew) {
        self.suspended.insert(crew);
        let Tasks { all, held, .. } = self;
        for round in [&mut self.now, &mut self.next] {
            held.extend(round.extract_if(.., |id| all.get(id).is_some_and(|t| t.crew == crew)));
        }
    }

    /// Its tasks run again.
    pub(super) fn resume(&mut self, crew: Crew) {
        self.suspended.remove(&crew);
        let all = &self.all;
        let is_free = |id: &mut u64| all.get(id).is_none_or(|task| task.crew == crew);
        self.next.extend(self.held.extract_if(.., is_free));
    }

    /// Takes one of the ready tasks of this round, any of them.
    pub(super) fn pick(&mut self, prng: &mut Prng) -> Option<u64> {
        if self.now.is_empty() {
            return None;
        }
        let at = below(prng, self.now.len());
        Some(self.now.swap_remove(at))
    }

    /// The task picked last is still to run.
    pub(super) fn put_back(&mut self, id: u64) {
        self.now.push(id);
    }

    /// Begins the next round. False: nobody is ready for it.
    pub(super) fn turn_round(&mut self) -> bool {
        self.round += 1;
        std::mem::swap(&mut self.now, &mut self.next);
        !self.now.is_empty()
    }

    /// Any task that lives, ready or not.
    pub(super) fn any(&self, prng: &mut Prng) -> Option<u64> {
        let from = prng.below(self.last.saturating_add(1));
        let (id, task) = self.all.range(from..).next()?;
        (!self.suspended.contains(&task.crew)).then_some(*id)
    }

    /// Polls a task; forgets it when it ends. False: there is none of this number any more.
    pub(super) fn poll(&mut self, id: u64) -> bool {
        let Some(task) = self.all.get_mut(&id) else { return false };
        task.queued = false;
        let mut cx = std::task::Context::from_waker(&task.waker);
        if task.body.as_mut().poll(&mut cx).is_ready() {
            self.all.remove(&id);
        }
        true
    }

    /// Drops all tasks.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Leaves all tasks where they are for ever: after a panic nobody may run their destructors.
    pub(super) fn forget(&mut self) {
        std::mem::forget(std::mem::take(&mut self.all));
    }
}
