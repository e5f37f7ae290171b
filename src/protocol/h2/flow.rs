//! Flow control (RFC 9113 §5.2, §6.9): how much may be sent, how much the peer may send.

/// The largest window there is: 2³¹ - 1.
pub const WINDOW_MAX: u32 = 0x7fff_ffff;
/// What each window is before anybody says otherwise (RFC 9113 §6.9.2).
pub const WINDOW_DEFAULT: u32 = 65_535;

/// So much is always announced: what a large window owes to a peer that is far away would be
/// missing there for a round trip.
const ANNOUNCED_BYTES: i64 = 128 * 1024;

/// A window went beyond 2³¹ - 1, or more was sent than it allows: `FLOW_CONTROL_ERROR`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowError;

/// Bytes that we may send. Negative after the peer has made its initial window smaller (§6.9.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendWindow(i64);

impl SendWindow {
    /// A window of `size` bytes.
    #[must_use]
    pub fn new(size: u32) -> Self {
        SendWindow(i64::from(size))
    }

    /// Bytes that may be sent now.
    #[must_use]
    pub fn available(self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(WINDOW_MAX)
    }

    /// The peer gave more room (§6.9.1).
    pub fn credit(&mut self, increment: u32) -> Result<(), FlowError> {
        self.adjust(i64::from(increment))
    }

    /// The peer changed its initial window by `delta` (§6.9.2).
    pub fn adjust(&mut self, delta: i64) -> Result<(), FlowError> {
        let size = self.0 + delta;
        if size > i64::from(WINDOW_MAX) {
            return Err(FlowError);
        }
        self.0 = size;
        Ok(())
    }

    /// Bytes are sent. False, and nothing changes, if there is no room for them.
    #[must_use]
    pub fn debit(&mut self, len: u32) -> bool {
        let fits = len <= self.available();
        if fits {
            self.0 -= i64::from(len);
        }
        fits
    }

    /// For tests, after every mutation.
    ///
    /// # Panics
    ///
    /// If the window is none that §6.9 allows.
    pub fn check(self) {
        let bound = i64::from(WINDOW_MAX);
        assert!((-bound..=bound).contains(&self.0), "{self:?}");
    }
}

/// Bytes that the peer may send, and those it will be allowed to once we say so.
///
/// `left + owed + held = size`, where `held` bytes were received and not yet released; while a
/// window is being made smaller, `left + owed + held` may still exceed `size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvWindow {
    size: i64,
    left: i64,
    owed: i64,
    held: i64,
}

impl RecvWindow {
    /// A window of `size` bytes, of which the peer knows.
    #[must_use]
    pub fn new(size: u32) -> Self {
        let size = i64::from(size);
        RecvWindow { size, left: size, owed: 0, held: 0 }
    }

    /// Bytes that the peer may still send.
    #[must_use]
    pub fn left(&self) -> u32 {
        u32::try_from(self.left.max(0)).unwrap_or(WINDOW_MAX)
    }

    /// Bytes that were received and not yet released.
    #[must_use]
    pub fn held(&self) -> u32 {
        u32::try_from(self.held.max(0)).unwrap_or(u32::MAX)
    }

    /// What the window is meant to be.
    #[must_use]
    pub fn size(&self) -> u32 {
        u32::try_from(self.size).unwrap_or(WINDOW_MAX)
    }

    /// Bytes that were promised to the peer: it may send them, or has and they were not released.
    #[must_use]
    pub fn promised(&self) -> u32 {
        u32::try_from((self.left + self.owed + self.held).max(0)).unwrap_or(WINDOW_MAX)
    }

    /// The peer sent `len` bytes.
    pub fn receive(&mut self, len: u32) -> Result<(), FlowError> {
        let len = i64::from(len);
        // What is empty needs no room, not even when the window is negative (§6.9.1).
        if len > self.left.max(0) {
            return Err(FlowError);
        }
        self.left -= len;
        self.held += len;
        Ok(())
    }

    /// `len` bytes are no longer needed. Gives the increment to announce once half the window is
    /// due, or `ANNOUNCED_BYTES`.
    pub fn release(&mut self, len: u32) -> Option<u32> {
        debug_assert!(i64::from(len) <= self.held, "released more than was received");
        let len = i64::from(len).min(self.held);
        self.held -= len;
        // While the window shrinks, what comes back beyond its size is kept back.
        let room = (self.size - self.left - self.owed - self.held).max(0);
        self.owed += len.min(room);
        self.due()
    }

