//! Memory that is lent to the kernel: pooled buffers.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::base::limits;
use crate::base::spares::Spares;

/// A piece of pooled memory: `filled` bytes wait to be used, behind them is room for more.
///
/// Goes home to its pool when dropped.
pub struct Buffer {
    /// There until the buffer goes home. Two words are handed on through all layers, not six.
    held: Option<Box<Held>>,
    home: Rc<RefCell<Pools>>,
}

/// The memory of a buffer, and which of it is filled.
#[derive(Debug, Default)]
struct Held {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

static NOTHING: Held = Held { storage: Vec::new(), start: 0, end: 0 };

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Held { storage, start, end } = self.held();
        write!(f, "Buffer({start}..{end} of {})", storage.len())
    }
}

impl Buffer {
    fn held(&self) -> &Held {
        self.held.as_deref().unwrap_or(&NOTHING)
    }

    fn held_mut(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    /// Bytes that came and were not consumed yet.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        let held = self.held();
        held.storage.get(held.start..held.end).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let held = self.held_mut();
        held.storage.get_mut(held.start..held.end).unwrap_or_default()
    }

    /// How many bytes are filled.
    #[must_use]
    pub fn len(&self) -> usize {
        let held = self.held();
        held.end - held.start
    }

    /// Whether nothing is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let held = self.held();
        held.start == held.end
    }

    /// Where the filled bytes stand in the whole buffer; ranges given to a
    /// [`Gather`](super::gather::Gather) count from the same origin.
    #[must_use]
    pub fn position(&self) -> usize {
        self.held().start
    }

    /// The bytes of a range that counts from the start of the whole buffer.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> &[u8] {
        self.held().storage.get(range).unwrap_or_default()
    }

    /// Bytes of the whole buffer, filled or not.
    #[must_use]
    pub fn size(&self) -> usize {
        self.held().storage.len()
    }

    /// Room behind the filled bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        let held = self.held();
        held.storage.len() - held.end
    }

    /// The room itself.
    pub fn room_mut(&mut self) -> &mut [u8] {
        let held = self.held_mut();
        held.storage.get_mut(held.end..).unwrap_or_default()
    }

    /// The first `len` bytes of the room are filled now.
    ///
    /// # Panics
    ///
    /// If there is less room: bytes that nobody wrote would be read.
    pub fn fill(&mut self, len: usize) {
        assert!(len <= self.room(), "more bytes than there was room for");
        self.held_mut().end += len;
    }

    /// The first `len` filled bytes were used; no more than there are.
    pub fn consume(&mut self, len: usize) {
        let held = self.held_mut();
        held.start += len.min(held.end - held.start);
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        let held = self.held_mut();
        held.start = 0;
        held.end = 0;
    }

    /// Forgets all but the first `len` of the filled bytes.
    pub fn truncate(&mut self, len: usize) {
        let held = self.held_mut();
        held.end = held.start + len.min(held.end - held.start);
    }

    /// Moves the bytes of a range to `to`; both count from the start of the whole buffer.
    pub fn shift(&mut self, range: Range<usize>, to: usize) {
        let held = self.held_mut();
        let fits = range.end <= held.storage.len() && to <= range.start;
        debug_assert!(fits && range.start <= range.end, "bytes are moved towards the front");
        if fits && range.start <= range.end {
            held.storage.copy_within(range, to);
        }
    }

    /// Moves what lies in ranges, which count from the start of the whole buffer and are in order,
    /// together; nothing else is filled then.
    pub fn join(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        let mut ranges = ranges.into_iter();
        let mut joined = ranges.next().unwrap_or_default();
        for range in ranges {
            let len = range.len();
            self.shift(range, joined.end);
            joined.end += len;
        }
        self.refill(joined);
    }

    /// From now on the filled bytes are those of a range that counts from the start of the whole
    /// buffer, all of which were written.
    pub fn refill(&mut self, range: Range<usize>) {
        let held = self.held_mut();
        held.end = range.end.min(held.storage.len());
        held.start = range.start.min(held.end);
    }

    /// Moves the filled bytes to the front, so that the room is as large as it can be.
    pub fn compact(&mut self) {
        let held = self.held_mut();
        if held.start > 0 {
            held.storage.copy_within(held.start..held.end, 0);
            held.end -= held.start;
            held.start = 0;
        }
    }

    /// Appends bytes; returns how many there was room for.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        if let (Some(to), Some(from)) = (self.room_mut().get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
            self.held_mut().end += len;
        }
        len
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.home.borrow_mut().take_home(held);
        }
    }
}

