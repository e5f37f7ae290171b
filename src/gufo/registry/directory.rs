//! What is known of modules, and when a master is asked (SPEC 8.2). Time and chance are arguments.
//!
//! An address that is known is asked for again before it is old, and is used on while nobody can be
//! asked. Names that nobody knows come from clients: they cost a master few questions, and memory
//! for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Place, Said, Wanted};
use crate::base::prng::Prng;
use crate::base::time::Instant;

/// For so long nobody asks again for what is not there (SPEC 8.2).
const NOWHERE_FOR: Duration = Duration::from_secs(5);
/// The same when no master could be asked.
const UNREACHABLE_FOR: Duration = Duration::from_secs(1);
/// After the first failure; doubled with each that follows.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// The least time between two questions after failures, once it has grown.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Names that a master does not know, at a time.
const UNKNOWN_MAX: usize = 1024;
/// Modules that are found.
const KNOWN_MAX: usize = 1024;
/// Names that were not asked for before are asked so often, whoever brings them up ...
const NEW_INTERVAL: Duration = Duration::from_millis(50);
/// ... and so many at once.
const NEW_BURST: u32 = 64;

/// Lets so many through at once, and then one in each interval.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    interval: Duration,
    burst: u32,
    /// When all of it is there again.
    full: Instant,
}

impl Throttle {
    /// Nothing is used up yet.
    #[must_use]
    pub const fn new(interval: Duration, burst: u32) -> Self {
        Throttle { interval, burst, full: Instant::START }
    }

    /// Whether one more may pass now.
    pub fn pass(&mut self, now: Instant) -> bool {
        let full = self.full.max(now) + self.interval;
        let passes = full - now <= self.interval.saturating_mul(self.burst);
        if passes {
            self.full = full;
        }
        passes
    }
}

/// How long things hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// An address that was told longer ago is old: it is used on, and said to be stale.
    pub ttl: Duration,
    /// An address is asked for again after so long, or somewhat less; at the latest after `ttl`.
    pub refresh: Duration,
    /// Between two looks for what is to be forgotten.
    pub sweep: Duration,
    /// An address that nobody has told again for so long is forgotten.
    pub stale_max: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            ttl: Duration::from_mins(1),
            refresh: Duration::from_secs(30),
            sweep: Duration::from_mins(1),
            stale_max: Duration::from_hours(24),
        }
    }
}

/// Why there is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The masters do not know such a module.
    Nowhere,
    /// They know it, and not where.
    Incomplete,
    /// None of them could be asked, or too many names are asked for.
    Unreachable,
}

/// What is told of a name for which there is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// What was asked for.
    pub wanted: Wanted,
    /// Why there is none.
    pub missing: Missing,
    /// For so long the answer stays the same.
    pub quiet: Duration,
}

/// What an answer changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// There are other addresses.
    pub places: bool,
    /// What those are told who wait.
    pub news: Option<News>,
    /// The first failure since masters answered: why.
    pub lost: Option<String>,
    /// Masters answer again.
    pub back: bool,
}

/// An address, and how old it is.
#[derive(Clone, Debug)]
struct Known {
    place: Place,
    /// How old it was ...
    age: Duration,
    /// ... then.
    since: Instant,
}

impl Known {
    fn age(&self, now: Instant) -> Duration {
        self.age.saturating_add(now - self.since)
    }
}

#[derive(Clone, Debug)]
struct Slot {
    known: Option<Known>,
    /// Why there is no address, and until when nobody asks again because of a client.
    missing: Option<(Missing, Instant)>,
    /// When it is asked for; [`Instant::NEVER`]: not, until somebody wants it.
    due: Instant,
    is_asked: bool,
    failures: u32,
    /// Since when masters do not know any more what is known here.
    gone_since: Option<Instant>,
}

impl Slot {
    const fn due(due: Instant) -> Self {
        let (known, missing, gone_since) = (None, None, None);
        Slot { known, missing, due, is_asked: false, failures: 0, gone_since }
    }
}

/// One row for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Where it is, and how old that is.
    pub place: Option<(&'a Place, Duration)>,
    /// What the last answer said, if it gave no address.
    pub missing: Option<Missing>,
}

/// All that is known.
#[derive(Debug)]
pub struct Directory {
    rules: Rules,
    /// What is wanted also while no client asks.
    pinned: BTreeSet<Wanted>,
    slots: BTreeMap<Wanted, Slot>,
    throttle: Throttle,
    swept: Instant,
    /// Whether the last question failed.
    is_lost: bool,
    prng: Prng,
}

