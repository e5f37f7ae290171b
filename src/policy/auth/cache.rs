//! Tokens that were verified before, so that each is verified once.
//!
//! Bounded in number and in bytes. When there is no room, a hand goes round: what is out of date
//! leaves, what was used since the hand was there last stays once more, anything else leaves.
//! Only tokens that were believed get in, so that nobody without one can push others out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest as hash};

use super::verify::Verified;

/// The name of a token within a cache: its SHA-256, never the token.
pub type Digest = [u8; 32];

/// The digest of a token, as verified by a profile with this number: what one profile believes
/// says nothing of what another does.
#[must_use]
pub fn digest(profile: u32, token: &[u8]) -> Digest {
    // In one call: a context on the heap would cost a third of the whole.
    let mut name: Digest = hash(&SHA256, token).as_ref().try_into().unwrap_or_default();
    for (byte, own) in name.iter_mut().rev().zip(profile.to_le_bytes()) {
        *byte ^= own;
    }
    name
}

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

/// Verified tokens of one shard.
#[derive(Debug)]
pub struct Cache {
    bounds: Bounds,
    places: HashMap<Digest, usize, BuildHasherDefault<First8>>,
    slots: Vec<Slot>,
    hand: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    digest: Digest,
    verified: Rc<Verified>,
    /// The first second at which it is out of date.
    until: u64,
    profile: u32,
    weight: usize,
    used: bool,
}

/// A digest is as good a hash as any: its first bytes are taken as they are.
#[derive(Default, Debug)]
pub struct First8(u64);

impl Hasher for First8 {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The length of the array comes first, the digest last.
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let places = HashMap::default();
        Cache { bounds, places, slots: Vec::new(), hand: 0, bytes: 0 }
    }

    /// What is known of a token at this second since 1970. Never anything that is out of date.
    pub fn get(&mut self, digest: &Digest, now: u64) -> Option<Rc<Verified>> {
        let slot = self.slots.get_mut(*self.places.get(digest)?)?;
        if now >= slot.until {
            return None;
        }
        slot.used = true;
        Some(Rc::clone(&slot.verified))
    }

    /// Keeps what was verified just now, until its token ends or for as long as the bounds say.
    pub fn put(&mut self, digest: Digest, profile: u32, verified: &Rc<Verified>, now: u64) {
        let weight = verified.weight() + size_of::<Slot>() + 64;
        if weight > self.bounds.bytes || self.bounds.entries == 0 {
            return;
        }
        if let Some(place) = self.places.get(&digest) {
            self.remove(*place);
        }
        while self.slots.len() >= self.bounds.entries || self.bytes + weight > self.bounds.bytes {
            self.make_room(now);
        }
        let until = verified.until.min(now.saturating_add(self.bounds.seconds));
        let verified = Rc::clone(verified);
        self.bytes += weight;
        self.places.insert(digest, self.slots.len());
        self.slots.push(Slot { digest, verified, until, profile, weight, used: false });
    }

    /// Forgets what a profile has believed: its keys or rules are others.
    pub fn forget(&mut self, profile: u32) {
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
        self.places.remove(&slot.digest);
        self.bytes -= slot.weight;
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.digest, place);
        }
    }
}

#[cfg(test)]
mod tests;
