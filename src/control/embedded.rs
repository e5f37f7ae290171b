//! The threads on which the transport of the program makes its calls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::io::uring::RingBell;
use crate::policy::embed::Fault;
use crate::proxy::embedded::CallAsk;
use crate::shard::mailbox::{Letter, Postbox};

/// Calls of all shards that wait for a thread; more are refused.
const WAITING_MAX: usize = 1024;
/// Threads at most, whatever the transport says.
const THREADS_MAX: usize = 1024;
/// Before a letter is posted again to a shard whose mailbox was full.
const POST_AGAIN: Duration = Duration::from_millis(1);
/// The status of a call that broke: `INTERNAL`.
const BROKEN: Fault = Fault(13);

/// Where shards ask, and where the threads hear of it.
pub(super) fn asks() -> (Sender<CallAsk>, Receiver<CallAsk>) {
    bounded(WAITING_MAX)
}

/// Starts the threads. They end when no shard asks any more.
pub(super) fn start(
    asks: &Receiver<CallAsk>,
    postboxes: &Arc<Vec<Postbox<RingBell>>>,
    at_once: usize,
) -> std::io::Result<()> {
    for number in 0..at_once.clamp(1, THREADS_MAX) {
        let (asks, postboxes) = (asks.clone(), Arc::downgrade(postboxes));
        let run = move || {
            while let Ok(ask) = asks.recv() {
                answer(&ask, &postboxes);
            }
        };
        std::thread::Builder::new().name(format!("otus-call-{number}")).spawn(run)?;
    }
    Ok(())
}

/// Makes one call; a panic is a fault of that call alone.
fn answer(ask: &CallAsk, postboxes: &Weak<Vec<Postbox<RingBell>>>) {
    let end = Instant::now() + ask.call.timeout;
    let run = AssertUnwindSafe(|| ask.transport.call(&ask.call));
    let result = catch_unwind(run).unwrap_or(Err(BROKEN));
    if ask.answer.set(result).is_err() {
        return;
    }
    let Some(postboxes) = postboxes.upgrade() else { return };
    let Some(postbox) = postboxes.get(usize::from(ask.shard)) else { return };
    while postbox.post(Letter::Called { number: ask.number }).is_err() && Instant::now() < end {
        std::thread::sleep(POST_AGAIN);
    }
}
