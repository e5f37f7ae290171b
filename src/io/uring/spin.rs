//! How long a shard looks before it sleeps: not at all unless asked to, and then for as long as
//! that has been worth it.
//!
//! Being woken takes longer than most waits under load do, so whoever can spare a core looks for a
//! while first. An idle shard must not: what was looked for in vain halves the next look down to
//! nothing, and a wait that was short enough to be worth it brings the whole length back.

use std::cell::Cell;
use std::time::Duration;

/// A look that would be shorter than this part of the longest is none.
const LEAST: u32 = 8;

/// How long to look before the next sleep.
#[derive(Debug, Default)]
pub(super) struct Spin {
    most: Cell<Duration>,
    span: Cell<Duration>,
    /// Looks that heard something, for tests.
    heard: Cell<u64>,
}

impl Spin {
    /// Looks for up to `most` from now on; zero: never.
    pub(super) fn set(&self, most: Duration) {
        self.most.set(most);
        self.span.set(most);
    }

    /// Whether there is a look at all; if not, nothing has to be told here.
    pub(super) fn is_on(&self) -> bool {
        !self.most.get().is_zero()
    }

    /// How long to look now; zero: sleep at once.
    pub(super) fn span(&self) -> Duration {
        self.span.get()
    }

    /// Something was heard while looking.
    pub(super) fn is_worth_it(&self) {
        self.heard.set(self.heard.get().wrapping_add(1));
        self.span.set(self.most.get());
    }

    /// Nothing was heard while looking, and the whole wait took so long; `heard` is whether
    /// something ended it at last, other than its time being over.
    pub(super) fn has_slept(&self, waited: Duration, heard: bool) {
        let most = self.most.get();
        if heard && waited <= most {
            self.span.set(most);
            return;
        }
        let half = self.span.get() / 2;
        self.span.set(if half < most / LEAST { Duration::ZERO } else { half });
    }

    /// How many looks have heard something.
    #[cfg(test)]
    pub(super) fn heard(&self) -> u64 {
        self.heard.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(80);
    const LONG: Duration = Duration::from_secs(1);

    fn spin() -> Spin {
        let spin = Spin::default();
        spin.set(MOST);
        spin
    }

    #[test]
    fn without_being_asked_nobody_looks() {
        let spin = Spin::default();
        assert!(!spin.is_on() && spin.span().is_zero());
        spin.has_slept(Duration::ZERO, true);
        spin.is_worth_it();
        assert!(!spin.is_on() && spin.span().is_zero());
    }

    #[test]
    fn an_idle_shard_stops_looking() {
        let spin = spin();
        let mut looked = Duration::ZERO;
        for _ in 0..100 {
            looked += spin.span();
            spin.has_slept(LONG, true);
        }
        assert!(spin.span().is_zero() && spin.is_on());
        assert!(looked < 2 * MOST, "{looked:?}");
    }

    #[test]
    fn a_short_wait_brings_the_look_back() {
        let spin = spin();
        for _ in 0..100 {
            spin.has_slept(LONG, true);
        }
        spin.has_slept(MOST, true);
        assert_eq!(spin.span(), MOST);
        spin.has_slept(LONG, true);
        spin.is_worth_it();
        assert_eq!(spin.span(), MOST);
    }

    #[test]
    fn a_deadline_is_nothing_to_look_for() {
        let spin = spin();
        for _ in 0..100 {
            spin.has_slept(MOST / 2, false);
        }
        assert!(spin.span().is_zero());
    }
}
