//! Memory that is lent to the kernel: pooled buffers, and what a write is made of.

use std::cell::RefCell;
use std::io::IoSlice;
use std::ops::Range;
use std::rc::Rc;

use crate::base::limits;
use crate::base::spares::Spares;

/// A piece of pooled memory: `filled` bytes wait to be used, behind them is room for more.
///
/// Goes home to its pool when dropped.
pub struct Buffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
    home: Rc<RefCell<Pools>>,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({}..{} of {})", self.start, self.end, self.storage.len())
    }
}

impl Buffer {
    /// Bytes that came and were not consumed yet.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// How many bytes are filled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where the filled bytes stand in the whole buffer; ranges given to a [`Gather`] count from
    /// the same origin.
    #[must_use]
    pub fn position(&self) -> usize {
        self.start
    }

    /// The bytes of a range that counts from the start of the whole buffer.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> &[u8] {
        self.storage.get(range).unwrap_or_default()
    }

    /// Bytes of the whole buffer, filled or not.
    #[must_use]
    pub fn size(&self) -> usize {
        self.storage.len()
    }

    /// Room behind the filled bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.storage.len() - self.end
    }

    /// The room itself.
    pub fn room_mut(&mut self) -> &mut [u8] {
        let end = self.end;
        self.storage.get_mut(end..).unwrap_or_default()
    }

    /// The first `len` bytes of the room are filled now.
    ///
    /// # Panics
    ///
    /// If there is less room: bytes that nobody wrote would be read.
    pub fn fill(&mut self, len: usize) {
        assert!(len <= self.room(), "more bytes than there was room for");
        self.end += len;
    }

    /// The first `len` filled bytes were used; no more than there are.
    pub fn consume(&mut self, len: usize) {
        self.start += len.min(self.len());
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Forgets all but the first `len` of the filled bytes.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.start + len.min(self.len());
    }

    /// Moves the bytes of a range to `to`; both count from the start of the whole buffer.
    pub fn shift(&mut self, range: Range<usize>, to: usize) {
        let fits = range.end <= self.storage.len() && to <= range.start;
        debug_assert!(fits && range.start <= range.end, "bytes are moved towards the front");
        if fits && range.start <= range.end {
            self.storage.copy_within(range, to);
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
        self.end = range.end.min(self.storage.len());
        self.start = range.start.min(self.end);
    }

    /// Moves the filled bytes to the front, so that the room is as large as it can be.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.storage.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Appends bytes; returns how many there was room for.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        if let (Some(to), Some(from)) = (self.room_mut().get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
            self.end += len;
        }
        len
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let storage = std::mem::take(&mut self.storage);
        self.home.borrow_mut().take_home(storage);
    }
}

#[derive(Debug)]
struct Pools {
    small: Spares<Vec<u8>>,
    records: Spares<Vec<u8>>,
    large: Spares<Vec<u8>>,
    large_bytes: usize,
    bodies: Spares<Vec<u8>>,
    body_bytes: usize,
    out: usize,
}

impl Pools {
    /// Where buffers of so many bytes are kept.
    fn shelf(&mut self, bytes: usize) -> Option<&mut Spares<Vec<u8>>> {
        Some(match bytes {
            limits::SMALL_BUFFER_BYTES => &mut self.small,
            limits::RECORD_BUFFER_BYTES => &mut self.records,
            _ if bytes == self.large_bytes => &mut self.large,
            _ if bytes == self.body_bytes => &mut self.bodies,
            _ => return None,
        })
    }

    fn take_home(&mut self, storage: Vec<u8>) {
        self.out = self.out.saturating_sub(1);
        if let Some(shelf) = self.shelf(storage.len()) {
            shelf.put(storage);
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
        let storage = kept.unwrap_or_else(|| vec![0; bytes]);
        Buffer { storage, start: 0, end: 0, home: Rc::clone(&self.pools) }
    }
}

/// What one write is made of, in order: small bytes of its own (heads, frame headers) and ranges of
/// one payload buffer, which are sent from where they were received.
#[derive(Debug, Default)]
pub struct Gather {
    own: Vec<u8>,
    parts: Vec<Part>,
    payload: Option<Buffer>,
    len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Own { start: usize, len: usize },
    Payload { start: usize, len: usize },
}

/// Slices that one system call takes. The kernel allows 1,024 (`UIO_MAXIOV`).
pub const SLICES_MAX: usize = 64;

impl Gather {
    /// Nothing to write.
    #[must_use]
    pub fn new() -> Self {
        Gather::default()
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory of its own that it keeps.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.own.capacity() + self.parts.capacity() * size_of::<Part>()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes by copying them: for what is small.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_with(|own| own.extend_from_slice(bytes));
    }

