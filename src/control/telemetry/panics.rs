//! Panics of this process, as far as they may be told: where, and what was written there. What was
//! put together at that moment may hold what clients sent, and is left out.

use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Weak};

use crossbeam::queue::ArrayQueue;

/// Panics that wait to be told; more are as many of the same.
const WAITING_MAX: usize = 64;

/// One panic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Panic {
    /// File, line and column.
    pub(super) place: String,
    /// What was written there, if that is all that was said.
    pub(super) text: &'static str,
    /// The thread that it happened on.
    pub(super) thread: String,
}

pub(super) type Panics = Arc<ArrayQueue<Panic>>;

/// Hears of panics from now on, beside whoever did before.
pub(super) fn listen() -> Panics {
    let queue = Arc::new(ArrayQueue::new(WAITING_MAX));
    let weak = Arc::downgrade(&queue);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        hear(&weak, info);
        before(info);
    }));
    queue
}

fn hear(queue: &Weak<ArrayQueue<Panic>>, info: &PanicHookInfo<'_>) {
    let Some(queue) = queue.upgrade() else { return };
    let place = info.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    let text = info.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = queue.push(Panic { place, text, thread });
}
