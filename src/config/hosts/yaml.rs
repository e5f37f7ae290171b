//! A hosts file in YAML (and so in JSON) as a tree.
//!
//! Only what the format needs is taken: one document of tables, lists and texts. Anchors, aliases
//! and tags are refused, so that a file means what can be read at each of its places and never
//! grows when it is read.

use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};

use super::tree::{DEPTH_MAX, Entry, Node, Value, flaw};
use crate::config::document::Flaw;
use crate::config::fault::Code;

/// Reads the text; the first thing that is wrong ends it.
pub(in crate::config) fn parse(text: &str) -> Result<Value, Flaw> {
    let mut reader = Reader { places: Places::new(text), open: Vec::new(), root: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = reader.places.byte(error.marker().index());
            flaw(Code::Syntax, &(at..at), error.info(), "mend this line")
        })?;
        reader.event(event, span)?;
    }
    let empty = || Value { node: Node::Table(Vec::new()), span: 0..0 };
    Ok(reader.root.unwrap_or_else(empty))
}

/// A table or list whose end was not seen yet.
struct Open {
    node: Node,
    span: Range<usize>,
    /// The key of the table that waits for its value.
    key: Option<(String, Range<usize>)>,
}

struct Reader {
    places: Places,
    open: Vec<Open>,
    root: Option<Value>,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        let start = self.places.byte(span.start.index());
        let span = start..self.places.byte(span.end.index());
        let refuse = |what: &str| {
            Err(flaw(Code::Syntax, &span, what, "write the value itself, wherever it is meant"))
        };
        match event {
            Event::Alias(_) => return refuse("aliases are not read"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return refuse("anchors are not read");
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => return refuse("tags are not read"),
            Event::Scalar(text, ..) => {
                return self.value(Value { node: Node::Text(text.into_owned()), span });
            }
            Event::SequenceStart(..) => return self.begin(Node::List(Vec::new()), span),
            Event::MappingStart(..) => return self.begin(Node::Table(Vec::new()), span),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { node, span, .. }) = self.open.pop() {
                    return self.value(Value { node, span });
                }
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "there is a second document";
                return Err(flaw(Code::Syntax, &span, message, "write one without `---`"));
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, node: Node, span: Range<usize>) -> Result<(), Flaw> {
        if self.open.len() >= DEPTH_MAX {
            let message = "values lie too deep in each other";
            return Err(flaw(Code::OutOfRange, &span, message, "write fewer levels"));
        }
        self.open.push(Open { node, span, key: None });
        Ok(())
    }

    fn value(&mut self, value: Value) -> Result<(), Flaw> {
        let Some(Open { node, key, .. }) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match (node, key.take()) {
            (Node::List(list), _) => list.push(value),
            (Node::Table(entries), Some((key, key_span))) => {
                entries.push(Entry { key, key_span, value });
            }
            (_, _) => match value.node {
                Node::Text(text) => *key = Some((text, value.span)),
                other => {
                    let message = format!("a key is {}", other.kind());
                    return Err(flaw(Code::WrongType, &value.span, &message, "write a text"));
                }
            },
        }
        Ok(())
    }
}

/// Bytes for the characters that the parser counts.
struct Places {
    len: usize,
    /// Where each character begins; `None` where every character is a byte.
    starts: Option<Vec<usize>>,
}

impl Places {
    fn new(text: &str) -> Self {
        let starts = || text.char_indices().map(|(at, _)| at).collect();
        Places { len: text.len(), starts: (!text.is_ascii()).then(starts) }
    }

    fn byte(&self, character: usize) -> usize {
        let at = match &self.starts {
            Some(starts) => starts.get(character).copied(),
            None => Some(character),
        };
        at.unwrap_or(self.len).min(self.len)
    }
}
