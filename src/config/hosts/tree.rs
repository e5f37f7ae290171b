//! What a hosts file says, before anything is known of its meaning: the same for YAML and TOML.

use std::ops::Range;

use crate::config::document::Flaw;
use crate::config::fault::Code;

/// How deep values may lie in each other. The format needs four.
pub(super) const DEPTH_MAX: usize = 8;

/// A value and the bytes where it was written.
#[derive(Debug)]
pub(in crate::config) struct Value {
    pub(in crate::config) node: Node,
    pub(in crate::config) span: Range<usize>,
}

#[derive(Debug)]
pub(in crate::config) enum Node {
    Text(String),
    List(Vec<Value>),
    Table(Vec<Entry>),
    /// None of these, in words.
    Other(&'static str),
}

/// A key of a table and its value.
#[derive(Debug)]
pub(in crate::config) struct Entry {
    pub(in crate::config) key: String,
    pub(in crate::config) key_span: Range<usize>,
    pub(in crate::config) value: Value,
}

impl Node {
    /// In words: `a list`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Table(_) => "a table",
            Node::Other(what) => what,
        }
    }
}

/// A flaw with these words.
pub(super) fn flaw(code: Code, span: &Range<usize>, message: &str, way_out: &str) -> Flaw {
    let (message, way_out) = (message.to_owned(), way_out.to_owned());
    Flaw { code, span: span.clone(), message, way_out }
}
