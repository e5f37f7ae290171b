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
    /// monoio would let it end the whole shard.
    pub fn spawn<I: Io>(&self, io: &I, task: impl Future<Output = ()> + 'static) {
        self.inner.inside.set(self.inner.inside.get() + 1);
        let inner = Rc::clone(&self.inner);
        io.spawn(async move {
            if Guarded(Box::pin(task)).await.is_err() {
                inner.panics.set(inner.panics.get() + 1);
            }
            inner.inside.set(inner.inside.get().saturating_sub(1));
            if inner.inside.get() == 0 {
                for waker in inner.waiting.borrow_mut().drain(..) {
                    waker.wake();
                }
            }
        });
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

struct Guarded(Pin<Box<dyn Future<Output = ()>>>);

/// The task panicked.
struct Panicked;

impl Future for Guarded {
    type Output = Result<(), Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            // The task is dropped right after; nobody sees it half done.
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}
