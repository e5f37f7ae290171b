//! A circuit breaker: an upstream that fails is left alone for a while, and then tried by a few.
//!
//! *closed*: failures in a row are counted; enough of them open it. *open*: everything is refused
//! for a while. *half open*: so many probes at a time are let through; one success closes it, one
//! failure opens it again. All of it is one atomic word, so that the number of probes is exact over
//! all shards; while all is well nobody writes it.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::utils::CachePadded;

use crate::base::time::Instant;

/// What a breaker is made of. Its state outlives a reload as long as this stays the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name, unique among all breakers.
    pub name: String,
    /// So many failures in a row open it.
    pub failures: u16,
    /// Failures that are older than so long count no more; zero: however old they are.
    pub interval: Duration,
    /// For so long everything is refused.
    pub open: Duration,
    /// Probes at a time after that.
    pub probes: u16,
}

/// What a breaker does at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Everything is let through.
    Closed,
    /// Everything is refused.
    Open,
    /// Probes are let through.
    HalfOpen,
}

impl State {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
        }
    }
}

/// How an exchange went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// An answer below 500.
    Success,
    /// An answer of 500 or more, or none by the fault of the upstream or the way to it.
    Failure,
    /// Nothing was learned of the upstream: the client left, or we answered.
    Nothing,
}

/// What is known of a breaker at a moment, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// What it does.
    pub state: State,
    /// Failures in a row, if it is closed.
    pub failures: u16,
    /// When it opened last, if it is not closed.
    pub opened: Option<Instant>,
    /// Until it may be tried again, if it is open.
    pub retry_after: Duration,
    /// Probes under way.
    pub probes: u16,
}

/// A rule and its state. Clones share the state, and each shard has one of its own, so that an
/// exchange that holds it writes nothing that others read.
#[derive(Clone, Debug)]
pub struct Breaker {
    rule: Rule,
    word: Arc<CachePadded<AtomicU64>>,
}

/// Leave to call the upstream. If it is dropped without a word nothing was learned, and a probe's
/// place is free again.
pub struct Permit {
    breaker: Rc<Breaker>,
    /// Of a probe: when the breaker had opened.
    probe: Option<u64>,
    is_told: bool,
}

/// The word: two bits of state, 14 of a count, 48 of a moment in milliseconds. Closed: failures and
/// the first of them. Open: the moment at which it opened. Half open: the same, and probes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    state: State,
    count: u16,
    moment: u64,
}

const COUNT_MAX: u16 = (1 << 14) - 1;
const MOMENT_MAX: u64 = (1 << 48) - 1;
const NANOS_PER_MILLI: u64 = 1_000_000;

impl Word {
    fn read(bits: u64) -> Word {
        let state = match bits & 3 {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        };
        let count = u16::try_from((bits >> 2) & u64::from(COUNT_MAX)).unwrap_or(0);
        Word { state, count, moment: bits >> 16 }
    }

    fn bits(self) -> u64 {
        let state = match self.state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        self.moment.min(MOMENT_MAX) << 16 | u64::from(self.count.min(COUNT_MAX)) << 2 | state
    }
}

