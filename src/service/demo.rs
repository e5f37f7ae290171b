//! The demo back end: a real gRPC service `Reverse`, dialect B, on loopback.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::reverse::Demo;
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
/// How long calls in flight may go on after a stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A running demo back end. Dropping it stops it.
#[derive(Debug)]
pub struct DemoServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the demo back end on a thread of its own.
///
/// It stores uploads as files under `dir`, which is created if missing. With port 0 the system
/// picks one. Fails if the directory cannot be made or the address cannot be had.
pub fn spawn(dir: PathBuf, address: SocketAddr) -> io::Result<DemoServer> {
    let store = Arc::new(Store::open(dir)?);
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WRITERS_MAX)
        .thread_name("otus-demo-file")
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name("otus-demo".to_owned()).spawn(move || {
        // The listener is bound; if it still cannot be served, calls fail and say so.
        let _ = runtime.block_on(serve(store, listener, stopped));
        runtime.shutdown_timeout(STOP_GRACE);
    })?;
    Ok(DemoServer { address, stop: Some(stop), thread: Some(thread) })
}

async fn serve(
    store: Arc<Store>,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (begin_stop, stopping) = oneshot::channel::<()>();
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .add_service(ReverseServer::new(Demo::new(store)))
        .serve_with_incoming_shutdown(incoming, async {
            // An error means that the other end is gone, which is a stop as well.
            let _ = stopping.await;
        });
    let server = tokio::spawn(server);
    let _ = stopped.await;
    drop(begin_stop);
    // Whoever is still connected after the grace is cut off when the runtime ends.
    let _ = tokio::time::timeout(STOP_GRACE, server).await;
    Ok(())
}

impl DemoServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: calls in flight have a second, files in flight are removed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It fails if the thread panicked, which was told on standard error.
            let _ = thread.join();
        }
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
