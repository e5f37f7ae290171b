//! From the text of a settings file to its values, one by one, with their places.
//!
//! A line that is not TOML is reported and passed over, so that one fault does not hide the others.

use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike, Value as TomlValue};

use super::fault::Code;
use super::schema;
use super::schema::key::Kind;
use super::suggest::{looks_secret, suggest};
use super::value::Raw;

/// Lines that are not TOML and are reported, at most.
const SYNTAX_FAULTS_MAX: usize = 32;
/// Bytes of the name of a microservice.
const NAME_BYTES_MAX: usize = 64;

/// What is wrong at some bytes of the file.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) code: Code,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) way_out: String,
}

/// A text that could be parsed, perhaps without some of its lines.
#[derive(Debug)]
pub(super) struct Parsed {
    /// `None` if what is left would be misread.
    pub(super) document: Option<Document<String>>,
    pub(super) flaws: Vec<Flaw>,
    /// Bytes of broken lines that may hold a secret.
    pub(super) secrets: Vec<Range<usize>>,
    /// Tables that were written twice: (the table above, the name it was parsed as, its own name).
    renamed: Vec<(String, String, String)>,
}

/// One value.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// Where it belongs, in the words of the schema: `microservices.storage.port`.
    pub(super) path: String,
    /// The key as it was written.
    pub(super) name: &'a str,
    pub(super) span: Range<usize>,
    pub(super) raw: Raw<'a>,
}

/// A value that is in a variable: `sign_env = "..."` or `sign = { env = "..." }`.
#[derive(Debug)]
pub(super) struct Indirect {
    pub(super) path: String,
    pub(super) variable: String,
    pub(super) span: Range<usize>,
}

/// All that a document says.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    pub(super) leaves: Vec<Leaf<'a>>,
    pub(super) indirect: Vec<Indirect>,
    pub(super) flaws: Vec<Flaw>,
    pub(super) secrets: Vec<Range<usize>>,
}

/// Parses the text, passing over lines that are not TOML.
pub(super) fn parse(text: &str) -> Parsed {
    let (flaws, secrets, renamed) = (Vec::new(), Vec::new(), Vec::new());
    let mut parsed = Parsed { document: None, flaws, secrets, renamed };
    let mut text = text.to_owned();
    while parsed.flaws.len() < SYNTAX_FAULTS_MAX {
        let error = match Document::parse(text.clone()) {
            Ok(document) => {
                parsed.document = Some(document);
                break;
            }
            Err(error) => error,
        };
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = line_at(&text, span.start);
        let is_header = text.get(line.clone()).is_some_and(|l| l.trim_start().starts_with('['));
        let is_duplicate = error.message().starts_with("duplicate");
        if is_header && is_duplicate && parsed.rename(&mut text, &line, &span) {
            continue;
        }
        parsed.secrets.extend(may_hold_secret(&text, &line));
        let (message, way_out) = match error.message().split_once(", expected ") {
            _ if is_duplicate => ("the key is written twice", "leave one of them out".to_owned()),
            Some((message, expected)) => (message, format!("expected {expected}")),
            None => (error.message(), "mend this line".to_owned()),
        };
        let message = message.replace('\n', " ");
        parsed.flaws.push(Flaw { code: Code::Syntax, span, message, way_out });
        // Without its header, a table's keys would fall to the table before it.
        if is_header || !blank(&mut text, &line) {
            break;
        }
    }
    parsed
}

/// The bytes of the line that holds this byte, without its end.
fn line_at(text: &str, at: usize) -> Range<usize> {
    let at = text.floor_char_boundary(at.min(text.len()));
    let (before, after) = text.split_at(at);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after.find('\n').map_or(text.len(), |newline| at + newline);
    start..end
}

/// Turns a line into spaces, so that all others keep their places; `false` if it was blank.
fn blank(text: &mut String, line: &Range<usize>) -> bool {
    let was_blank = text.get(line.clone()).is_none_or(|line| line.trim().is_empty());
    text.replace_range(line.clone(), &" ".repeat(line.len()));
    !was_blank
}

/// What of a broken line must not be shown: all of a line that may lie inside of a text, and the
/// value if anything in the line sounds like a secret.
fn may_hold_secret(text: &str, line: &Range<usize>) -> Option<Range<usize>> {
    let content = text.get(line.clone())?;
    match content.find('=') {
        Some(at) if looks_secret(content) => Some(line.start + at + 1..line.end),
        None if !content.trim_start().starts_with('[') => Some(line.clone()),
        _ => None,
    }
}

