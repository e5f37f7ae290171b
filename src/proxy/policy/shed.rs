//! Load shedding, for one exchange; and the looks of its shard at how late it runs.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::io::{Bell, Ear, Io};
use crate::policy::limit::fields;
use crate::policy::shed::{Lateness, PERIOD};
use crate::proxy::context::Context;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;

use super::Admission;

/// A shard looks how late it runs for so long after the last request that might be refused for it.
const WATCH_FOR: Duration = Duration::from_secs(2);

/// How late the shard runs.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Watch {
    lateness: Cell<Lateness>,
    /// Until when it is looked at; in the past: nobody does.
    until: Cell<Instant>,
    is_watched: Cell<bool>,
}

impl Watch {
    /// For how long a connection that was refused is not listened to, on a shard with so many.
    pub(in crate::proxy) fn rest(&self, connections: u32, chance: &mut Prng) -> Duration {
        self.lateness.get().rest(connections, chance)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lateness) -> T) -> T {
        let mut lateness = self.lateness.get();
        let result = change(&mut lateness);
        self.lateness.set(lateness);
        result
    }
}

/// Refuses what comes while the shard runs late by more than `target`. Asked before all that costs
/// more than the answer.
pub(super) fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    target: Duration,
    admission: &mut Admission,
) -> Result<(), Reason> {
    if refuses(exchange, target) {
        fields::line(&mut admission.answer, "retry-after", format_args!("1"));
        return Err(Reason::Overloaded);
    }
    Ok(())
}

/// Whether the shard runs so late that this request is refused. Looked at only while there is a
/// need to know.
fn refuses<I: Io>(exchange: &Exchange<'_, I>, target: Duration) -> bool {
    let cx = exchange.cx;
    let watch = &exchange.tables.policies.shed;
    watch.until.set(exchange.started + WATCH_FOR);
    if !watch.is_watched.replace(true) {
        watch.lateness.set(Lateness::default());
        cx.upkeep.spawn(&cx.io, look(Rc::clone(cx), Rc::clone(watch)));
    }
    watch.change(|lateness| lateness.refuses(target))
}

async fn look<I: Io>(cx: Rc<Context<I>>, watch: Rc<Watch>) {
    // Without descriptors for a bell it is the timer alone that tells.
    let pair = cx.io.bell().ok();
    loop {
        let due = cx.io.now() + PERIOD;
        watch.change(|lateness| lateness.looks(due));
        cx.io.sleep_until(due).await;
        if let Some((bell, ear)) = &pair {
            hear(bell, ear).await;
        }
        let now = cx.io.now();
        watch.change(|lateness| lateness.woke(now));
        if now >= watch.until.get() {
            watch.is_watched.set(false);
            return;
        }
    }
}

/// Rings, and waits for it behind all that has happened before.
async fn hear(bell: &impl Bell, ear: &impl Ear) {
    let mut heard = pin!(ear.listen());
    let mut has_rung = false;
    poll_fn(|cx| {
        let heard = heard.as_mut().poll(cx);
        // Who listens already hears it by an event, as requests are heard.
        if heard.is_pending() && !std::mem::replace(&mut has_rung, true) {
            bell.ring();
        }
        heard
    })
    .await;
}
