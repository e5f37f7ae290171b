//! Writing: streams, heads, DATA, and how they end.

use super::config::Role;
use super::engine::{Connection, TableUpdate};
use super::event::{OpenError, StreamError};
use crate::protocol::h2::frame::{
    self, END_STREAM, ErrorCode, FRAME_HEAD_BYTES, FrameHead, Kind, StreamId, to_usize,
};
use crate::protocol::h2::hpack::encode;
use crate::protocol::h2::stream::{Ended, Half};

impl Connection {
    /// Opens a stream with an encoded header block, which goes to `outgoing`. Client only.
    pub fn open(&mut self, block: &[u8], end_stream: bool) -> Result<StreamId, OpenError> {
        self.openable()?;
        let id = self.next_id;
        let send = if end_stream { Half::Ended } else { Half::Body };
        self.streams.insert(self.new_stream(id, send, Half::Head));
        self.next_id += 2;
        self.write_block(id, block, end_stream);
        Ok(StreamId(id))
    }

    /// Why no stream can be opened now.
    pub(super) fn openable(&self) -> Result<(), OpenError> {
        if self.role != Role::Client {
            return Err(OpenError::NotClient);
        }
        if self.is_going_away() {
            return Err(OpenError::GoingAway);
        }
        if self.next_id > StreamId::MAX.0 {
            return Err(OpenError::IdsExhausted);
        }
        if self.streams.len() >= to_usize(self.streams_allowed()) {
            return Err(OpenError::StreamsMax);
        }
        Ok(())
    }

    /// Sends the head of a response (server), or trailers, which end the stream.
    pub fn send_headers(
        &mut self,
        id: StreamId,
        block: &[u8],
        end_stream: bool,
    ) -> Result<(), StreamError> {
        let stream = self.streams.get_mut(id.0).ok_or(StreamError::Closed)?;
        match stream.send {
            Half::Ended => return Err(StreamError::Closed),
            Half::Body if !end_stream => return Err(StreamError::Order),
            Half::Head | Half::Body => {}
        }
        stream.send = if end_stream { Half::Ended } else { Half::Body };
        self.write_block(id.0, block, end_stream);
        self.settle(id.0);
        Ok(())
    }

    /// Sends an interim response (1xx) ahead of the head. Server only.
    pub fn send_informational(&mut self, id: StreamId, block: &[u8]) -> Result<(), StreamError> {
        match self.streams.get(id.0).map(|stream| stream.send) {
            None | Some(Half::Ended) => Err(StreamError::Closed),
            Some(Half::Body) => Err(StreamError::Order),
            Some(Half::Head) => {
                self.write_block(id.0, block, false);
                Ok(())
            }
        }
    }

    /// The head of a DATA frame. Takes `len` bytes from both windows; the caller writes `outgoing`,
    /// then these nine bytes, then exactly `len` bytes of payload, and nothing in between.
    pub fn data_header(
        &mut self,
        id: StreamId,
        len: u32,
        end_stream: bool,
    ) -> Result<[u8; FRAME_HEAD_BYTES], StreamError> {
        let stream = self.streams.get_mut(id.0).ok_or(StreamError::Closed)?;
        match stream.send {
            Half::Ended => return Err(StreamError::Closed),
            Half::Head => return Err(StreamError::Order),
            Half::Body => {}
        }
        if len > self.theirs.frame_max || len > self.send_window.available() {
            return Err(StreamError::Capacity);
        }
        // An empty frame needs no room, not even when the window is negative.
        if len > 0 && !(stream.send_window.debit(len) && self.send_window.debit(len)) {
            return Err(StreamError::Capacity);
        }
        let flags = if end_stream { END_STREAM } else { 0 };
        if end_stream {
            stream.send = Half::Ended;
            self.settle(id.0);
        }
        // What an honest peer answers to our DATA is no flood.
        let floods = &self.config.floods;
        self.counters.pings.forgive(floods.pings, 1);
        self.counters.small_windows.forgive(floods.small_windows, 2);
        Ok(FrameHead { len, kind: Kind::Data, flags, stream: id.0 }.encode())
    }

    /// Copies a little DATA into `outgoing`, in as many frames as it takes. All of it must be
    /// within `capacity`; else nothing is sent.
    pub fn send_data(
        &mut self,
        id: StreamId,
        data: &[u8],
        end_stream: bool,
    ) -> Result<(), StreamError> {
        let len = u32::try_from(data.len()).map_err(|_| StreamError::Capacity)?;
        if len > 0 && self.capacity(id) < len {
            // Tells a closed stream from a full one.
            self.data_header(id, 0, false)?;
            return Err(StreamError::Capacity);
        }
        let frame_max = to_usize(self.max_frame_size());
        let mut rest = data;
        loop {
            let (part, tail) = rest.split_at(rest.len().min(frame_max));
            let last = tail.is_empty();
            let len = u32::try_from(part.len()).map_err(|_| StreamError::Capacity)?;
            let head = self.data_header(id, len, end_stream && last)?;
            self.queue().extend_from_slice(&head);
            self.outgoing.extend_from_slice(part);
            if last {
                return Ok(());
            }
            rest = tail;
        }
    }

    /// Ends a stream at once (§6.4). What the peer still sends on it is taken and thrown away.
    /// Nothing happens if the stream is over already.
    pub fn reset(&mut self, id: StreamId, code: ErrorCode) {
        if self.streams.get(id.0).is_none() || self.failed.is_some() {
            return;
        }
        frame::write_reset(self.queue(), id.0, code);
        self.streams.end(id.0, Ended::ByUs);
    }

    /// Sends GOAWAY (§6.8): no streams above `last` are processed. A server that drains sends it
    /// with [`StreamId::MAX`] first, and after a round trip with `last_peer_stream`.
    pub fn go_away(&mut self, code: ErrorCode, last: StreamId) {
        let last = self.go_away_sent.map_or(last.0, |before| before.min(last.0));
        frame::write_go_away(self.queue(), last, code);
        self.go_away_sent = Some(last);
    }

    fn write_block(&mut self, id: u32, block: &[u8], end_stream: bool) {
        let frame_max = self.theirs.frame_max;
        if self.table_update == TableUpdate::Due {
            self.table_update = TableUpdate::Done;
            let mut whole = Vec::with_capacity(block.len() + 1);
            encode::no_table(&mut whole);
            whole.extend_from_slice(block);
            frame::write_headers(self.queue(), id, &whole, end_stream, frame_max);
            return;
        }
        frame::write_headers(self.queue(), id, block, end_stream, frame_max);
    }
}
