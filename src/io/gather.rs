//! What a write is made of.

use std::io::IoSlice;
use std::ops::Range;

use super::buffer::Buffer;

/// What one write is made of, in order: small bytes of its own (heads, frame headers) and ranges of
/// one payload buffer, which are sent from where they were received.
#[derive(Debug, Default)]
pub struct Gather {
    /// Made at the first use. One word is handed on through all layers, not thirteen.
    held: Option<Box<Pieces>>,
}

#[derive(Debug, Default)]
struct Pieces {
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
        self.held.as_ref().map_or(0, |pieces| pieces.len)
    }

    /// Bytes of memory of its own that it keeps.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, |pieces| pieces.own.capacity() + pieces.parts.capacity() * size_of::<Part>())
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes by copying them: for what is small.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_with(|own| own.extend_from_slice(bytes));
    }

    /// Appends what `write` appends to the vector it is given.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let pieces = self.pieces();
        let start = pieces.own.len();
        write(&mut pieces.own);
        pieces.note_own(start);
    }

    /// The same, unless `write` fails: then nothing is appended.
    pub fn push_result<T, E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let pieces = self.pieces();
        let start = pieces.own.len();
        let outcome = write(&mut pieces.own);
        if outcome.is_err() {
            pieces.own.truncate(start);
        }
        pieces.note_own(start);
        outcome
    }

    /// Lends the buffer whose ranges follow. One at a time; `take_payload` gives it back.
    pub fn set_payload(&mut self, buffer: Buffer) {
        debug_assert!(self.payload().is_none(), "one payload buffer at a time");
        self.pieces().payload = Some(buffer);
    }

    /// Appends a range of the payload buffer, counted from the start of the whole buffer.
    pub fn push_payload(&mut self, range: Range<usize>) {
        let len = range.end.saturating_sub(range.start);
        if len > 0 {
            let pieces = self.pieces();
            pieces.len += len;
            pieces.parts.push(Part::Payload { start: range.start, len });
        }
    }

    /// Appends `len` bytes of another write behind its first `skip`: its own by copying them,
    /// payload as ranges of the same buffer, which this one is lent.
    pub fn push_part_of(&mut self, other: &Gather, mut skip: usize, mut len: usize) {
        for part in other.in_order() {
            let (Part::Own { start, len: whole } | Part::Payload { start, len: whole }) = *part;
            if skip >= whole {
                skip -= whole;
                continue;
            }
            let take = len.min(whole - skip);
            let range = start + skip..start + skip + take;
            match part {
                Part::Own { .. } => self.push(other.own(range)),
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
        for part in self.in_order() {
            out.extend_from_slice(self.bytes(*part));
        }
    }

    /// The payload buffer, if one was lent.
    #[must_use]
    pub fn payload(&self) -> Option<&Buffer> {
        self.held.as_ref()?.payload.as_ref()
    }

    /// Gives the payload buffer back; its ranges are no longer part of the write.
    pub fn take_payload(&mut self) -> Option<Buffer> {
        self.held.as_mut()?.payload.take()
    }

    /// Forgets all parts; keeps memory and payload buffer.
    pub fn clear(&mut self) {
        if let Some(pieces) = &mut self.held {
            pieces.own.clear();
            pieces.parts.clear();
            pieces.len = 0;
        }
    }

    /// How many parts there are. Callers that build long writes stop near [`SLICES_MAX`].
    #[must_use]
    pub fn parts(&self) -> usize {
        self.in_order().len()
    }

    /// Slices of what is left after the first `skip` bytes, as many as `out` holds; returns how
    /// many.
    pub fn slices<'a>(&'a self, mut skip: usize, out: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut count = 0;
        for part in self.in_order() {
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
        let [part] = self.in_order() else { return None };
        self.bytes(*part).get(skip..)
    }

    fn pieces(&mut self) -> &mut Pieces {
        self.held.get_or_insert_default()
    }

    fn in_order(&self) -> &[Part] {
        self.held.as_ref().map(|pieces| pieces.parts.as_slice()).unwrap_or_default()
    }

    fn own(&self, range: Range<usize>) -> &[u8] {
        self.held.as_ref().and_then(|pieces| pieces.own.get(range)).unwrap_or_default()
    }

    fn bytes(&self, part: Part) -> &[u8] {
        match part {
            Part::Own { start, len } => self.own(start..start + len),
            Part::Payload { start, len } => {
                self.payload().map(|payload| payload.range(start..start + len)).unwrap_or_default()
            }
        }
    }
}

impl Pieces {
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
}

#[cfg(test)]
mod tests;
