//! The request path: accept → parse → route → policy → upstream → respond.
//!
//! The only place where the pure modules below meet io. Start with [`connection`], then
//! `exchange`, which reads like the six steps; `upload` and `call` are what it calls;
//! [`grpc`] is the way to endpoints. Every refusal is a [`reason::Reason`].

mod attempt;
mod body;
mod call;
mod choice;
mod client;
pub mod connection;
pub mod context;
mod dial;
pub mod downstream;
mod elsewhere;
pub mod embedded;
pub mod event;
mod exchange;
pub mod exit;
mod flights;
pub mod gate;
pub mod grpc;
pub mod h2;
mod heartbeat;
mod http;
mod linger;
mod mcp;
mod open_metrics;
pub mod parked;
pub mod policy;
mod proxied;
pub mod reason;
mod record;
pub mod registry;
mod reply;
mod request_id;
mod respond;
pub mod retry;
mod reverse;
pub mod secure;
mod seldom;
mod session;
mod stream;
mod surface;
pub mod tables;
mod trace;
mod trust;
mod turn;
mod unary;
mod upload;
mod whole;