impl Directory {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(prng: Prng) -> Self {
        Directory {
            rules: Rules::default(),
            pinned: BTreeSet::new(),
            slots: BTreeMap::new(),
            throttle: Throttle::new(NEW_INTERVAL, NEW_BURST),
            swept: Instant::START,
            is_lost: false,
            prng,
        }
    }

    /// Goes by these rules from now on, and looks for what is `pinned` also while nobody asks. What
    /// is known stays; if the masters are `others`, all is asked for anew.
    pub fn follow(&mut self, rules: Rules, pinned: BTreeSet<Wanted>, others: bool, now: Instant) {
        self.rules = rules;
        self.pinned = pinned;
        for wanted in &self.pinned {
            self.slots.entry(wanted.clone()).or_insert(Slot::due(now));
        }
        if others {
            let planned = self.slots.iter_mut().filter(|(_, slot)| !slot.is_asked);
            for (wanted, slot) in planned {
                if slot.known.is_some() || self.pinned.contains(wanted) {
                    slot.due = now;
                }
                slot.missing = None;
            }
        }
    }

    /// Takes in what was known before; `age`: since a master said it.
    pub fn restore(&mut self, wanted: Wanted, place: Place, age: Duration, now: Instant) {
        if age >= self.rules.stale_max || self.known() >= KNOWN_MAX {
            return;
        }
        let slot = self.slots.entry(wanted).or_insert(Slot::due(now));
        if slot.known.is_none() {
            slot.known = Some(Known { place, age, since: now });
        }
    }

    fn known(&self) -> usize {
        self.slots.values().filter(|slot| slot.known.is_some()).count()
    }

    /// A client asks for something that its shard does not know. What it is told at once; `None`:
    /// an answer follows, or an address is on its way to the shard.
    pub fn want(&mut self, wanted: &Wanted, now: Instant) -> Option<News> {
        let news = |missing, quiet| {
            let wanted = wanted.clone();
            Some(News { wanted, missing, quiet })
        };
        let slot = self.slots.get(wanted);
        if slot.is_some_and(|own| own.known.is_some() || own.is_asked || own.due <= now) {
            return None;
        }
        let told = slot.and_then(|slot| slot.missing).filter(|(_, until)| now < *until);
        if let Some((missing, until)) = told {
            return news(missing, until - now);
        }
        if !self.pinned.contains(wanted) && !self.throttle.pass(now) {
            return news(Missing::Unreachable, Duration::ZERO);
        }
        // Looked at behind the throttle: it takes longer than all before.
        if !self.slots.contains_key(wanted) && self.unknown() >= UNKNOWN_MAX {
            self.forget(now);
            if self.unknown() >= UNKNOWN_MAX {
                return news(Missing::Unreachable, Duration::ZERO);
            }
        }
        self.slots.entry(wanted.clone()).or_insert(Slot::due(now)).due = now;
        None
    }

    /// Begins questions that are due, at most `room`; those that are so for the longest time first.
    pub fn begin(&mut self, room: usize, now: Instant) -> Vec<Wanted> {
        let is_due = |slot: &Slot| !slot.is_asked && slot.due <= now;
        let mut due: Vec<_> = self.slots.iter_mut().filter(|(_, slot)| is_due(slot)).collect();
        due.sort_by_key(|(_, slot)| slot.due);
        let begin = |(wanted, slot): (&Wanted, &mut Slot)| {
            slot.is_asked = true;
            wanted.clone()
        };
        due.into_iter().take(room).map(begin).collect()
    }

    /// When the next question is due, or the next look for what is to be forgotten.
    #[must_use]
    pub fn next_due(&self) -> Instant {
        let planned = self.slots.values().filter(|slot| !slot.is_asked).map(|slot| slot.due);
        let sweep =
            if self.slots.is_empty() { Instant::NEVER } else { self.swept + self.rules.sweep };
        planned.min().unwrap_or(Instant::NEVER).min(sweep)
    }