#[derive(Debug)]
struct Pools {
    small: Spares<Box<Held>>,
    records: Spares<Box<Held>>,
    large: Spares<Box<Held>>,
    large_bytes: usize,
    bodies: Spares<Box<Held>>,
    body_bytes: usize,
    out: usize,
}

impl Pools {
    /// Where buffers of so many bytes are kept.
    fn shelf(&mut self, bytes: usize) -> Option<&mut Spares<Box<Held>>> {
        Some(match bytes {
            limits::SMALL_BUFFER_BYTES => &mut self.small,
            limits::RECORD_BUFFER_BYTES => &mut self.records,
            _ if bytes == self.large_bytes => &mut self.large,
            _ if bytes == self.body_bytes => &mut self.bodies,
            _ => return None,
        })
    }

    fn take_home(&mut self, held: Box<Held>) {
        self.out = self.out.saturating_sub(1);
        if let Some(shelf) = self.shelf(held.storage.len()) {
            shelf.put(held);
        }
    }
}

/// A shard's buffers.
#[derive(Clone, Debug)]
pub struct BufferPool {
    pools: Rc<RefCell<Pools>>,
}

impl Default for BufferPool {
    fn default() -> Self {
        BufferPool::new(limits::BODY_BUFFER_BYTES)
    }
}

impl BufferPool {
    /// A pool whose buffers for bodies of requests have `body_bytes` bytes; its large ones have no
    /// more.
    #[must_use]
    pub fn new(body_bytes: usize) -> Self {
        let spares = |(few, most)| Spares::new(few, most);
        let pools = Pools {
            small: spares(limits::SMALL_BUFFERS_KEPT),
            records: spares(limits::RECORD_BUFFERS_KEPT),
            large: spares(limits::LARGE_BUFFERS_KEPT),
            large_bytes: body_bytes.min(limits::LARGE_BUFFER_BYTES),
            bodies: spares(limits::BODY_BUFFERS_KEPT),
            body_bytes,
            out: 0,
        };
        BufferPool { pools: Rc::new(RefCell::new(pools)) }
    }

    /// A buffer for heads and control frames.
    #[must_use]
    pub fn small(&self) -> Buffer {
        self.lend(limits::SMALL_BUFFER_BYTES)
    }

    /// A buffer for one TLS record.
    pub fn record(&self) -> Buffer {
        self.lend(limits::RECORD_BUFFER_BYTES)
    }

    /// A buffer for answers, tunnels and HTTP/2.
    #[must_use]
    pub fn large(&self) -> Buffer {
        let bytes = self.pools.borrow().large_bytes;
        self.lend(bytes)
    }

    /// A buffer for the body of a request.
    #[must_use]
    pub fn body(&self) -> Buffer {
        let bytes = self.pools.borrow().body_bytes;
        self.lend(bytes)
    }

    /// How many buffers are out. None are when all connections are closed.
    #[must_use]
    pub fn out(&self) -> usize {
        self.pools.borrow().out
    }

    fn lend(&self, bytes: usize) -> Buffer {
        let kept = {
            let mut pools = self.pools.borrow_mut();
            pools.out += 1;
            pools.shelf(bytes).and_then(Spares::take)
        };
        let mut held =
            kept.unwrap_or_else(|| Box::new(Held { storage: vec![0; bytes], ..Held::default() }));
        (held.start, held.end) = (0, 0);
        Buffer { held: Some(held), home: Rc::clone(&self.pools) }
    }
}

#[cfg(test)]
mod tests;
