//! All routes of one configuration, made for finding the one that a request takes.
//!
//! A lookup allocates nothing, and its cost depends on the path and on the routes along it, not on
//! how many routes there are. [`Rule`] tells which of several matches wins.

use super::build::Builder;
use super::host::lower;
use super::names::Names;
use super::pattern::{decoded, raw_len};
use super::rule::{Facts, Match, Methods, Params, RouteId, Rule};
use super::strings::Strings;
use crate::base::limits::{ROUTE_LITERAL_BYTES_MAX, ROUTE_STRING_BYTES_MAX};
use crate::message::head::Span;

/// Spaces of [`Names`]: exact hosts, suffixes of hosts, then one for each node.
pub(super) const EXACT_HOSTS: u32 = 0;
pub(super) const HOST_SUFFIXES: u32 = 1;
pub(super) const FIRST_NODE: u32 = 2;

/// All routes of one configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// By their ids.
    pub(super) rules: Vec<Rule>,
    /// Hosts, and the literal segments below each node.
    pub(super) names: Names,
    /// Trees of segments; a tree for each host.
    pub(super) nodes: Vec<Node>,
    /// Lists of routes that [`Node`] points into, each with the best first.
    pub(super) ends: Vec<RouteId>,
    /// One for each host.
    pub(super) hosts: Vec<Host>,
    /// The routes of all hosts.
    pub(super) any: Option<u32>,
    /// Labels of the longest suffix of hosts; zero: there are none.
    pub(super) suffix_labels_max: usize,
    pub(super) has_exact_hosts: bool,
}

/// The routes of one host, or of all hosts with one suffix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Host {
    /// The root of its tree.
    pub(super) root: u32,
    pub(super) strings: Strings,
}

/// A place in a tree: the segments that lead to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Node {
    /// Whether literal segments lead on.
    pub(super) has_literals: bool,
    /// Where any segment leads on to.
    pub(super) param: Option<u32>,
    /// Routes whose path ends here, with or without a slash.
    pub(super) exact: List,
    /// Routes whose path ends here with a slash.
    pub(super) slash: List,
    /// Routes whose prefix ends here.
    pub(super) prefix: List,
}

/// A part of `Table::ends`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct List {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Table {
    /// The table of these rules; the place of each is its id.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Builder::new(rules).build()
    }

    /// Whether there are no routes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule of a route; `None` if the id is of another table.
    #[must_use]
    pub fn rule(&self, id: RouteId) -> Option<&Rule> {
        self.rules.get(id.index())
    }

    /// All rules, in the order of their ids.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The route that a request with a normal path takes.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<Match> {
        let mut buffer = [0; ROUTE_LITERAL_BYTES_MAX];
        if (self.has_exact_hosts || self.suffix_labels_max > 0)
            && !facts.host.is_empty()
            && let Some(host) = lower(facts.host, &mut buffer)
        {
            if let Some(number) = self.names.get(EXACT_HOSTS, host)
                && let Some(found) = self.find_in(number, facts)
            {
                return Some(found);
            }
            for number in self.suffixes(host) {
                if let Some(found) = self.find_in(number, facts) {
                    return Some(found);
                }
            }
        }
        self.find_in(self.any?, facts)
    }

    /// The methods of all routes that match but for the method; for an `allow` field.
    #[must_use]
    pub fn allowed(&self, facts: &Facts<'_>) -> Methods {
        let mut methods = Methods::default();
        for rule in &self.rules {
            if rule.host.matches(facts.host)
                && rule.path.matches(facts.path).is_some()
                && rule.headers.iter().all(|header| header.holds(facts.headers))
            {
                methods.extend(&rule.methods);
            }
        }
        methods
    }

    /// The hosts whose suffix a host has, the longest first. The suffix is never the whole host.
    fn suffixes<'a>(&'a self, host: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let mut labels = memchr::memchr_iter(b'.', host).count();
        let mut rest = host;
        std::iter::from_fn(move || {
            while labels > 0 {
                let dot = rest.iter().position(|byte| *byte == b'.')?;
                let front_is_empty = dot == 0 && rest.len() == host.len();
                rest = rest.get(dot + 1..)?;
                labels -= 1;
                // A suffix with more labels than any route has need not be looked up.
                if labels >= self.suffix_labels_max || front_is_empty {
                    continue;
                }
                if let Some(number) = self.names.get(HOST_SUFFIXES, rest) {
                    return Some(number);
                }
            }
            None
        })
    }

    /// The best route of one host.
    fn find_in(&self, host: u32, facts: &Facts<'_>) -> Option<Match> {
        let host = self.hosts.get(widen(host))?;
        let mut search =
            Search { table: self, facts, params: Params::default(), best: None, best_len: 0 };
        if let Some(route) = search.descend(host.root, 0) {
            let matched = Span::between(0, facts.path.len());
            return Some(Match { route, params: search.params, matched });
        }
        if host.strings.is_empty() {
            return search.best;
        }
        search.text(&host.strings).or(search.best)
    }

    /// The first route of a list whose other conditions hold.
    #[inline]
    fn admitted(&self, list: List, facts: &Facts<'_>) -> Option<RouteId> {
        if list.len == 0 {
            return None;
        }
        let start = widen(list.start);
        self.first_admitted(self.ends.get(start..start + widen(list.len))?, facts)
    }

    fn first_admitted(&self, routes: &[RouteId], facts: &Facts<'_>) -> Option<RouteId> {
        let admits = |id: &&RouteId| self.rule(**id).is_some_and(|rule| rule.admits(facts));
        routes.iter().find(admits).copied()
    }
}

