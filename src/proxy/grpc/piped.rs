//! Payload that leaves out of a pipe: nobody copies it, nobody sees it.

use std::time::Duration;

use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::{Io, Socket};
use crate::observe::counters::Counter;
use crate::proxy::downstream::Downstream;
use crate::proxy::reason::Reason;

use super::stream::GrpcStream;
use super::unframed::Unframed;

/// A write that is being put together, and what it takes its payload from.
struct Writing<P> {
    out: Gather,
    pipe: P,
}

impl<I: Io> GrpcStream<I> {
    /// Whether payload had better leave out of a pipe. Copying is cheaper where frames are small,
    /// and where each write makes the kernel set a timer.
    pub fn prefers_pipes(&self) -> bool {
        self.connection.prefers_pipes()
    }

    /// Sends what lies in `unframed`, the payload out of `pipe`, which holds all of it. Otherwise
    /// like [`send_unframed`](Self::send_unframed).
    pub async fn send_piped(
        &self,
        client: Downstream<'_, I>,
        unframed: &mut Unframed,
        pipe: I::Pipe,
        patience: Duration,
    ) -> Result<(), Reason> {
        let mut writing = Writing { out: self.out.take(), pipe };
        let mut result = Ok(());
        let mut looked = None;
        while result.is_ok() && !unframed.is_empty() {
            (result, writing) = self.send_some_piped(client, unframed, writing, patience).await;
            if result.is_ok() && !unframed.is_empty() && self.is_abandoned(client, &mut looked) {
                result = Err(Reason::ClientLeft);
            }
        }
        let mut out = writing.out;
        out.clear();
        self.out.replace(out);
        result
    }

    /// Sends as many frames as the windows allow, in one turn: what is left of a frame when the
    /// endpoint takes no more must leave before anything else does.
    async fn send_some_piped(
        &self,
        client: Downstream<'_, I>,
        unframed: &mut Unframed,
        mut writing: Writing<I::Pipe>,
        patience: Duration,
    ) -> (Result<(), Reason>, Writing<I::Pipe>) {
        if let Err(reason) = self.writable(client, self.cx.io.now() + patience).await {
            return (Err(reason), writing);
        }
        let turn = self.connection.turn.take().await;
        let deadline = self.cx.io.now() + patience;
        writing.out.clear();
        let mut result = Ok(());
        while result.is_ok() {
            let left = match self.begin_frame(unframed, &mut writing.out) {
                Ok(0) => break,
                Ok(left) => left,
                Err(reason) => {
                    result = Err(reason);
                    break;
                }
            };
            (result, writing) = self.send_frame(unframed, left, writing, deadline).await;
        }
        // Also after a fault: what the engine had queued belongs to other calls as well.
        if !self.connection.is_lost() && !writing.out.is_empty() {
            let len = writing.out.len();
            let (sent, out) = self.connection.socket.write(writing.out, deadline).await;
            writing.out = out;
            result = self.written(sent, len).and(result);
        }
        drop(turn);
        (result, writing)
    }

    /// Bytes that the next frame may have.
    fn frame_room(&self, unframed: &Unframed) -> usize {
        let engine = self.connection.engine.borrow();
        let room = engine.capacity(self.call.id).min(engine.max_frame_size());
        unframed.len().min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Puts what the engine has queued and the header of the next frame into the write and returns
    /// the frame's length; zero: no more may be sent now.
    ///
    /// What came while the frame before was written counts from this one on, so it has to be
    /// answered before it: an endpoint that has widened its window, and was not told yet that we
    /// know (RFC 9113 §6.5.3), takes DATA beyond the old one for a fault.
    fn begin_frame(&self, unframed: &Unframed, out: &mut Gather) -> Result<usize, Reason> {
        self.connection.take_queued(out);
        let take = self.frame_room(unframed);
        if take == 0 {
            return Ok(0);
        }
        let len = u32::try_from(take).unwrap_or(u32::MAX);
        let header = self.connection.engine.borrow_mut().data_header(self.call.id, len, false);
        let Ok(header) = header else { return Err(self.end_reason()) };
        out.push(&header);
        self.sent_any.set(true);
        Ok(take)
    }

    /// Sends a frame that has begun. What it ends with, other than payload, waits for the next one.
    async fn send_frame(
        &self,
        unframed: &mut Unframed,
        mut left: usize,
        mut writing: Writing<I::Pipe>,
        deadline: Instant,
    ) -> (Result<(), Reason>, Writing<I::Pipe>) {
        while left > 0 {
            let taken = unframed.take(left, &mut writing.out);
            left -= taken.bytes;
            if taken.bytes == 0 {
                self.connection.lose(Reason::Bug); // Its header says that there is more.
                return (Err(Reason::Bug), writing);
            }
            if taken.piped == 0 {
                continue;
            }
            let more = left > 0 || self.frame_room(unframed) > 0;
            let Writing { out, pipe } = writing;
            let len = out.len() + taken.piped;
            let piped = u64::try_from(taken.piped).unwrap_or(u64::MAX);
            self.cx.counters.add(Counter::UploadPipedBytes, piped);
            let socket = &self.connection.socket;
            let (result, mut out, pipe) =
                socket.splice_out(out, pipe, taken.piped, more, deadline).await;
            out.clear();
            writing = Writing { out, pipe };
            if let Err(reason) = self.written(result, len) {
                return (Err(reason), writing);
            }
        }
        (Ok(()), writing)
    }
}
