//! Pipes of a simulated world: memory whose going out and coming home is booked.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use crate::base::limits::{PIPE_BYTES, PIPES_MAX};
use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::{IoError, Pipe};

use super::core::Shared;
use super::faults::FaultKind;
use super::socket::Inner;
use super::trace::Rule;

/// Implements [`Pipe`].
pub struct SimPipe {
    bytes: VecDeque<u8>,
    shared: Rc<Shared>,
}

impl std::fmt::Debug for SimPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimPipe({})", self.bytes.len())
    }
}

/// How pipes of a world came out and home.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PipeBook {
    /// Pipes that are out now.
    pub out: usize,
    /// Pipes that came home empty.
    pub home: u64,
    /// Pipes that were closed with bytes in them.
    pub closed: u64,
}

/// An empty pipe, unless too many are out or the world refuses one.
pub(super) fn lend(shared: &Rc<Shared>) -> Option<SimPipe> {
    let mut core = shared.core.borrow_mut();
    let refused = core.faults.pipe_refused;
    if refused.happens(&mut core.prng) {
        core.met(FaultKind::PipeRefused, 0);
        return None;
    }
    if core.pipes.out >= PIPES_MAX {
        return None;
    }
    core.pipes.out += 1;
    Some(SimPipe { bytes: VecDeque::new(), shared: Rc::clone(shared) })
}

impl Pipe for SimPipe {
    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for SimPipe {
    fn drop(&mut self) {
        let book = &mut self.shared.core.borrow_mut().pipes;
        book.out = book.out.saturating_sub(1);
        if self.bytes.is_empty() {
            book.home += 1;
        } else {
            book.closed += 1;
        }
    }
}

/// Waits for bytes and moves them from the connection into the pipe.
pub(super) async fn receive(
    socket: &Inner,
    pipe: &mut SimPipe,
    max: usize,
    deadline: Instant,
) -> Result<usize, IoError> {
    if !pipe.is_empty() || max == 0 {
        return Err(mistake(socket, Rule::PipeInUse));
    }
    let mut room = vec![0; max.min(PIPE_BYTES)];
    let len = socket.receive_into(&mut room, deadline).await?;
    pipe.bytes.extend(room.get(..len).unwrap_or_default());
    Ok(len)
}

/// Sends what goes before, then bytes of the pipe.
pub(super) async fn send(
    socket: &Inner,
    head: &Gather,
    pipe: &mut SimPipe,
    len: usize,
    deadline: Instant,
) -> Result<(), IoError> {
    if len > pipe.len() {
        return Err(mistake(socket, Rule::PipeTooShort));
    }
    socket.send(head, deadline).await?;
    let mut left = len;
    while left > 0 {
        let moved = {
            let (first, second) = pipe.bytes.as_slices();
            let first = first.get(..left.min(first.len())).unwrap_or_default();
            let second = second.get(..(left - first.len()).min(second.len())).unwrap_or_default();
            socket.send_now(&[IoSlice::new(first), IoSlice::new(second)])?
        };
        pipe.bytes.drain(..moved);
        left -= moved;
        socket.after_send(moved, left == 0, deadline).await?;
    }
    Ok(())
}

fn mistake(socket: &Inner, rule: Rule) -> IoError {
    socket.broken(rule);
    IoError::Other(libc::EINVAL)
}
