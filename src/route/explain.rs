//! Why a request takes a route, and why it does not take the others.
//!
//! Slow and plain: every rule is looked at by itself. Tests hold [`Table::find`] against it.

use std::cmp::Ordering;

use super::pattern::{PathPattern, Segment};
use super::rule::{Facts, RouteId, Rule};
use super::table::Table;

/// What becomes of a request, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Explanation {
    /// The route that it takes.
    pub winner: Option<RouteId>,
    /// All others, in the order of the configuration, each with why it lost.
    pub losers: Vec<(RouteId, Loss)>,
}

/// Why a route lost. The first of these that holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// It is for other hosts.
    Host,
    /// It is for other paths.
    Path,
    /// It is for other methods.
    Method,
    /// A field is not there, or has another value: the place of it in the rule.
    Header(usize),
    /// It matches, and the winner matches better.
    Rank(Rank),
}

/// In what a winner is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rank {
    /// Its host is more exact.
    Host,
    /// Its path is exact, not a prefix.
    Exact,
    /// Its prefix is longer.
    Length,
    /// Its prefix is one of whole segments, of the same length.
    Segments,
    /// It has a literal where the other has a parameter.
    Literal,
    /// It has more conditions on method and fields.
    Conditions,
    /// Its priority is higher.
    Priority,
    /// It stands before the other in the configuration.
    Order,
}

/// How well a rule matches a path; greater is better, field by field.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Merit {
    host: usize,
    exact: bool,
    len: usize,
    segments: bool,
    /// Two for a literal, one for a parameter.
    shape: Vec<u8>,
    conditions: usize,
    priority: i32,
    id: RouteId,
}

impl Merit {
    fn of(id: RouteId, rule: &Rule, len: usize) -> Self {
        let mut shape: Vec<u8> = rule
            .path
            .segments()
            .iter()
            .map(|segment| if matches!(segment, Segment::Literal(_)) { 2 } else { 1 })
            .collect();
        if matches!(rule.path, PathPattern::Exact { slash: true, .. }) {
            shape.push(2); // The slash at the end is a literal, too.
        }
        Merit {
            host: rule.host.exactness(),
            exact: matches!(rule.path, PathPattern::Exact { .. }),
            len,
            segments: !matches!(rule.path, PathPattern::Text(_)),
            shape,
            conditions: rule.conditions(),
            priority: rule.priority,
            id,
        }
    }

    /// In what this one is better than the other; `None`: it is not.
    fn beats(&self, other: &Merit) -> Option<Rank> {
        let steps = [
            (self.host.cmp(&other.host), Rank::Host),
            (self.exact.cmp(&other.exact), Rank::Exact),
            (self.len.cmp(&other.len), Rank::Length),
            (self.segments.cmp(&other.segments), Rank::Segments),
            (self.shape.cmp(&other.shape), Rank::Literal),
            (self.conditions.cmp(&other.conditions), Rank::Conditions),
            (self.priority.cmp(&other.priority), Rank::Priority),
            (other.id.cmp(&self.id), Rank::Order),
        ];
        match steps.into_iter().find(|(order, _)| *order != Ordering::Equal)? {
            (Ordering::Greater, rank) => Some(rank),
            _ => None,
        }
    }
}

impl Table {
    /// Why a request with a normal path takes the route that it takes.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        let ids = (0..self.rules().len()).map(RouteId::at);
        let verdicts: Vec<(RouteId, Result<Merit, Loss>)> = ids
            .zip(self.rules())
            .map(|(id, rule)| (id, judge(rule, facts).map(|len| Merit::of(id, rule, len))))
            .collect();
        let matches = verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().ok());
        let best = matches.reduce(|a, b| if a.beats(b).is_some() { a } else { b });
        let loss = |(id, verdict): &(RouteId, Result<Merit, Loss>)| match verdict {
            Err(loss) => Some((*id, *loss)),
            Ok(merit) => best.and_then(|best| best.beats(merit)).map(|r| (*id, Loss::Rank(r))),
        };
        Explanation {
            winner: best.map(|merit| merit.id),
            losers: verdicts.iter().filter_map(loss).collect(),
        }
    }
}

/// How many bytes of the path a rule matches.
fn judge(rule: &Rule, facts: &Facts<'_>) -> Result<usize, Loss> {
    if !rule.host.matches(facts.host) {
        return Err(Loss::Host);
    }
    let len = rule.path.matches(facts.path).ok_or(Loss::Path)?;
    if !rule.methods.contains(facts.method, facts.method_text) {
        return Err(Loss::Method);
    }
    match rule.headers.iter().position(|header| !header.holds(facts.headers)) {
        Some(place) => Err(Loss::Header(place)),
        None => Ok(len),
    }
}
