//! Forwarding to HTTP/1.1 endpoints: heads rewritten, bodies streamed both ways, tunnels.
//!
//! Start with [`forward`]: it chooses an endpoint, and again where that is safe. `attempt` is one
//! try, `body` and `response` are its two directions. Nothing of a body is kept: what one side
//! does not take is not read from the other.

mod attempt;
mod body;
pub(super) mod connection;
pub(super) mod forward;
mod heads;
mod line;
mod passthrough;
mod patience;
pub(super) mod response;
pub(super) mod stream_tunnel;
mod trailers;
mod tunnel;
