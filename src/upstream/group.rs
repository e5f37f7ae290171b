//! What one shard knows of all endpoints of an upstream, and its choice among them.

use super::balance::{Balance, Balancer, Candidate, hash};
use super::health::Health;
use super::outlier::{Outlier, OutlierRule};
use crate::base::limits::ENDPOINTS_MAX;
use crate::base::prng::Prng;
use crate::base::time::Instant;

/// What one shard knows of all endpoints of an upstream.
#[derive(Clone, Debug)]
pub struct Group {
    members: Vec<Member>,
    balancer: Balancer,
    outlier: OutlierRule,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    identity: u64,
    active: u32,
    outlier: Outlier,
    health: Health,
}

/// Endpoints that a request was sent to before; they are left out of its next attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tried([u64; ENDPOINTS_MAX.div_ceil(64)]);

impl Tried {
    /// Adds one.
    pub fn add(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether it was tried.
    #[must_use]
    pub fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

/// What became of a request, as far as it tells something of the endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It answered, and not that it is unable to.
    Well,
    /// It refused the connection, broke off, was silent, or said that it is unable to (502, 503,
    /// 504; UNAVAILABLE).
    Failed,
    /// Nothing can be said: the client left, or the gateway ended it.
    Unclear,
}

impl Group {
    /// Endpoints with these names, such as their addresses; all are taken to be well.
    #[must_use]
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        balance: Balance,
        outlier: OutlierRule,
        prng: &mut Prng,
    ) -> Self {
        let member = |name: &str| Member {
            identity: hash(name.as_bytes()),
            active: 0,
            outlier: Outlier::default(),
            health: Health::Unknown,
        };
        let members: Vec<_> = names.into_iter().take(ENDPOINTS_MAX).map(member).collect();
        let balancer = Balancer::new(balance, members.len(), prng);
        Group { members, balancer, outlier }
    }

    /// Takes over what was known of endpoints of the same names in an older group. Requests in
    /// flight are counted where they began.
    pub fn carry_over(&mut self, old: &Group) {
        for member in &mut self.members {
            if let Some(own) = old.members.iter().find(|own| own.identity == member.identity) {
                member.outlier = own.outlier;
                member.health = own.health;
            }
        }
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The endpoint for a request, which was sent to `tried` before. `None`: all have been tried,
    /// or all are down.
    ///
    /// If all that are left are set aside by this shard, one of them is used all the same: a shard
    /// that sees few requests is not sure enough to refuse them. `key` is for [`Balance::Hash`].
    pub fn pick(
        &mut self,
        tried: &Tried,
        key: u64,
        now: Instant,
        prng: &mut Prng,
    ) -> Option<usize> {
        let Group { members, balancer, .. } = self;
        let candidates = |with_ejected: bool| {
            members.iter().enumerate().filter_map(move |(number, member)| {
                let usable = member.health.is_usable()
                    && !tried.contains(number)
                    && (with_ejected || !member.outlier.is_ejected(now));
                let Member { identity, active, .. } = *member;
                usable.then_some(Candidate { number, identity, active })
            })
        };
        balancer
            .pick(candidates(false), key, prng)
            .or_else(|| balancer.pick(candidates(true), key, prng))
    }

    /// A request is sent to an endpoint.
    pub fn begin(&mut self, number: usize) {
        if let Some(member) = self.members.get_mut(number) {
            member.active = member.active.saturating_add(1);
        }
    }

    /// That request has ended. True if the endpoint is set aside now.
    pub fn end(&mut self, number: usize, outcome: Outcome, now: Instant) -> bool {
        let Group { members, outlier: rule, .. } = self;
        let ejected = members.iter().filter(|member| member.outlier.is_ejected(now)).count();
        // At least half of the endpoints stay in use: if more fail, it is not they who are odd.
        let may_eject = (ejected + 1) * 2 <= members.len();
        let Some(member) = members.get_mut(number) else { return false };
        match member.active.checked_sub(1) {
            Some(active) => member.active = active,
            None => {
                let _ = crate::bug!("a request ended that never began");
            }
        }
        match outcome {
            Outcome::Unclear => false,
            Outcome::Well => {
                member.outlier.succeeded(rule, now);
                false
            }
            Outcome::Failed => {
                let eject = member.outlier.failed(rule, now) && may_eject;
                if eject {
                    member.outlier.eject(rule, now);
                }
                eject
            }
        }
    }

    /// The result of active checks.
    pub fn set_health(&mut self, number: usize, health: Health) {
        if let Some(member) = self.members.get_mut(number) {
            member.health = health;
        }
    }

    /// Requests of this shard in flight to an endpoint.
    #[must_use]
    pub fn active(&self, number: usize) -> u32 {
        self.members.get(number).map_or(0, |member| member.active)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn group(names: &[&str], balance: Balance) -> (Group, Prng) {
        let mut prng = Prng::new(9);
        let rule = OutlierRule { failures: 2, ..OutlierRule::default() };
        (Group::new(names.iter().copied(), balance, rule, &mut prng), prng)
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
}
