//! One HTTP/2 connection in either role: bytes in, events out, bytes to write (RFC 9113).
//!
//! [`engine`] holds the state and says what may be asked of it; [`config`] and [`event`] are its
//! words; `receive`, `headers` (with `block`), `data` and `control` read what the peer sends,
//! `send` writes what we send, `keep_alive` notices a peer that is gone, `widen` lets one that is
//! far away have more under way. It knows no socket: the caller feeds
//! [`Connection::receive`](engine::Connection::receive) and writes
//! [`Connection::outgoing`](engine::Connection::outgoing).

mod block;
pub mod config;
mod control;
mod data;
pub mod engine;
pub mod event;
mod headers;
mod keep_alive;
mod receive;
mod send;
mod widen;

#[cfg(test)]
mod tests;
