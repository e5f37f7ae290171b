//! Header blocks (RFC 9113 §4.3, §6.2, §6.10): new streams, responses, trailers.

use super::config::Role;
use super::engine::{Absent, Connection, OpenBlock, broken, calm, count, wrong_size};
use super::event::{ConnectionError, Event, Fault, HeadersKind};
use crate::base::time::Instant;
use crate::protocol::h2::flood::Flood;
use crate::protocol::h2::frame::{
    END_HEADERS, END_STREAM, ErrorCode, FrameHead, PADDED, PRIORITY, StreamId, be_u32, to_usize,
};
use crate::protocol::h2::head;
use crate::protocol::h2::stream::{Ended, Half};

impl Connection {
    /// HEADERS (§6.2).
    pub(super) fn headers(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let mut rest = payload;
        let mut padding = 0;
        if head.has(PADDED) {
            let (len, tail) = rest.split_first().ok_or(wrong_size())?;
            padding = usize::from(*len);
            rest = tail;
        }
        let mut self_dependent = false;
        if head.has(PRIORITY) {
            let (priority, tail) = rest.split_first_chunk::<5>().ok_or(wrong_size())?;
            self_dependent = depends_on(priority) == head.stream;
            rest = tail;
        }
        let len = rest.len().checked_sub(padding).ok_or(broken(Fault::Padding))?;
        let fragment = rest.get(..len).unwrap_or_default();
        let end_stream = head.has(END_STREAM);
        let block = OpenBlock { id: head.stream, end_stream, self_dependent, frames: 0 };
        if head.has(END_HEADERS) {
            return self.block(block, fragment, now);
        }
        self.block.extend_from_slice(fragment);
        self.open_block = Some(block);
        Ok(())
    }

    /// CONTINUATION (§6.10) of the block that is open.
    pub(super) fn continuation(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let Some(block) = &mut self.open_block else { return Err(broken(Fault::Continuation)) };
        block.frames += 1;
        if block.frames > self.config.continuations_max {
            return Err(calm(Flood::Continuations));
        }
        if self.block.len() + payload.len() > to_usize(self.config.block_max()) {
            return Err(calm(Flood::BlockBytes));
        }
        let block = *block;
        self.block.extend_from_slice(payload);
        if !head.has(END_HEADERS) {
            return Ok(());
        }
        self.open_block = None;
        let mut whole = std::mem::take(&mut self.block);
        let result = self.block(block, &whole, now);
        whole.clear();
        // Few peers ever continue; an idle connection holds nothing for it.
        whole.shrink_to(0);
        self.block = whole;
        result
    }

    /// A whole header block. It is decoded whatever becomes of it, to keep the table in step
    /// (§4.3).
    fn block(
        &mut self,
        block: OpenBlock,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let recv = self.streams.get(block.id).map(|stream| stream.recv);
        self.trailers_last = matches!(recv, Some(Half::Body | Half::Ended));
        let kind = if self.trailers_last { &mut self.trailers } else { &mut self.head };
        kind.decode(&mut self.decoder, bytes).map_err(|error| ConnectionError {
            code: ErrorCode::COMPRESSION_ERROR,
            fault: Fault::Compression(error),
        })?;
        if let Some(recv) = recv {
            if block.self_dependent {
                return self.stream_fault(block.id, ErrorCode::PROTOCOL_ERROR, now);
            }
            return match (self.role, recv) {
                (_, Half::Ended) => self.stream_fault(block.id, ErrorCode::STREAM_CLOSED, now),
                (Role::Client, Half::Head) => self.response(block, now),
                _ => self.trailers(block, now),
            };
        }
        match self.absent(block.id) {
            Absent::Idle if self.role == Role::Server => self.request(block, now),
            Absent::Idle => Err(broken(Fault::StreamIdle)),
            Absent::Late => self.late(now),
            Absent::Ended(Ended::ByPeer | Ended::ByUs) => {
                self.stream_fault(block.id, ErrorCode::STREAM_CLOSED, now)
            }
            Absent::Ended(Ended::Normally) => {
                Err(ConnectionError { code: ErrorCode::STREAM_CLOSED, fault: Fault::StreamClosed })
            }
            // Skipped by a larger number, which closed it (§5.1.1); or long over.
            Absent::Forgotten => Err(broken(Fault::StreamNumber)),
        }
    }

