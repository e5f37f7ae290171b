//! The whole gateway over real sockets, on both io drivers: what clients and services see of it.
//!
//! Each test starts a gateway of its own in this process, on ports that the kernel picks. Nothing is
//! waited for by the clock alone: tests wait for events, and fail if those do not come.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it reports"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod auth;
mod backpressure;
mod calls;
mod clients_that_leave;
mod connections;
mod dialects;
mod early_answers;
mod embedding;
mod endpoint_health;
mod endpoint_names;
mod faults;
mod front;
mod h2;
mod hostile_clients;
mod http;
mod identity;
mod killed;
mod lifecycle;
mod limits;
mod master;
mod operator;
mod panics;
mod peers_that_fail;
mod proxy_protocol;
mod registry;
mod reverse_server;
mod service_groups;
mod sessions;
mod settings;
mod shards;
mod steering;
mod streams;
mod strict;
mod telemetry;
mod threex;
mod tls;
mod trust;
mod uploads;
