//! Active health checks: once for the whole process, on threads of their own.
//!
//! [`schedule`] says which endpoint is due and what a result means, [`probe`] and [`grpc`] ask an
//! endpoint, [`checker`] is the thread between them: it tells the shards and the operator of what
//! changed. Nothing of this is on the request path.

mod checker;
mod grpc;
mod probe;
mod schedule;

#[cfg(test)]
mod tests;

pub(super) use checker::{Board, Checker};
