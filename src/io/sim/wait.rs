//! Waiting: timers, turns, and a guard that notices a call dropped half-way.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::base::time::Instant;
use crate::io::IoError;

use super::core::{EventKey, Shared, Yielded};
use super::trace::{Call, Rule};

/// An alarm that takes itself back when dropped.
pub(super) struct Timer<'a> {
    shared: &'a Shared,
    set: Option<(EventKey, Waker)>,
}

impl<'a> Timer<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Timer { shared, set: None }
    }

    /// Wakes at `deadline`; keeps an alarm that is set for the same waker already.
    pub(super) fn set(&mut self, deadline: Instant, waker: &Waker) {
        if deadline == Instant::NEVER || self.set.as_ref().is_some_and(|(_, w)| w.will_wake(waker))
        {
            return;
        }
        self.clear();
        let key = self.shared.core.borrow_mut().alarm(deadline, waker.clone());
        self.set = Some((key, waker.clone()));
    }

    fn clear(&mut self) {
        if let Some((key, _)) = self.set.take() {
            self.shared.core.borrow_mut().unschedule(key);
        }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Waits until `deadline`. May be dropped.
pub(super) async fn sleep_until(shared: &Shared, deadline: Instant) {
    let mut timer = Timer::new(shared);
    poll_fn(|cx| {
        if shared.core.borrow().now >= deadline {
            return Poll::Ready(());
        }
        timer.set(deadline, cx.waker());
        Poll::Pending
    })
    .await;
}

/// Waits until `moment`, or fails at `deadline` if that comes first.
pub(super) async fn reach(
    shared: &Shared,
    moment: Instant,
    deadline: Instant,
) -> Result<(), IoError> {
    sleep_until(shared, moment.min(deadline)).await;
    if moment < deadline { Ok(()) } else { Err(IoError::TimedOut) }
}

/// Ready again at once, but others may come first.
pub(super) async fn turn() {
    let mut turned = false;
    poll_fn(|cx| {
        if turned {
            return Poll::Ready(());
        }
        turned = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets all that is ready now run first.
pub(super) async fn yield_now(shared: &Shared) {
    let released = Rc::new(Cell::new(false));
    let mut waiting = false;
    poll_fn(|cx| {
        if released.get() {
            return Poll::Ready(());
        }
        if !waiting {
            waiting = true;
            let mut core = shared.core.borrow_mut();
            // What is ready runs in this round or in the next one.
            let round = core.round + 2;
            let (released, waker) = (Rc::clone(&released), cx.waker().clone());
            core.yielded.push(Yielded { round, released, waker });
        }
        Poll::Pending
    })
    .await;
}

/// Notices when a call that must be awaited to its end is dropped before.
pub(super) struct Unfinished<'a> {
    shared: &'a Shared,
    call: Call,
    connection: u64,
    slot: Option<&'a Cell<Option<Call>>>,
    may_drop: bool,
    finished: bool,
}

impl<'a> Unfinished<'a> {
    /// A call without a connection.
    pub(super) fn new(shared: &'a Shared, call: Call) -> Self {
        Unfinished { shared, call, connection: 0, slot: None, may_drop: false, finished: false }
    }

    /// A call that needs a direction of a connection for itself. `slot` says who has it.
    pub(super) fn alone(
        shared: &'a Shared,
        call: Call,
        connection: u64,
        slot: &'a Cell<Option<Call>>,
    ) -> Self {
        if let Some(first) = slot.replace(Some(call)) {
            shared.core.borrow_mut().broken(Rule::Overlapped(first, call), connection);
        }
        let may_drop = call == Call::Readable;
        Unfinished { shared, call, connection, slot: Some(slot), may_drop, finished: false }
    }

    /// The call ended.
    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.set(None);
        }
        if self.finished || self.may_drop || std::thread::panicking() {
            return;
        }
        let mut core = self.shared.core.borrow_mut();
        if !core.ended {
            core.broken(Rule::Dropped(self.call), self.connection);
        }
    }
}
