//! gRPC calls to endpoints: connections, streams on them, and the pools that keep them.
//!
//! The protocol is `protocol::h2` and `protocol::grpc`; here is the io around it. Start with
//! [`stream`].

pub mod connection;
pub mod fault;
pub(super) mod health;
pub mod piped;
pub mod pool;
pub mod raw;
pub(super) mod served;
pub mod stream;
pub mod unframed;
pub(super) mod web;
