//! Bytes that pass through a pipe of the kernel.

use std::cell::Cell;
use std::rc::Rc;

use socket2::SockRef;

use crate::base::limits::{PIPE_BYTES, PIPES_MAX};
use crate::base::prng::Prng;
use crate::io::Pipe;
use crate::io::uring::RingPipe;

use super::*;

/// Small buffers of the kernel, so that calls have to wait.
fn narrow() -> SocketOptions {
    SocketOptions {
        receive_buffer: Some(8 * 1024),
        send_buffer: Some(8 * 1024),
        ..SocketOptions::default()
    }
}

fn bytes(len: usize) -> Vec<u8> {
    let mut all = vec![0; len];
    Prng::new(7).fill(&mut all);
    all
}

/// Moves what comes in odd parts, each behind `head`, until the end; returns the parts.
async fn relay(
    ring: &Ring,
    (from, to): (&RingSocket, &RingSocket),
    head: &[u8],
) -> Result<usize, IoError> {
    let mut prng = Prng::new(9);
    let mut parts = 0;
    loop {
        let pipe = ring.pipe().ok_or(IoError::Exhausted)?;
        let max = 1 + usize::try_from(prng.below(300_000)).unwrap();
        let (result, mut pipe) = from.splice_in(pipe, max, ring.now() + PATIENCE).await;
        let len = result?;
        assert!(len == pipe.len() && len <= max);
        if len == 0 {
            to.shutdown_write();
            return Ok(parts);
        }
        while !pipe.is_empty() {
            let len = pipe.len().min(1 + usize::try_from(prng.below(20_000)).unwrap());
            let mut out = Gather::new();
            out.push(head);
            let more = len < pipe.len();
            let result;
            (result, _, pipe) = to.splice_out(out, pipe, len, more, ring.now() + PATIENCE).await;
            result?;
            parts += 1;
        }
    }
}

#[test]
fn bytes_pass_intact_whatever_the_parts_and_however_slow_the_reader() {
    for (options, len, pause) in [
        (SocketOptions::default(), 5_000_001, Duration::ZERO),
        (narrow(), 300_001, Duration::from_millis(1)),
    ] {
        on_both(|ring| async move {
            let (sender, from) = pair(&ring, options).await;
            let (to, receiver) = pair(&ring, options).await;
            let (sent, inside) = (bytes(len), ring.clone());
            ring.spawn(async move {
                write(&inside, &sender, &bytes(len)).await.unwrap();
                sender.shutdown_write();
            });
            let (parts, inside) = (Rc::new(Cell::new(0)), ring.clone());
            let told = Rc::clone(&parts);
            ring.spawn(async move {
                told.set(relay(&inside, (&from, &to), b"").await.unwrap());
            });
            let (got, end) = read_all(&ring, &receiver, pause).await;
            assert!(got == sent && end == Ok(()), "{} of {}", got.len(), sent.len());
            assert!(parts.get() > 1);
        });
    }
}

#[test]
fn what_goes_before_arrives_before() {
    on_both(|ring| async move {
        let (sender, from) = pair(&ring, SocketOptions::default()).await;
        let (to, receiver) = pair(&ring, SocketOptions::default()).await;
        write(&ring, &sender, &vec![b'.'; 90_000]).await.unwrap();
        sender.shutdown_write();
        let (parts, inside) = (Rc::new(Cell::new(0)), ring.clone());
        let told = Rc::clone(&parts);
        ring.spawn(async move {
            told.set(relay(&inside, (&from, &to), b"head").await.unwrap());
        });
        let (got, _) = read_all(&ring, &receiver, Duration::ZERO).await;
        let heads = got.windows(4).filter(|four| four == b"head").count();
        assert_eq!((heads, got.len()), (parts.get(), 90_000 + 4 * heads));
        assert!(got.starts_with(b"head."));
    });
}

/// A splice stops in front of a byte marked as urgent while the socket stays readable: whoever
/// relied on it alone would run in circles for as long as the client likes.
#[test]
fn an_urgent_byte_stops_nothing() {
    on_both(|ring| async move {
        let (sender, from) = pair(&ring, SocketOptions::default()).await;
        let (to, receiver) = pair(&ring, SocketOptions::default()).await;
        write(&ring, &sender, b"before").await.unwrap();
        SockRef::from(&sender.fd()).send_out_of_band(b"!").unwrap();
        write(&ring, &sender, b"after").await.unwrap();
        let inside = ring.clone();
        ring.spawn(async move {
            relay(&inside, (&from, &to), b"").await.unwrap();
        });
        let pool = BufferPool::default();
        let mut got = Vec::new();
        while got.len() < b"beforeafter".len() {
            let (result, buffer) = receiver.read(pool.small(), ring.now() + PATIENCE).await;
            result.unwrap();
            got.extend_from_slice(buffer.filled());
        }
        assert_eq!(got, b"beforeafter");
        SockRef::from(&sender.fd()).send_out_of_band(b"!").unwrap();
        write(&ring, &sender, b"last").await.unwrap();
        sender.shutdown_write();
        assert_eq!(read_all(&ring, &receiver, Duration::ZERO).await, (b"last".to_vec(), Ok(())));
    });
}