/// The number of the line that these keys head a table in.
fn first_header(text: &str, keys: &[Key]) -> Option<usize> {
    let heads = |line: &str| {
        let inner = line.trim_start().strip_prefix('[')?.split(']').next()?;
        let own = Key::parse(inner).ok()?;
        own.iter().map(Key::get).eq(keys.iter().map(Key::get)).then_some(())
    };
    text.lines().position(|line| heads(line).is_some()).map(|at| at + 1)
}

impl Parsed {
    /// Gives a table that is written a second time a name of its own, of the same length.
    ///
    /// Gufo ships an example with `[microservices.session]` twice; its parser merged them.
    fn rename(&mut self, text: &mut String, line: &Range<usize>, span: &Range<usize>) -> bool {
        let header = text.get(line.clone()).unwrap_or_default().to_owned();
        let inner =
            header.trim_start().trim_start_matches('[').split(']').next().unwrap_or_default();
        let is_list = header.trim_start().starts_with("[[");
        let Ok(keys) = Key::parse(inner) else { return false };
        let Some((last, above)) = keys.split_last() else { return false };
        let name = last.get().to_owned();
        let Some(at) = header.rfind(name.as_str()).map(|at| line.start + at) else { return false };
        if is_list || above.is_empty() && name.len() < 2 {
            return false;
        }
        let above: Vec<_> = above.iter().map(|key| key.get().to_owned()).collect();
        let number = self.renamed.len();
        // Few names begin with so many dashes; if one does, the table is refused as written twice.
        let other = format!("{number:->width$}", width = name.len());
        if other.len() != name.len() || text.contains(&other) {
            return false;
        }
        let first = first_header(text.get(..line.start).unwrap_or_default(), &keys);
        let first = first.map_or(String::new(), |line| format!(", first in line {line}"));
        text.replace_range(at..at + name.len(), &other);
        self.flaws.push(Flaw {
            code: Code::Twice,
            span: span.clone(),
            message: format!("the table [{}] is written twice{first}", inner.trim()),
            way_out: "both are read as one; write its keys in one place".to_owned(),
        });
        self.renamed.push((above.join("."), other, name));
        true
    }

    /// All values, in the order of the text.
    pub(super) fn contents(&self) -> Contents<'_> {
        let mut walker = Walker { parsed: self, contents: Contents::default() };
        if let Some(document) = &self.document {
            walker.table("", document.as_table());
        }
        let mut contents = walker.contents;
        contents.leaves.sort_by_key(|leaf| leaf.span.start);
        contents
    }

    /// The name that a table was written with.
    pub(super) fn written_name<'a>(&'a self, above: &str, name: &'a str) -> &'a str {
        let renamed = self.renamed.iter().find(|(a, other, _)| a == above && other == name);
        renamed.map_or(name, |(_, _, written)| written)
    }
}

struct Walker<'a> {
    parsed: &'a Parsed,
    contents: Contents<'a>,
}

impl<'a> Walker<'a> {
    fn table(&mut self, above: &str, table: &'a dyn TableLike) {
        for (parsed_name, item) in table.iter() {
            let key_span = table.key(parsed_name).and_then(Key::span).unwrap_or_default();
            let name = self.parsed.written_name(above, parsed_name);
            if above.is_empty() && name.starts_with("x-") {
                continue; // Free for the operator's own purposes.
            }
            if !is_name(name) {
                let what = format!("the key {name:?} has characters that no key has");
                self.flaw(Code::UnknownKey, key_span, &what, "use letters, digits, - and _");
                self.mask(name, item);
                continue;
            }
            let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
            self.item(path, name, &key_span, item);
        }
    }

    fn item(&mut self, path: String, name: &'a str, key_span: &Range<usize>, item: &'a Item) {
        let path = match schema::FORMER.iter().find(|(former, _)| *former == path) {
            Some((_, now)) => (*now).to_owned(),
            None => path,
        };
        if let Some(key) = schema::find(&path) {
            self.value(path, name, &key.kind, item);
        } else if schema::LISTS.contains(&path.as_str()) {
            self.list(&path, key_span, item);
        } else if let Some(base) = indirect_base(&path) {
            self.variable(base, item);
        } else if schema::is_table(&path) {
            if let Some(table) = item.as_table_like() {
                self.table(&path, table);
            } else {
                let what = format!("`{name}` is a table");
                self.flaw(Code::WrongType, key_span.clone(), &what, &format!("write [{path}]"));
                self.mask(name, item);
            }
        } else {
            let way_out = suggest(&path).map_or_else(
                || "see docs/config.md".to_owned(),
                |key| format!("did you mean `{key}`?"),
            );
            let what = if item.is_table() {
                format!("unknown table [{path}]")
            } else {
                format!("unknown key `{name}`")
            };
            self.flaw(Code::UnknownKey, key_span.clone(), &what, &way_out);
            self.mask(name, item);
        }
    }

