//! The kernel's world, on both drivers.

mod pipes;
mod sends;

use std::time::Duration;

use socket2::SockRef;

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::buffer::BufferPool;
use crate::io::gather::Gather;
use crate::io::{Bell, Ear, Io, IoError, Listener, Socket, SocketOptions};

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

#[test]
fn a_socket_tells_what_its_peer_has_done() {
    on_both(|ring| async move {
        let (client, server) = pair(&ring, SocketOptions::default()).await;
        assert!(server.is_quiet() && !server.is_peer_gone());
        assert!(server.window().is_some_and(|bytes| bytes > 0));
        assert_eq!(client.try_write(b"one"), Ok(3));
        server.readable(ring.now() + PATIENCE).await.unwrap();
        assert!(!server.is_quiet() && !server.is_peer_gone());
        client.shutdown_write();
        let end = ring.now() + PATIENCE;
        while !server.is_peer_gone() && ring.now() < end {
            ring.sleep_until(ring.now() + Duration::from_millis(2)).await;
        }
        assert!(server.is_peer_gone(), "even behind bytes that were not read");
        let read = read_all(&ring, &server, Duration::ZERO).await;
        assert_eq!(read, (b"one".to_vec(), Ok(())));
    });
}

#[test]
fn a_client_that_is_lost_is_found_out_and_does_not_look_as_if_it_had_ended() {
    on_both(|ring| async move {
        let (client, server) = pair(&ring, SocketOptions::default()).await;
        let fd = server.fd();
        let socket = SockRef::from(&fd);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), limits::CLIENT_PROBE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), limits::CLIENT_PROBE_EVERY);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(limits::CLIENT_LOST_AFTER));
        let given_up = std::io::Error::from_raw_os_error(libc::ETIMEDOUT);
        assert_eq!(server.failed(&given_up), IoError::Reset);
        drop(client);
    });
}

#[test]
fn what_comes_while_a_ring_looks_is_heard_without_a_sleep() {
    on_both(|ring| async move {
        for most in [Duration::ZERO, PATIENCE] {
            ring.busy_poll(most);
            let before = ring.shared.spin.heard();
            let (bell, ear) = ring.bell().unwrap();
            let rings = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                bell.ring();
            });
            ear.listen().await;
            rings.join().unwrap();
            assert_eq!(ring.shared.spin.heard() > before, !most.is_zero(), "{most:?}");
            // A deadline ends a look as it ends a sleep.
            ring.sleep_until(ring.now() + Duration::from_millis(2)).await;
        }
    });
}
