//! One core: accepts connections, runs their tasks, and reads its mailbox.
//!
//! [`thread`] puts a shard on a pinned thread with its own ring; [`run`] is the same for every
//! world.

pub mod accept;
pub mod mailbox;
pub mod thread;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::race::{Either, race};
use crate::io::{Ear, Io, Listener};
use crate::proxy::context::Context;
use crate::proxy::event::Event;

use mailbox::{Letter, Mailbox};

/// After its deadline a connection has so long to notice that it was cut off.
const AFTERMATH: Duration = Duration::from_millis(500);

/// How long a drain waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grace {
    /// For exchanges in flight.
    pub exchanges: Duration,
    /// For uploads in flight.
    pub uploads: Duration,
}

/// Serves until a letter says to stop. Returns how many connections were cut off.
pub async fn run<I: Io>(
    cx: Rc<Context<I>>,
    mut listeners: Vec<I::Listener>,
    mailbox: Mailbox,
    ear: I::Ear,
) -> u32 {
    for (place, listener) in (0..).zip(&listeners) {
        let task = accept::run(Rc::clone(&cx), listener.clone(), place);
        cx.upkeep.spawn(&cx.io, task);
    }
    let drained = Rc::new(Event::default());
    let cut_off = Rc::new(Cell::new(0));
    let mut draining = false;
    loop {
        if let Either::Second(()) = race(ear.listen(), drained.wait()).await {
            cx.count_panics();
            // Nearly all that were cut off have noticed by now, and left.
            return cut_off.get().max(cx.gate.inside());
        }
        while let Some(letter) = mailbox.take() {
            match letter {
                Letter::Publish { snapshot, done } => {
                    cx.publish(snapshot);
                    let _ = done.send(());
                }
                Letter::Clock { done } => drop(done.try_send(cx.io.now())),
                Letter::Latency { done } => {
                    cx.count_panics();
                    let _ = done.send(cx.latency.borrow_mut().take());
                }
                Letter::Health { changes } => {
                    for change in changes {
                        cx.tables().set_health(&change.upstream, change.address, change.health);
                    }
                    cx.tell_watches();
                }
                Letter::Keys { news } => {
                    for news in &news {
                        cx.tables().policies.set_keys(news, cx.io.now());
                    }
                }
                Letter::Modules { news } => cx.seekers.tell(&news, cx.io.now()),
                Letter::Called { number } => cx.calls.answered(number),
                Letter::Drain { grace } if !draining => {
                    draining = true;
                    let (done, cut_off) = (Rc::clone(&drained), Rc::clone(&cut_off));
                    let closing = std::mem::take(&mut listeners);
                    let task = drain(Rc::clone(&cx), closing, grace, done, cut_off);
                    cx.upkeep.spawn(&cx.io, task);
                }
                Letter::Drain { .. } => {}
            }
        }
    }
}

/// Stops taking connections, lets those under way finish, and cuts off what outlasts its grace.
async fn drain<I: Io>(
    cx: Rc<Context<I>>,
    listeners: Vec<I::Listener>,
    grace: Grace,
    done: Rc<Event>,
    cut_off: Rc<Cell<u32>>,
) {
    let start = cx.io.now();
    // Closed as soon as its queue is empty: who comes later is refused and does not wait in vain.
    for listener in listeners {
        listener.cancel();
    }
    cx.drain();
    if !emptied(&cx, start + grace.exchanges).await {
        cut_off.set(cx.exchanges.break_all());
        if !emptied(&cx, start + grace.uploads.max(grace.exchanges)).await {
            cut_off.set(cut_off.get().saturating_add(cx.uploads.break_all()));
            emptied(&cx, cx.io.now() + AFTERMATH).await;
        }
    }
    done.raise();
}

/// Whether all connections ended by the deadline.
async fn emptied<I: Io>(cx: &Context<I>, deadline: Instant) -> bool {
    race(cx.gate.empty(), cx.io.sleep_until(deadline)).await == Either::First(())
}
