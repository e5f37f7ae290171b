//! What one shard knows of all endpoints of an upstream, and its choice among them.

use super::balance::{Balance, Balancer, Candidate, Share, hash};
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
    /// Whether some are there only for the case that others cannot be used.
    is_ranked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    identity: u64,
    share: Share,
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
    /// Endpoints with these names, such as their addresses, and shares; all are taken to be well.
    #[must_use]
    pub fn new<'a>(
        names: impl IntoIterator<Item = (&'a str, Share)>,
        balance: Balance,
        outlier: OutlierRule,
        prng: &mut Prng,
    ) -> Self {
        let member = |(name, share): (&str, Share)| Member {
            identity: hash(name.as_bytes()),
            share,
            active: 0,
            outlier: Outlier::default(),
            health: Health::Unknown,
        };
        let members: Vec<_> = names.into_iter().take(ENDPOINTS_MAX).map(member).collect();
        let shares = members.iter().map(|member| member.share);
        let is_ranked = shares.clone().any(|share| share.rank > 0);
        let balancer = Balancer::new(balance, shares, prng);
        Group { members, balancer, outlier, is_ranked }
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
    /// that sees few requests is not sure enough to refuse them. Of those that may be used, it is
    /// one of the lowest rank. `key` is for [`Balance::Hash`].
    pub fn pick(
        &mut self,
        tried: &Tried,
        key: u64,
        now: Instant,
        prng: &mut Prng,
    ) -> Option<usize> {
        let Group { members, balancer, is_ranked, .. } = self;
        let candidates = |with_ejected: bool| {
            members.iter().enumerate().filter_map(move |(number, member)| {
                let usable = member.health.is_usable()
                    && !tried.contains(number)
                    && (with_ejected || !member.outlier.is_ejected(now));
                let Member { identity, active, share, .. } = *member;
                usable.then_some(Candidate { number, identity, active, share })
            })
        };
        let mut pick = |with_ejected| {
            let all = candidates(with_ejected);
            if !*is_ranked {
                return balancer.pick(all, key, prng);
            }
            let rank = all.clone().map(|candidate| candidate.share.rank).min()?;
            balancer.pick(all.filter(|candidate| candidate.share.rank == rank), key, prng)
        };
        pick(false).or_else(|| pick(true))
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

    /// Whether the active checks leave an endpoint that requests can be sent to.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.members.iter().any(|member| member.health.is_usable())
    }

    /// Requests of this shard in flight to an endpoint.
    #[must_use]
    pub fn active(&self, number: usize) -> u32 {
        self.members.get(number).map_or(0, |member| member.active)
    }
}

#[cfg(test)]
mod tests;
