//! Which of the endpoints that may be used is used.

use crate::base::prng::Prng;

/// How requests are spread over endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Balance {
    /// One after the other. Each shard begins at another one.
    RoundRobin,
    /// The one of two, chosen by chance, that has fewer requests of this shard in flight
    /// (M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
    #[default]
    LeastRequest,
    /// Requests with the same key go to the same endpoint, on all shards and after restarts; if it
    /// cannot be used, only its own keys go elsewhere (rendezvous hashing, D. Thaler and
    /// C. Ravishankar 1996).
    Hash,
}

impl Balance {
    /// The names that a configuration uses.
    pub const NAMES: &'static [&'static str] = &["round_robin", "least_request", "hash"];

    /// The way of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Balance> {
        match name {
            "round_robin" => Some(Balance::RoundRobin),
            "least_request" => Some(Balance::LeastRequest),
            "hash" => Some(Balance::Hash),
            _ => None,
        }
    }

    /// The name that a configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Balance::RoundRobin => "round_robin",
            Balance::LeastRequest => "least_request",
            Balance::Hash => "hash",
        }
    }
}

/// How much of the requests is for an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Those of a higher rank are used while none of a lower one can be.
    pub rank: u16,
    /// Among those of its rank, in [`Share::ONE`]s; not zero.
    pub weight: u32,
}

impl Share {
    /// The weight of an endpoint of which nothing else is said.
    pub const ONE: u32 = 1000;
}

impl Default for Share {
    fn default() -> Self {
        Share { rank: 0, weight: Share::ONE }
    }
}

/// An endpoint that may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its number.
    pub number: usize,
    /// What tells it from others on all shards: [`hash`] of its address.
    pub identity: u64,
    /// Requests of this shard in flight to it.
    pub active: u32,
    /// How much of the requests is for it.
    pub share: Share,
}

/// Chooses; remembers where round robin stands.
#[derive(Clone, Debug)]
pub struct Balancer {
    balance: Balance,
    /// The number of the endpoint that is next.
    next: usize,
    /// Whether weights differ.
    is_weighted: bool,
    /// What each endpoint is owed by a weighted round robin.
    credits: Vec<i64>,
}

impl Balancer {
    /// Begins at a place of the dice's choice.
    #[must_use]
    pub fn new(
        balance: Balance,
        shares: impl Iterator<Item = Share> + Clone,
        prng: &mut Prng,
    ) -> Self {
        let endpoints = u64::try_from(shares.clone().count()).unwrap_or(u64::MAX);
        let next = to_usize(prng.below(endpoints));
        let mut weights = shares.map(|share| share.weight);
        let first = weights.clone().next();
        let is_weighted = weights.clone().any(|weight| Some(weight) != first);
        let credit = |weight| i64::try_from(prng.below(u64::from(weight))).unwrap_or(0);
        let credits = match balance {
            Balance::RoundRobin if is_weighted => weights.by_ref().map(credit).collect(),
            _ => Vec::new(),
        };
        Balancer { balance, next, is_weighted, credits }
    }

