//! How much a client can have under way to us: its round trip times the rate at which its DATA
//! comes (the bandwidth-delay product), and the window that follows from it.
//!
//! The round trip is that of a PING. Its echo waits behind what the client has sent before, so a
//! full window makes it look longer than it is, and the longer it looks, the larger the window
//! would become. Therefore the shortest one counts since the client was last quiet, and nothing
//! makes it longer. The rate is that of rounds of one round trip: a client that waits for the
//! window sends one window in each.

use std::time::Duration;

use crate::base::time::Instant;

/// So much DATA of bodies has to come before a round trip is worth a PING: smaller bodies are
/// over before a window matters.
const WORTHWHILE_BYTES: u64 = 64 * 1024;
/// PINGs at the beginning; later ones only look for a shorter way.
const EAGER_PINGS: u32 = 4;
/// From one PING to the next, at the beginning ...
const EAGER_INTERVAL: Duration = Duration::from_millis(10);
/// ... and later.
const LATER_INTERVAL: Duration = Duration::from_secs(1);
/// A round is no shorter: what one read brings says nothing about a rate.
const ROUND_MIN: Duration = Duration::from_millis(10);
/// The part of the best rate that is forgotten in each round that does not reach it.
const FORGOTTEN: u64 = 16;
/// The window, in products: one is under way, one waits in the kernel behind a packet that was lost
/// until it has come again, and the credit for one is on its way back.
const PRODUCTS: u64 = 3;
/// Windows grow and shrink by no less.
const STEP_BYTES: u32 = 64 * 1024;

/// What is known of the way from one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bandwidth {
    /// The shortest round trip.
    round_trip: Option<Duration>,
    /// When the PING was sent that was not answered yet.
    asked: Option<Instant>,
    asks: u32,
    /// No PING before.
    ask_at: Instant,
    round: Option<Round>,
    /// The best rate, in bytes a second.
    rate: u64,
    /// Bytes since the client was quiet.
    received: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Round {
    since: Instant,
    bytes: u64,
    /// The least that was held at any time.
    held: u32,
}

/// What is to be done after DATA has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// Send a PING, and tell [`Bandwidth::answered`] when its echo comes.
    pub ping: bool,
    /// A round is over: look whether the window is right. Bytes that were held all the time.
    pub round: Option<u32>,
}

impl Bandwidth {
    /// No body is under way: the next one is measured anew.
    pub fn quiet(&mut self) {
        let Bandwidth { asked, ask_at, .. } = *self;
        *self = Bandwidth { asked, ask_at, ..Bandwidth::default() };
    }

    /// Whether anything was measured since the client was quiet.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.received == 0
    }

    /// DATA has come; `held` bytes of what came before were not taken yet.
    pub fn received(&mut self, len: u64, held: u32, now: Instant) -> Due {
        self.received = self.received.saturating_add(len);
        let mut due = Due::default();
        if self.asked.is_none() && self.received >= WORTHWHILE_BYTES && now >= self.ask_at {
            self.asks = self.asks.saturating_add(1);
            let interval = if self.asks < EAGER_PINGS { EAGER_INTERVAL } else { LATER_INTERVAL };
            self.ask_at = now + interval;
            self.asked = Some(now);
            due.ping = true;
        }
        let fresh = Round { since: now, bytes: 0, held: u32::MAX };
        let Some(round) = &mut self.round else {
            self.round = Some(fresh);
            return due;
        };
        round.bytes = round.bytes.saturating_add(len);
        round.held = round.held.min(held);
        let took = now.since(round.since);
        if self.round_trip.is_some_and(|round_trip| took >= round_trip.max(ROUND_MIN)) {
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
            let rate = u128::from(round.bytes) * 1_000_000_000 / u128::from(nanos);
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            self.rate = rate.max(self.rate - self.rate / FORGOTTEN);
            due.round = Some(round.held);
            self.round = Some(fresh);
        }
        due
    }

    /// The echo of the PING has come.
    pub fn answered(&mut self, now: Instant) {
        // An echo of what was not asked says nothing.
        let Some(asked) = self.asked.take() else { return };
        // One from before the client was quiet may have waited behind the last body.
        if self.asks > 0 {
            let took = now.since(asked);
            self.round_trip = Some(self.round_trip.map_or(took, |shortest| shortest.min(took)));
        }
    }

    /// The bandwidth-delay product, in bytes; zero while it is not known.
    #[must_use]
    pub fn product(&self) -> u64 {
        let nanos = self.round_trip.map_or(0, |round_trip| round_trip.as_nanos());
        let product = u128::from(self.rate).saturating_mul(nanos) / 1_000_000_000;
        u64::try_from(product).unwrap_or(u64::MAX)
    }
}

/// How far a window goes beyond its base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Width {
    /// The window that every client has.
    pub base: u32,
    /// What this one has beyond it.
    pub extra: u32,
    /// What it may have at most.
    pub extra_max: u32,
}

impl Width {
    /// What it is to have after a round, given the product, what was held all through the round,
    /// and whether memory is scarce.
    ///
    /// A window of `PRODUCTS` lets the client send all the time. It grows by doubling: the rate
    /// that makes it grow further shows only then. Bytes that are held show that it is not the
    /// window which the client waits for.
    #[must_use]
    pub fn next(self, product: u64, held: u32, scarce: bool) -> u32 {
        let now = self.base.saturating_add(self.extra);
        let want = u32::try_from(product.saturating_mul(PRODUCTS)).unwrap_or(u32::MAX);
        let patience = if scarce { 2 } else { 4 };
        let halved = (now / 2).saturating_sub(self.base);
        let next = if held / 3 >= now / 4 || want < now / patience {
            if halved < STEP_BYTES { 0 } else { halved }
        } else if want > now && held < now / 4 {
            now.saturating_mul(2).saturating_sub(self.base)
        } else {
            self.extra
        };
        let next = next.min(self.extra_max);
        if next > self.extra && next - self.extra < STEP_BYTES { self.extra } else { next }
    }
}

#[cfg(test)]
mod tests;
