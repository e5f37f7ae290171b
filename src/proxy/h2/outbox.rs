//! An answer on its way to the client: frames within the windows, streams taking turns.

use std::cell::Cell;

use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::race::{Either, race};
use crate::io::{Io, IoError, Socket};
use crate::protocol::h2::frame::to_usize;

use super::connection::Connection;
use super::stream::Stream;

/// So little is copied behind what is queued already: one write for many answers.
const COPY_BYTES: usize = 4 * 1024;
/// What may be queued before an answer waits until it can be written.
const QUEUE_BYTES: usize = 64 * 1024;
/// Payload of one write of a stream that is alone. Others send one frame at a time.
const QUANTUM: usize = 64 * 1024;
/// What a client has to take of an answer in each time-out.
const PROGRESS_BYTES: usize = 4 * 1024;

/// Bytes of a write that were put into frames.
struct Progress {
    done: usize,
    /// When the client has to have taken more.
    deadline: Instant,
    /// What was done when the deadline was set.
    mark: usize,
}

/// Counts a stream among those that send.
struct Sending<'a>(&'a Cell<u32>);

impl<'a> Sending<'a> {
    fn begin(senders: &'a Cell<u32>) -> Self {
        senders.set(senders.get() + 1);
        Sending(senders)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl<I: Io> Stream<I> {
    /// Sends all of `out` as DATA, the head of the answer in front of it if that has not left yet;
    /// `end`: nothing follows. The client may take its time as long as it takes something before
    /// each deadline, which `deadline` is the first of.
    pub(in crate::proxy) async fn write(
        &self,
        mut out: Gather,
        end: bool,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather) {
        let result = match self.begin(&out, end) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let mut framed = self.connection.cx.take_gather();
                if let Some(payload) = out.take_payload() {
                    framed.set_payload(payload);
                }
                let result;
                let last = end && self.trailers.borrow().is_none();
                (result, framed) = self.send(&out, framed, last, deadline).await;
                if let Some(payload) = framed.take_payload() {
                    out.set_payload(payload);
                }
                self.connection.cx.put_gather(framed);
                if end { result.and_then(|()| self.finish()) } else { result }
            }
            Err(error) => Err(error),
        };
        self.said.set(self.said.get() || (end && result.is_ok()));
        (result, out)
    }

    /// Queues the head, and what follows it if that is little. True: nothing is left to do.
    fn begin(&self, out: &Gather, end: bool) -> Result<bool, IoError> {
        if self.is_gone() {
            return Err(IoError::Reset);
        }
        let id = self.shared.id;
        let mut engine = self.connection.engine.borrow_mut();
        let block = self.block.take();
        if let Some(block) = &block {
            let last = end && out.is_empty() && self.trailers.borrow().is_none();
            engine.send_headers(id, block, last).map_err(|_| IoError::Reset)?;
            self.connection.flush.raise();
            if last {
                return Ok(true);
            }
        }
        if out.is_empty() && !end {
            return Ok(true);
        }
        let room = to_usize(engine.capacity(id));
        let is_little = out.len() <= COPY_BYTES && engine.outgoing().len() < QUEUE_BYTES;
        if !is_little || out.len() > room.min(to_usize(engine.max_frame_size())) {
            return Ok(false);
        }
        let trailers = if end { self.trailers.take() } else { None };
        if !out.is_empty() || trailers.is_none() {
            let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
            let last = end && trailers.is_none();
            let header = engine.data_header(id, len, last).map_err(|_| IoError::Reset)?;
            let queued = engine.outgoing();
            queued.extend_from_slice(&header);
            out.copy_to(queued);
        }
        if let Some(block) = trailers {
            engine.send_headers(id, &block, true).map_err(|_| IoError::Reset)?;
        }
        self.connection.flush.raise();
        Ok(true)
    }

    /// Queues the trailers, if there are any: all else has left.
    fn finish(&self) -> Result<(), IoError> {
        let Some(block) = self.trailers.take() else { return Ok(()) };
        let mut engine = self.connection.engine.borrow_mut();
        engine.send_headers(self.shared.id, &block, true).map_err(|_| IoError::Reset)?;
        self.connection.flush.raise();
        Ok(())
    }

    async fn send(
        &self,
        out: &Gather,
        mut framed: Gather,
        end: bool,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather) {
        let connection = &self.connection;
        let io = &connection.cx.io;
        let patience = deadline.since(io.now());
        let _sending = Sending::begin(&connection.senders);
        let mut progress = Progress { done: 0, deadline, mark: 0 };
        while progress.done < out.len() {
            if let Err(error) = self.writable(progress.deadline).await {
                return (Err(error), framed);
            }
            let turn = connection.turn.take().await;
            if self.is_gone() {
                return (Err(IoError::Reset), framed);
            }
            framed.clear();
            connection.take_queued(&mut framed);
            let cut = self.cut(out, &mut progress.done, &mut framed, end);
            let now = io.now();
            let result;
            (result, framed) = connection.socket.write(framed, now + patience).await;
            drop(turn);
            if let Err(error) = result {
                // A frame may be half written: nothing else can be sent.
                connection.lose();
                return (Err(error), framed);
            }
            if cut.is_err() {
                return (Err(IoError::Reset), framed);
            }
            connection.served.set(self.shared.id.0);
            if progress.done - progress.mark >= PROGRESS_BYTES {
                progress.mark = progress.done;
                progress.deadline = now + patience;
            }
            if connection.senders.get() > 1 {
                io.yield_now().await; // Who waits for the same window has its turn.
            }
        }
        framed.clear();
        (Ok(()), framed)
    }

    /// Puts as much into frames as the windows and the others allow.
    fn cut(
        &self,
        out: &Gather,
        done: &mut usize,
        framed: &mut Gather,
        end: bool,
    ) -> Result<(), ()> {
        let id = self.shared.id;
        let mut engine = self.connection.engine.borrow_mut();
        let quantum = if self.connection.senders.get() > 1 { 1 } else { QUANTUM };
        let begun = *done;
        while *done < out.len() && *done - begun < quantum {
            let room = to_usize(engine.capacity(id).min(engine.max_frame_size()));
            let take = room.min(out.len() - *done);
            if take == 0 {
                return Ok(());
            }
            let len = u32::try_from(take).map_err(|_| ())?;
            let last = end && *done + take == out.len();
            let header = engine.data_header(id, len, last).map_err(|_| ())?;
            framed.push(&header);
            framed.push_part_of(out, *done, take);
            *done += take;
        }
        Ok(())
    }
}

impl<I: Io> Connection<I> {
    /// Writes what is queued when it is this task's turn.
    pub(super) async fn write_queued(&self) {
        let _turn = self.turn.take().await;
        let deadline = self.cx.io.now() + self.cx.tables().snapshot.timeouts.write;
        if !self.write_now(deadline).await {
            self.lose();
        }
    }

    /// The same, and gives up at the deadline; says whether all has left.
    pub(super) async fn write_last(&self, deadline: Instant) -> bool {
        // A turn that is waited for may be given up; a write that has begun may not.
        match race(self.turn.take(), self.cx.io.sleep_until(deadline)).await {
            Either::First(_turn) => self.write_now(deadline).await,
            Either::Second(()) => false,
        }
    }

    async fn write_now(&self, deadline: Instant) -> bool {
        let mut out = self.cx.take_gather();
        self.take_queued(&mut out);
        if out.is_empty() {
            self.cx.put_gather(out);
            return true;
        }
        let (result, out) = self.socket.write(out, deadline).await;
        self.cx.put_gather(out);
        result.is_ok()
    }
}
