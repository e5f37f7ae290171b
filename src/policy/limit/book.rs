//! Which states there are: one for each limiter, gauge and breaker, by its name.
//!
//! Control keeps a book. With each new configuration it opens the next one, which takes over what
//! is still asked for in the same way: a client that was refused stays so, and what is under way is
//! still counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::Fixed;
use super::key::Secret;
use super::limiter::Limiter;
use super::remote::Outbox;
use super::rule::{LimitRule, Live, RateRule};
use crate::policy::breaker::Breaker;
use crate::policy::concurrency::Gauge;
use crate::policy::set::Policies;

/// All states.
#[derive(Debug)]
pub struct Book {
    secret: Secret,
    shards: usize,
    outbox: Option<Arc<Outbox>>,
    limiters: BTreeMap<String, (usize, Arc<Limiter>)>,
    gauges: BTreeMap<String, Arc<Gauge>>,
    breakers: BTreeMap<String, Arc<Breaker>>,
}

impl Book {
    /// An empty book for so many shards. What is shared with other machines is reported to the
    /// outbox.
    #[must_use]
    pub fn new(secret: Secret, shards: usize, outbox: Option<Arc<Outbox>>) -> Self {
        let (limiters, gauges, breakers) = Default::default();
        Book { secret, shards, outbox, limiters, gauges, breakers }
    }

    /// Gives all these policies their state, and returns the book in which it stands.
    #[must_use]
    pub fn next<'a>(&self, all: impl Iterator<Item = &'a mut Arc<Policies>>) -> Book {
        let mut next = Book::new(self.secret, self.shards, self.outbox.clone());
        for (number, policies) in all.enumerate() {
            if policies.limit.is_none() {
                continue;
            }
            let Policies { route, limit, .. } = Arc::make_mut(policies);
            if let Some(rule) = limit {
                let fixed = |rate: &RateRule| Fixed::new(&rate.rule, rate.shown, route);
                let fixed = rule.rates.iter().map(fixed).collect();
                rule.live = Some(Live { fixed, ..next.live(self, rule, number) });
            }
        }
        next
    }

    fn live(&mut self, old: &Book, rule: &LimitRule, number: usize) -> Live {
        let rates = rule.rates.iter().filter_map(|rate| self.limiter(old, &rate.rule)).collect();
        Live {
            number,
            rates,
            fixed: Vec::new(),
            gauge: rule.concurrency.as_ref().map(|rule| {
                let gauge = || {
                    let mut gauge = Gauge::new(rule.clone());
                    if let Some(old) = old.gauges.get(&rule.name) {
                        gauge.carry_over(old);
                    }
                    Arc::new(gauge)
                };
                Arc::clone(self.gauges.entry(rule.name.clone()).or_insert_with(gauge))
            }),
            breaker: rule.breaker.as_ref().map(|rule| {
                let breaker = || match old.breakers.get(&rule.name) {
                    Some(old) if old.rule() == rule => Arc::clone(old),
                    _ => Arc::new(Breaker::new(rule.clone())),
                };
                Arc::clone(self.breakers.entry(rule.name.clone()).or_insert_with(breaker))
            }),
            secret: self.secret,
        }
    }

    fn limiter(
        &mut self,
        old: &Book,
        rule: &super::limiter::Rule,
    ) -> Option<(usize, Arc<Limiter>)> {
        if let Some((number, limiter)) = self.limiters.get(&rule.id) {
            return Some((*number, Arc::clone(limiter)));
        }
        let kept = old.limiters.get(&rule.id).map(|(_, limiter)| limiter);
        let limiter = match kept.filter(|limiter| limiter.rule() == rule) {
            Some(limiter) => Arc::clone(limiter),
            None => Arc::new(Limiter::new(rule.clone(), self.shards, self.outbox.as_ref())?),
        };
        let number = self.limiters.len();
        self.limiters.insert(rule.id.clone(), (number, Arc::clone(&limiter)));
        Some((number, limiter))
    }

    /// All limiters, for people.
    pub fn limiters(&self) -> impl Iterator<Item = &Arc<Limiter>> {
        self.limiters.values().map(|(_, limiter)| limiter)
    }

    /// All gauges, for people.
    pub fn gauges(&self) -> impl Iterator<Item = &Arc<Gauge>> {
        self.gauges.values()
    }

    /// All breakers, for people.
    pub fn breakers(&self) -> impl Iterator<Item = &Arc<Breaker>> {
        self.breakers.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::limit::limiter::Rule;
    use crate::policy::limit::purse::Purse;
    use crate::policy::limit::rule::By;

    fn policies(rate: &str) -> Arc<Policies> {
        let (id, name) = ("a".to_owned(), "a".to_owned());
        let rule = Rule { id, name, rate: rate.parse().unwrap(), burst: 1, keys: 1, sharing: None };
        let (grouping, shown) = Default::default();
        let rate = RateRule { rule, by: By::All, grouping, shown, legacy_503: false };
        let limit = Some(LimitRule { rates: vec![rate], ..LimitRule::default() });
        Arc::new(Policies { limit, ..Policies::default() })
    }

    fn is_allowed(policies: &Arc<Policies>) -> bool {
        let live = policies.limit.as_ref().unwrap().live.as_ref().unwrap();
        Purse::new(Arc::clone(&live.rates[0].1)).ask(1, 5).is_allowed
    }

    #[test]
    fn what_was_counted_outlives_a_reload_until_the_rule_is_another() {
        let book = Book::new(Secret::new([1; 16]), 2, None);
        let (mut first, mut twin) = (policies("1/m"), policies("1/m"));
        let book = book.next([&mut first, &mut twin].into_iter());
        assert!(is_allowed(&first));
        assert!(!is_allowed(&twin), "the same name is the same limiter");
        let mut same = policies("1/m");
        let book = book.next([&mut same].into_iter());
        assert!(!is_allowed(&same));
        let mut other = policies("2/m");
        let book = book.next([&mut other].into_iter());
        assert!(is_allowed(&other));
        assert_eq!(book.limiters().count(), 1);
    }
}
