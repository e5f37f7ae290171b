//! Facts about the choice among endpoints.

use super::*;

fn candidates(active: &[u32]) -> Vec<Candidate> {
    let candidate = |(number, active): (usize, &u32)| Candidate {
        number,
        identity: hash(format!("10.0.0.{number}:80").as_bytes()),
        active: *active,
        share: Share::default(),
    };
    active.iter().enumerate().map(candidate).collect()
}

fn shares(count: usize) -> impl Iterator<Item = Share> + Clone {
    std::iter::repeat_n(Share::default(), count)
}

/// How often each of three endpoints with weights 1, 2 and 5 gets one of 8000 requests.
fn weighted(balance: Balance) -> [u32; 3] {
    let mut prng = Prng::new(4);
    let mut all = candidates(&[0; 3]);
    for (candidate, weight) in all.iter_mut().zip([1, 2, 5]) {
        candidate.share.weight = weight * Share::ONE;
    }
    let shares = all.iter().map(|candidate| candidate.share);
    let mut balancer = Balancer::new(balance, shares, &mut prng);
    let mut counts = [0; 3];
    for key in 0..8000_u64 {
        let key = hash(&key.to_le_bytes());
        counts[balancer.pick(all.iter().copied(), key, &mut prng).unwrap()] += 1;
    }
    counts
}

#[test]
fn weights_are_shares_of_the_requests() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash] {
        let [a, b, c] = weighted(balance);
        let near = |count: u32, want: u32| count.abs_diff(want) < 200;
        assert!(near(a, 1000) && near(b, 2000) && near(c, 5000), "{balance:?} {a} {b} {c}");
    }
}

#[test]
fn a_weighted_round_robin_is_even_in_every_round() {
    let mut prng = Prng::new(5);
    let mut all = candidates(&[0; 3]);
    all[2].share.weight = 2 * Share::ONE;
    let shares = all.iter().map(|candidate| candidate.share);
    let mut balancer = Balancer::new(Balance::RoundRobin, shares, &mut prng);
    for _ in 0..10 {
        let mut counts = [0; 3];
        for _ in 0..4 {
            counts[balancer.pick(all.iter().copied(), 0, &mut prng).unwrap()] += 1;
        }
        assert_eq!(counts, [1, 1, 2]);
    }
    assert_eq!(balancer.pick(all[1..2].iter().copied(), 0, &mut prng), Some(1));
    assert_eq!(balancer.pick(all[..0].iter().copied(), 0, &mut prng), None);
}

#[test]
fn requests_in_flight_count_by_weight() {
    let mut prng = Prng::new(6);
    let mut all = candidates(&[2, 3]);
    all[1].share.weight = 2 * Share::ONE;
    let shares = all.iter().map(|candidate| candidate.share);
    let mut balancer = Balancer::new(Balance::LeastRequest, shares, &mut prng);
    for _ in 0..50 {
        assert_eq!(balancer.pick(all.iter().copied(), 0, &mut prng), Some(1));
    }
    assert_eq!(balancer.pick(all[..1].iter().copied(), 0, &mut prng), Some(0));
    assert_eq!(balancer.pick(all[..0].iter().copied(), 0, &mut prng), None);
}

#[test]
fn round_robin_takes_each_in_turn_and_passes_over_what_is_missing() {
    let mut prng = Prng::new(1);
    let mut balancer = Balancer::new(Balance::RoundRobin, shares(4), &mut prng);
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
    let start = |seed| Balancer::new(Balance::RoundRobin, shares(8), &mut Prng::new(seed)).next;
    let starts: std::collections::BTreeSet<_> = (0..64).map(start).collect();
    assert_eq!(starts.len(), 8);
}

#[test]
fn the_busiest_endpoint_is_never_taken_and_the_idle_one_most_often() {
    let mut prng = Prng::new(2);
    let mut balancer = Balancer::new(Balance::LeastRequest, shares(4), &mut prng);
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
    let mut balancer = Balancer::new(Balance::Hash, shares(5), &mut prng);
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
