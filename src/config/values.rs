//! A configuration that was read: every value with its origin.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::fault::{Code, Finding};
use super::place::{Files, Origin};
use super::schema;
use super::schema::key::Kind;
use super::value::{Raw, Value, read};
use crate::snapshot::cidr::Cidr;
use crate::snapshot::observe::LogTarget;
use crate::snapshot::secret::Secret;
use crate::snapshot::server::Workers;
use crate::snapshot::transport::Congestion;

/// Every value that was written, and where. What nobody wrote has its default.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    pub(super) files: Files,
    pub(super) values: BTreeMap<String, Entry>,
    /// Keys whose values were encrypted, and what those say: no output shows it.
    pub(super) sealed: BTreeMap<String, Vec<Secret>>,
}

/// A value that was written.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Config {
    /// Where the value of this key came from.
    #[must_use]
    pub fn origin(&self, path: &str) -> Origin {
        self.values.get(path).map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// The settings file as it is named to the operator.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.files.settings.name
    }

    /// Takes what was encrypted out of what is told.
    pub(super) fn mask(&self, findings: &mut [Finding]) {
        let secrets = || self.sealed.values().flatten().map(Secret::expose);
        for text in findings.iter_mut().flat_map(|found| [&mut found.message, &mut found.way_out]) {
            for secret in secrets().filter(|secret| !secret.is_empty()) {
                if text.contains(secret) {
                    *text = text.replace(secret, "***");
                }
            }
        }
    }

    /// Whether somebody wrote a value.
    pub(super) fn is_given(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    /// The names that stand for the `*` after `table`: of microservices, or of places in a list.
    pub(super) fn names(&self, table: &str) -> Vec<String> {
        let front = format!("{table}.");
        // Every route asks: only what is below the table is looked at.
        let below = self.values.range(front.clone()..).map(|(path, _)| path);
        let rest = below.map_while(|path| path.strip_prefix(&front));
        let parts = rest.filter_map(|rest| rest.split_once('.').map(|(name, _)| name));
        let mut names: Vec<String> = parts.map(str::to_owned).collect();
        names.dedup(); // The keys are sorted, and so names stand together.
        names
    }

    /// Whether anything was written below a table.
    pub(super) fn has_below(&self, table: &str) -> bool {
        self.first_below(table) != table
    }

    /// The key below a table that was written first: the place to complain at. The table itself if
    /// there is none.
    pub(super) fn first_below(&self, table: &str) -> String {
        let prefix = format!("{table}.");
        let keys = self.values.range(prefix.clone()..);
        let keys = keys.take_while(|(path, _)| path.starts_with(&prefix));
        let first = keys.min_by_key(|(_, entry)| match &entry.origin {
            Origin::Settings(span) | Origin::Hosts(span) => span.start,
            _ => usize::MAX,
        });
        first.map_or_else(|| table.to_owned(), |(path, _)| path.clone())
    }

    /// Something about the value of this key.
    pub(super) fn finding(&self, code: Code, path: &str, message: &str, way_out: &str) -> Finding {
        Finding {
            code,
            place: self.files.place(&self.origin(path)),
            message: message.to_owned(),
            way_out: way_out.to_owned(),
        }
    }

    pub(super) fn value(&self, path: &str) -> Option<Value> {
        if let Some(entry) = self.values.get(path) {
            return Some(entry.value.clone());
        }
        let Some(key) = schema::find(path) else {
            let _ = crate::bug!("a key is read that the schema does not have");
            return None;
        };
        key.default.and_then(|text| read(&key.kind, &Raw::Untyped(text)).ok())
    }

    pub(super) fn secret(&self, path: &str) -> Option<Secret> {
        match self.value(path) {
            Some(Value::Secret(secret)) => Some(secret),
            None => None,
            Some(_) => mistaken(),
        }
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        match self.value(path) {
            Some(Value::Text(text)) => Some(text),
            None => None,
            Some(_) => mistaken(),
        }
    }

    /// A size, or `None` for the word that says so. Must be given or have a default.
    pub(super) fn size(&self, path: &str) -> Option<u64> {
        match self.value(path) {
            Some(Value::Size(size)) => size,
            _ => mistaken(),
        }
    }

    /// A size that cannot be left out.
    pub(super) fn bytes(&self, path: &str) -> u64 {
        self.size(path).unwrap_or_else(mistaken)
    }

    pub(super) fn integer(&self, path: &str) -> Option<u64> {
        match self.value(path) {
            Some(Value::Integer(number)) => Some(number),
            None => None,
            Some(_) => mistaken(),
        }
    }

    /// A number that cannot be left out and that its range keeps small.
    pub(super) fn small<T: TryFrom<u64> + Default>(&self, path: &str) -> T {
        let number = self.integer(path).and_then(|number| T::try_from(number).ok());
        number.unwrap_or_else(mistaken)
    }

    pub(super) fn float(&self, path: &str) -> f64 {
        match self.value(path) {
            Some(Value::Float(number)) => number,
            _ => mistaken(),
        }
    }

    /// A length of time, or `None` for `off`. Must be given or have a default.
    pub(super) fn optional_duration(&self, path: &str) -> Option<Duration> {
        match self.value(path) {
            Some(Value::Duration(duration)) => duration,
            _ => mistaken(),
        }
    }

    pub(super) fn duration(&self, path: &str) -> Duration {
        self.optional_duration(path).unwrap_or_else(mistaken)
    }

    pub(super) fn boolean(&self, path: &str) -> Option<bool> {
        match self.value(path) {
            Some(Value::Bool(value)) => Some(value),
            // The word of a switch says how it is on.
            Some(Value::Text(_)) if is_switch(path) => Some(true),
            None => None,
            Some(_) => mistaken(),
        }
    }

    /// Whether a switch was set to this word.
    pub(super) fn is_word(&self, path: &str, word: &str) -> bool {
        matches!(self.value(path), Some(Value::Text(text)) if text == word)
    }

    pub(super) fn ip(&self, path: &str) -> Option<IpAddr> {
        match self.value(path) {
            Some(Value::Ip(ip)) => Some(ip),
            None => None,
            Some(_) => mistaken(),
        }
    }

    pub(super) fn address(&self, path: &str) -> Option<SocketAddr> {
        match self.value(path) {
            Some(Value::Address(address)) => address,
            _ => mistaken(),
        }
    }

    pub(super) fn workers(&self, path: &str) -> Workers {
        match self.value(path) {
            Some(Value::Workers(workers)) => workers,
            _ => mistaken(),
        }
    }

    pub(super) fn cidrs(&self, path: &str) -> Vec<Cidr> {
        match self.value(path) {
            Some(Value::Cidrs(list)) => list,
            _ => mistaken(),
        }
    }

    pub(super) fn paths(&self, path: &str) -> Vec<String> {
        match self.value(path) {
            Some(Value::Paths(list)) => list,
            _ => mistaken(),
        }
    }

    /// A list of texts; none if nobody wrote it.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        match self.value(path) {
            Some(Value::Texts(list)) => list,
            None => Vec::new(),
            Some(_) => mistaken(),
        }
    }

    pub(super) fn log(&self, path: &str) -> Option<LogTarget> {
        match self.value(path) {
            Some(Value::Log(target)) => target,
            _ => mistaken(),
        }
    }

    pub(super) fn congestion(&self, path: &str) -> Congestion {
        match self.value(path) {
            Some(Value::Congestion(name)) => name,
            _ => mistaken(),
        }
    }
}

fn is_switch(path: &str) -> bool {
    schema::find(path).is_some_and(|key| matches!(key.kind, Kind::Switch(_)))
}

/// A key is read as another kind than the schema says, or one that must have a value has none.
#[cold]
fn mistaken<T: Default>() -> T {
    let _ = crate::bug!("a key is read as another kind than the schema says");
    T::default()
}
