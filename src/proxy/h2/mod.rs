//! HTTP/2 towards clients: one task reads, one writes what the engine has queued, and each stream
//! is a task of its own that runs the same exchange as HTTP/1.
//!
//! The protocol is `protocol::h2`; here is the io around it. Start with [`serve`]; [`connection`]
//! is what the tasks share, `inbox` the bodies of requests, `stream` an exchange's end of a stream,
//! `windows` how much a client may have under way.

pub mod connection;
pub(super) mod inbox;
mod outbox;
pub mod serve;
pub mod stream;
pub(super) mod windows;