    /// The head of a request opens its stream (§5.1.1, §5.1.2, §8.3.1).
    fn request(&mut self, block: OpenBlock, now: Instant) -> Result<(), ConnectionError> {
        let OpenBlock { id, end_stream, .. } = block;
        self.last_peer = id;
        if self.go_away_sent.is_some_and(|last| id > last) {
            return self.late(now);
        }
        self.counters.late.forgive(self.config.floods.late, 1);
        if block.self_dependent {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, now);
        }
        if self.streams.len() >= to_usize(self.config.streams_max) {
            return self.stream_fault(id, ErrorCode::REFUSED_STREAM, now);
        }
        let recv = if end_stream { Half::Ended } else { Half::Body };
        let mut stream = self.new_stream(id, Half::Head, recv);
        if self.head.fields().is_too_large() {
            self.streams.insert(stream);
            self.pending.push_back(Event::HeadTooLarge { id: StreamId(id) });
            return Ok(());
        }
        match head::request(self.head.fields(), self.ours.connect_protocol) {
            Ok(facts) if !end_stream || facts.content_length.unwrap_or(0) == 0 => {
                stream.length_left = facts.content_length;
            }
            _ => return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, now),
        }
        self.streams.insert(stream);
        self.announce(id, end_stream, HeadersKind::Head);
        Ok(())
    }

    /// The head of a response, or an interim one (§8.1, §8.3.2).
    fn response(&mut self, block: OpenBlock, now: Instant) -> Result<(), ConnectionError> {
        let OpenBlock { id, end_stream, .. } = block;
        if self.head.fields().is_too_large() {
            return self.stream_fault(id, ErrorCode::ENHANCE_YOUR_CALM, now);
        }
        let Ok(facts) = self.head.facts(head::response) else {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, now);
        };
        if facts.status < 200 {
            // §8.6: there is no 101 in HTTP/2; and an interim response ends nothing.
            if end_stream || facts.status == 101 {
                return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, now);
            }
            count(&mut self.counters.empties, self.config.floods.empties, now, Flood::Empties)?;
            self.announce(id, false, HeadersKind::Informational);
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        let bodiless = stream.bodiless || matches!(facts.status, 204 | 304);
        stream.length_left = if bodiless { Some(0) } else { facts.content_length };
        if end_stream && stream.length_left.unwrap_or(0) > 0 {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, now);
        }
        stream.recv = Half::Body;
        if end_stream {
            self.half_ended(id);
        }
        self.announce(id, end_stream, HeadersKind::Head);
        Ok(())
    }

    /// Trailers end their stream (§8.1).
    fn trailers(&mut self, block: OpenBlock, now: Instant) -> Result<(), ConnectionError> {
        let id = block.id;
        if self.trailers.fields().is_too_large() {
            return self.stream_fault(id, ErrorCode::ENHANCE_YOUR_CALM, now);
        }
        let left = self.streams.get(id).and_then(|stream| stream.length_left).unwrap_or(0);
        if !block.end_stream || left > 0 || self.trailers.facts(head::trailers).is_err() {
            return self.stream_fault(id, ErrorCode::PROTOCOL_ERROR, now);
        }
        self.half_ended(id);
        self.announce(id, true, HeadersKind::Trailers);
        Ok(())
    }

    fn announce(&mut self, id: u32, end_stream: bool, kind: HeadersKind) {
        self.pending.push_back(Event::Headers { id: StreamId(id), end_stream, kind });
    }
}

/// The stream in five octets of priority (RFC 7540 §6.3).
pub(super) fn depends_on(priority: &[u8]) -> u32 {
    be_u32(priority).unwrap_or(0) & 0x7fff_ffff
}
