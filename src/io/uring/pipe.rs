//! Pipes of the kernel: bodies pass through them from one socket to another without being copied.
//!
//! `splice(2)` is called at once and never waits; waits are like all others. The
//! ring's own splice would occupy a worker thread of the kernel for as long as a peer is slow.

use std::cell::RefCell;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;

use crate::base::limits::{PIPE_BYTES, PIPES_MAX};
use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::{IoError, Pipe};

use super::reactor::Side;
use super::{RingSocket, Shared, monotonic};

/// When the kernel refuses a pipe, it is asked again only after so long.
const REFUSAL: Duration = Duration::from_secs(1);
/// What is moved by copying when a splice cannot. No more than a pipe takes at once (`PIPE_BUF`).
const COPY_BYTES: usize = 4096;

/// Implements [`Pipe`].
#[derive(Debug)]
pub struct RingPipe {
    /// Always there, except while it is dropped.
    ends: Option<Ends>,
    len: usize,
    home: Rc<Shared>,
}

#[derive(Debug)]
struct Ends {
    reader: PipeReader,
    writer: PipeWriter,
}

/// The pipes of a shard. The one that came home last goes out first.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: Vec<Ends>,
    out: usize,
    refused_until: Instant,
}

impl Default for Inner {
    fn default() -> Self {
        Inner { kept: Vec::new(), out: 0, refused_until: Instant::from_nanos(0) }
    }
}

#[cfg(test)]
impl Pipes {
    /// How many wait to be lent.
    pub(super) fn kept(&self) -> usize {
        self.inner.borrow().kept.len()
    }
}

/// An empty pipe, unless too many are out or the kernel refuses one.
pub(super) fn lend(shared: &Rc<Shared>) -> Option<RingPipe> {
    let mut pipes = shared.pipes.inner.borrow_mut();
    if pipes.out >= PIPES_MAX {
        return None;
    }
    let ends = match pipes.kept.pop() {
        Some(ends) => ends,
        None => make(&mut pipes)?,
    };
    pipes.out += 1;
    Some(RingPipe { ends: Some(ends), len: 0, home: Rc::clone(shared) })
}

fn make(pipes: &mut Inner) -> Option<Ends> {
    let now = monotonic();
    if now < pipes.refused_until {
        return None;
    }
    let ends = std::io::pipe().ok().map(|(reader, writer)| Ends { reader, writer });
    let ends = ends.filter(|ends| enlarge(ends.writer.as_fd()));
    if ends.is_none() {
        pipes.refused_until = now + REFUSAL;
    }
    ends
}

/// Asks for the full size; a user who has many pipes gets small ones, and these are of no use.
fn enlarge(fd: BorrowedFd<'_>) -> bool {
    let bytes = i32::try_from(PIPE_BYTES).unwrap_or(i32::MAX);
    #[expect(unsafe_code, reason = "nothing safe sets the size of a pipe")]
    // SAFETY: the descriptor is borrowed, so it is open; F_SETPIPE_SZ takes an int and touches no
    // memory of ours.
    let got = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
    got >= bytes
}

impl Pipe for RingPipe {
    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for RingPipe {
    fn drop(&mut self) {
        let mut pipes = self.home.pipes.inner.borrow_mut();
        pipes.out = pipes.out.saturating_sub(1);
        let Some(ends) = self.ends.take() else { return };
        // The count is ours; that nothing of one body reaches another is not left to it alone.
        if self.len == 0 && is_empty(ends.reader.as_fd()) && pipes.kept.len() < PIPES_MAX {
            pipes.kept.push(ends);
        }
    }
}

/// Whether the kernel, too, says that nothing is in the pipe.
fn is_empty(fd: BorrowedFd<'_>) -> bool {
    let mut held: libc::c_int = 0;
    #[expect(unsafe_code, reason = "nothing safe asks how much is in a pipe")]
    // SAFETY: the descriptor is borrowed, so it is open; FIONREAD writes one int to `held`, which
    // lives through the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut held) };
    result == 0 && held == 0
}

/// Moves up to `len` bytes without waiting: the sockets have `O_NONBLOCK`.
///
/// A closed peer is an error, not a signal: Rust programs ignore `SIGPIPE`.
fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    len: usize,
    more: bool,
) -> std::io::Result<usize> {
    let mut flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    if more {
        flags |= libc::SPLICE_F_MORE;
    }
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    #[expect(unsafe_code, reason = "nothing safe splices")]
    // SAFETY: both descriptors are borrowed, so they are open; without offsets the call touches no
    // memory of ours.
    let moved =
        unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), len, flags) };
    usize::try_from(moved).map_err(|_| std::io::Error::last_os_error())
}

