//! The kernel's world, on both drivers.

mod pipes;

use std::time::Duration;

use crate::base::time::Instant;
use crate::io::buffer::{BufferPool, Gather};
use crate::io::{Io, IoError, Listener, Socket, SocketOptions};

use super::{Driver, Ring, RingListener, RingSocket, bind, run};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `body` on each driver that this machine has.
fn on_both<F: Future<Output = ()>>(body: impl Fn(Ring) -> F) {
    run(Driver::Epoll, &body).unwrap();
    if super::probe().is_ok() {
        run(Driver::IoUring, &body).unwrap();
    }
}

/// Both ends of a connection: one that connected, one that was accepted.
async fn pair(ring: &Ring, options: SocketOptions) -> (RingSocket, RingSocket) {
    let listener = bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let listener = RingListener::new(ring, listener).unwrap();
    let deadline = ring.now() + PATIENCE;
    let client = ring.connect(listener.address(), options, deadline).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

async fn write(ring: &Ring, socket: &RingSocket, bytes: &[u8]) -> Result<(), IoError> {
    let mut out = Gather::new();
    out.push(bytes);
    socket.write(out, ring.now() + PATIENCE).await.0
}

/// Reads until the end or an error; `pause` between reads.
async fn read_all(
    ring: &Ring,
    socket: &RingSocket,
    pause: Duration,
) -> (Vec<u8>, Result<(), IoError>) {
    let pool = BufferPool::default();
    let mut all = Vec::new();
    loop {
        let (result, buffer) = socket.read(pool.small(), ring.now() + PATIENCE).await;
        all.extend_from_slice(buffer.filled());
        match result {
            Ok(0) => return (all, Ok(())),
            Ok(_) => {}
            Err(error) => return (all, Err(error)),
        }
        if !pause.is_zero() {
            ring.sleep_until(ring.now() + pause).await;
        }
    }
}

/// Soon enough to wait for in a test, late enough that what is ready comes first.
fn soon(ring: &Ring) -> Instant {
    ring.now() + Duration::from_millis(50)
}

#[test]
fn a_connection_that_is_closed_ends_even_if_an_event_of_it_was_not_told_yet() {
    on_both(|ring| async move {
        for _ in 0..10 {
            let (client, server) = pair(&ring, SocketOptions::default()).await;
            ring.sleep_until(ring.now() + Duration::from_millis(2)).await;
            // The kernel notes it now, and tells of it in the next turn: behind the end.
            assert_eq!(client.try_write(b"nobody reads it"), Ok(15));
            drop(server);
            let (got, ended) = read_all(&ring, &client, Duration::ZERO).await;
            assert_ne!(ended, Err(IoError::TimedOut));
            assert_eq!(got, b"");
        }
    });
}
