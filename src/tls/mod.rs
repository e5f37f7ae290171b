//! TLS over any connection: the same calls as without it, so that nothing above has to know.
//!
//! [`stream::Stream`] is a connection with TLS or without, [`handshake`] makes one with it,
//! [`server`] reads certificates and says what a listener offers. Keys and records are rustls', the
//! bytes and their memory are ours: an idle connection holds no buffer.

mod certificates;
pub mod client;
mod engine;
pub mod handshake;
mod in_place;
mod inbox;
pub mod pinned;
pub mod server;
mod session;
pub mod spec;
pub mod stream;
mod tickets;
pub mod x509;
