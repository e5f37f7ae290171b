//! Streams whose content comes from a service, or goes both ways.

mod downloads;
mod events;
mod local;
mod mcp;
mod service;
mod sockets;
