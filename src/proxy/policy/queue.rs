//! The wait for a place of a gauge that has none: who is called is told at once, wherever the place
//! was given back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crossbeam::queue::SegQueue;

use crate::io::race::race;
use crate::io::{Bell, Ear, Io};
use crate::policy::concurrency::{Gauge, Place};
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::context::Context;
use crate::proxy::event::Event;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;

/// The exchanges of a shard that wait for their turn, and how other shards tell it whose it is.
#[derive(Debug)]
pub(in crate::proxy) struct Turns<B>(Rc<Room<B>>);

impl<B> Default for Turns<B> {
    fn default() -> Self {
        let (next, waiting, desk) = (Cell::default(), RefCell::default(), RefCell::default());
        Turns(Rc::new(Room { next, waiting, desk }))
    }
}

#[derive(Debug)]
struct Room<B> {
    next: Cell<u64>,
    /// Those that wait, by the number of each.
    waiting: RefCell<BTreeMap<u64, Rc<Event>>>,
    /// There while somebody waits, and somebody listens.
    desk: RefCell<Option<Arc<Desk<B>>>>,
}

/// Where a shard is told whose turn it is. It never holds more than there are who wait.
#[derive(Debug)]
struct Desk<B> {
    called: SegQueue<u64>,
    bell: B,
}

/// Calls one of a shard.
struct Call<B> {
    number: u64,
    desk: Arc<Desk<B>>,
}

impl<B: Bell> Wake for Call<B> {
    fn wake(self: Arc<Self>) {
        self.desk.called.push(self.number);
        self.desk.bell.ring();
    }
}

/// One that waits, for as long as this is held.
struct Turn<B: Bell> {
    room: Rc<Room<B>>,
    number: u64,
    event: Rc<Event>,
}

impl<B: Bell> Drop for Turn<B> {
    fn drop(&mut self) {
        let mut waiting = self.room.waiting.borrow_mut();
        waiting.remove(&self.number);
        // Who listens goes with the last one.
        if waiting.is_empty()
            && let Some(desk) = &*self.room.desk.borrow()
        {
            desk.bell.ring();
        }
    }
}

impl<B: Bell> Turns<B> {
    /// One more that waits, and what calls it; `None` if the system has no bell for us.
    fn wait<I: Io<Bell = B>>(&self, cx: &Context<I>) -> Option<(Turn<B>, Waker)> {
        let Turns(room) = self;
        if room.desk.borrow().is_none() {
            let (bell, ear) = cx.io.bell().ok()?;
            let desk = Arc::new(Desk { called: SegQueue::new(), bell });
            *room.desk.borrow_mut() = Some(Arc::clone(&desk));
            cx.upkeep.spawn(&cx.io, listen::<I>(ear, desk, Rc::clone(room)));
        }
        let desk = room.desk.borrow().clone()?;
        let (number, event) = (room.next.get(), Rc::new(Event::default()));
        room.next.set(number.wrapping_add(1));
        room.waiting.borrow_mut().insert(number, Rc::clone(&event));
        let turn = Turn { room: Rc::clone(room), number, event };
        Some((turn, Waker::from(Arc::new(Call { number, desk }))))
    }
}

/// Hears whose turn it is, for as long as somebody waits.
async fn listen<I: Io>(ear: I::Ear, desk: Arc<Desk<I::Bell>>, room: Rc<Room<I::Bell>>) {
    loop {
        ear.listen().await;
        while let Some(number) = desk.called.pop() {
            if let Some(event) = room.waiting.borrow().get(&number) {
                event.raise();
            }
        }
        if room.waiting.borrow().is_empty() {
            *room.desk.borrow_mut() = None;
            return;
        }
    }
}

/// A place, when it is the turn of this exchange; `None`: the queue is full, or it has waited for
/// as long as it may.
pub(super) async fn wait<I: Io>(
    exchange: &Exchange<'_, I>,
    gauge: &Rc<Gauge>,
    key: u64,
) -> Result<Option<Place>, Reason> {
    let cx = exchange.cx;
    if gauge.waiting() >= gauge.rule.queue {
        return Ok(None);
    }
    let Some((turn, waker)) = cx.turns.wait(cx) else { return Ok(None) };
    let Some(mut waiter) = gauge.queue(key, waker) else { return Ok(None) };
    let deadline = cx.io.now() + gauge.rule.queue_timeout;
    loop {
        if let Some(place) = waiter.place() {
            return Ok(Some(place));
        }
        let now = cx.io.now();
        if now >= deadline {
            return Ok(None);
        }
        // Whether the client has left is looked at as rarely as while it waits for an endpoint.
        race(turn.event.wait(), cx.io.sleep_until(deadline.min(now + LOOK_INTERVAL))).await;
        if exchange.down.is_gone() {
            return Err(Reason::ClientLeft);
        }
    }
}
