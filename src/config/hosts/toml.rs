//! A hosts file in TOML as a tree.

use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike, Value as TomlValue};

use super::tree::{DEPTH_MAX, Entry, Node, Value, flaw};
use crate::config::document::Flaw;
use crate::config::fault::Code;

/// Reads the text; the first thing that is wrong ends it.
pub(super) fn parse(text: &str) -> Result<Value, Flaw> {
    let document = Document::parse(text.to_owned()).map_err(|error| {
        let span = error.span().unwrap_or(text.len()..text.len());
        let message = error.message().replace('\n', " ");
        flaw(Code::Syntax, &span, &message, "mend this line")
    })?;
    table(document.as_table(), 0..0, DEPTH_MAX)
}

fn table(table: &dyn TableLike, span: Range<usize>, depth: usize) -> Result<Value, Flaw> {
    let below = deeper(depth, &span)?;
    let mut entries = Vec::new();
    for (name, value) in table.iter() {
        let key_span = table.key(name).and_then(Key::span).unwrap_or_default();
        let value = item(value, &key_span, below)?;
        entries.push(Entry { key: name.to_owned(), key_span, value });
    }
    Ok(Value { node: Node::Table(entries), span })
}

fn item(item: &Item, key: &Range<usize>, depth: usize) -> Result<Value, Flaw> {
    let span = item.span().unwrap_or_else(|| key.clone());
    match item {
        Item::None => Ok(Value { node: Node::Other("nothing"), span }),
        Item::Value(own) => value(own, span, depth),
        Item::Table(own) => table(own, span, depth),
        Item::ArrayOfTables(tables) => {
            let below = deeper(depth, &span)?;
            let one = |own: &toml_edit::Table| table(own, own.span().unwrap_or_default(), below);
            let list = tables.iter().map(one).collect::<Result<_, _>>()?;
            Ok(Value { node: Node::List(list), span })
        }
    }
}

fn value(value: &TomlValue, span: Range<usize>, depth: usize) -> Result<Value, Flaw> {
    let node = match value {
        TomlValue::String(text) => Node::Text(text.value().clone()),
        TomlValue::Integer(_) | TomlValue::Float(_) => Node::Other("a number"),
        TomlValue::Boolean(_) => Node::Other("true or false"),
        TomlValue::Datetime(_) => Node::Other("a date"),
        TomlValue::Array(values) => {
            let below = deeper(depth, &span)?;
            let one = |own: &TomlValue| self::value(own, own.span().unwrap_or_default(), below);
            Node::List(values.iter().map(one).collect::<Result<_, _>>()?)
        }
        TomlValue::InlineTable(own) => return table(own, span, depth),
    };
    Ok(Value { node, span })
}

fn deeper(depth: usize, span: &Range<usize>) -> Result<usize, Flaw> {
    depth.checked_sub(1).ok_or_else(|| {
        flaw(Code::OutOfRange, span, "values lie too deep in each other", "write fewer levels")
    })
}
