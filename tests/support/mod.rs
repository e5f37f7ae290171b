//! What tests of the whole gateway are made of: a gateway in this process, clients on plain sockets,
//! services that record what reaches them, and peers that misbehave.
//!
//! Each test binary uses a part of it. Start with [`gateway`].

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod data;
pub(crate) mod dns;
pub(crate) mod echo;
pub(crate) mod folder;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod issuer;
pub(crate) mod journal;
pub(crate) mod jwt;
pub(crate) mod link;
pub(crate) mod page;
pub(crate) mod peer;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod rude;
pub(crate) mod service;
pub(crate) mod tls;