impl RingPipe {
    /// One attempt to take up to `max` bytes from the socket; `None`: nothing is there.
    fn take(&mut self, socket: &RingSocket, max: usize) -> Option<Result<usize, IoError>> {
        let Some(ends) = &mut self.ends else { return Some(Err(mistake())) };
        if !socket.may_read() {
            return None;
        }
        let max = max.min(PIPE_BYTES);
        let mut moved = splice(socket.fd(), ends.writer.as_fd(), max, false);
        if match &moved {
            Ok(len) => *len == 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        } {
            moved = copy(socket, &mut ends.writer, max);
        }
        match moved {
            Ok(0) if socket.was_reset() => Some(Err(IoError::Reset)),
            Ok(len) => {
                socket.was_read();
                self.len += len;
                Some(Ok(len))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => {
                    socket.is_drained(Side::Read);
                    None
                }
                ErrorKind::Interrupted => None,
                _ => Some(Err(socket.failed(&error))),
            },
        }
    }

    /// Moves up to `len` bytes into the socket.
    fn give(&mut self, socket: &RingSocket, len: usize, more: bool) -> std::io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let moved = splice(ends.reader.as_fd(), socket.fd(), len, more)?;
        self.len = self.len.saturating_sub(moved);
        Ok(moved)
    }
}

/// What a splice cannot move although it is there: in front of a byte that the peer marked as
/// urgent it says for ever that nothing is there, or that the peer has finished. A read steps over
/// it. The pipe is empty, so this does not wait.
fn copy(socket: &RingSocket, to: &mut PipeWriter, max: usize) -> std::io::Result<usize> {
    let mut bytes = [0; COPY_BYTES];
    let room = bytes.get_mut(..max.min(COPY_BYTES)).unwrap_or_default();
    let len = (&*SockRef::from(&socket.fd())).read(room)?;
    to.write_all(bytes.get(..len).unwrap_or_default())?;
    Ok(len)
}

/// The caller has not kept to the contract.
fn mistake() -> IoError {
    IoError::Other(libc::EINVAL)
}

pub(super) async fn splice_in(
    socket: &RingSocket,
    mut pipe: RingPipe,
    max: usize,
    deadline: Instant,
) -> (Result<usize, IoError>, RingPipe) {
    debug_assert!(pipe.is_empty() && max > 0, "an empty pipe, and something to take");
    // In a pipe that holds something a splice could wait for room as well as for bytes.
    if !pipe.is_empty() || max == 0 {
        return (Err(mistake()), pipe);
    }
    loop {
        if socket.is_cancelled() {
            return (Err(IoError::Cancelled), pipe);
        }
        if let Some(result) = pipe.take(socket, max) {
            return (result, pipe);
        }
        if let Err(error) = socket.until_readable(deadline).await {
            return (Err(error), pipe);
        }
    }
}

pub(super) async fn splice_out(
    socket: &RingSocket,
    head: Gather,
    mut pipe: RingPipe,
    len: usize,
    more: bool,
    deadline: Instant,
) -> (Result<(), IoError>, Gather, RingPipe) {
    debug_assert!(len <= pipe.len(), "no more than is in the pipe");
    if len > pipe.len() {
        return (Err(mistake()), head, pipe);
    }
    let flags = if len > 0 || more { libc::MSG_MORE } else { 0 };
    let mut result = socket.send(&head, 0, flags, deadline).await;
    if result.is_ok() {
        result = drain(socket, &mut pipe, len, more, deadline).await;
    }
    (result, head, pipe)
}

async fn drain(
    socket: &RingSocket,
    pipe: &mut RingPipe,
    mut len: usize,
    more: bool,
    deadline: Instant,
) -> Result<(), IoError> {
    while len > 0 {
        if socket.is_cancelled() {
            return Err(IoError::Cancelled);
        }
        match pipe.give(socket, len, more) {
            Ok(0) => return Err(IoError::Closed), // The pipe has less than we know: never seen.
            Ok(moved) => len -= moved,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.is_drained(Side::Write);
                socket.writable(deadline).await?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(socket.failed(&error)),
        }
    }
    Ok(())
}
