//! What came of a request's body and was not taken yet.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::limits;
use crate::io::buffer::{Buffer, BufferPool};

/// The part of a buffer that a stream must have of it to be given the whole: less is copied, so
/// that what waits holds at most so many times its size in memory.
const SHARE: usize = 4;
/// Where so much waits already, its taker is behind: buffers that are not almost full are copied,
/// so that windows as wide as a client is far away hold little more than their size in memory.
const MUCH: usize = limits::LARGE_BUFFER_BYTES;

/// DATA of one stream, in order. What the windows allow bounds it.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Inbox {
    chunks: VecDeque<Chunk>,
    /// Bytes in `chunks`.
    pub(in crate::proxy) len: usize,
    /// Nothing follows.
    pub(in crate::proxy) ended: bool,
    /// Bytes that the client may not send again yet.
    pub(in crate::proxy) unreleased: u32,
    /// What came behind the body: lines as in HTTP/1.
    pub(in crate::proxy) trailers: Vec<u8>,
    /// Nobody takes what comes.
    pub(in crate::proxy) closed: bool,
}

/// Ranges of payload in a buffer.
#[derive(Debug)]
pub(in crate::proxy) struct Chunk {
    pub(in crate::proxy) buffer: Buffer,
    pub(in crate::proxy) ranges: VecDeque<Range<usize>>,
    /// The buffer is filled by copying.
    own: bool,
}

/// A piece of DATA in the buffer that it was read into.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct Arrival {
    pub(in crate::proxy) id: u32,
    pub(in crate::proxy) range: Range<usize>,
    pub(in crate::proxy) end: bool,
}

impl Inbox {
    /// Nothing has come; `ended`: nothing will.
    pub(in crate::proxy) fn new(ended: bool) -> Self {
        Inbox { ended, ..Inbox::default() }
    }

    /// The oldest bytes.
    pub(in crate::proxy) fn take(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.len -= chunk.ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
        Some(chunk)
    }

    /// Whether all of the body was taken.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        self.ended && self.chunks.is_empty()
    }

    /// Whether there is something to take, or nothing more comes.
    pub(in crate::proxy) fn is_ready(&self) -> bool {
        self.ended || !self.chunks.is_empty()
    }

    /// Takes nothing more; gives the bytes to be released.
    pub(in crate::proxy) fn close(&mut self) -> u32 {
        self.closed = true;
        self.chunks.clear();
        self.len = 0;
        std::mem::take(&mut self.unreleased)
    }

    /// Whether a buffer of `size` bytes, `most` of which are this stream's, is given rather than
    /// copied from.
    pub(in crate::proxy) fn takes_whole(&self, most: usize, size: usize) -> bool {
        self.len < MUCH || most >= size / 4 * 3
    }

    /// Adds a whole buffer of which these ranges are payload of this stream.
    pub(in crate::proxy) fn give(&mut self, buffer: Buffer, ranges: VecDeque<Range<usize>>) {
        self.len += ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
        self.chunks.push_back(Chunk { buffer, ranges, own: false });
    }

    /// Adds a copy.
    pub(in crate::proxy) fn copy(&mut self, mut bytes: &[u8], buffers: &BufferPool) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let chunk = match self.chunks.back_mut() {
                Some(chunk) if chunk.own && chunk.buffer.room() > 0 => chunk,
                _ => {
                    let many = bytes.len() > limits::SMALL_BUFFER_BYTES * SHARE;
                    let large = many || self.len >= MUCH;
                    let buffer = if large { buffers.large() } else { buffers.small() };
                    self.chunks.push_back(Chunk { buffer, ranges: VecDeque::new(), own: true });
                    continue;
                }
            };
            let start = chunk.buffer.position() + chunk.buffer.len();
            let taken = chunk.buffer.append(bytes);
            match chunk.ranges.back_mut() {
                Some(last) if last.end == start => last.end += taken,
                _ => chunk.ranges.push_back(start..start + taken),
            }
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }
}

/// Which stream is given the whole buffer of `size` bytes: the one that has most of it, if that is
/// enough.
pub(in crate::proxy) fn leader(arrivals: &[Arrival], size: usize) -> Option<(u32, usize)> {
    let mut totals: Vec<(u32, usize)> = Vec::new();
    for Arrival { id, range, .. } in arrivals {
        // Frames of one stream mostly follow each other.
        match totals.iter_mut().rev().find(|total| total.0 == *id) {
            Some(total) => total.1 += range.len(),
            None => totals.push((*id, range.len())),
        }
    }
    let (id, most) = totals.into_iter().max_by_key(|total| total.1)?;
    (most >= size / SHARE).then_some((id, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(inbox: &mut Inbox) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(chunk) = inbox.take() {
            for range in chunk.ranges {
                bytes.extend_from_slice(chunk.buffer.range(range));
            }
        }
        bytes
    }

    #[test]
    fn bytes_come_out_in_order_given_or_copied() {
        let pool = BufferPool::default();
        let mut inbox = Inbox::default();
        let mut want = Vec::new();
        for round in 0..40_u8 {
            let part = vec![round; 1000];
            if round % 3 == 0 {
                let mut buffer = pool.small();
                buffer.append(&part);
                inbox.give(buffer, VecDeque::from([0..400, 400..1000]));
            } else {
                inbox.copy(&part, &pool);
            }
            want.extend(part);
        }
        assert_eq!(inbox.len, want.len());
        assert_eq!(all(&mut inbox), want);
        assert_eq!((inbox.len, pool.out()), (0, 0));
    }

    #[test]
    fn little_pieces_share_one_buffer() {
        let pool = BufferPool::default();
        let mut inbox = Inbox::default();
        (0..1000).for_each(|_| inbox.copy(b"0123456789", &pool));
        assert_eq!(pool.out(), 1);
        inbox.copy(&vec![7; 100_000], &pool);
        assert_eq!(inbox.len, 110_000);
        assert_eq!(all(&mut inbox).len(), 110_000);
    }

    #[test]
    fn what_waits_for_long_is_packed() {
        let pool = BufferPool::default();
        let mut inbox = Inbox::default();
        assert!(inbox.takes_whole(64 * 1024, limits::LARGE_BUFFER_BYTES));
        (0..64).for_each(|_| inbox.copy(&vec![7; 100_000], &pool));
        assert!(!inbox.takes_whole(64 * 1024, limits::LARGE_BUFFER_BYTES));
        assert!(inbox.takes_whole(200 * 1024, limits::LARGE_BUFFER_BYTES));
        let held: usize = inbox.chunks.iter().map(|chunk| chunk.buffer.size()).sum();
        assert!(held < inbox.len / 3 * 4, "{held} for {}", inbox.len);
        assert_eq!(all(&mut inbox).len(), 6_400_000);
    }

    #[test]
    fn a_buffer_goes_to_who_has_most_of_it_if_that_is_much() {
        let arrival = |id, range| Arrival { id, range, end: false };
        let arrivals = [arrival(1, 0..10), arrival(3, 10..40), arrival(1, 40..50)];
        assert_eq!(leader(&arrivals, 120), Some((3, 30)));
        assert_eq!(leader(&arrivals, 124), None);
        assert_eq!(leader(&[], 100), None);
    }
}
