//! The static table (RFC 7541 Appendix A) and a peer's dynamic table (§2.3.2, §4).

use std::collections::VecDeque;

use crate::protocol::h2::frame::to_usize;

/// Entries of the static table. Indexes run from 1 to this.
pub const STATIC_ENTRIES: usize = 61;
/// What each entry counts beside its bytes (RFC 7541 §4.1).
pub const ENTRY_OVERHEAD: usize = 32;

/// Name and value of each entry; index 1 is the first (RFC 7541 Appendix A).
#[rustfmt::skip]
pub static STATIC: [(&[u8], &[u8]); STATIC_ENTRIES] = [
    (b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"),
    (b":path", b"/index.html"), (b":scheme", b"http"), (b":scheme", b"https"),
    (b":status", b"200"), (b":status", b"204"), (b":status", b"206"), (b":status", b"304"),
    (b":status", b"400"), (b":status", b"404"), (b":status", b"500"),
    (b"accept-charset", b""), (b"accept-encoding", b"gzip, deflate"), (b"accept-language", b""),
    (b"accept-ranges", b""), (b"accept", b""), (b"access-control-allow-origin", b""),
    (b"age", b""), (b"allow", b""), (b"authorization", b""), (b"cache-control", b""),
    (b"content-disposition", b""), (b"content-encoding", b""), (b"content-language", b""),
    (b"content-length", b""), (b"content-location", b""), (b"content-range", b""),
    (b"content-type", b""), (b"cookie", b""), (b"date", b""), (b"etag", b""), (b"expect", b""),
    (b"expires", b""), (b"from", b""), (b"host", b""), (b"if-match", b""),
    (b"if-modified-since", b""), (b"if-none-match", b""), (b"if-range", b""),
    (b"if-unmodified-since", b""), (b"last-modified", b""), (b"link", b""), (b"location", b""),
    (b"max-forwards", b""), (b"proxy-authenticate", b""), (b"proxy-authorization", b""),
    (b"range", b""), (b"referer", b""), (b"refresh", b""), (b"retry-after", b""),
    (b"server", b""), (b"set-cookie", b""), (b"strict-transport-security", b""),
    (b"transfer-encoding", b""), (b"user-agent", b""), (b"vary", b""), (b"via", b""),
    (b"www-authenticate", b""),
];

/// The index of the first static entry with this name.
#[must_use]
#[rustfmt::skip]
pub fn static_name(name: &[u8]) -> Option<u8> {
    Some(match name {
        b":authority" => 1, b":method" => 2, b":path" => 4, b":scheme" => 6, b":status" => 8,
        b"accept-charset" => 15, b"accept-encoding" => 16, b"accept-language" => 17,
        b"accept-ranges" => 18, b"accept" => 19, b"access-control-allow-origin" => 20,
        b"age" => 21, b"allow" => 22, b"authorization" => 23, b"cache-control" => 24,
        b"content-disposition" => 25, b"content-encoding" => 26, b"content-language" => 27,
        b"content-length" => 28, b"content-location" => 29, b"content-range" => 30,
        b"content-type" => 31, b"cookie" => 32, b"date" => 33, b"etag" => 34, b"expect" => 35,
        b"expires" => 36, b"from" => 37, b"host" => 38, b"if-match" => 39,
        b"if-modified-since" => 40, b"if-none-match" => 41, b"if-range" => 42,
        b"if-unmodified-since" => 43, b"last-modified" => 44, b"link" => 45, b"location" => 46,
        b"max-forwards" => 47, b"proxy-authenticate" => 48, b"proxy-authorization" => 49,
        b"range" => 50, b"referer" => 51, b"refresh" => 52, b"retry-after" => 53,
        b"server" => 54, b"set-cookie" => 55, b"strict-transport-security" => 56,
        b"transfer-encoding" => 57, b"user-agent" => 58, b"vary" => 59, b"via" => 60,
        b"www-authenticate" => 61,
        _ => return None,
    })
}

/// The index of the static entry with this name and value.
#[must_use]
pub fn static_field(name: &[u8], value: &[u8]) -> Option<u8> {
    let first = static_name(name)?;
    // Only the first sixteen entries have values; those of one name stand together.
    (first..=16)
        .zip(STATIC.iter().skip(usize::from(first) - 1))
        .take_while(|(_, entry)| entry.0 == name)
        .find(|(_, entry)| entry.1 == value && !value.is_empty())
        .map(|(index, _)| index)
}

/// The entries that a peer's encoder has told us to remember, the newest first.
///
/// The bytes stand one entry behind the other in one buffer; evicted ones are cut off in front now
/// and then, so that an entry costs no allocation of its own.
#[derive(Clone, Debug, Default)]
pub struct DynamicTable {
    bytes: Vec<u8>,
    /// Where the oldest entry begins in `bytes`.
    start: usize,
    /// Lengths of name and value, the oldest first.
    entries: VecDeque<(u32, u32)>,
    /// Bytes and overhead of all entries.
    size: usize,
    size_max: usize,
    changes: u64,
}

impl DynamicTable {
    /// An empty table of at most `size_max` bytes, overhead included.
    #[must_use]
    pub fn new(size_max: u32) -> Self {
        DynamicTable { size_max: to_usize(size_max), ..DynamicTable::default() }
    }

    /// Bytes of all entries with their overhead (RFC 7541 §4.1).
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// What `size` may reach.
    #[must_use]
    pub fn size_max(&self) -> usize {
        self.size_max
    }

    /// How often it was changed: while this stays the same, so does what each index means.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Changes the bound, and evicts what no longer fits (RFC 7541 §4.3).
    pub fn resize(&mut self, size_max: u32) {
        self.changes += 1;
        self.size_max = to_usize(size_max);
        self.evict_to(self.size_max);
        self.bytes.drain(..self.start);
        self.start = 0;
    }

    /// Adds an entry; older ones make room. One larger than the table empties it (§4.4).
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        self.changes += 1;
        let need = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict_to(self.size_max.saturating_sub(need));
        if need > self.size_max {
            return;
        }
        let (Ok(name_len), Ok(value_len)) = (u32::try_from(name.len()), u32::try_from(value.len()))
        else {
            return;
        };
        if self.start > 2 * self.size_max.max(1024) {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back((name_len, value_len));
        self.size += need;
    }

    /// Name and value of an entry; the newest has index 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let place = self.entries.len().checked_sub(index + 1)?;
        // From the nearer end: encoders refer to what they have just added more often than not.
        let behind: usize = self.entries.range(place..).copied().map(bytes_of).sum();
        let entry = self.entries.get(place)?;
        let start = self.bytes.len().checked_sub(behind)?;
        let (name, rest) = self.bytes.get(start..)?.split_at_checked(to_usize(entry.0))?;
        Some((name, rest.get(..to_usize(entry.1))?))
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_front() else { break };
            let bytes = bytes_of(entry);
            self.start += bytes;
            self.size -= bytes + ENTRY_OVERHEAD;
        }
        if self.entries.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// For tests, after every mutation.
    ///
    /// # Panics
    ///
    /// If a sum is wrong.
    pub fn check(&self) {
        let bytes: usize = self.entries.iter().copied().map(bytes_of).sum();
        assert_eq!(self.start + bytes, self.bytes.len());
        assert_eq!(self.size, bytes + self.entries.len() * ENTRY_OVERHEAD);
        assert!(self.size <= self.size_max);
        assert!(self.bytes.len() <= 4 * self.size_max.max(1024));
    }
}

