//! A connection of a simulated world, as its user sees it.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::{Gather, SLICES_MAX};
use crate::io::{IoError, Socket, SocketOptions};

use super::core::{Core, Shared};
use super::faults::{Chance, FaultKind};
use super::link::{Link, Want};
use super::pipe::{self, SimPipe};
use super::trace::{Act, Call, End, Rule};
use super::wait::{Timer, Unfinished, turn};

/// Implements [`Socket`]. Clones share one end of a connection.
#[derive(Clone)]
pub struct SimSocket {
    inner: Rc<Inner>,
}

pub(super) struct Inner {
    shared: Rc<Shared>,
    link: Rc<Link>,
    end: End,
}

impl std::fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimSocket({}, {:?})", self.inner.link.id, self.inner.end)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut core = self.shared.core.borrow_mut();
        core.sockets = core.sockets.saturating_sub(1);
        if !core.ended {
            self.link.close(&mut core, self.end);
        }
    }
}

impl SimSocket {
    pub(super) fn new(shared: &Rc<Shared>, link: &Rc<Link>, end: End) -> Self {
        shared.core.borrow_mut().sockets += 1;
        let inner = Inner { shared: Rc::clone(shared), link: Rc::clone(link), end };
        SimSocket { inner: Rc::new(inner) }
    }

    /// The number by which the trace names the connection; both ends have the same.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.inner.link.id
    }

    /// The address of the other end.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.inner.link.address(self.inner.end.other())
    }

    /// Shuts the receive window or opens it: while it is shut, no byte more leaves the other end.
    pub fn shut_window(&self, shut: bool) {
        self.inner.link.shut_window(self.inner.end, shut);
    }
}

