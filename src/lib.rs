//! Otus: an API gateway and upload ingress on `io_uring`, one thread per core.
//!
//! Read `ARCHITECTURE.md` first, then [`control`], [`shard`], [`proxy`].

pub mod base;
pub mod cli;
pub mod config;
pub mod control;
pub mod gufo;
pub mod io;
pub mod master;
pub mod message;
pub mod observe;
pub mod policy;
pub mod proto;
pub mod protocol;
pub mod proxy;
pub mod route;
pub mod service;
pub mod shard;
pub mod snapshot;
pub mod tls;
pub mod upstream;
