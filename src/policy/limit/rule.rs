//! What a route asks for.

use std::fmt;
use std::sync::Arc;

use super::fields::{Fixed, Shown};
use super::key::{Grouping, Secret};
use super::limiter::{self, Limiter};
use crate::policy::breaker::{self, Breaker};
use crate::policy::concurrency::{self, Gauge};

/// What a route asks for, in the order in which it is asked.
#[derive(Clone, Debug, Default)]
pub struct LimitRule {
    /// Whether its requests are refused while the shard runs late by more than `shed_delay`.
    pub sheds: Option<std::time::Duration>,
    /// How often.
    pub rates: Vec<RateRule>,
    /// How many at a time.
    pub concurrency: Option<concurrency::Rule>,
    /// When the upstream is left alone.
    pub breaker: Option<breaker::Rule>,
    /// The state of all of it, which a [`Book`](super::book::Book) gives.
    pub live: Option<Live>,
}

/// How often, and who counts as one.
#[derive(Clone, PartialEq, Debug)]
pub struct RateRule {
    /// The rate.
    pub rule: limiter::Rule,
    /// Who counts as one.
    pub by: By,
    /// Which addresses count as one.
    pub grouping: Grouping,
    /// What clients are told.
    pub shown: Shown,
    /// Whether refusals have the status 503, as those of endpoint limits of lura (SPEC 11.3).
    pub legacy_503: bool,
}

/// Who counts as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum By {
    /// All together.
    All,
    /// Who has one address.
    Address,
    /// Who was authenticated as one; by address if nobody was.
    Principal,
    /// Who sends one value of this field, whose name is in lower case.
    Field(String),
    /// Who sends one value of this parameter of the query.
    Query(String),
    /// Who asks for one value of this segment of the path, counted from 1.
    Segment(usize),
}

impl By {
    /// The one with this name in a configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<By> {
        if let Some((sort, name)) = name.split_once(':') {
            let is_token =
                |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            return match sort {
                "header" if !name.is_empty() && name.bytes().all(is_token) => {
                    Some(By::Field(name.to_ascii_lowercase()))
                }
                "query" if !name.is_empty() => Some(By::Query(name.to_owned())),
                "segment" => name.parse().ok().filter(|n| (1..=64).contains(n)).map(By::Segment),
                _ => None,
            };
        }
        Some(match name {
            "route" => By::All,
            "address" | "ip" => By::Address,
            "principal" | "user" => By::Principal,
            _ => return None,
        })
    }
}

/// As it is written in a configuration.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::All => f.write_str("route"),
            By::Address => f.write_str("address"),
            By::Principal => f.write_str("principal"),
            By::Field(name) => write!(f, "header:{name}"),
            By::Query(name) => write!(f, "query:{name}"),
            By::Segment(number) => write!(f, "segment:{number}"),
        }
    }
}

/// The state of a rule. Clones share it.
#[derive(Clone)]
pub struct Live {
    /// Its number among all, by which shards know it.
    pub number: usize,
    /// The limiters of `rates`, each with its number among all.
    pub rates: Vec<(usize, Arc<Limiter>)>,
    /// What clients are always told of each of them.
    pub fixed: Vec<Fixed>,
    /// How many are under way.
    pub gauge: Option<Arc<Gauge>>,
    /// How the upstream does.
    pub breaker: Option<Arc<Breaker>>,
    /// What keys are hashed with.
    pub secret: Secret,
}

/// Tables are too long to be shown.
impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

/// Rules are the same if they ask the same, whatever they have counted.
impl PartialEq for LimitRule {
    fn eq(&self, other: &Self) -> bool {
        let LimitRule { sheds, rates, concurrency, breaker, live: _ } = self;
        *sheds == other.sheds
            && *rates == other.rates
            && *concurrency == other.concurrency
            && *breaker == other.breaker
    }
}

impl LimitRule {
    /// What is asked before anybody is known, for people.
    #[must_use]
    pub fn first_step(&self) -> Option<String> {
        self.sheds.map(|delay| format!("shed when {delay:?} late"))
    }

    /// What is asked afterwards, in its order, for people.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        for RateRule { rule, by, .. } in &self.rates {
            let shared = if rule.sharing.is_some() { ", shared" } else { "" };
            let (rate, burst, name) = (rule.rate, rule.burst, &rule.name);
            steps.push(format!("rate {name} ({rate} by {by}, burst {burst}{shared})"));
        }
        if let Some(rule) = &self.concurrency {
            let count = |max: u32| if max == 0 { "any".to_owned() } else { max.to_string() };
            let (all, one) = (count(rule.max_in_flight), count(rule.max_per_client));
            steps.push(format!("concurrency ({all}, of one client {one}, queue {})", rule.queue));
        }
        if let Some(rule) = &self.breaker {
            let breaker::Rule { failures, open, probes, .. } = rule;
            steps.push(format!("breaker ({failures} failures, {open:?}, probes {probes})"));
        }
        steps
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let LimitRule { sheds, rates, concurrency, breaker, live: _ } = self;
        sheds.is_none() && rates.is_empty() && concurrency.is_none() && breaker.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_as_one_is_written_as_it_is_read() {
        for name in ["route", "address", "principal", "header:x-key", "query:A b", "segment:2"] {
            assert_eq!(By::from_name(name).unwrap().to_string(), name);
        }
        assert_eq!(By::from_name("header:X-Key"), By::from_name("header:x-key"));
        assert_eq!(By::from_name("user"), Some(By::Principal));
        for name in ["", "header:", "header:a b", "segment:0", "segment:x", "query:", "cookie:a"] {
            assert_eq!(By::from_name(name), None, "{name}");
        }
    }
}
