//! Whose turn it is to write on a connection: first come, first served.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// At most one task at a time holds the turn. A frame whose payload follows pins it until both are
/// written.
#[derive(Debug, Default)]
pub(super) struct Turn {
    taken: Cell<bool>,
    queue: RefCell<VecDeque<Rc<Ticket>>>,
}

#[derive(Debug, Default)]
struct Ticket {
    called: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Holding the turn; dropping it calls the next.
#[derive(Debug)]
pub(super) struct Held<'a> {
    turn: &'a Turn,
}

impl Turn {
    /// Waits for the turn. May be dropped.
    pub(super) async fn take(&self) -> Held<'_> {
        if !self.taken.replace(true) {
            return Held { turn: self };
        }
        let ticket = Rc::new(Ticket::default());
        self.queue.borrow_mut().push_back(Rc::clone(&ticket));
        let waiting = Waiting { turn: self, ticket };
        poll_fn(|cx| {
            if waiting.ticket.called.get() {
                return Poll::Ready(());
            }
            *waiting.ticket.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        waiting.ticket.called.set(false); // The call is answered: `waiting` passes nothing on.
        Held { turn: self }
    }

    fn pass_on(&self) {
        let next = self.queue.borrow_mut().pop_front();
        match next {
            Some(ticket) => {
                ticket.called.set(true);
                if let Some(waker) = ticket.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
            None => self.taken.set(false),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.turn.pass_on();
    }
}

/// A place in the queue that is given up if its future is dropped.
struct Waiting<'a> {
    turn: &'a Turn,
    ticket: Rc<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.ticket.called.get() {
            self.turn.pass_on();
        } else {
            self.turn.queue.borrow_mut().retain(|ticket| !Rc::ptr_eq(ticket, &self.ticket));
        }
    }
}
