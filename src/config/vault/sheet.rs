//! The texts of a settings file with their places, so that some of them can be written anew and
//! nothing else of the file changes.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

use crate::config::document::{self, Parsed};

/// A value that is a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    /// Its key: `database.password`.
    pub(super) key: String,
    /// The number of its line.
    pub(super) line: usize,
    /// Its bytes, quotes included.
    pub(super) span: Range<usize>,
    /// What it says.
    pub(super) text: String,
}

/// All texts of a file in their order; `None` if it is no TOML.
pub(super) fn spots(text: &str) -> Option<Vec<Spot>> {
    let parsed = document::parse(text);
    if parsed.flaws.iter().any(|flaw| flaw.code.is_fault()) {
        return None;
    }
    let mut walker = Walker { parsed: &parsed, text, spots: Vec::new() };
    walker.table("", parsed.document.as_ref()?.as_table());
    walker.spots.sort_by_key(|spot| spot.span.start);
    Some(walker.spots)
}

struct Walker<'a> {
    parsed: &'a Parsed,
    text: &'a str,
    spots: Vec<Spot>,
}

impl Walker<'_> {
    fn table(&mut self, above: &str, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let name = self.parsed.written_name(above, name);
            let key = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
            match item {
                Item::ArrayOfTables(tables) => {
                    tables.iter().for_each(|table| self.table(&key, table));
                }
                Item::Table(table) => self.table(&key, table),
                Item::Value(value) => self.value(&key, value),
                Item::None => {}
            }
        }
    }

    fn value(&mut self, key: &str, value: &Value) {
        match value {
            Value::String(text) => {
                let span = text.span().unwrap_or_default();
                let before = self.text.get(..span.start).unwrap_or_default();
                let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
                let (key, text) = (key.to_owned(), text.value().clone());
                self.spots.push(Spot { key, line, span, text });
            }
            Value::Array(items) => items.iter().for_each(|item| self.value(key, item)),
            Value::InlineTable(table) => self.table(key, table),
            _ => {}
        }
    }
}

/// The file with other texts in these places, which are in their order. They hold no quotes and no
/// backslashes.
pub(super) fn replaced(text: &str, changes: &[(Range<usize>, String)]) -> String {
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for (span, value) in changes {
        out.push_str(text.get(done..span.start).unwrap_or_default());
        out.push('"');
        out.push_str(value);
        out.push('"');
        done = span.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}
