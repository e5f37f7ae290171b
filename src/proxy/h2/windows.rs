//! Receive windows as wide as a client is far away, as long as the shard has memory to back them.
//!
//! A window is a promise: what it allows may have to be held, if the service stalls. So a
//! connection's window grows only by what it can borrow from the shard's allowance, and what was
//! borrowed comes back when the client has no claim to it any more.

use std::cell::Cell;

use crate::base::time::Instant;
use crate::io::Io;
use crate::observe::counters::Gauge;
use crate::protocol::h2::bandwidth::{Bandwidth, Width};
use crate::snapshot::server::Http2;

use super::connection::Connection;

/// The PING whose echo tells the round trip.
pub(super) const MEASURE: [u8; 8] = *b"otus\0rt\0";
/// The part of the allowance that is kept for those who come: beyond it windows shrink sooner.
const SPARE: u64 = 4;

/// What the connections of a shard have borrowed.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Allowance {
    lent: Cell<u64>,
}

impl Allowance {
    /// What is left of `budget` for a connection that has borrowed `has` of it.
    fn room(&self, budget: u64, has: u32) -> u32 {
        let others = self.lent.get().saturating_sub(u64::from(has));
        u32::try_from(budget.saturating_sub(others)).unwrap_or(u32::MAX)
    }

    fn is_scarce(&self, budget: u64) -> bool {
        self.lent.get() >= budget - budget / SPARE
    }

    fn change(&self, from: u32, to: u32) {
        let others = self.lent.get().saturating_sub(u64::from(from));
        self.lent.set(others + u64::from(to));
    }

    /// Bytes that are lent.
    fn lent(&self) -> u64 {
        self.lent.get()
    }
}

/// How far the windows of one connection reach, and what is known of its client.
#[derive(Debug)]
pub(super) struct Windows {
    bandwidth: Cell<Bandwidth>,
    /// The windows that it began with.
    stream: u32,
    connection: u32,
    /// What it is allowed beyond them.
    extra: Cell<u32>,
    /// What it has borrowed for that: no less than the client was promised.
    borrowed: Cell<u32>,
}

impl Windows {
    pub(super) fn new(http2: &Http2) -> Self {
        Windows {
            bandwidth: Cell::default(),
            stream: http2.stream_window,
            connection: http2.connection_window,
            extra: Cell::new(0),
            borrowed: Cell::new(0),
        }
    }

    /// The echo of the PING has come.
    pub(super) fn answered(&self, now: Instant) {
        let mut bandwidth = self.bandwidth.get();
        bandwidth.answered(now);
        self.bandwidth.set(bandwidth);
    }
}

impl<I: Io> Connection<I> {
    /// DATA has come; `held` bytes of what came before were not taken yet. Widens or narrows the
    /// windows if a round trip is over.
    pub(super) fn measure(&self, len: usize, held: u32, now: Instant) {
        let windows = &self.windows;
        let mut bandwidth = windows.bandwidth.get();
        let due = bandwidth.received(u64::try_from(len).unwrap_or(u64::MAX), held, now);
        windows.bandwidth.set(bandwidth);
        if due.ping {
            self.engine.borrow_mut().ping(MEASURE);
            self.flush.raise();
        }
        let Some(held) = due.round else { return self.near_end() };
        let http2 = self.cx.tables().snapshot.server.http2;
        let bodies = self.engine.borrow().bodies();
        let base = windows.stream.saturating_mul(bodies.max(1)).min(windows.connection);
        let extra_max = http2.connection_window_max.saturating_sub(windows.connection);
        let extra_streams = self.extra_stream(&http2).saturating_mul(bodies);
        let width = Width { base, extra: windows.extra.get(), extra_max };
        let scarce = self.cx.allowance.is_scarce(http2.window_budget);
        let next = width.next(bandwidth.product(), held, scarce);
        self.settle(next.min(extra_streams), &http2);
    }

    /// Where less is to come than may be under way, no more of it is promised.
    fn near_end(&self) {
        let extra = self.windows.extra.get();
        if extra > 0 && self.engine.borrow().rest() < extra {
            self.settle(extra, &self.cx.tables().snapshot.server.http2);
        }
    }

    /// Where no body is under way any more: asks for back what the client was promised for it.
    pub(super) fn narrow(&self) {
        let windows = &self.windows;
        let mut bandwidth = windows.bandwidth.get();
        if bandwidth.is_quiet() && windows.borrowed.get() == 0 {
            return;
        }
        if self.engine.borrow().bodies() == 0 {
            bandwidth.quiet();
            windows.bandwidth.set(bandwidth);
            let http2 = self.cx.tables().snapshot.server.http2;
            self.settle(0, &http2);
        }
    }

    /// What one stream may have beyond its first window.
    fn extra_stream(&self, http2: &Http2) -> u32 {
        http2.stream_window_max.saturating_sub(self.windows.stream)
    }

    /// Makes the windows reach as far beyond their base as they should and memory allows.
    fn settle(&self, extra: u32, http2: &Http2) {
        let (windows, allowance) = (&self.windows, &self.cx.allowance);
        let borrowed = windows.borrowed.get();
        let extra = extra.min(allowance.room(http2.window_budget, borrowed));
        if extra == 0 && windows.extra.get() == 0 && borrowed == 0 {
            return;
        }
        let mut engine = self.engine.borrow_mut();
        engine.widen(extra, self.extra_stream(http2));
        let borrows = engine.promised_extra();
        drop(engine);
        windows.extra.set(extra);
        windows.borrowed.set(borrows);
        allowance.change(borrowed, borrows);
        self.cx.counters.set(Gauge::WindowsLent, allowance.lent());
        if self.queued() > 0 {
            self.flush.raise();
        }
    }
}

impl<I: Io> Drop for Connection<I> {
    fn drop(&mut self) {
        let borrowed = self.windows.borrowed.get();
        if borrowed > 0 {
            self.cx.allowance.change(borrowed, 0);
            self.cx.counters.set(Gauge::WindowsLent, self.cx.allowance.lent());
        }
    }
}