/// One walk through the tree of a host. Each node is visited once at most.
struct Search<'a> {
    table: &'a Table,
    facts: &'a Facts<'a>,
    /// What matched the parameters on the way to the present node.
    params: Params,
    /// The longest prefix so far, of `best_len` bytes.
    best: Option<Match>,
    best_len: usize,
}

impl Search<'_> {
    /// Goes on from a node with what is left of the path from `at`, a slash or the end. Literals
    /// come first, so that of several matches of one length the one found first wins.
    fn descend(&mut self, number: u32, at: usize) -> Option<RouteId> {
        let node = *self.table.nodes.get(widen(number))?;
        let path = self.facts.path;
        let rest = path.get(at + 1..).unwrap_or_default();
        if at >= path.len() {
            if let Some(route) = self.table.admitted(node.exact, self.facts) {
                return Some(route);
            }
        } else if rest.is_empty() {
            for list in [node.slash, node.exact] {
                if let Some(route) = self.table.admitted(list, self.facts) {
                    return Some(route);
                }
            }
        } else if node.has_literals || node.param.is_some() {
            let len = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            let segment = rest.get(..len).unwrap_or_default();
            if let Some(child) = self.literal(number, &node, segment)
                && let Some(route) = self.descend(child, at + 1 + len)
            {
                return Some(route);
            }
            if let Some(child) = node.param.filter(|_| len > 0) {
                self.params.push(Span::between(at + 1, at + 1 + len));
                if let Some(route) = self.descend(child, at + 1 + len) {
                    return Some(route);
                }
                self.params.pop();
            }
        }
        let len = at.max(1);
        if len > self.best_len
            && let Some(route) = self.table.admitted(node.prefix, self.facts)
        {
            let matched = Span::between(0, at);
            self.best = Some(Match { route, params: self.params, matched });
            self.best_len = len;
        }
        None
    }

    /// Where a literal segment leads on to.
    #[inline]
    fn literal(&self, number: u32, node: &Node, segment: &[u8]) -> Option<u32> {
        if !node.has_literals {
            return None;
        }
        if !segment.contains(&b'%') {
            return self.table.names.get(FIRST_NODE + number, segment);
        }
        let mut buffer = [0; ROUTE_LITERAL_BYTES_MAX];
        self.table.names.get(FIRST_NODE + number, decoded(segment, &mut buffer)?)
    }

    /// The longest text that is longer than the best prefix of segments.
    fn text(&self, strings: &Strings) -> Option<Match> {
        let path = self.facts.path;
        let mut buffer = [0; ROUTE_STRING_BYTES_MAX];
        let decoded = decoded_front(path, &mut buffer);
        for (text, routes) in strings.prefixes(decoded) {
            let len = raw_len(path, text)?;
            if len <= self.best_len {
                return None;
            }
            if let Some(route) = self.table.first_admitted(routes, self.facts) {
                let matched = Span::between(0, len);
                return Some(Match { route, params: Params::default(), matched });
            }
        }
        None
    }
}

/// As much of a path, decoded, as a route could be compared with.
fn decoded_front<'b>(path: &'b [u8], buffer: &'b mut [u8; ROUTE_STRING_BYTES_MAX]) -> &'b [u8] {
    if !path.contains(&b'%') {
        return path;
    }
    // An escape is three bytes of the path and one of the buffer: a front that may be too short
    // by an escape at its end is still long enough where it has no escapes at all.
    let (mut rest, mut len) = (path, 0);
    while let Some(slot) = buffer.get_mut(len) {
        let (byte, tail) = match rest {
            [b'%', high, low, tail @ ..] => {
                (crate::message::path::escaped(*high, *low).unwrap_or(b'%'), tail)
            }
            [byte, tail @ ..] => (*byte, tail),
            [] => break,
        };
        *slot = byte;
        len += 1;
        rest = tail;
    }
    buffer.get(..len).unwrap_or_default()
}

#[inline]
pub(super) fn widen(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
