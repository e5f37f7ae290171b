//! Bytes of a stream before they are cut into frames: small ones of its own, and payload that lies
//! in a buffer or in a pipe.

use std::ops::Range;

use crate::io::gather::Gather;

/// A sequence of bytes in the order they will leave.
#[derive(Debug, Default)]
pub struct Unframed {
    own: Vec<u8>,
    parts: Vec<Part>,
    len: usize,
    /// Where the rest begins: a part and an offset in it.
    at: (usize, usize),
}

#[derive(Clone, Debug)]
enum Part {
    Own(Range<usize>),
    Payload(Range<usize>),
    /// So many bytes, whatever the range, which come next out of the pipe.
    Piped(Range<usize>),
}

/// What was taken at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Bytes in all.
    pub bytes: usize,
    /// How many of them, the last, are in the pipe.
    pub piped: usize,
}

impl Unframed {
    /// Bytes that were not taken yet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all were taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Parts so far; callers bound them.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.own.clear();
        self.parts.clear();
        self.len = 0;
        self.at = (0, 0);
    }

    /// Appends what `write` appends to the vector it is given.
    pub fn push_with<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.own.len();
        let result = write(&mut self.own);
        let end = self.own.len().max(start);
        if end > start {
            self.len += end - start;
            self.parts.push(Part::Own(start..end));
        }
        result
    }

    /// Appends a range of the payload buffer.
    pub fn push_payload(&mut self, range: Range<usize>) {
        if range.end > range.start {
            self.len += range.end - range.start;
            self.parts.push(Part::Payload(range));
        }
    }

    /// Appends bytes that are in the pipe.
    pub fn push_piped(&mut self, len: usize) {
        if len > 0 {
            self.len += len;
            self.parts.push(Part::Piped(0..len));
        }
    }

    /// Moves the next `count` bytes into a write. Stops behind bytes that are in the pipe: they
    /// leave before what follows them.
    pub fn take(&mut self, count: usize, out: &mut Gather) -> Taken {
        let mut taken = Taken { bytes: 0, piped: 0 };
        while taken.bytes < count && taken.piped == 0 {
            let (index, offset) = self.at;
            let Some(part) = self.parts.get(index) else { break };
            let (Part::Own(range) | Part::Payload(range) | Part::Piped(range)) = part;
            let start = range.start + offset;
            let end = range.end.min(start + (count - taken.bytes));
            let moved = end - start;
            match part {
                Part::Own(_) => out.push(self.own.get(start..end).unwrap_or_default()),
                Part::Payload(_) => out.push_payload(start..end),
                Part::Piped(_) => taken.piped = moved,
            }
            taken.bytes += moved;
            self.len -= moved;
            self.at = if end == range.end { (index + 1, 0) } else { (index, offset + moved) };
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::buffer::BufferPool;
    use crate::io::gather::SLICES_MAX;
    use std::io::IoSlice;

    #[test]
    fn bytes_leave_in_order_whatever_the_cuts() {
        for cut in 1..=13 {
            let pool = BufferPool::default();
            let mut payload = pool.large();
            payload.append(b"0123456789");
            let mut unframed = Unframed::default();
            unframed.push_with(|own| own.extend_from_slice(b"ab"));
            unframed.push_payload(2..6);
            unframed.push_with(|own| own.extend_from_slice(b"cde"));
            unframed.push_payload(6..10);
            assert_eq!(unframed.len(), 13);
            let mut out = Gather::new();
            out.set_payload(payload);
            while !unframed.is_empty() {
                unframed.take(cut.min(unframed.len()), &mut out);
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = out.slices(0, &mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(all, b"ab2345cde6789", "cut {cut}");
        }
    }

    #[test]
    fn what_is_in_the_pipe_ends_a_write() {
        for cut in 1..=9 {
            let mut unframed = Unframed::default();
            unframed.push_with(|own| own.extend_from_slice(b"ab"));
            unframed.push_piped(4);
            unframed.push_with(|own| own.extend_from_slice(b"cd"));
            unframed.push_piped(1);
            let mut all = Vec::new();
            while !unframed.is_empty() {
                let before = unframed.len();
                let mut out = Gather::new();
                let taken = unframed.take(cut, &mut out);
                assert_eq!(taken.bytes, before - unframed.len());
                assert_eq!(taken.bytes, out.len() + taken.piped);
                assert!(taken.bytes > 0 && taken.bytes <= cut);
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = out.slices(0, &mut slices);
                slices[..count].iter().for_each(|slice| all.extend_from_slice(slice));
                all.extend(std::iter::repeat_n(b'.', taken.piped));
            }
            assert_eq!(all, b"ab....cd.", "cut {cut}");
        }
    }
}
