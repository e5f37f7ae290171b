//! The master as a service: a clock, a store and a gRPC server around `crate::master`.
//!
//! [`server`] takes calls in all dialects; [`guard`] lets none pass that is not signed; one thread,
//! the `keeper`, decides them one after the other and stores what they change.

pub mod guard;
pub mod server;

mod etcd;
mod file;
mod http;
mod keeper;
mod store;
mod words;
