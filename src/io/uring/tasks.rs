//! The tasks of a thread and the order in which they run: first woken, first run.
//!
//! They lie in a table of the thread. A waker is a place in that table and nothing else, so that
//! cloning, comparing and dropping one costs nothing, and one that outlives its task points at no
//! memory. It wakes on its own thread alone; other threads ring a [`Bell`](crate::io::Bell).

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::unused_self,
    reason = "only this file makes places; u32 fits into usize; who runs tasks has made the table"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// A place in the table, and which of the tasks that were there one after the other is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id {
    place: u32,
    generation: u32,
}

/// The future that [`Running`] was made for; it is not in the table.
const MAIN: u32 = 0;

struct Slot {
    generation: u32,
    /// It is among those that are ready.
    queued: bool,
    /// `None`: the place is free, or its task is being run.
    body: Option<Body>,
}

struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ready: VecDeque<Id>,
}

thread_local! {
    static TASKS: RefCell<Option<Tasks>> = const { RefCell::new(None) };
}

fn with<T>(look: impl FnOnce(&mut Tasks) -> T) -> Option<T> {
    // Nothing that is called under the borrow runs code of a task. While a thread ends, there are
    // no tasks.
    TASKS.try_with(|tasks| tasks.borrow_mut().as_mut().map(look)).ok().flatten()
}

/// While it lives, this thread can have tasks. All that are left end with it.
pub(super) struct Running(());

impl Running {
    /// The main future is ready at once. `None`: tasks run on this thread already.
    pub(super) fn enter() -> Option<Self> {
        TASKS.with(|tasks| {
            let mut tasks = tasks.borrow_mut();
            if tasks.is_some() {
                return None;
            }
            let mut new =
                Tasks { slots: Vec::new(), free: Vec::new(), ready: VecDeque::with_capacity(1024) };
            new.slots.push(Slot { generation: 0, queued: false, body: None });
            new.wake(Id { place: MAIN, generation: 0 });
            *tasks = Some(new);
            Some(Running(()))
        })
    }

    /// Runs what is ready now, each task once; what becomes ready meanwhile waits for the next
    /// round.
    pub(super) fn round<F: Future>(&self, mut main: Pin<&mut F>) -> Poll<F::Output> {
        let count = with(|tasks| tasks.ready.len()).unwrap_or(0);
        for _ in 0..count {
            let Some((id, body)) = with(Tasks::next).flatten() else { break };
            let waker = waker(id);
            let mut cx = Context::from_waker(&waker);
            if id.place == MAIN {
                if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                    return Poll::Ready(output);
                }
                continue;
            }
            let Some(mut body) = body else { continue };
            if body.as_mut().poll(&mut cx).is_pending() {
                with(|tasks| tasks.slots[id.place as usize].body = Some(body));
            } else {
                // What it held is dropped before its place is given away.
                drop(body);
                with(|tasks| tasks.leave(id));
            }
        }
        Poll::Pending
    }

    /// Whether nothing is ready.
    pub(super) fn is_idle(&self) -> bool {
        with(|tasks| tasks.ready.is_empty()).unwrap_or(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Tasks may wake or start others while they are dropped; those find no table any more.
        let tasks = TASKS.with(|tasks| tasks.borrow_mut().take());
        drop(tasks);
    }
}

/// Starts a task. It runs in the next round; where no tasks run any more it is dropped.
pub(super) fn spawn(body: impl Future<Output = ()> + 'static) {
    let body: Body = Box::pin(body);
    // Handed back where there is no table, so that it is dropped outside of the borrow.
    let mut body = Some(body);
    with(|tasks| {
        if let Some(body) = body.take() {
            tasks.insert(body);
        }
    });
}

impl Tasks {
    fn insert(&mut self, body: Body) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, queued: false, body: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        assert!(place != u32::MAX, "more tasks than can be numbered");
        let slot = &mut self.slots[place as usize];
        slot.body = Some(body);
        let generation = slot.generation;
        self.wake(Id { place, generation });
    }

    fn wake(&mut self, id: Id) {
        if let Some(slot) = self.slots.get_mut(id.place as usize)
            && slot.generation == id.generation
            && !slot.queued
        {
            slot.queued = true;
            self.ready.push_back(id);
        }
    }

    fn next(&mut self) -> Option<(Id, Option<Body>)> {
        let id = self.ready.pop_front()?;
        let slot = &mut self.slots[id.place as usize];
        if slot.generation != id.generation {
            return Some((id, None));
        }
        slot.queued = false;
        Some((id, slot.body.take()))
    }

    fn leave(&mut self, id: Id) {
        let slot = &mut self.slots[id.place as usize];
        slot.generation = slot.generation.wrapping_add(1);
        // Its last act may have been to wake itself: that entry is stale, and the next task of the
        // place is queued by its own.
        slot.queued = false;
        self.free.push(id.place);
    }
}

fn waker(id: Id) -> Waker {
    let data = u64::from(id.place) << 32 | u64::from(id.generation);
    let data = std::ptr::without_provenance(usize::try_from(data).unwrap_or(usize::MAX));
    #[expect(unsafe_code, reason = "a waker that owns nothing")]
    // SAFETY: the functions of the table keep the contract of `RawWaker` for any data whatever:
    // they take it as a number, reach no memory through it, and may be called from any thread at
    // any time, as what they reach belongs to the thread that calls.
    unsafe {
        Waker::from_raw(RawWaker::new(data, &TABLE))
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, forget);

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &TABLE)
}

fn forget(_: *const ()) {}

fn wake(data: *const ()) {
    let data = data.addr() as u64;
    let place = u32::try_from(data >> 32).unwrap_or(u32::MAX);
    let generation = u32::try_from(data & u64::from(u32::MAX)).unwrap_or(0);
    with(|tasks| tasks.wake(Id { place, generation }));
}

#[cfg(test)]
mod tests;