    /// Makes the window larger or smaller. Gives the increment to announce, if it is due.
    ///
    /// By `WINDOW_UPDATE`, which can only add to what was promised: a smaller one comes into force
    /// as bytes are released.
    pub fn resize(&mut self, size: u32) -> Option<u32> {
        self.size = i64::from(size);
        let room = self.size - self.left - self.owed - self.held;
        if room > 0 {
            self.owed += room;
            return self.announce();
        }
        // What was not announced yet need not be.
        self.owed -= self.owed.min(-room);
        self.due()
    }

    /// The peer has been told of another initial window: `left` moves along (§6.9.2). Gives the
    /// increment to announce, if one has become due.
    pub fn adjust(&mut self, delta: i64) -> Option<u32> {
        self.size += delta;
        self.left += delta;
        self.due()
    }

    fn due(&mut self) -> Option<u32> {
        if self.owed == 0 || (self.owed * 2 < self.size && self.owed < ANNOUNCED_BYTES) {
            return None;
        }
        self.announce()
    }

    fn announce(&mut self) -> Option<u32> {
        let increment = u32::try_from(self.owed).ok()?;
        self.left += self.owed;
        self.owed = 0;
        Some(increment)
    }

    /// For tests, after every mutation.
    ///
    /// # Panics
    ///
    /// If the parts do not make up the whole.
    pub fn check(&self) {
        assert!(self.owed >= 0 && self.held >= 0, "{self:?}");
        assert!(self.left <= i64::from(WINDOW_MAX), "{self:?}");
        // The peer can never be left waiting: what is neither held nor announced is less than half.
        assert!(self.owed == 0 || self.owed * 2 < self.size, "{self:?}");
        assert!(self.left + self.owed + self.held >= self.size, "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn a_send_window_may_become_negative_but_not_too_large() {
        let mut window = SendWindow::new(100);
        assert!(window.debit(60));
        assert_eq!(window.adjust(-80), Ok(()));
        assert_eq!(window.available(), 0);
        assert!(!window.debit(1));
        assert_eq!(window.credit(50), Ok(()));
        assert_eq!(window.available(), 10);
        assert_eq!(window.credit(WINDOW_MAX), Err(FlowError));
        assert_eq!(window.credit(WINDOW_MAX - 10), Ok(()));
        assert_eq!(window.available(), WINDOW_MAX);
    }

    #[test]
    fn room_is_announced_when_half_the_window_is_due() {
        let mut window = RecvWindow::new(100);
        assert_eq!(window.receive(101), Err(FlowError));
        assert_eq!(window.receive(80), Ok(()));
        assert_eq!(window.release(49), None);
        assert_eq!(window.release(1), Some(50));
        assert_eq!(window.left(), 70);
        window.check();
    }

    #[test]
    fn a_smaller_window_comes_into_force_as_bytes_are_released() {
        let mut window = RecvWindow::new(100);
        assert_eq!(window.receive(100), Ok(()));
        assert_eq!(window.resize(40), None);
        assert_eq!(window.release(60), None);
        assert_eq!(window.release(19), None);
        assert_eq!(window.release(1), Some(20));
        assert_eq!(window.release(20), Some(20));
        assert_eq!(window.left(), 40);
        assert_eq!(window.resize(200), Some(160));
    }

    #[test]
    fn a_window_neither_leaks_nor_grows() {
        let mut prng = Prng::new(5);
        for size in [1, 2, 3, 100, 65_535, WINDOW_MAX] {
            let mut window = RecvWindow::new(size);
            let mut peer = i64::from(size);
            let mut held = 0;
            for _ in 0..2000 {
                let len = u32::try_from(prng.below(u64::from(size) + 1)).unwrap();
                if prng.one_in(2) && i64::from(len) <= peer {
                    assert_eq!(window.receive(len), Ok(()));
                    peer -= i64::from(len);
                    held += len;
                } else {
                    let len = len.min(held);
                    held -= len;
                    peer += i64::from(window.release(len).unwrap_or(0));
                }
                window.check();
                assert!(peer <= i64::from(size));
            }
            peer += i64::from(window.release(held).unwrap_or(0));
            assert!(peer * 2 > i64::from(size), "{window:?}");
        }
    }
}
