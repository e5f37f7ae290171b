//! The Gufo surface: what a REST call means to a service that speaks the Reverse protocol.
//!
//! Pure. Knows nothing of HTTP/2, sockets or clocks; messages leave and come as gRPC messages.
//! Start with [`request`] for the way out, [`upload`] for files, [`reply`] and [`envelope`] for the
//! way back; with [`asked`] and [`translate`] for what services ask of us.

pub mod answer;
pub mod arguments;
pub mod asked;
pub mod dialect;
pub mod download;
pub mod envelope;
pub mod events;
pub mod fault;
pub mod filename;
pub mod heartbeat;
pub mod json;
pub mod nonces;
pub mod path;
pub mod registry;
pub mod reply;
pub mod request;
pub mod session;
pub mod stream;
pub mod translate;
pub mod trust;
pub mod upload;
pub mod wire;

mod values;