fn millis(now: Instant) -> u64 {
    (now.as_nanos() / NANOS_PER_MILLI).min(MOMENT_MAX)
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Breaker { rule, word: Arc::default() }
    }

    /// What it was made of.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    fn load(&self) -> Word {
        Word::read(self.word.load(Ordering::Acquire))
    }

    /// Changes the word as `change` says; `None`: it stays. Returns the last word that it saw.
    fn update(&self, mut change: impl FnMut(Word) -> Option<Word>) -> Result<Word, Word> {
        let change = |bits| change(Word::read(bits)).map(Word::bits);
        let result = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        result.map(Word::read).map_err(Word::read)
    }

    /// When an open one may be tried again, in milliseconds.
    fn retry_at(&self, word: Word) -> u64 {
        word.moment.saturating_add(whole_millis(self.rule.open))
    }

    /// Milliseconds until it may be tried again. The clock of whoever asks may be a little behind
    /// that of the shard which opened it.
    fn left(&self, word: Word, now: u64) -> u64 {
        self.retry_at(word).saturating_sub(now).min(whole_millis(self.rule.open))
    }

    /// Leave to call the upstream, or how long to wait before asking again.
    pub fn admit(self: &Rc<Self>, now: Instant) -> Result<Permit, Duration> {
        let permit = |probe| Permit { breaker: Rc::clone(self), probe, is_told: false };
        if self.load().state == State::Closed {
            return Ok(permit(None));
        }
        let now = millis(now);
        let probes = self.rule.probes.clamp(1, COUNT_MAX);
        let before = self.update(|word| match word.state {
            // A moment ahead of the clock was written before the clock went back.
            State::Open if now >= self.retry_at(word) || word.moment > now.saturating_add(1000) => {
                Some(Word { state: State::HalfOpen, count: 1, ..word })
            }
            State::HalfOpen if word.count < probes => Some(Word { count: word.count + 1, ..word }),
            State::Closed | State::Open | State::HalfOpen => None,
        });
        match before {
            Ok(word) => Ok(permit(Some(word.moment))),
            Err(Word { state: State::Closed, .. }) => Ok(permit(None)),
            Err(Word { state: State::HalfOpen, .. }) => Err(Duration::from_secs(1)),
            Err(word) => Err(Duration::from_millis(self.left(word, now))),
        }
    }

    fn failed(&self, probe: Option<u64>, now: Instant) {
        let now = millis(now);
        let interval = whole_millis(self.rule.interval);
        let open = Word { state: State::Open, count: 0, moment: now };
        let _ = self.update(|word| match (word.state, probe) {
            (State::Closed, None) => {
                let is_old = interval > 0 && word.moment.saturating_add(interval) <= now;
                let (before, since) =
                    if is_old || word.count == 0 { (0, now) } else { (word.count, word.moment) };
                let count = before.saturating_add(1);
                let is_enough = count >= self.rule.failures.clamp(1, COUNT_MAX);
                Some(if is_enough { open } else { Word { count, moment: since, ..word } })
            }
            (State::HalfOpen, Some(opened)) if opened == word.moment => {
                // Two rounds of probes are told apart by when the breaker opened.
                Some(Word { moment: now.max(opened + 1), ..open })
            }
            _ => None, // It was sent before the breaker opened, or in an earlier round.
        });
    }

    fn succeeded(&self, probe: Option<u64>) {
        let closed = Word { state: State::Closed, count: 0, moment: 0 };
        if self.word.load(Ordering::Acquire) == 0 {
            return; // All is well, and stays.
        }
        let _ = self.update(|word| match (word.state, probe) {
            (State::Closed, None) => Some(closed),
            (State::HalfOpen, Some(opened)) if opened == word.moment => Some(closed),
            _ => None,
        });
    }

    fn release(&self, probe: Option<u64>) {
        let Some(opened) = probe else { return };
        let _ = self.update(|word| {
            let is_mine = word.state == State::HalfOpen && word.moment == opened;
            is_mine.then(|| Word { count: word.count.saturating_sub(1), ..word })
        });
    }

    /// For people.
    #[must_use]
    pub fn reading(&self, now: Instant) -> Reading {
        let word = self.load();
        let opened = (word.state != State::Closed)
            .then(|| Instant::from_nanos(word.moment.saturating_mul(NANOS_PER_MILLI)));
        let left = self.left(word, millis(now));
        let is = |state, count| if word.state == state { count } else { 0 };
        Reading {
            state: word.state,
            failures: is(State::Closed, word.count),
            opened,
            retry_after: Duration::from_millis(if word.state == State::Open { left } else { 0 }),
            probes: is(State::HalfOpen, word.count),
        }
    }
}

impl Permit {
    /// Whether this is a probe of a breaker that is half open.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Tells how it went.
    pub fn tell(mut self, outcome: Outcome, now: Instant) {
        self.is_told = outcome != Outcome::Nothing;
        match outcome {
            Outcome::Success => self.breaker.succeeded(self.probe),
            Outcome::Failure => self.breaker.failed(self.probe, now),
            Outcome::Nothing => {} // As if dropped.
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_told {
            self.breaker.release(self.probe);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("probe", &self.probe).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "breaker/tests.rs"]
mod tests;
