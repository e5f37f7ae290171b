//! The demo back end: a real gRPC service `Reverse`, dialect B, on loopback.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::reverse::Demo;
use super::serving::{self, Serving};
use super::store::Store;
use crate::proto::reverse::reverse_server::ReverseServer;

/// Bytes that one upload may have under way: enough for several messages of 64 KiB.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes that one connection may have under way, all its uploads together.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes of a DATA frame: a message with 64 KiB of payload and what precedes it fits into one.
const FRAME_BYTES_MAX: u32 = 128 * 1024;
/// Streams that one connection may have open.
const STREAMS_MAX: u32 = 1024;
/// Uploads that are written at the same time; further ones wait, held by flow control.
const WRITERS_MAX: usize = 128;

/// A running demo back end. Dropping it stops it.
#[derive(Debug)]
pub struct DemoServer(Serving);

/// Starts the demo back end on a thread of its own.
///
/// It stores uploads as files under `dir`, which is created if missing. With port 0 the system
/// picks one. Fails if the directory cannot be made or the address cannot be had.
pub fn spawn(dir: PathBuf, address: SocketAddr) -> io::Result<DemoServer> {
    let store = Arc::new(Store::open(dir)?);
    let serving = serving::spawn("otus-demo", address, WRITERS_MAX, |server| {
        server
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .add_service(ReverseServer::new(Demo::new(store)))
    })?;
    Ok(DemoServer(serving))
}

impl DemoServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Ends it: calls in flight have a second, files in flight are removed.
    pub fn stop(mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests;
