//! When keys are looked for (pure): before they are old, when a token asks for it, and after a
//! failure; one look at a time for each source.

use std::sync::Arc;
use std::time::Duration;

use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::policy::auth::keys::KeySet;
use crate::proxy::policy::keys::{KeyAsk, KeyNews};
use crate::snapshot::auth::{Auth, KeyPlace, KeySource};

/// After the first failure; doubled with each that follows, up to the usual time.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// The least time between two looks after failures, once it has grown.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Between two looks at the stamp of a file.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// What is known of one source.
#[derive(Debug)]
struct Entry {
    source: Arc<KeySource>,
    keys: Option<Arc<KeySet>>,
    due: Instant,
    is_looking: bool,
    /// When a look that was asked for may begin again.
    quiet_until: Instant,
    failures: u32,
}

/// The sources of a gateway.
#[derive(Debug)]
pub(super) struct Schedule {
    entries: Vec<Entry>,
    prng: Prng,
}

/// What a look has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Other keys.
    Keys,
    /// The same as before.
    Nothing,
    /// It failed, for the first time in a row.
    Lost,
    /// It failed again.
    StillLost,
    /// Keys again, after it had failed.
    Back,
}

impl Schedule {
    pub(super) fn new(prng: Prng) -> Self {
        Schedule { entries: Vec::new(), prng }
    }

    /// Follows these sources from now on. Those that stay the same keep their keys.
    pub(super) fn follow(&mut self, auth: &Auth, now: Instant) {
        let mut known = std::mem::take(&mut self.entries);
        for source in &auth.sources {
            let same = known.iter().position(|entry| *entry.source == *source);
            let entry = match same {
                Some(place) => known.swap_remove(place),
                None => Entry {
                    source: Arc::new(source.clone()),
                    keys: source.place.initial().cloned(),
                    due: match &source.place {
                        KeyPlace::Fixed(_) => Instant::NEVER,
                        KeyPlace::File(..) => now + FILE_INTERVAL,
                        KeyPlace::Url(..) => now,
                    },
                    is_looking: false,
                    quiet_until: Instant::START,
                    failures: 0,
                },
            };
            self.entries.push(entry);
        }
    }

    /// When the next look is due.
    pub(super) fn next_due(&self) -> Instant {
        let waiting = self.entries.iter().filter(|entry| !entry.is_looking);
        waiting.map(|entry| entry.due).min().unwrap_or(Instant::NEVER)
    }

    /// Begins looks that are due, at most so many.
    pub(super) fn begin(&mut self, room: usize, now: Instant) -> Vec<Arc<KeySource>> {
        let due = self.entries.iter_mut().filter(|entry| !entry.is_looking && entry.due <= now);
        due.take(room)
            .map(|entry| {
                entry.is_looking = true;
                Arc::clone(&entry.source)
            })
            .collect()
    }

    /// A token asks for keys of this source. What is told at once, if no look follows.
    pub(super) fn want(&mut self, ask: &KeyAsk, now: Instant) -> Option<KeyNews> {
        let entry = self.entries.iter_mut().find(|entry| entry.source.name == ask.source)?;
        if entry.is_looking {
            return None;
        }
        // What the shard does not have yet is on its way to it.
        let is_behind = ask.has_none && entry.keys.is_some();
        let looks = matches!(entry.source.place, KeyPlace::Url(..));
        if is_behind || now < entry.quiet_until || !looks {
            return Some(entry.news(now));
        }
        entry.quiet_until = now + entry.source.cooldown;
        entry.due = now;
        None
    }

    /// A look has ended. What shards are told, and what it means; `None`: nobody needs it.
    pub(super) fn ended(
        &mut self,
        source: &Arc<KeySource>,
        found: Option<Arc<KeySet>>,
        now: Instant,
    ) -> Option<(KeyNews, Change)> {
        let entry = self.entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.source, source))?;
        entry.is_looking = false;
        let Some(keys) = found else {
            let usual = entry.source.refresh.min(AGAIN_MAX);
            let wait = AGAIN_MIN.saturating_mul(1 << entry.failures.min(5)).min(usual);
            entry.failures += 1;
            entry.due = now + wait;
            let change = if entry.failures == 1 { Change::Lost } else { Change::StillLost };
            return Some((entry.news(now), change));
        };
        let was_lost = std::mem::take(&mut entry.failures) > 0;
        let is_other = entry.keys.as_ref().is_none_or(|old| !old.is_same(&keys));
        if is_other {
            entry.keys = Some(keys);
        }
        let usual = match entry.source.place {
            KeyPlace::File(..) => FILE_INTERVAL,
            _ => entry.source.refresh,
        };
        // Somewhat early, and not all gateways at one moment.
        let percent = u32::try_from(80 + self.prng.below(20)).unwrap_or(80);
        entry.due = now + usual.saturating_mul(percent) / 100;
        let change = match (was_lost, is_other) {
            (true, _) => Change::Back,
            (_, true) => Change::Keys,
            _ => Change::Nothing,
        };
        Some((entry.news(now), change))
    }
}

impl Entry {
    fn news(&self, now: Instant) -> KeyNews {
        // Without any keys, the next look is the one that counts.
        let until = if self.keys.is_none() { self.due } else { self.quiet_until };
        KeyNews { source: Arc::clone(&self.source), keys: self.keys.clone(), quiet: until - now }
    }
}

#[cfg(test)]
mod tests;
