//! What has come over a connection: payload, opened where it was received, and behind it records
//! that are not opened yet, in one buffer.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::limits::RECORD_BUFFER_BYTES;
use crate::io::buffer::{Buffer, BufferPool};

/// Of two pieces of payload that follow each other neither is shorter, or they are moved together:
/// so a buffer has few pieces, however small the records of a peer are.
const PIECE_MIN: usize = 4 * 1024;

/// See the head of this file.
#[derive(Default)]
pub(super) struct Inbox {
    /// Its filled bytes are sealed.
    held: Option<Buffer>,
    /// Payload in it, in front of them. The beginnings and ends of records lie between.
    ready: VecDeque<Range<usize>>,
    /// All of it is moved together: its reader wants one piece.
    is_joined: bool,
}

impl Inbox {
    /// What was not opened yet.
    pub(super) fn sealed(&self) -> &[u8] {
        self.held.as_ref().map_or(&[], Buffer::filled)
    }

    /// The same, to be opened in place.
    pub(super) fn sealed_mut(&mut self) -> &mut [u8] {
        self.held.as_mut().map_or(&mut [], Buffer::filled_mut)
    }

    /// Bytes of payload that wait to be fetched.
    pub(super) fn ready(&self) -> usize {
        self.ready.iter().map(ExactSizeIterator::len).sum()
    }

    /// Takes a buffer that holds [`sealed`](Self::sealed) and then what was read; nothing is ready.
    pub(super) fn feed(&mut self, buffer: Buffer) {
        debug_assert!(self.ready.is_empty(), "what was opened has to be fetched first");
        self.held = Some(buffer);
        self.is_joined = false;
    }

    /// The same, behind `kept` bytes of its own that it held before. What is opened is moved to
    /// their end.
    pub(super) fn feed_behind(&mut self, mut buffer: Buffer, kept: usize) {
        let start = buffer.position();
        buffer.consume(kept);
        self.feed(buffer);
        self.ready.push_back(start..start + kept);
        self.is_joined = true;
    }

    /// Gives a buffer back that was taken by [`feed_behind`](Self::feed_behind), as if payload had
    /// been read into it. What is sealed stays; false: it is more than any record.
    pub(super) fn give_back(&mut self, pool: &BufferPool) -> (Option<Buffer>, bool) {
        let (Some(mut buffer), Some(range)) = (self.held.take(), self.ready.pop_front()) else {
            return (None, true);
        };
        let fits = self.keep(buffer.filled(), pool);
        buffer.refill(range);
        (Some(buffer), fits)
    }

    /// Gives the buffer away, with where in it the payload is. What is sealed stays; false: it is
    /// more than any record.
    pub(super) fn take(
        &mut self,
        ranges: &mut VecDeque<Range<usize>>,
        pool: &BufferPool,
    ) -> (Option<Buffer>, bool) {
        if self.ready.is_empty() {
            return (None, true);
        }
        let Some(mut buffer) = self.held.take() else { return (None, true) };
        ranges.append(&mut self.ready);
        let fits = self.keep(buffer.filled(), pool);
        buffer.consume(buffer.len());
        (Some(buffer), fits)
    }

    /// Copies payload into `into`, as much as it has room for.
    pub(super) fn fetch(&mut self, into: &mut Buffer) -> usize {
        let mut fetched = 0;
        while let (Some(held), Some(range)) = (&self.held, self.ready.front_mut()) {
            let len = into.append(held.range(range.clone()));
            range.start += len;
            fetched += len;
            if range.start < range.end {
                return fetched;
            }
            self.ready.pop_front();
        }
        self.forget();
        fetched
    }

    /// Payload of `len` bytes lies behind the first `skip` of the sealed ones; false: it does not.
    pub(super) fn lay(&mut self, skip: usize, len: usize) -> bool {
        let Some(held) = &mut self.held else { return false };
        let start = held.position() + skip;
        let end = start + len;
        if end > held.position() + held.len() {
            return false;
        }
        match self.ready.back_mut() {
            Some(last) if self.is_joined || last.len().min(len) < PIECE_MIN => {
                held.shift(start..end, last.end);
                last.end += len;
            }
            _ => self.ready.push_back(start..end),
        }
        true
    }

    /// The first `len` of the sealed bytes are done with.
    pub(super) fn discard(&mut self, len: usize) {
        if let Some(held) = &mut self.held {
            held.consume(len);
        }
        self.forget();
    }

    /// Nothing that is sealed will be looked at again.
    pub(super) fn discard_all(&mut self) {
        self.discard(usize::MAX);
    }

    /// Gives memory back that is larger than what it holds; false: it holds more than any record.
    pub(super) fn shed(&mut self, pool: &BufferPool) -> bool {
        self.forget();
        if !self.ready.is_empty() || self.held.as_ref().is_none_or(is_small) {
            return true;
        }
        let Some(held) = self.held.take() else { return true };
        self.keep(held.filled(), pool)
    }

    fn keep(&mut self, sealed: &[u8], pool: &BufferPool) -> bool {
        if sealed.is_empty() {
            return true;
        }
        let mut small = pool.record();
        let fits = small.append(sealed) == sealed.len();
        self.held = Some(small);
        fits
    }

    /// Drops a buffer with nothing in it: an idle connection keeps no memory.
    fn forget(&mut self) {
        if self.ready.is_empty() && self.sealed().is_empty() {
            self.held = None;
        }
    }
}

fn is_small(buffer: &Buffer) -> bool {
    buffer.size() <= RECORD_BUFFER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_is_not_kept_as_the_beginning_of_one() {
        let pool = BufferPool::default();
        for (len, fits) in [(RECORD_BUFFER_BYTES, true), (RECORD_BUFFER_BYTES + 1, false)] {
            let mut inbox = Inbox::default();
            let mut buffer = pool.large();
            buffer.append(&vec![22; len]);
            inbox.feed_behind(buffer, 0);
            let (back, fitted) = inbox.give_back(&pool);
            assert_eq!((back.map(|buffer| buffer.len()), fitted), (Some(0), fits));
            let mut buffer = pool.large();
            buffer.append(&vec![22; len]);
            inbox.feed(buffer);
            assert_eq!(inbox.shed(&pool), fits);
        }
    }

    #[test]
    fn payload_is_only_where_sealed_bytes_were() {
        let pool = BufferPool::default();
        let mut inbox = Inbox::default();
        assert!(!inbox.lay(0, 1));
        let mut buffer = pool.record();
        buffer.append(b"head and payload");
        inbox.feed(buffer);
        assert!(!inbox.lay(9, 8), "the end of it is not there");
        assert!(inbox.lay(9, 7));
        inbox.discard_all();
        let (mut small, mut ranges) = (pool.small(), VecDeque::new());
        assert_eq!(inbox.ready(), 7);
        assert_eq!(inbox.fetch(&mut small), 7);
        assert_eq!(small.filled(), b"payload");
        assert!(inbox.take(&mut ranges, &pool).0.is_none());
        assert_eq!(pool.out(), 1, "the small one");
    }
}
