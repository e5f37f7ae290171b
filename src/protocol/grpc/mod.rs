//! gRPC over HTTP/2, the parts that are bytes: message prefixes, status fields, timeouts.
//!
//! Knows nothing of protobuf, frames or connections. Start with [`status::opening`], which says
//! what a response's head means, then [`frame::MessageDecoder`] for its messages.

pub mod frame;
pub mod health;
pub mod status;
pub mod timeout;
pub mod web;
