//! From a list of rules to a [`Table`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::host::HostPattern;
use super::names::Names;
use super::pattern::{PathPattern, Segment};
use super::rule::{RouteId, Rule};
use super::strings::Strings;
use super::table::{EXACT_HOSTS, FIRST_NODE, HOST_SUFFIXES, Host, List, Node, Table, widen};

pub(super) struct Builder {
    table: Table,
    /// For each node: routes that end there, end there with a slash, have their prefix there.
    lists: Vec<[Vec<RouteId>; 3]>,
    /// For each host.
    texts: Vec<BTreeMap<Vec<u8>, Vec<RouteId>>>,
}

impl Builder {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let table = Table { rules, names: Names::default(), ..Table::default() };
        Builder { table, lists: Vec::new(), texts: Vec::new() }
    }

    pub(super) fn build(mut self) -> Table {
        // In this order, each list of routes has the best first.
        let mut ids: Vec<RouteId> = (0..self.table.rules.len()).map(RouteId::at).collect();
        ids.sort_by_key(|id| {
            let rule = self.table.rule(*id);
            let (conditions, priority) = rule.map_or((0, 0), |r| (r.conditions(), r.priority));
            (Reverse(conditions), Reverse(priority), *id)
        });
        let rules = std::mem::take(&mut self.table.rules);
        for id in ids {
            if let Some(rule) = rules.get(id.index()) {
                self.add(id, rule);
            }
        }
        self.table.rules = rules;
        self.finish()
    }

    fn add(&mut self, id: RouteId, rule: &Rule) {
        let host = self.host(&rule.host);
        if let PathPattern::Text(text) = &rule.path {
            if let Some(texts) = self.texts.get_mut(widen(host)) {
                texts.entry(text.as_bytes().to_vec()).or_default().push(id);
            }
            return;
        }
        let mut node = self.table.hosts.get(widen(host)).map_or(0, |host| host.root);
        for segment in rule.path.segments() {
            node = self.child(node, segment);
        }
        let which = match rule.path {
            PathPattern::Exact { slash: false, .. } => 0,
            PathPattern::Exact { slash: true, .. } => 1,
            PathPattern::Prefix { .. } | PathPattern::Text(_) => 2,
        };
        if let Some(list) = self.lists.get_mut(widen(node)).and_then(|l| l.get_mut(which)) {
            list.push(id);
        }
    }

    /// The number of a host, which is new if nobody had it.
    fn host(&mut self, pattern: &HostPattern) -> u32 {
        let known = match pattern {
            HostPattern::Any => self.table.any,
            HostPattern::Exact(name) => self.table.names.get(EXACT_HOSTS, name.as_bytes()),
            HostPattern::Suffix(name) => self.table.names.get(HOST_SUFFIXES, name.as_bytes()),
        };
        if let Some(number) = known {
            return number;
        }
        let number = narrow(self.table.hosts.len());
        let root = self.node();
        self.table.hosts.push(Host { root, strings: Strings::default() });
        self.texts.push(BTreeMap::new());
        match pattern {
            HostPattern::Any => self.table.any = Some(number),
            HostPattern::Exact(name) => {
                self.table.names.insert(EXACT_HOSTS, name.as_bytes(), number);
                self.table.has_exact_hosts = true;
            }
            HostPattern::Suffix(name) => {
                self.table.names.insert(HOST_SUFFIXES, name.as_bytes(), number);
                let labels = name.split('.').count();
                self.table.suffix_labels_max = self.table.suffix_labels_max.max(labels);
            }
        }
        number
    }

    fn node(&mut self) -> u32 {
        let number = narrow(self.table.nodes.len());
        self.table.nodes.push(Node::default());
        self.lists.push(Default::default());
        number
    }

    /// The node below another one, which is new if nobody had it.
    fn child(&mut self, parent: u32, segment: &Segment) -> u32 {
        let node = self.table.nodes.get(widen(parent)).copied().unwrap_or_default();
        let known = match segment {
            Segment::Param(_) => node.param,
            Segment::Literal(text) => self.table.names.get(FIRST_NODE + parent, text),
        };
        if let Some(child) = known {
            return child;
        }
        let child = self.node();
        if let Some(node) = self.table.nodes.get_mut(widen(parent)) {
            match segment {
                Segment::Param(_) => node.param = Some(child),
                Segment::Literal(text) => {
                    node.has_literals = true;
                    self.table.names.insert(FIRST_NODE + parent, text, child);
                }
            }
        }
        child
    }

    /// Moves the lists to where lookups read them.
    fn finish(mut self) -> Table {
        for (node, lists) in self.table.nodes.iter_mut().zip(self.lists) {
            let [exact, slash, prefix] = lists.map(|routes| {
                let list = List { start: narrow(self.table.ends.len()), len: narrow(routes.len()) };
                self.table.ends.extend(routes);
                if list.len == 0 { List::default() } else { list }
            });
            *node = Node { exact, slash, prefix, ..*node };
        }
        for (host, texts) in self.table.hosts.iter_mut().zip(self.texts) {
            host.strings = Strings::new(texts.into_iter().collect());
        }
        self.table
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
