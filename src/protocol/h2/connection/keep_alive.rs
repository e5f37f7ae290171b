//! Whether the peer is still there (RFC 9113 §6.7): PING after silence, dead after more of it.

use super::engine::Connection;
use super::event::Tick;
use crate::base::time::Instant;
use crate::protocol::h2::frame;

/// The payload of our own PINGs. Callers use others.
pub(super) const PAYLOAD: [u8; 8] = *b"otus\0ka\0";

impl Connection {
    /// Sends a PING if one is due. Call it at the deadline that it gave before, and after `open`.
    pub fn tick(&mut self, now: Instant) -> Tick {
        let none = Tick { deadline: None, dead: false };
        let Some((_, timeout)) = self.config.keep_alive else { return none };
        if self.failed.is_some() {
            return none;
        }
        if let Some(sent) = self.ping_sent {
            let deadline = sent + timeout;
            return Tick { deadline: Some(deadline), dead: now >= deadline };
        }
        if self.streams.is_empty() && !self.config.keep_alive_idle {
            return none;
        }
        let due = self.last_received + self.quiet;
        if now < due {
            return Tick { deadline: Some(due), dead: false };
        }
        frame::write_ping(self.queue(), PAYLOAD, false);
        self.ping_sent = Some(now);
        Tick { deadline: Some(now + timeout), dead: false }
    }

    /// Sends a PING of the caller's, to measure a round trip. `Event::Pong` answers it.
    pub fn ping(&mut self, payload: [u8; 8]) {
        debug_assert!(payload != PAYLOAD);
        frame::write_ping(self.queue(), payload, false);
    }

    /// Bytes have come.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_received = now;
        self.ping_sent = None;
    }

    /// A frame has come that is not just the echo of a PING.
    pub(super) fn heard_more(&mut self) {
        if let Some((interval, _)) = self.config.keep_alive {
            self.quiet = interval;
        }
    }

    /// The echo of a PING. True if it was one of ours.
    pub(super) fn echo(&mut self, payload: [u8; 8]) -> bool {
        let Some((interval, _)) = self.config.keep_alive else { return false };
        let ours = payload == PAYLOAD;
        if ours {
            self.quiet = (self.quiet * 3).min(self.config.keep_alive_max.max(interval));
        }
        ours
    }
}
