//! Codecs: bytes in, events out. Nothing here waits, reads a clock or knows a socket.

pub mod base64;
pub mod grpc;
pub mod h1;
pub mod h2;
pub mod multipart;
pub mod proxy_protocol;
pub mod resp;
pub mod upgrade;
pub mod websocket;
