//! Streams whose content comes from a module, or goes both ways: one call of `Reverse.Stream`.
//!
//! `answers` reads what the service says, and lets it go on only when the client has taken that;
//! `download` makes a file or events of it, `socket` a WebSocket. `local` is a file of our host.

mod answers;
pub(super) mod download;
mod events;
mod file;
pub(super) mod local;
pub(super) mod socket;
mod wire;
mod writer;
