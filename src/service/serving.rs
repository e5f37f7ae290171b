//! A gRPC server on a thread of its own, with a runtime of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};

/// How long calls in flight may go on after a stop.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(1);

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Serving {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves what `add` adds to a server. With port 0 the system picks one. `blocking_max` threads
/// may do what waits for a disk. Fails if the address cannot be had.
pub(super) fn spawn(
    name: &str,
    address: SocketAddr,
    blocking_max: usize,
    add: impl FnOnce(Server) -> Router + Send + 'static,
) -> io::Result<Serving> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(blocking_max)
        .thread_name(format!("{name}-file"))
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // The listener is bound; if it still cannot be served, calls fail and say so.
        let _ = runtime.block_on(serve(listener, add, stopped));
        runtime.shutdown_timeout(STOP_GRACE);
    })?;
    Ok(Serving { address, stop: Some(stop), thread: Some(thread) })
}

async fn serve(
    listener: TcpListener,
    add: impl FnOnce(Server) -> Router,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (begin_stop, stopping) = oneshot::channel::<()>();
    let server = add(Server::builder()).serve_with_incoming_shutdown(incoming, async {
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

impl Serving {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: calls in flight have a second.
    pub(super) fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It fails if the thread panicked, which was told on standard error.
            let _ = thread.join();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}
