//! HTTP/2 in both roles, without io: bytes in, events out, bytes to write (RFC 9113).
//!
//! Knows nothing of sockets, clocks, routes or gRPC; `now` is an argument, payload is never copied.
//! Start with [`connection`]: it is fed what the socket read and says what that means. [`frame`] is
//! the wire, [`hpack`] the header compression (RFC 7541), [`head`] what makes a head malformed,
//! [`flow`] and [`stream`] the bookkeeping, [`bandwidth`] how far windows should reach,
//! [`settings`] what each side asks of the other, [`flood`] the limits that keep a hostile peer
//! cheap. [`request`] and [`response`] are the bridge to heads as the rest of the gateway knows
//! them.

pub mod bandwidth;
pub mod connection;
pub mod flood;
pub mod flow;
pub mod frame;
pub mod head;
pub mod hpack;
pub mod request;
pub mod response;
pub mod settings;
pub mod stream;