    /// A value of a key, or `{ env = "VARIABLE" }` in its place.
    fn value(&mut self, path: String, name: &'a str, kind: &Kind, item: &'a Item) {
        let span = item.span().unwrap_or_default();
        if matches!(kind, Kind::Secret) {
            self.contents.secrets.push(span.clone());
        }
        if let Some(table) = item.as_table_like() {
            match table.get("env") {
                Some(variable) if table.len() == 1 && may_be_indirect(kind) => {
                    self.contents.secrets.retain(|secret| *secret != span);
                    self.variable(path, variable);
                }
                _ => {
                    let way_out = "write one value";
                    self.flaw(Code::WrongType, span, &format!("`{name}` is a table"), way_out);
                }
            }
        } else if let Some(value) = item.as_value() {
            self.contents.leaves.push(Leaf { path, name, span, raw: raw(value) });
        } else {
            let message = format!("`{name}` is a list of tables");
            self.flaw(Code::WrongType, span, &message, "write one value");
        }
    }

    /// The name of a variable that holds a value.
    fn variable(&mut self, path: String, item: &'a Item) {
        let span = item.span().unwrap_or_default();
        match item.as_str() {
            Some(name) if is_variable(name) => {
                self.contents.indirect.push(Indirect { path, variable: name.to_owned(), span });
            }
            _ => {
                let what = "this is not the name of a variable";
                self.flaw(Code::Malformed, span.clone(), what, "write one such as \"GUFO_SIGN\"");
                // Somebody may have put the secret itself here.
                self.contents.secrets.push(span);
            }
        }
    }

    /// Tables that are written as a list. Their place in it becomes a part of the path.
    fn list(&mut self, path: &str, key_span: &Range<usize>, item: &'a Item) {
        let tables: Vec<Option<&'a dyn TableLike>> = match item {
            Item::ArrayOfTables(tables) => {
                tables.iter().map(|table| -> Option<&'a dyn TableLike> { Some(table) }).collect()
            }
            Item::Value(TomlValue::Array(values)) => {
                let table = |value: &'a TomlValue| -> Option<&'a dyn TableLike> {
                    value.as_inline_table().map(|table| -> &'a dyn TableLike { table })
                };
                values.iter().map(table).collect()
            }
            _ => vec![None],
        };
        for (number, table) in tables.into_iter().enumerate() {
            if let Some(table) = table {
                self.table(&format!("{path}.{number:06}"), table);
            } else {
                let what = format!("`{path}` is a list of tables");
                let way_out = format!("write [[{path}]]");
                self.flaw(Code::WrongType, key_span.clone(), &what, &way_out);
            }
        }
    }

    fn flaw(&mut self, code: Code, span: Range<usize>, message: &str, way_out: &str) {
        let (message, way_out) = (message.to_owned(), way_out.to_owned());
        self.contents.flaws.push(Flaw { code, span, message, way_out });
    }

    /// Masks what is not understood, if anything about it sounds like a secret.
    fn mask(&mut self, name: &str, item: &Item) {
        if let (Some(span), Some(value)) = (item.span(), item.as_value())
            && (looks_secret(name) || looks_secret(&value.to_string()))
        {
            self.contents.secrets.push(span);
        }
    }
}

/// The key whose value is in the variable that this key names: `server.sign` for `server.sign_env`.
fn indirect_base(path: &str) -> Option<String> {
    let base = path.strip_suffix("_env")?;
    let base =
        schema::FORMER.iter().find(|(former, _)| *former == base).map_or(base, |(_, now)| now);
    schema::find(base).filter(|key| may_be_indirect(&key.kind)).map(|_| base.to_owned())
}

fn may_be_indirect(kind: &Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::Text | Kind::Host)
}

/// Whether a part of a path: letters, digits, `-` and `_`, so that dots only separate.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Whether a name of a variable (POSIX.1-2017 §8.1, small letters as well).
pub(super) fn is_variable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn raw(value: &TomlValue) -> Raw<'_> {
    match value {
        TomlValue::String(text) => Raw::Text(text.value()),
        TomlValue::Integer(number) => Raw::Integer(*number.value()),
        TomlValue::Float(number) => Raw::Float(*number.value()),
        TomlValue::Boolean(value) => Raw::Bool(*value.value()),
        TomlValue::Array(values) => Raw::List(values.iter().map(raw).collect()),
        TomlValue::Datetime(_) => Raw::Other("a date"),
        TomlValue::InlineTable(_) => Raw::Other("a table"),
    }
}

#[cfg(test)]
mod tests;
