//! Facts about the endpoints of one upstream.

use std::time::Duration;

use super::*;

fn group(names: &[&str], balance: Balance) -> (Group, Prng) {
    let mut prng = Prng::new(9);
    let rule = OutlierRule { failures: 2, ..OutlierRule::default() };
    let names = names.iter().map(|name| (*name, Share::default()));
    (Group::new(names, balance, rule, &mut prng), prng)
}

#[test]
fn a_higher_rank_is_used_while_no_lower_one_can_be() {
    let mut prng = Prng::new(9);
    let rule = OutlierRule { failures: 1, ..OutlierRule::default() };
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash] {
        let share = |rank| Share { rank, ..Share::default() };
        let names = [("a", share(0)), ("b", share(1)), ("c", share(0)), ("d", share(2))];
        let mut group = Group::new(names, balance, rule, &mut prng);
        let now = Instant::from_nanos(1);
        let mut tried = Tried::default();
        let mut order = Vec::new();
        while let Some(number) = group.pick(&tried, 7, now, &mut prng) {
            tried.add(number);
            order.push(number);
        }
        order[..2].sort_unstable();
        assert_eq!(order, [0, 2, 1, 3], "attempts go on with the next rank");
        group.set_health(0, Health::Down);
        assert_eq!(group.pick(&Tried::default(), 7, now, &mut prng), Some(2));
        assert!(fail(&mut group, 2, now));
        assert_eq!(group.pick(&Tried::default(), 7, now, &mut prng), Some(1));
        group.set_health(1, Health::Down);
        group.set_health(3, Health::Down);
        assert_eq!(group.pick(&Tried::default(), 7, now, &mut prng), Some(2), "set aside");
    }
}

fn fail(group: &mut Group, number: usize, now: Instant) -> bool {
    group.begin(number);
    group.end(number, Outcome::Failed, now)
}

#[test]
fn a_retry_goes_to_another_endpoint_until_there_is_none() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash] {
        let (mut group, mut prng) = group(&["a", "b", "c"], balance);
        let mut tried = Tried::default();
        for _ in 0..3 {
            let number = group.pick(&tried, 7, Instant::START, &mut prng).unwrap();
            assert!(!tried.contains(number));
            tried.add(number);
        }
        assert_eq!(group.pick(&tried, 7, Instant::START, &mut prng), None);
    }
}

#[test]
fn an_endpoint_that_fails_is_set_aside_but_never_more_than_half() {
    let (mut group, mut prng) = group(&["a", "b", "c", "d", "e"], Balance::RoundRobin);
    let now = Instant::from_nanos(1);
    let ejected: Vec<_> = (0..5)
        .map(|number| fail(&mut group, number, now) | fail(&mut group, number, now))
        .collect();
    assert_eq!(ejected, [true, true, false, false, false]);
    for _ in 0..20 {
        assert!(group.pick(&Tried::default(), 0, now, &mut prng).unwrap() >= 2);
    }
    let later = now + Duration::from_secs(11);
    let seen: std::collections::BTreeSet<_> =
        (0..5).map(|_| group.pick(&Tried::default(), 0, later, &mut prng)).collect();
    assert_eq!(seen.len(), 5);
}

#[test]
fn what_is_set_aside_is_used_when_nothing_else_is_left_and_what_is_down_is_not() {
    let (mut group, mut prng) = group(&["a", "b"], Balance::LeastRequest);
    let now = Instant::from_nanos(1);
    assert!(!fail(&mut group, 0, now) && fail(&mut group, 0, now));
    group.set_health(1, Health::Down);
    let none = Tried::default();
    assert_eq!(group.pick(&none, 0, now, &mut prng), Some(0));
    group.set_health(0, Health::Down);
    assert_eq!(group.pick(&none, 0, now, &mut prng), None);
}

#[test]
fn a_single_endpoint_is_never_set_aside() {
    let (mut group, _) = group(&["a"], Balance::LeastRequest);
    assert!((0..10).all(|_| !fail(&mut group, 0, Instant::START)));
}

#[test]
fn requests_in_flight_are_counted_and_knowledge_outlives_a_reload() {
    let (mut old, mut prng) = group(&["a", "b"], Balance::LeastRequest);
    let now = Instant::from_nanos(1);
    old.begin(0);
    old.begin(0);
    assert!(!old.end(0, Outcome::Unclear, now));
    assert_eq!(old.active(0), 1);
    assert!(!fail(&mut old, 1, now) && fail(&mut old, 1, now));
    let (mut new, _) = group(&["c", "b"], Balance::LeastRequest);
    new.carry_over(&old);
    assert_eq!((new.active(0), new.active(1)), (0, 0));
    let none = Tried::default();
    assert!((0..20).all(|_| new.pick(&none, 0, now, &mut prng) == Some(0)));
}
