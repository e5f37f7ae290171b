//! A file as a flat list of values, each of which is taken once: what is left over is what nobody
//! knows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::report::{Fate, Report};
use crate::config::hosts::tree::{Node, Value};

/// All values of a file, by their paths: `routes.000001.match.path_prefix`.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    leaves: BTreeMap<String, Leaf>,
    pub(super) report: Report,
}

/// A value as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Leaf {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Sheet {
    /// The values below `root`, which was read from `text`.
    pub(super) fn new(root: &Value, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let ends: Vec<usize> = newlines.map(|(at, _)| at).collect();
        let mut sheet = Sheet::default();
        sheet.walk("", root, &ends);
        sheet
    }

    fn walk(&mut self, path: &str, value: &Value, ends: &[usize]) {
        let below = |name: &str| {
            if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
        };
        match &value.node {
            Node::Table(entries) => {
                for entry in entries {
                    self.walk(&below(&entry.key), &entry.value, ends);
                }
            }
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(&below(&format!("{index:06}")), item, ends);
                }
            }
            Node::Text(text) => {
                let line = 1 + ends.partition_point(|end| *end < value.span.start);
                let text = if text == "~" || text == "null" { "" } else { text };
                self.leaves.insert(path.to_owned(), Leaf { text: text.to_owned(), line });
            }
            Node::Other(_) => {}
        }
    }

    /// How many items the list at a path has.
    pub(super) fn items(&self, path: &str) -> usize {
        let start = format!("{path}.");
        let below = self.leaves.range(start.clone()..);
        let below = below.map_while(|(own, _)| own.strip_prefix(&start)?.get(..6));
        below.filter_map(|index| index.parse::<usize>().ok()).max().map_or(0, |last| last + 1)
    }

    /// The line of the first value below a path; 0: there is none.
    pub(super) fn line(&self, path: &str) -> usize {
        let start = format!("{path}.");
        let below = self.leaves.range(start.clone()..);
        let below = below.take_while(|(own, _)| own.starts_with(&start));
        below.map(|(_, leaf)| leaf.line).min().unwrap_or(0)
    }

    /// The value of the first of these keys that was written. It stays, until it is told what
    /// became of it.
    pub(super) fn get(&self, paths: &[String]) -> Option<(String, Leaf)> {
        let found = paths.iter().find_map(|path| self.leaves.get_key_value(path));
        found.map(|(path, leaf)| (path.clone(), leaf.clone()))
    }

    /// Tells what became of the value at a path.
    pub(super) fn tell(&mut self, path: &str, fate: Fate) {
        let line = self.leaves.remove(path).map_or(0, |leaf| leaf.line);
        self.report.add(line, shown(path), fate);
    }

    /// Nobody has asked for what is left.
    pub(super) fn finish(mut self) -> Report {
        for (path, leaf) in std::mem::take(&mut self.leaves) {
            let fate = Fate::Unsupported("this key is not known");
            self.report.add(leaf.line, shown(&path), fate);
        }
        self.report.sort();
        self.report
    }
}

/// A path as an operator knows it: `routes[1].match.path_prefix`.
pub(super) fn shown(path: &str) -> String {
    let mut text = String::new();
    for part in path.split('.') {
        match part.parse::<usize>() {
            Ok(index) if part.len() == 6 => {
                let _ = write!(text, "[{index}]");
            }
            _ if text.is_empty() => text.push_str(part),
            _ => {
                text.push('.');
                text.push_str(part);
            }
        }
    }
    text
}
