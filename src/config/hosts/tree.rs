//! What a hosts file says, before anything is known of its meaning: the same for YAML and TOML.

use std::ops::Range;

use crate::config::document::Flaw;
use crate::config::fault::Code;

/// How deep values may lie in each other. The format needs four.
pub(super) const DEPTH_MAX: usize = 8;

/// A value and the bytes where it was written.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) node: Node,
    pub(super) span: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    List(Vec<Value>),
    Table(Vec<Entry>),
    /// None of these, in words.
    Other(&'static str),
}

/// A key of a table and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Value,
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
