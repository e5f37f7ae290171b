//! The streams of one connection (RFC 9113 §5.1): those that live, and the last ones that ended.

use std::collections::VecDeque;

use super::flow::{RecvWindow, SendWindow};
use super::frame::to_usize;

/// One half of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// Its head has not come yet.
    Head,
    /// The head is there; DATA or trailers may follow.
    Body,
    /// `END_STREAM` has been seen.
    Ended,
}

/// A stream that is open or half-closed. Closed ones are not kept.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// What we send.
    pub send: Half,
    /// What the peer sends.
    pub recv: Half,
    /// Room for our DATA.
    pub send_window: SendWindow,
    /// Room for the peer's DATA.
    pub recv_window: RecvWindow,
    /// Bytes of DATA that `content-length` still promises.
    pub length_left: Option<u64>,
    /// The response has no body whatever its `content-length` says: the request was HEAD.
    pub bodiless: bool,
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Both sides sent `END_STREAM`.
    Normally,
    /// The peer reset it.
    ByPeer,
    /// We reset it: frames of the peer may still be under way.
    ByUs,
}

/// Ends that are remembered, of either kind. Older ones are told apart by their number only.
const ENDED_KEPT: usize = 128;

/// The streams of one connection. No allocation per stream in steady state.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// Number and slot, in the order of the numbers.
    index: Vec<(u32, u32)>,
    slots: Vec<Stream>,
    free: Vec<u32>,
    /// Apart from each other, so that many normal ends do not push out those that matter.
    normal: VecDeque<(u32, Ended)>,
    ours: VecDeque<u32>,
}

impl Streams {
    /// Streams that are not closed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// A stream that is not closed.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Stream> {
        self.slots.get(self.slot(id)?)
    }

    /// A stream that is not closed.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        let slot = self.slot(id)?;
        self.slots.get_mut(slot)
    }

    /// All of them, in no order.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        let Streams { index, slots, .. } = self;
        // Free slots keep their last stream, whose number is no longer in the index.
        slots.iter_mut().filter(|stream| index.binary_search_by_key(&stream.id, |e| e.0).is_ok())
    }

    /// The number of each, the smallest first.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.index.iter().map(|entry| entry.0)
    }

    /// The smallest number above `last`.
    #[must_use]
    pub fn first_above(&self, last: u32) -> Option<u32> {
        let first = self.index.partition_point(|entry| entry.0 <= last);
        self.index.get(first).map(|entry| entry.0)
    }

    /// Adds a stream whose number is larger than that of any before.
    pub fn insert(&mut self, stream: Stream) {
        debug_assert!(self.index.last().is_none_or(|entry| entry.0 < stream.id));
        let slot = if let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(to_usize(slot)) {
                *place = stream;
            }
            slot
        } else {
            let Ok(slot) = u32::try_from(self.slots.len()) else { return };
            self.slots.push(stream);
            slot
        };
        self.index.push((stream.id, slot));
    }

    /// Takes a stream out and remembers how it ended.
    pub fn end(&mut self, id: u32, how: Ended) {
        let Ok(place) = self.index.binary_search_by_key(&id, |entry| entry.0) else { return };
        let (_, slot) = self.index.remove(place);
        self.free.push(slot);
        self.remember(id, how);
    }

    /// Remembers how a stream ended that has never been added.
    pub fn remember(&mut self, id: u32, how: Ended) {
        if how == Ended::ByUs {
            if self.ours.len() == 2 * ENDED_KEPT {
                self.ours.pop_front();
            }
            self.ours.push_back(id);
            return;
        }
        if self.normal.len() == ENDED_KEPT {
            self.normal.pop_front();
        }
        self.normal.push_back((id, how));
    }

    /// How a stream ended, if that is still remembered.
    #[must_use]
    pub fn ended(&self, id: u32) -> Option<Ended> {
        if self.ours.iter().rev().any(|ours| *ours == id) {
            return Some(Ended::ByUs);
        }
        self.normal.iter().rev().find(|entry| entry.0 == id).map(|entry| entry.1)
    }

    fn slot(&self, id: u32) -> Option<usize> {
        let place = self.index.binary_search_by_key(&id, |entry| entry.0).ok()?;
        self.index.get(place).map(|entry| to_usize(entry.1))
    }

    /// For tests, after every mutation.
    ///
    /// # Panics
    ///
    /// If index and slots do not agree.
    pub fn check(&self) {
        assert!(self.index.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(self.index.len() + self.free.len(), self.slots.len());
        let mut used: Vec<u32> = self.index.iter().map(|entry| entry.1).collect();
        used.extend(&self.free);
        used.sort_unstable();
        assert!(used.iter().zip(0..).all(|(slot, want)| *slot == want));
        assert!(self.normal.len() <= ENDED_KEPT && self.ours.len() <= 2 * ENDED_KEPT);
        for (id, _) in &self.index {
            let stream = self.get(*id).map(|stream| (stream.id, stream.send, stream.recv));
            assert!(stream.is_some_and(|stream| stream.0 == *id));
            assert!(stream.is_none_or(|stream| stream.1 != Half::Ended || stream.2 != Half::Ended));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_found_until_they_end() {
        let mut streams = Streams::default();
        for id in (1..400).step_by(2) {
            streams.insert(stream(id));
            streams.check();
            if id > 20 {
                let how = if id % 3 == 0 { Ended::ByUs } else { Ended::Normally };
                streams.end(id - 20, how);
                streams.check();
                assert!(streams.get(id - 20).is_none());
                assert_eq!(streams.ended(id - 20), Some(how));
            }
        }
        assert_eq!(streams.len(), 10);
        assert_eq!(streams.slots.len(), 11);
        assert_eq!(streams.ids().next(), Some(381));
        assert_eq!(streams.first_above(389), Some(391));
        assert_eq!(streams.first_above(399), None);
        assert_eq!(streams.each_mut().count(), 10);
        assert_eq!(streams.ended(399), None);
    }

    fn stream(id: u32) -> Stream {
        Stream {
            id,
            send: Half::Body,
            recv: Half::Head,
            send_window: SendWindow::new(1),
            recv_window: RecvWindow::new(1),
            length_left: None,
            bodiless: false,
        }
    }
}
