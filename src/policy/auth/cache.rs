//! Tokens that were verified before, so that each is verified once.
//!
//! Bounded in number and in bytes. When there is no room, a hand goes round: what is out of date
//! leaves, what was used since the hand was there last stays once more, anything else leaves.
//! Only tokens that were believed get in, so that nobody without one can push others out.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use super::verify::Verified;

/// How much a cache may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Tokens.
    pub entries: usize,
    /// Bytes of what was read from them, about.
    pub bytes: usize,
    /// Seconds after which a token is verified again, whatever it says itself.
    pub seconds: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { entries: 8192, bytes: 16 * 1024 * 1024, seconds: 300 }
    }
}

/// Verified tokens of one shard. They are found by all of their bytes: a digest that nobody finds
/// a second token for would cost ten times as much as to compare them.
pub struct Cache {
    bounds: Bounds,
    /// The places in `slots`, by profile: what one believes says nothing of what another does.
    places: Vec<Places>,
    slots: Vec<Slot>,
    hand: usize,
    bytes: usize,
}

type Places = HashMap<Rc<[u8]>, usize, BuildHasherDefault<Tail>>;

/// Tokens are not shown.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("len", &self.len()).finish_non_exhaustive()
    }
}

struct Slot {
    token: Rc<[u8]>,
    verified: Rc<Verified>,
    /// The first second at which it is out of date.
    until: u64,
    profile: usize,
    weight: usize,
    used: bool,
}

/// The end of a token is the end of its signature, and as good as random: it is all that is hashed.
/// Nobody who cannot sign gets a token in, so nobody can fill the table with tokens that collide.
#[derive(Default)]
pub struct Tail(u64);

impl Hasher for Tail {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let word = |end: &[u8; 8]| u64::from_le_bytes(*end);
        let (rest, last) = match bytes.split_last_chunk::<8>() {
            Some((rest, last)) => (rest, word(last)),
            None => (bytes, 0),
        };
        let before = rest.last_chunk::<8>().map_or(0, word);
        // Letters have few bits each; a multiplication brings them into all bits of the product,
        // of which the table uses both ends.
        let mixed = last.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ before.rotate_left(29);
        self.0 = mixed ^ (mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn write_usize(&mut self, _: usize) {}
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Cache { bounds, places: Vec::new(), slots: Vec::new(), hand: 0, bytes: 0 }
    }

    /// What the profile of this number knows of a token at this second since 1970. Never anything
    /// that is out of date.
    pub fn get(&mut self, profile: usize, token: &[u8], now: u64) -> Option<Rc<Verified>> {
        let place = *self.places.get(profile)?.get(token)?;
        let slot = self.slots.get_mut(place)?;
        if now >= slot.until {
            return None;
        }
        slot.used = true;
        Some(Rc::clone(&slot.verified))
    }

    /// Keeps what was verified just now, until its token ends or for as long as the bounds say.
    pub fn put(&mut self, profile: usize, token: &[u8], verified: &Rc<Verified>, now: u64) {
        let weight = verified.weight() + token.len() + size_of::<Slot>() + 64;
        if weight > self.bounds.bytes || self.bounds.entries == 0 {
            return;
        }
        if self.places.len() <= profile {
            self.places.resize_with(profile + 1, Places::default);
        }
        if let Some(place) = self.places.get(profile).and_then(|places| places.get(token)) {
            self.remove(*place);
        }
        while self.slots.len() >= self.bounds.entries || self.bytes + weight > self.bounds.bytes {
            self.make_room(now);
        }
        let Some(places) = self.places.get_mut(profile) else { return };
        let until = verified.until.min(now.saturating_add(self.bounds.seconds));
        let (token, verified) = (Rc::<[u8]>::from(token), Rc::clone(verified));
        self.bytes += weight;
        places.insert(Rc::clone(&token), self.slots.len());
        self.slots.push(Slot { token, verified, until, profile, weight, used: false });
    }

    /// Forgets what a profile has believed: its keys or rules are others.
    pub fn forget(&mut self, profile: usize) {
        let mut place = 0;
        while let Some(slot) = self.slots.get(place) {
            if slot.profile == profile {
                self.remove(place);
            } else {
                place += 1;
            }
        }
    }

    /// Forgets everything: something was revoked.
    pub fn clear(&mut self) {
        *self = Cache::new(self.bounds);
    }

    /// How many tokens it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One step of the hand.
    fn make_room(&mut self, now: u64) {
        if self.hand >= self.slots.len() {
            self.hand = 0;
        }
        match self.slots.get_mut(self.hand) {
            Some(slot) if slot.used && now < slot.until => {
                slot.used = false;
                self.hand += 1;
            }
            // Another takes its place, which the hand looks at next.
            Some(_) => self.remove(self.hand),
            None => {}
        }
    }

    fn remove(&mut self, place: usize) {
        if place >= self.slots.len() {
            return;
        }
        let slot = self.slots.swap_remove(place);
        self.bytes -= slot.weight;
        if let Some(places) = self.places.get_mut(slot.profile) {
            places.remove(&slot.token);
        }
        if let Some(moved) = self.slots.get(place)
            && let Some(places) = self.places.get_mut(moved.profile)
        {
            places.insert(Rc::clone(&moved.token), place);
        }
    }
}

#[cfg(test)]
mod tests;
