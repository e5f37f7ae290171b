//! Telling another task of the same shard that something has changed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A flag that one task raises and one task at a time waits for.
#[derive(Debug, Default)]
pub struct Event {
    raised: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Event {
    /// Raises the flag. Raising it twice before anybody looks counts once.
    pub fn raise(&self) {
        self.raised.set(true);
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until the flag is raised and lowers it. May be dropped.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.raised.replace(false) {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            match &*waiting {
                Some(old) if old.will_wake(cx.waker()) => {}
                _ => *waiting = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

/// Tasks that wait for something that one of many may bring; all look again when it is announced.
#[derive(Debug, Default)]
pub struct Crowd {
    waiting: RefCell<Vec<Waker>>,
}

impl Crowd {
    /// Wakes all that wait.
    pub fn wake(&self) {
        // Taken out first: a task that is woken may wait again at once.
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for waker in waiting {
            waker.wake();
        }
    }

    /// Waits for the next `wake`. May be dropped.
    pub async fn wait(&self) {
        let mut waits = false;
        poll_fn(|cx| {
            if waits {
                return Poll::Ready(());
            }
            waits = true;
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