impl Inner {
    /// Begins a call that has a direction of this end for itself.
    fn begin(&self, call: Call) -> Unfinished<'_> {
        let busy = self.link.busy(self.end);
        let slot = match call {
            Call::Write | Call::SpliceOut => &busy.writing,
            _ => &busy.reading,
        };
        Unfinished::alone(&self.shared, call, self.link.id, slot)
    }

    fn core<T>(&self, action: impl FnOnce(&mut Core) -> T) -> T {
        action(&mut self.shared.core.borrow_mut())
    }

    /// Waits until the call would not wait. When it is at the same time too late or cancelled,
    /// either may win, as on a real machine.
    async fn ready(&self, want: Want, deadline: Instant) -> Result<(), IoError> {
        let mut timer = Timer::new(&self.shared);
        poll_fn(|cx| {
            let ready = self.link.is_ready(self.end, want);
            let spoilt = if self.link.is_cancelled(self.end) {
                Some((IoError::Cancelled, FaultKind::MovedDespiteCancel))
            } else if self.core(|core| core.now >= deadline) {
                Some((IoError::TimedOut, FaultKind::MovedDespiteTimeout))
            } else {
                None
            };
            match spoilt {
                None if ready => Poll::Ready(Ok(())),
                None => {
                    self.link.wake_when_ready(self.end, want, cx.waker());
                    timer.set(deadline, cx.waker());
                    Poll::Pending
                }
                Some((_, kind)) if ready && self.core(|core| core.prng.one_in(2)) => {
                    self.core(|core| core.met(kind, self.link.id));
                    Poll::Ready(Ok(()))
                }
                Some((error, _)) => {
                    if error == IoError::TimedOut {
                        self.core(|core| core.act(self.link.id, self.end, Act::TimedOut, 0));
                    }
                    Poll::Ready(Err(error))
                }
            }
        })
        .await
    }

    /// The bytes have moved, but the caller hears of it only later; not after the deadline or a
    /// cancel.
    async fn late(&self, want: Want, chance: fn(&Core) -> (Chance, FaultKind), deadline: Instant) {
        let until = self.core(|core| {
            let (chance, kind) = chance(core);
            if !chance.happens(&mut core.prng) {
                return None;
            }
            core.met(kind, self.link.id);
            Some((core.now + core.lateness()).min(deadline))
        });
        let Some(until) = until else { return };
        let mut timer = Timer::new(&self.shared);
        poll_fn(|cx| {
            if self.link.is_cancelled(self.end) || self.core(|core| core.now >= until) {
                return Poll::Ready(());
            }
            self.link.wake_when_ready(self.end, want, cx.waker());
            timer.set(until, cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Books a rule of the contract that the caller broke.
    pub(super) fn broken(&self, rule: Rule) {
        self.core(|core| core.broken(rule, self.link.id));
    }

    /// Waits for bytes and moves them into `room`.
    pub(super) async fn receive_into(
        &self,
        room: &mut [u8],
        deadline: Instant,
    ) -> Result<usize, IoError> {
        if self.link.is_cancelled(self.end) {
            return Err(IoError::Cancelled);
        }
        loop {
            let moved = self.core(|core| self.link.receive(core, self.end, room));
            let Some(result) = moved else {
                self.ready(Want::Read, deadline).await?;
                continue;
            };
            if result.is_ok() {
                let chance = |core: &Core| (core.faults.late_read, FaultKind::LateRead);
                self.late(Want::Read, chance, deadline).await;
            }
            return result;
        }
    }

    /// Moves bytes into `room` if there are any.
    fn receive_now(&self, room: &mut [u8]) -> Option<Result<usize, IoError>> {
        if self.link.is_cancelled(self.end) {
            return Some(Err(IoError::Cancelled));
        }
        self.core(|core| self.link.receive(core, self.end, room))
    }

    /// Sends all of `out`.
    pub(super) async fn send(&self, out: &Gather, deadline: Instant) -> Result<(), IoError> {
        let mut written = 0;
        while written < out.len() {
            let moved = {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = out.slices(written, &mut slices);
                self.send_now(slices.get(..count).unwrap_or_default())?
            };
            written += moved;
            self.after_send(moved, written == out.len(), deadline).await?;
        }
        Ok(())
    }

    /// Moves what there is room for.
    pub(super) fn send_now(&self, slices: &[IoSlice<'_>]) -> Result<usize, IoError> {
        if self.link.is_cancelled(self.end) {
            return Err(IoError::Cancelled);
        }
        self.core(|core| self.link.send(core, self.end, slices))
    }

    /// Between two moves: waits for room. After the last: may tell of it late.
    pub(super) async fn after_send(
        &self,
        moved: usize,
        all: bool,
        deadline: Instant,
    ) -> Result<(), IoError> {
        if all {
            let chance = |core: &Core| (core.faults.late_write, FaultKind::LateWrite);
            self.late(Want::Write, chance, deadline).await;
            return Ok(());
        }
        if moved > 0 {
            turn().await;
        }
        self.ready(Want::Write, deadline).await
    }
}

impl Socket for SimSocket {
    type Pipe = SimPipe;

    async fn readable(&self, deadline: Instant) -> Result<(), IoError> {
        let call = self.inner.begin(Call::Readable);
        let result = self.inner.ready(Want::Read, deadline).await;
        call.finish();
        result
    }

    async fn stirred(&self, deadline: Instant) -> Result<(), IoError> {
        let nothing = self.inner.core(|core| {
            let nothing = core.faults.spurious_wake.happens(&mut core.prng);
            if nothing {
                core.met(FaultKind::SpuriousWake, self.inner.link.id);
            }
            nothing
        });
        if nothing { Ok(()) } else { self.readable(deadline).await }
    }

    async fn read(
        &self,
        mut buffer: Buffer,
        deadline: Instant,
    ) -> (Result<usize, IoError>, Buffer) {
        let call = self.inner.begin(Call::Read);
        if buffer.room() == 0 {
            self.inner.broken(Rule::NoRoom);
        }
        let result = self.inner.receive_into(buffer.room_mut(), deadline).await;
        if let Ok(len) = result {
            buffer.fill(len);
        }
        call.finish();
        (result, buffer)
    }

    async fn write(&self, out: Gather, deadline: Instant) -> (Result<(), IoError>, Gather) {
        let call = self.inner.begin(Call::Write);
        let result = self.inner.send(&out, deadline).await;
        call.finish();
        (result, out)
    }

    async fn splice_in(
        &self,
        mut pipe: SimPipe,
        max: usize,
        deadline: Instant,
    ) -> (Result<usize, IoError>, SimPipe) {
        let call = self.inner.begin(Call::SpliceIn);
        let result = pipe::receive(&self.inner, &mut pipe, max, deadline).await;
        call.finish();
        (result, pipe)
    }

    async fn splice_out(
        &self,
        head: Gather,
        mut pipe: SimPipe,
        len: usize,
        _more: bool,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather, SimPipe) {
        let call = self.inner.begin(Call::SpliceOut);
        let result = pipe::send(&self.inner, &head, &mut pipe, len, deadline).await;
        call.finish();
        (result, head, pipe)
    }

    fn try_read(&self, buffer: &mut Buffer) -> Option<Result<usize, IoError>> {
        let call = self.inner.begin(Call::Read);
        let result = self.inner.receive_now(buffer.room_mut());
        if let Some(Ok(len)) = result {
            buffer.fill(len);
        }
        call.finish();
        result
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, IoError> {
        let call = self.inner.begin(Call::Write);
        let result = self.inner.send_now(&[IoSlice::new(bytes)]);
        call.finish();
        result
    }

    fn cancel(&self) {
        self.inner.core(|core| self.inner.link.cancel(core, self.inner.end));
    }

    fn shutdown_write(&self) {
        self.inner.core(|core| self.inner.link.finish(core, self.inner.end));
    }

    fn is_peer_gone(&self) -> bool {
        self.inner.link.is_peer_gone(self.inner.end)
    }

    fn is_quiet(&self) -> bool {
        self.inner.link.is_quiet(self.inner.end)
    }

    fn window(&self) -> Option<u32> {
        None
    }

    fn is_paced(&self) -> bool {
        false
    }

    fn reset_on_close(&self) {
        self.inner.link.reset_on_close(self.inner.end);
    }

    fn set_options(&self, _options: SocketOptions) {}
}