    /// One of these candidates, which come in the order of their numbers; `None` if there are
    /// none. `key` matters to [`Balance::Hash`] alone. Allocates nothing.
    pub fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        key: u64,
        prng: &mut Prng,
    ) -> Option<usize> {
        match (self.balance, self.is_weighted) {
            (Balance::RoundRobin, false) => self.round_robin(candidates),
            (Balance::RoundRobin, true) => self.weighted_round_robin(candidates),
            (Balance::LeastRequest, false) => least_request(candidates, prng),
            (Balance::LeastRequest, true) => weighted_least_request(&candidates, prng),
            (Balance::Hash, false) => {
                let best = candidates.max_by_key(|candidate| draw(key, candidate));
                best.map(|candidate| candidate.number)
            }
            (Balance::Hash, true) => {
                let score = |candidate: &Candidate| weighted_draw(key, candidate);
                let best = candidates.max_by(|a, b| score(a).total_cmp(&score(b)));
                best.map(|candidate| candidate.number)
            }
        }
    }

    /// Each earns its weight with every request, and who is owed most pays for it: smooth, so that
    /// a large weight is no burst.
    fn weighted_round_robin(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
    ) -> Option<usize> {
        let (mut total, mut best) = (0_i64, None);
        for Candidate { number, share, .. } in candidates {
            let credit = self.credits.get_mut(number)?;
            *credit = credit.saturating_add(i64::from(share.weight));
            total = total.saturating_add(i64::from(share.weight));
            if best.is_none_or(|(most, _)| *credit > most) {
                best = Some((*credit, number));
            }
        }
        let (_, number) = best?;
        let credit = self.credits.get_mut(number)?;
        *credit = credit.saturating_sub(total);
        Some(number)
    }

    fn round_robin(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
    ) -> Option<usize> {
        let mut numbers = candidates.clone().map(|candidate| candidate.number);
        let number = match numbers.find(|number| *number >= self.next) {
            Some(number) => number,
            None => candidates.map(|candidate| candidate.number).next()?,
        };
        self.next = number + 1;
        Some(number)
    }
}

/// Of two different candidates the one with fewer requests.
fn least_request(
    candidates: impl Iterator<Item = Candidate> + Clone,
    prng: &mut Prng,
) -> Option<usize> {
    let count = candidates.clone().count();
    let below = |prng: &mut Prng, bound: usize| {
        to_usize(prng.below(u64::try_from(bound).unwrap_or(u64::MAX)))
    };
    if count < 2 {
        return candidates.map(|candidate| candidate.number).next();
    }
    let first = below(prng, count);
    let other = below(prng, count - 1);
    let second = other + usize::from(other >= first);
    let at = |place: usize| candidates.clone().nth(place);
    let (first, second) = (at(first)?, at(second)?);
    Some(if second.active < first.active { second.number } else { first.number })
}

/// Of two different candidates, drawn by their weights, the one with fewer requests for its weight.
fn weighted_least_request(
    candidates: &(impl Iterator<Item = Candidate> + Clone),
    prng: &mut Prng,
) -> Option<usize> {
    let mut drawn = |except: Option<usize>| {
        let mut others =
            candidates.clone().filter(move |candidate| Some(candidate.number) != except);
        let total = others.clone().map(|candidate| u64::from(candidate.share.weight)).sum();
        let mut left = prng.below(total);
        others.find(|candidate| {
            let weight = u64::from(candidate.share.weight);
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        })
    };
    let first = drawn(None)?;
    let Some(second) = drawn(Some(first.number)) else { return Some(first.number) };
    let load =
        |own: &Candidate, other: &Candidate| u64::from(own.active) * u64::from(other.share.weight);
    let is_second = load(&second, &first) < load(&first, &second);
    Some(if is_second { second.number } else { first.number })
}

/// What a candidate draws for a key; the highest gets it.
const fn draw(key: u64, candidate: &Candidate) -> u64 {
    mix(key ^ mix(candidate.identity))
}

/// The same, so that each is highest as often as its weight says (C. Schindelhauer and
/// G. Schomaker, "Weighted Distributed Hash Tables", 2005). Of equal weights it is in the order of
/// [`draw`].
fn weighted_draw(key: u64, candidate: &Candidate) -> f64 {
    let high = u32::try_from(draw(key, candidate) >> 32).unwrap_or(u32::MAX);
    let part = (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0);
    -f64::from(candidate.share.weight) / part.ln()
}

/// A number for a text that is the same on all shards and after restarts. Not for secrets.
#[must_use]
pub fn hash(text: &[u8]) -> u64 {
    let mut state = mix(u64::try_from(text.len()).unwrap_or(u64::MAX));
    for chunk in text.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

/// Spreads the bits of a number over all of it (the finalizer of `SplitMix64`).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
