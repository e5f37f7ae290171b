//! What HTTP messages mean, whatever the version: heads, framing, targets and hop-by-hop fields.
//!
//! Knows no socket and no wire format: the text of a head lies in a buffer of the caller, and a
//! head holds [`Span`](head::Span)s into it. `protocol::h1` fills heads from bytes; HTTP/2 writes
//! the decoded fields into an arena and fills the same types. Start with [`head`].

pub mod authority;
pub mod conditional;
pub mod framing;
pub mod head;
pub mod hop;
pub mod known;
pub mod path;
pub mod target;
pub mod token;
