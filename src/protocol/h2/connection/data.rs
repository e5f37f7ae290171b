//! DATA (RFC 9113 §6.1) and what it takes from the windows (§6.9).

use super::config::Role;
use super::engine::{Absent, Connection, broken, count, wrong_size};
use super::event::{ConnectionError, Event, Fault};
use super::receive::{Reading, Run};
use crate::base::time::Instant;
use crate::protocol::h2::flood::Flood;
use crate::protocol::h2::frame::{self, END_STREAM, ErrorCode, FrameHead, PADDED, StreamId};
use crate::protocol::h2::stream::{Half, Stream};

impl Connection {
    /// The head of a DATA frame: all of it counts for the connection's window, padding too
    /// (§6.9.1).
    pub(super) fn data_head(
        &mut self,
        head: FrameHead,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        if self.recv_window.receive(head.len).is_err() {
            return Err(ConnectionError {
                code: ErrorCode::FLOW_CONTROL_ERROR,
                fault: Fault::FlowControl,
            });
        }
        if !head.has(PADDED) {
            return self.data(head, None, now);
        }
        if head.len == 0 {
            return Err(wrong_size());
        }
        self.reading = Reading::PadLength(head);
        Ok(())
    }

    /// The payload of DATA is about to begin, and its padding is known.
    pub(super) fn data(
        &mut self,
        head: FrameHead,
        padding: Option<u8>,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let padding = padding.map(u32::from);
        let overhead = padding.map_or(0, |len| len + 1);
        let padding = padding.unwrap_or(0);
        let Some(len) = head.len.checked_sub(overhead) else {
            return Err(broken(Fault::Padding));
        };
        let end_stream = head.has(END_STREAM);
        if len == 0 && !end_stream {
            count(&mut self.counters.empties, self.config.floods.empties, now, Flood::Empties)?;
        }
        let admitted = self
            .streams
            .get_mut(head.stream)
            .map(|stream| admit(stream, head.len, len, end_stream));
        match admitted {
            Some(Ok(())) => {}
            Some(Err(code)) => self.stream_fault(head.stream, code, now)?,
            None => self.data_absent(head.stream, now)?,
        }
        if admitted != Some(Ok(())) {
            self.give_back(head.len);
            self.skip(len + padding);
            return Ok(());
        }
        // Padding never reaches the caller, so nobody else would release it.
        self.release(StreamId(head.stream), overhead);
        if len > 0 {
            let run = Run { id: head.stream, left: len, padding, end_stream };
            self.reading = Reading::Data(run);
            return Ok(());
        }
        self.skip(padding);
        if end_stream {
            self.half_ended(head.stream);
            let id = StreamId(head.stream);
            self.pending.push_back(Event::Data { id, start: 0, len: 0, end_stream });
        }
        Ok(())
    }

    /// DATA for a stream that does not live (§5.1).
    fn data_absent(&mut self, id: u32, now: Instant) -> Result<(), ConnectionError> {
        match self.absent(id) {
            Absent::Idle => Err(broken(Fault::StreamIdle)),
            Absent::Late => self.late(now),
            Absent::Ended(_) | Absent::Forgotten => {
                self.stream_fault(id, ErrorCode::STREAM_CLOSED, now)
            }
        }
    }

    /// Counts a frame for a stream that we have reset.
    pub(super) fn late(&mut self, now: Instant) -> Result<(), ConnectionError> {
        count(&mut self.counters.late, self.config.floods.late, now, Flood::Late)
    }

    /// The peer's half of a stream is over.
    pub(super) fn half_ended(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.recv = Half::Ended;
        }
        self.settle(id);
    }

    /// The caller no longer needs `len` bytes of DATA that were reported: the peer may send as many
    /// again.
    ///
    /// To be called for each byte reported, once, also after the stream has ended or was reset.
    pub fn release(&mut self, id: StreamId, len: u32) {
        if len == 0 || self.failed.is_some() {
            return;
        }
        debug_assert!(len <= self.recv_window.held(), "released more than was reported");
        self.give_back(len);
        if let Some(stream) = self.streams.get_mut(id.0)
            && stream.recv == Half::Body
            && let Some(increment) = stream.recv_window.release(len.min(stream.recv_window.held()))
        {
            self.reply(|out| frame::write_window_update(out, id.0, increment));
        }
    }

    /// Changes our receive windows, in bytes: of each stream, and of the connection.
    ///
    /// Larger ones are announced at once; smaller ones come into force as bytes are released and as
    /// the peer acknowledges. False, and nothing changes, while it has not acknowledged the last
    /// change.
    pub fn set_windows(&mut self, initial: u32, connection: u32) -> bool {
        if self.unacknowledged.is_some() {
            return false;
        }
        if let Some(increment) = self.recv_window.resize(connection) {
            frame::write_window_update(&mut self.outgoing, 0, increment);
        }
        if initial == self.ours.initial_window {
            return true;
        }
        let before = self.ours;
        self.ours.initial_window = initial;
        self.ours.write(&before, &mut self.outgoing);
        self.unacknowledged = Some(before.initial_window);
        if initial > before.initial_window {
            self.adjust_windows(i64::from(initial) - i64::from(before.initial_window));
        }
        true
    }

    /// Moves the receive window of each stream along with a change of the initial window (§6.9.2).
    pub(super) fn adjust_windows(&mut self, delta: i64) {
        for stream in self.streams.each_mut() {
            if let Some(increment) = stream.recv_window.adjust(delta) {
                frame::write_window_update(&mut self.outgoing, stream.id, increment);
            }
        }
    }

    /// The response to a stream that was opened has no body, whatever its `content-length` says:
    /// the request was HEAD. To be called between `open` and the response.
    pub fn expect_no_body(&mut self, id: StreamId) {
        debug_assert!(self.role == Role::Client);
        if let Some(stream) = self.streams.get_mut(id.0) {
            stream.bodiless = true;
        }
    }
}

/// Whether a stream can take a DATA frame of `whole` bytes, of which `len` are payload.
fn admit(stream: &mut Stream, whole: u32, len: u32, end_stream: bool) -> Result<(), ErrorCode> {
    match stream.recv {
        Half::Ended => return Err(ErrorCode::STREAM_CLOSED),
        Half::Head => return Err(ErrorCode::PROTOCOL_ERROR),
        Half::Body => {}
    }
    stream.recv_window.receive(whole).map_err(|_| ErrorCode::FLOW_CONTROL_ERROR)?;
    let Some(left) = &mut stream.length_left else { return Ok(()) };
    // §8.1.1: the sum of DATA has to be what `content-length` says.
    match left.checked_sub(u64::from(len)) {
        Some(rest) if rest == 0 || !end_stream => {
            *left = rest;
            Ok(())
        }
        _ => Err(ErrorCode::PROTOCOL_ERROR),
    }
}
