//! Revocations that are forgotten after a while: by then the tokens have ended by themselves.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::base::time::Instant;

use super::bloom::{Filter, Scheme, Shape};

/// What is revoked, and for how long.
#[derive(Clone, PartialEq, Debug)]
pub struct RevocationRule {
    /// The filters.
    pub shape: Shape,
    /// After this time a new filter begins; a revocation counts for at least twice as long.
    pub ttl: Duration,
    /// Claims whose value may be revoked, such as `jti`.
    pub token_keys: Vec<String>,
    /// Fields of requests whose value may be.
    pub headers: Vec<String>,
}

/// The filters of the past, of now and of what comes. Whoever is revoked is added to the latter
/// two, who is asked about is looked for in the former two.
///
/// One thread at a time writes, any number read without waiting.
#[derive(Debug)]
pub struct Revocations {
    rule: RevocationRule,
    filters: [Filter; 3],
    /// Which one is the current one; its neighbours are the next and the previous.
    current: AtomicUsize,
    /// How many were revoked: as long as it is none, nothing has to be looked up.
    added: AtomicU64,
    /// When the next filter begins; none before the first look at the clock.
    due: Mutex<Option<Instant>>,
    /// Those of another shape, from before a reload.
    before: Option<Arc<Revocations>>,
}

/// What was revoked makes no difference.
impl PartialEq for Revocations {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

/// What an export begins with.
const MAGIC: &[u8; 8] = b"otusrev1";

/// An export is none, or of filters of another shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImportError {
    /// It does not begin as one, or ends early.
    Malformed,
    /// Its filters have another size or other hashes: bits cannot be moved from one to the other.
    OtherShape,
}

impl Revocations {
    /// Nothing is revoked.
    #[must_use]
    pub fn new(rule: RevocationRule) -> Self {
        let filters = [(); 3].map(|()| Filter::new(rule.shape));
        Revocations {
            rule,
            filters,
            current: AtomicUsize::new(0),
            added: AtomicU64::new(0),
            due: Mutex::new(None),
            before: None,
        }
    }

    /// The same for a new configuration: a reload must let nobody in again.
    #[must_use]
    pub fn follow(self: &Arc<Self>, rule: RevocationRule) -> Arc<Self> {
        if self.rule == rule {
            return Arc::clone(self);
        }
        let mut next = Revocations::new(rule);
        // Only the last one: who reloads again and again must not pile up filters.
        next.before = Some(Arc::new(self.alone()));
        next.added = AtomicU64::new(self.added.load(Ordering::Acquire));
        Arc::new(next)
    }

    fn alone(&self) -> Revocations {
        let copy = Revocations::new(self.rule.clone());
        for number in 0..3 {
            if let (Some(from), Some(to)) = (self.at(number), copy.at(number)) {
                to.merge(from.words());
            }
        }
        copy.added.store(self.added.load(Ordering::Acquire), Ordering::Release);
        copy
    }

    /// What is revoked, and for how long.
    #[must_use]
    pub fn rule(&self) -> &RevocationRule {
        &self.rule
    }

    /// Whether nothing was ever revoked: the usual case costs one word that nobody writes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.load(Ordering::Acquire) == 0
    }

    /// Revokes elements of the form `<claim>-<value>`.
    pub fn revoke<'a>(&self, elements: impl IntoIterator<Item = &'a [u8]>) {
        let _writer = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        for element in elements {
            for number in [0, 1] {
                if let Some(filter) = self.at(number) {
                    filter.add(element);
                }
            }
            self.added.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether an element is revoked, or taken for one that is.
    #[must_use]
    pub fn check(&self, element: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let here = [0, 2].iter().filter_map(|number| self.at(*number));
        let here = here.into_iter().any(|filter| filter.contains(element));
        here || self.before.as_ref().is_some_and(|before| before.check(element))
    }

    /// Whether a verified token is revoked by one of its claims.
    #[must_use]
    pub fn is_token_revoked(&self, claims: &Map<String, Value>) -> bool {
        if self.is_empty() {
            return false;
        }
        self.rule.token_keys.iter().any(|key| match claims.get(key) {
            Some(Value::String(text)) => self.is_revoked(key, text.as_bytes()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                self.is_revoked(key, value.to_string().as_bytes())
            }
            _ => false,
        })
    }

    /// Whether a request is refused for the value of a field; `name` is one of the rule's headers.
    #[must_use]
    pub fn is_revoked(&self, name: &str, value: &[u8]) -> bool {
        let mut element = Vec::with_capacity(name.len() + 1 + value.len());
        element.extend_from_slice(name.as_bytes());
        element.push(b'-');
        element.extend_from_slice(value);
        self.check(&element)
    }

    /// Begins a new filter if it is time, and says when it will be next.
    pub fn turn(&self, now: Instant) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = due.unwrap_or(now + self.rule.ttl);
        // Who slept for longer than all three last has nothing left to forget.
        for _ in 0..3 {
            if now < next {
                break;
            }
            // What comes next is nobody's to look at: it is emptied behind the turn.
            let current = self.current.load(Ordering::Acquire);
            self.current.store((current + 1) % 3, Ordering::Release);
            if let Some(filter) = self.at(1) {
                filter.clear();
            }
            next = next + self.rule.ttl;
        }
        if now >= next {
            next = now + self.rule.ttl;
        }
        *due = Some(next);
        let before = self.before.as_ref().map(|before| before.turn(now));
        before.map_or(next, |before| before.min(next))
    }

    /// The filters as bytes, for another process to take over.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let _writer = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::with_capacity(3 * self.rule.shape.words() * 8 + 32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&shape_bytes(self.rule.shape));
        for number in [2, 0, 1] {
            for word in self.at(number).into_iter().flat_map(Filter::words) {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        out
    }

    /// Adds what an export says, filter by filter, to what is known.
    pub fn import(&self, bytes: &[u8]) -> Result<(), ImportError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ImportError::Malformed)?;
        let shape = shape_bytes(self.rule.shape);
        let (told, rest) = rest.split_at_checked(shape.len()).ok_or(ImportError::Malformed)?;
        if told != shape {
            return Err(ImportError::OtherShape);
        }
        let (words, cut) = rest.as_chunks::<8>();
        if !cut.is_empty() || words.len() != 3 * self.rule.shape.words() {
            return Err(ImportError::Malformed);
        }
        let _writer = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        for (words, number) in words.chunks(self.rule.shape.words()).zip([2, 0, 1]) {
            if let Some(filter) = self.at(number) {
                filter.merge(words.iter().map(|word| u64::from_le_bytes(*word)));
            }
        }
        self.added.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The current one is 0, the next 1, the previous 2.
    fn at(&self, number: usize) -> Option<&Filter> {
        self.filters.get((self.current.load(Ordering::Acquire) + number) % 3)
    }
}

fn shape_bytes(shape: Shape) -> [u8; 13] {
    let mut out = [0; 13];
    let scheme = match shape.scheme {
        Scheme::Default => 0,
        Scheme::Optimal => 1,
    };
    let (bits, hashes) = (shape.bits.to_le_bytes(), shape.hashes.to_le_bytes());
    for (to, from) in out.iter_mut().zip(bits.into_iter().chain(hashes).chain([scheme])) {
        *to = from;
    }
    out
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