#[test]
fn a_reset_half_way_is_told_and_closes_the_pipe() {
    on_both(|ring| async move {
        let (sender, from) = pair(&ring, SocketOptions::default()).await;
        write(&ring, &sender, b"0123456789").await.unwrap();
        let (result, pipe) = from.splice_in(ring.pipe().unwrap(), 4, soon(&ring)).await;
        assert_eq!((result, pipe.len()), (Ok(4), 4));
        let (to, receiver) = pair(&ring, SocketOptions::default()).await;
        for gone in [sender, receiver] {
            gone.reset_on_close();
            drop(gone);
        }
        to.readable(soon(&ring)).await.unwrap();
        let (sent, _, pipe) = to.splice_out(Gather::new(), pipe, 4, false, soon(&ring)).await;
        assert!(matches!(sent, Err(IoError::Reset | IoError::Closed)), "{sent:?}");
        drop(pipe);
        assert_eq!(ring.shared.pipes.kept(), 0);
        let mut told = Vec::new();
        for _ in 0..3 {
            let (result, pipe) = from.splice_in(ring.pipe().unwrap(), 99, soon(&ring)).await;
            assert!(pipe.is_empty() || result.is_ok());
            told.push(result);
        }
        assert_eq!(told.last(), Some(&Err(IoError::Reset)), "{told:?}");
    });
}

#[test]
fn a_cancel_ends_both_waits() {
    on_both(|ring| async move {
        let (sender, from) = pair(&ring, narrow()).await;
        let (to, _receiver) = pair(&ring, narrow()).await;
        let (canceller, inside) = (from.clone(), ring.clone());
        ring.spawn(async move {
            inside.sleep_until(soon(&inside)).await;
            canceller.cancel();
        });
        let (result, pipe) = from.splice_in(ring.pipe().unwrap(), 99, ring.now() + PATIENCE).await;
        assert_eq!((result, pipe.len()), (Err(IoError::Cancelled), 0));
        drop((sender, from));

        let (canceller, inside) = (to.clone(), ring.clone());
        ring.spawn(async move {
            inside.sleep_until(soon(&inside)).await;
            canceller.cancel();
        });
        let mut result = Ok(());
        while result.is_ok() {
            let pipe = filled(&ring, 4000).await;
            let deadline = ring.now() + PATIENCE;
            result = to.splice_out(Gather::new(), pipe, 4000, false, deadline).await.0;
        }
        assert_eq!(result, Err(IoError::Cancelled));
    });
}

#[test]
fn a_deadline_ends_both_waits() {
    on_both(|ring| async move {
        let (_sender, from) = pair(&ring, narrow()).await;
        let (to, _receiver) = pair(&ring, narrow()).await;
        let (result, pipe) = from.splice_in(ring.pipe().unwrap(), 99, soon(&ring)).await;
        assert_eq!((result, pipe.len()), (Err(IoError::TimedOut), 0));
        let mut result = Ok(());
        while result.is_ok() {
            let pipe = filled(&ring, 4000).await;
            result = to.splice_out(Gather::new(), pipe, 4000, false, soon(&ring)).await.0;
        }
        assert_eq!(result, Err(IoError::TimedOut));
    });
}

/// A pipe with `len` bytes in it.
async fn filled(ring: &Ring, len: usize) -> RingPipe {
    let (sender, from) = pair(ring, SocketOptions::default()).await;
    write(ring, &sender, &bytes(len)).await.unwrap();
    let (result, pipe) = from.splice_in(ring.pipe().unwrap(), len, soon(ring)).await;
    assert_eq!(result, Ok(len));
    pipe
}

#[test]
fn a_socket_that_was_spliced_reads_and_writes_as_before() {
    on_both(|ring| async move {
        let (sender, from) = pair(&ring, SocketOptions::default()).await;
        write(&ring, &sender, b"01").await.unwrap();
        let (result, pipe) = from.splice_in(ring.pipe().unwrap(), 1, soon(&ring)).await;
        assert_eq!(result, Ok(1));
        let sent = from.splice_out(Gather::new(), pipe, 1, false, soon(&ring)).await;
        assert_eq!(sent.0, Ok(()));
        let (late, inside) = (sender.clone(), ring.clone());
        ring.spawn(async move {
            inside.sleep_until(soon(&inside)).await;
            write(&inside, &late, b"23").await.unwrap();
            late.shutdown_write();
        });
        assert_eq!(read_all(&ring, &from, Duration::ZERO).await, (b"123".to_vec(), Ok(())));
        write(&ring, &from, b"back").await.unwrap();
        from.shutdown_write();
        let got = read_all(&ring, &sender, Duration::ZERO).await;
        assert_eq!(got, (b"0back".to_vec(), Ok(())));
    });
}

#[test]
fn only_empty_pipes_are_lent_again_and_no_more_than_allowed() {
    on_both(|ring| async move {
        let pipe = filled(&ring, 10).await;
        drop(pipe);
        assert_eq!(ring.shared.pipes.kept(), 0, "it was not empty");
        let mut pipes: Vec<RingPipe> = (0..PIPES_MAX).map_while(|_| ring.pipe()).collect();
        assert!(!pipes.is_empty());
        let had = pipes.len();
        assert!(ring.pipe().is_none(), "too many, or refused a moment ago");
        pipes.clear();
        assert_eq!(ring.shared.pipes.kept(), had);
        let again = ring.pipe().unwrap();
        assert_eq!((again.len(), ring.shared.pipes.kept()), (0, had - 1));
    });
}

#[test]
fn a_pipe_takes_no_more_than_its_size() {
    on_both(|ring| async move {
        let (sender, from) = pair(&ring, SocketOptions::default()).await;
        let inside = ring.clone();
        ring.spawn(async move {
            let _ = write(&inside, &sender, &bytes(4 * PIPE_BYTES)).await;
        });
        ring.sleep_until(soon(&ring)).await;
        let (result, pipe) = from.splice_in(ring.pipe().unwrap(), usize::MAX, soon(&ring)).await;
        assert!(result.unwrap() <= PIPE_BYTES && pipe.len() == result.unwrap());
    });
}