    /// A question was answered, or nobody could be asked.
    pub fn answered(
        &mut self,
        wanted: &Wanted,
        said: Result<Said, String>,
        now: Instant,
    ) -> Change {
        let is_full = self.known() >= KNOWN_MAX;
        let was_lost = std::mem::replace(&mut self.is_lost, said.is_err());
        let mut change = Change { back: was_lost && said.is_ok(), ..Change::default() };
        let Directory { rules, pinned, slots, prng, .. } = self;
        let Some(slot) = slots.get_mut(wanted) else { return change };
        slot.is_asked = false;
        let failures = std::mem::take(&mut slot.failures);
        let missing = match said {
            Ok(Said::Here(_)) if is_full && slot.known.is_none() => Missing::Unreachable,
            Ok(Said::Here(place)) => {
                change.places = slot.known.as_ref().is_none_or(|known| known.place != place);
                slot.known = Some(Known { place, age: Duration::ZERO, since: now });
                (slot.missing, slot.gone_since) = (None, None);
                slot.due = now + early(rules.refresh.min(rules.ttl), prng);
                return change;
            }
            Ok(Said::Nowhere) => Missing::Nowhere,
            Ok(Said::Incomplete) => Missing::Incomplete,
            Err(why) => {
                slot.failures = failures.saturating_add(1);
                change.lost = (!was_lost).then_some(why);
                Missing::Unreachable
            }
        };
        if slot.known.is_some() {
            if missing == Missing::Unreachable {
                slot.due = now + early(again(failures), prng);
                return change;
            }
            // A master that has begun anew knows nobody for a moment: its word counts when it has
            // held for as long as an address does.
            let since = *slot.gone_since.get_or_insert(now);
            if now - since < rules.ttl {
                slot.missing = Some((missing, now));
                slot.due = now + early(NOWHERE_FOR.min(rules.ttl), prng);
                return change;
            }
            (slot.known, slot.gone_since, change.places) = (None, None, true);
        }
        let unreachable = missing == Missing::Unreachable;
        let quiet = if unreachable { UNREACHABLE_FOR } else { NOWHERE_FOR };
        slot.missing = Some((missing, now + quiet));
        slot.due = match (pinned.contains(wanted), unreachable) {
            (true, true) => now + early(again(failures), prng),
            (true, false) => now + NOWHERE_FOR,
            (false, _) => Instant::NEVER,
        };
        change.news = Some(News { wanted: wanted.clone(), missing, quiet });
        change
    }

    /// Forgets what is too old, when it is time for that; says whether that were addresses.
    pub fn sweep(&mut self, now: Instant) -> bool {
        if now < self.swept + self.rules.sweep {
            return false;
        }
        self.swept = now;
        self.forget(now)
    }

    fn forget(&mut self, now: Instant) -> bool {
        let before = self.known();
        let Directory { rules, pinned, slots, .. } = self;
        for slot in slots.values_mut() {
            let is_old = |known: &Known| known.age(now) >= rules.stale_max;
            if slot.known.take_if(|known| is_old(known)).is_some() {
                slot.gone_since = None;
            }
        }
        slots.retain(|wanted, slot| {
            let is_told = slot.missing.is_some_and(|(_, until)| now < until);
            let is_planned = slot.missing.is_none() && slot.due <= now;
            slot.known.is_some()
                || slot.is_asked
                || is_told
                || is_planned
                || pinned.contains(wanted)
        });
        before != self.known()
    }

    /// All addresses, and how old they are.
    pub fn places(&self, now: Instant) -> impl Iterator<Item = (&Wanted, &Place, Duration)> {
        self.slots.iter().filter_map(move |(wanted, slot)| {
            let known = slot.known.as_ref()?;
            Some((wanted, &known.place, known.age(now)))
        })
    }

    /// For operators: what is found, and what is wanted also while nobody asks.
    pub fn rows(&self, now: Instant) -> impl Iterator<Item = Row<'_>> {
        self.slots.iter().filter_map(move |(wanted, slot)| {
            let place = slot.known.as_ref().map(|known| (&known.place, known.age(now)));
            let missing = slot.missing.map(|(missing, _)| missing);
            let is_shown = place.is_some() || self.pinned.contains(wanted);
            is_shown.then(|| Row { name: wanted.name(), place, missing })
        })
    }

    /// Names that were asked for and not found, at this moment.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.slots.len() - self.known()
    }

    /// Whether the last question failed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// After so many failures before.
fn again(failures: u32) -> Duration {
    AGAIN_MIN.saturating_mul(1 << failures.min(5)).min(AGAIN_MAX)
}

/// Somewhat before a time is over: an answer is here before the last one is old, and not all names
/// are asked for at once.
fn early(time: Duration, prng: &mut Prng) -> Duration {
    let percent = u32::try_from(75 + prng.below(20)).unwrap_or(75);
    time.saturating_mul(percent) / 100
}

#[cfg(test)]
mod tests;