    /// Appends what `write` appends to the vector it is given.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        self.note_own(start);
    }

    /// The same, unless `write` fails: then nothing is appended.
    pub fn push_result<T, E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let start = self.own.len();
        let outcome = write(&mut self.own);
        if outcome.is_err() {
            self.own.truncate(start);
        }
        self.note_own(start);
        outcome
    }

    /// What was written behind `start` becomes a part, or the end of the last one.
    fn note_own(&mut self, start: usize) {
        let len = self.own.len().saturating_sub(start);
        if len == 0 {
            return;
        }
        self.len += len;
        if let Some(Part::Own { start: last, len: last_len }) = self.parts.last_mut()
            && *last + *last_len == start
        {
            *last_len += len;
        } else {
            self.parts.push(Part::Own { start, len });
        }
    }

    /// Lends the buffer whose ranges follow. One at a time; `take_payload` gives it back.
    pub fn set_payload(&mut self, buffer: Buffer) {
        debug_assert!(self.payload.is_none(), "one payload buffer at a time");
        self.payload = Some(buffer);
    }

    /// Appends a range of the payload buffer, counted from the start of the whole buffer.
    pub fn push_payload(&mut self, range: Range<usize>) {
        let len = range.end.saturating_sub(range.start);
        if len > 0 {
            self.len += len;
            self.parts.push(Part::Payload { start: range.start, len });
        }
    }

    /// Appends `len` bytes of another write behind its first `skip`: its own by copying them,
    /// payload as ranges of the same buffer, which this one is lent.
    pub fn push_part_of(&mut self, other: &Gather, mut skip: usize, mut len: usize) {
        for part in &other.parts {
            let (Part::Own { start, len: whole } | Part::Payload { start, len: whole }) = *part;
            if skip >= whole {
                skip -= whole;
                continue;
            }
            let take = len.min(whole - skip);
            let range = start + skip..start + skip + take;
            match part {
                Part::Own { .. } => self.push(other.own.get(range).unwrap_or_default()),
                Part::Payload { .. } => self.push_payload(range),
            }
            len -= take;
            skip = 0;
            if len == 0 {
                return;
            }
        }
    }

    /// Copies all bytes behind those of `out`.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        for part in &self.parts {
            out.extend_from_slice(self.bytes(*part));
        }
    }

    /// The payload buffer, if one was lent.
    #[must_use]
    pub fn payload(&self) -> Option<&Buffer> {
        self.payload.as_ref()
    }

    /// Gives the payload buffer back; its ranges are no longer part of the write.
    pub fn take_payload(&mut self) -> Option<Buffer> {
        self.payload.take()
    }

    /// Forgets all parts; keeps memory and payload buffer.
    pub fn clear(&mut self) {
        self.own.clear();
        self.parts.clear();
        self.len = 0;
    }

    /// How many parts there are. Callers that build long writes stop near [`SLICES_MAX`].
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Slices of what is left after the first `skip` bytes, as many as `out` holds; returns how
    /// many.
    pub fn slices<'a>(&'a self, mut skip: usize, out: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut count = 0;
        for part in &self.parts {
            let bytes = self.bytes(*part);
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            let Some(slot) = out.get_mut(count) else { break };
            *slot = IoSlice::new(bytes.get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        count
    }

    /// What is left after the first `skip` bytes, if it is one slice.
    #[must_use]
    pub fn single(&self, skip: usize) -> Option<&[u8]> {
        let [part] = self.parts.as_slice() else { return None };
        self.bytes(*part).get(skip..)
    }

    fn bytes(&self, part: Part) -> &[u8] {
        match part {
            Part::Own { start, len } => self.own.get(start..start + len).unwrap_or_default(),
            Part::Payload { start, len } => {
                self.payload.as_ref().map(|p| p.range(start..start + len)).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests;