fn bytes_of(entry: (u32, u32)) -> usize {
    to_usize(entry.0) + to_usize(entry.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn each_static_entry_is_found_by_name_and_value() {
        for (place, (name, value)) in STATIC.iter().enumerate() {
            let index = u8::try_from(place + 1).unwrap();
            let first = STATIC.iter().position(|entry| entry.0 == *name).unwrap();
            assert_eq!(static_name(name).map(usize::from), Some(first + 1));
            let want = if value.is_empty() { None } else { Some(index) };
            assert_eq!(static_field(name, value), want, "{index}");
        }
        assert_eq!(static_name(b"x-filename"), None);
        assert_eq!(static_field(b":status", b"201"), None);
    }

    #[test]
    fn a_table_behaves_like_a_list_of_entries() {
        let mut prng = Prng::new(3);
        let mut table = DynamicTable::new(400);
        let mut model: VecDeque<(Vec<u8>, Vec<u8>)> = VecDeque::new();
        let mut bound = 400;
        for _ in 0..20_000 {
            if prng.one_in(50) {
                bound = usize::try_from(prng.below(500)).unwrap();
                table.resize(u32::try_from(bound).unwrap());
            } else {
                let mut name = vec![0; usize::try_from(prng.below(40)).unwrap()];
                let mut value = vec![0; usize::try_from(prng.below(120)).unwrap()];
                prng.fill(&mut name);
                prng.fill(&mut value);
                table.insert(&name, &value);
                model.push_front((name, value));
            }
            while size(&model) > bound {
                // An entry that does not fit takes all others with it.
                if model.front().is_some_and(|e| e.0.len() + e.1.len() + 32 > bound) {
                    model.clear();
                    break;
                }
                model.pop_back();
            }
            table.check();
            assert_eq!(table.size(), size(&model));
            for (index, (name, value)) in model.iter().enumerate() {
                assert_eq!(table.get(index), Some((name.as_slice(), value.as_slice())));
            }
            assert_eq!(table.get(model.len()), None);
        }
    }

    fn size(model: &VecDeque<(Vec<u8>, Vec<u8>)>) -> usize {
        model.iter().map(|(name, value)| name.len() + value.len() + ENTRY_OVERHEAD).sum()
    }
}
