//! Writes that leave together.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;

use super::*;

/// A write that is queued, as if much was going on, and not waited for yet: `then` gets to the
/// future before a turn does.
async fn queued<T>(
    ring: &Ring,
    socket: &RingSocket,
    bytes: &[u8],
    then: impl FnOnce() -> T,
) -> (Result<(), IoError>, T) {
    let mut writing = pin!(write(ring, socket, bytes));
    ring.shared.reactor.crowd();
    let early = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(early.is_pending(), ring.driver() == Driver::IoUring);
    let out = then();
    match early {
        Poll::Ready(result) => (result, out),
        Poll::Pending => (writing.await, out),
    }
}

#[test]
fn writes_of_a_crowd_leave_together_and_each_to_its_own_peer() {
    const PAIRS: usize = 40;
    on_both(|ring| async move {
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            pairs.push(pair(&ring, SocketOptions::default()).await);
        }
        for round in 0..3 {
            for (number, (client, server)) in pairs.iter().enumerate() {
                let (ring, server) = (ring.clone(), server.clone());
                ring.clone().spawn(async move {
                    server.readable(ring.now() + PATIENCE).await.unwrap();
                    let (read, buffer) =
                        server.read(BufferPool::default().small(), ring.now() + PATIENCE).await;
                    assert_eq!(read, Ok(4));
                    let mut answer = buffer.filled().to_vec();
                    answer.extend_from_slice(&[b'x'; 1000]);
                    write(&ring, &server, &answer).await.unwrap();
                });
                assert_eq!(client.try_write(format!("{round}{number:03}").as_bytes()), Ok(4));
            }
            for (number, (client, _)) in pairs.iter().enumerate() {
                let mut buffer = BufferPool::default().small();
                while buffer.len() < 1004 {
                    let (read, back) = client.read(buffer, ring.now() + PATIENCE).await;
                    assert!(read.unwrap() > 0);
                    buffer = back;
                }
                assert_eq!(buffer.filled()[..4], *format!("{round}{number:03}").as_bytes());
                assert!(buffer.filled()[4..].iter().all(|byte| *byte == b'x'));
                assert_eq!(buffer.len(), 1004);
            }
        }
        let together = ring.shared.reactor.sends().peak();
        assert_eq!(together > 1, ring.driver() == Driver::IoUring, "{together}");
        assert!(!ring.shared.reactor.sends().are_under_way());
    });
}

#[test]
fn who_stops_waiting_for_a_write_gives_neither_bytes_nor_descriptor_away() {
    on_both(|ring| async move {
        let listener = bind("127.0.0.1:0".parse().unwrap(), SocketOptions::default()).unwrap();
        let other = RingListener::new(&ring, listener).unwrap();
        for _ in 0..20 {
            let (client, server) = pair(&ring, SocketOptions::default()).await;
            {
                let mut writing = pin!(write(&ring, &server, b"of the first one"));
                ring.shared.reactor.crowd();
                let _ = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            drop(server);
            // Would take the number that was freed if it was, and the memory likewise.
            let options = SocketOptions::default();
            let next = ring.connect(other.address(), options, ring.now() + PATIENCE).await.unwrap();
            let (peer, _) = other.accept().await.unwrap();
            let _same_size = b"of nobody at all".to_vec();
            let got = read_all(&ring, &client, Duration::ZERO).await;
            assert_eq!(got, (b"of the first one".to_vec(), Ok(())));
            assert_eq!(next.readable(soon(&ring)).await, Err(IoError::TimedOut));
            drop(peer);
        }
    });
}

#[test]
fn a_write_of_a_crowd_that_finds_no_room_waits_and_leaves_in_order() {
    on_both(|ring| async move {
        let options = SocketOptions { send_buffer: Some(8192), ..SocketOptions::default() };
        let (client, server) = pair(&ring, options).await;
        let mut filled = 0;
        // Behind the back of the socket, so that it takes itself for ready.
        for _ in 0..5 {
            while let Ok(len) = SockRef::from(&server.fd()).send(&[b'a'; 4096]) {
                filled += len;
            }
            ring.sleep_until(ring.now() + Duration::from_millis(2)).await;
        }
        let late = ring.clone();
        let reading = client.clone();
        let (all, told) = (Rc::new(Cell::new(Vec::new())), ring.bell().unwrap());
        let (kept, bell) = (all.clone(), told.0);
        ring.spawn(async move {
            late.sleep_until(soon(&late)).await;
            kept.set(read_all(&late, &reading, Duration::ZERO).await.0);
            crate::io::Bell::ring(&bell);
        });
        ring.shared.reactor.crowd();
        write(&ring, &server, b"at the end").await.unwrap();
        server.shutdown_write();
        crate::io::Ear::listen(&told.1).await;
        let all = all.take();
        assert!(all.len() == filled + 10 && all.ends_with(b"aaat the end"), "{}", all.len());
    });
}

#[test]
fn a_write_of_a_crowd_tells_of_a_peer_that_is_gone() {
    on_both(|ring| async move {
        let (client, server) = pair(&ring, SocketOptions::default()).await;
        client.reset_on_close();
        drop(client);
        server.readable(ring.now() + PATIENCE).await.unwrap();
        let (result, ()) = queued(&ring, &server, b"into the void", || ()).await;
        assert!(matches!(result, Err(IoError::Reset | IoError::Closed)), "{result:?}");
        let (client, server) = pair(&ring, SocketOptions::default()).await;
        let (result, ()) = queued(&ring, &server, b"cut off", || server.cancel()).await;
        // Over epoll it has left before.
        if ring.driver() == Driver::IoUring {
            assert!(result.is_err(), "{result:?}");
        }
        drop(client);
    });
}

#[test]
fn what_was_read_before_it_was_told_does_not_end_a_sure_wait() {
    on_both(|ring| async move {
        let (client, server) = pair(&ring, SocketOptions::default()).await;
        for _ in 0..20 {
            assert_eq!(client.try_write(b"one"), Ok(3));
            server.readable(ring.now() + PATIENCE).await.unwrap();
            // Told of in the next turn, and read in this one.
            assert_eq!(client.try_write(b"two"), Ok(3));
            let mut buffer = BufferPool::default().small();
            assert_eq!(server.try_read(&mut buffer), Some(Ok(6)));
            let until = ring.now() + Duration::from_millis(10);
            while server.stirred(until).await.is_ok() {
                assert_eq!(server.try_read(&mut buffer), None);
            }
            assert_eq!(client.try_write(b"one"), Ok(3));
            server.readable(ring.now() + PATIENCE).await.unwrap();
            assert_eq!(client.try_write(b"two"), Ok(3));
            assert_eq!(server.try_read(&mut buffer), Some(Ok(6)));
            assert_eq!(server.readable(until + PATIENCE / 1000).await, Err(IoError::TimedOut));
        }
    });
}
