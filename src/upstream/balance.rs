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

/// An endpoint that may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its number.
    pub number: usize,
    /// What tells it from others on all shards: [`hash`] of its address.
    pub identity: u64,
    /// Requests of this shard in flight to it.
    pub active: u32,
}

/// Chooses; remembers where round robin stands.
#[derive(Clone, Debug)]
pub struct Balancer {
    balance: Balance,
    /// The number of the endpoint that is next.
    next: usize,
}

impl Balancer {
    /// Begins at a place of the dice's choice.
    #[must_use]
    pub fn new(balance: Balance, endpoints: usize, prng: &mut Prng) -> Self {
        let endpoints = u64::try_from(endpoints).unwrap_or(u64::MAX);
        Balancer { balance, next: to_usize(prng.below(endpoints)) }
    }

    /// One of these candidates, which come in the order of their numbers; `None` if there are
    /// none. `key` matters to [`Balance::Hash`] alone. Allocates nothing.
    pub fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        key: u64,
        prng: &mut Prng,
    ) -> Option<usize> {
        match self.balance {
            Balance::RoundRobin => self.round_robin(candidates),
            Balance::LeastRequest => least_request(candidates, prng),
            Balance::Hash => {
                let weight = |candidate: &Candidate| mix(key ^ mix(candidate.identity));
                candidates.max_by_key(weight).map(|candidate| candidate.number)
            }
        }
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
mod tests {
    use super::*;

    fn candidates(active: &[u32]) -> Vec<Candidate> {
        let candidate = |(number, active): (usize, &u32)| Candidate {
            number,
            identity: hash(format!("10.0.0.{number}:80").as_bytes()),
            active: *active,
        };
        active.iter().enumerate().map(candidate).collect()
    }

    #[test]
    fn round_robin_takes_each_in_turn_and_passes_over_what_is_missing() {
        let mut prng = Prng::new(1);
        let mut balancer = Balancer::new(Balance::RoundRobin, 4, &mut prng);
        balancer.next = 0;
        let all = candidates(&[0; 4]);
        let mut pick = |list: &[Candidate]| balancer.pick(list.iter().copied(), 0, &mut prng);
        let seen: Vec<_> = (0..6).map(|_| pick(&all).unwrap()).collect();
        assert_eq!(seen, [0, 1, 2, 3, 0, 1]);
        assert_eq!(pick(&all[3..]), Some(3));
        assert_eq!(pick(&all[..3]), Some(0));
        assert_eq!(pick(&[]), None);
    }

    #[test]
    fn shards_begin_at_different_endpoints() {
        let start = |seed| Balancer::new(Balance::RoundRobin, 8, &mut Prng::new(seed)).next;
        let starts: std::collections::BTreeSet<_> = (0..64).map(start).collect();
        assert_eq!(starts.len(), 8);
    }

    #[test]
    fn the_busiest_endpoint_is_never_taken_and_the_idle_one_most_often() {
        let mut prng = Prng::new(2);
        let mut balancer = Balancer::new(Balance::LeastRequest, 4, &mut prng);
        let all = candidates(&[9, 5, 0, 5]);
        let mut counts = [0; 4];
        for _ in 0..6000 {
            counts[balancer.pick(all.iter().copied(), 0, &mut prng).unwrap()] += 1;
        }
        assert!(counts[0] == 0 && (2800..3200).contains(&counts[2]), "{counts:?}");
        assert_eq!(balancer.pick(all[..1].iter().copied(), 0, &mut prng), Some(0));
        assert_eq!(balancer.pick(all[..0].iter().copied(), 0, &mut prng), None);
    }

    #[test]
    fn a_key_keeps_its_endpoint_when_others_come_and_go() {
        let mut prng = Prng::new(3);
        let mut balancer = Balancer::new(Balance::Hash, 5, &mut prng);
        let all = candidates(&[0; 5]);
        let mut counts = [0; 5];
        for key in 0..5000_u64 {
            let key = hash(&key.to_le_bytes());
            let with_all = balancer.pick(all.iter().copied(), key, &mut prng).unwrap();
            counts[with_all] += 1;
            let without = all.iter().copied().filter(|candidate| candidate.number != 2);
            let then = balancer.pick(without, key, &mut prng).unwrap();
            assert!(then == with_all || with_all == 2);
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
