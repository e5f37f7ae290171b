//! The HTTP proxy: what clients and back ends see of it.

mod answers;
mod attempts;
mod balance;
mod bodies;
mod early;
mod fields;
mod hosts;
mod leaving;
mod lifecycle;
mod routes;
mod timeouts;
mod trailers;
mod upgrades;
mod websocket;
