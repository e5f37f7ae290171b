//! Who is inside: tasks are spawned through a gate, which counts them and stops a panic at its
//! task.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::io::Io;

/// Counts tasks; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    inner: Rc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    inside: Cell<u32>,
    panics: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    /// Starts a task that is counted until it ends. A panic ends that task alone and is counted:
    /// otherwise it would end the whole shard.
    pub fn spawn<I: Io>(&self, io: &I, task: impl Future<Output = ()> + 'static) {
        self.inner.inside.set(self.inner.inside.get() + 1);
        // No async block: it would keep room for the task beside its box, in every task.
        io.spawn(Guarded { task: Some(Box::pin(task)), inner: Rc::clone(&self.inner) });
    }

    /// How many tasks are inside.
    pub fn inside(&self) -> u32 {
        self.inner.inside.get()
    }

    /// How many tasks have panicked so far.
    pub fn panics(&self) -> u64 {
        self.inner.panics.get()
    }

    /// Waits until nobody is inside. May be dropped.
    pub async fn empty(&self) {
        poll_fn(|cx| {
            if self.inside() == 0 {
                return Poll::Ready(());
            }
            self.inner.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Guarded {
    /// `None` when it is over.
    task: Option<Pin<Box<dyn Future<Output = ()>>>>,
    inner: Rc<Inner>,
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        match std::panic::catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            // The task is dropped with what holds it; nobody sees it half done.
            Err(_) => self.inner.panics.set(self.inner.panics.get() + 1),
        }
        // It is gone before anyone is told so.
        self.task = None;
        self.inner.leave();
        Poll::Ready(())
    }
}

impl Inner {
    fn leave(&self) {
        self.inside.set(self.inside.get().saturating_sub(1));
        if self.inside.get() == 0 {
            for waker in self.waiting.borrow_mut().drain(..) {
                waker.wake();
            }
        }
    }
}
