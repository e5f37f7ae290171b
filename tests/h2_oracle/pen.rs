//! Writes frames as any peer may: every form that RFC 7541 and RFC 9113 allow, chosen by chance.
//! It shares no encoder with the product.

use std::collections::VecDeque;

use otus::base::prng::Prng;
use otus::protocol::h2::frame::{
    ACK, END_HEADERS, END_STREAM, ErrorCode, Kind, PADDED, PREFACE, PRIORITY, write,
    write_window_update,
};
use otus::protocol::h2::hpack::huffman;
use otus::protocol::h2::hpack::table::{static_field, static_name};

/// Fields in their order.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Bytes that an entry costs beside its text (RFC 7541 §4.1).
const ENTRY_BYTES: usize = 32;
/// Entries of the static table.
const STATIC_ENTRIES: usize = 61;

/// One side of a connection, writing.
pub(crate) struct Pen {
    /// What was written.
    pub(crate) out: Vec<u8>,
    pub(crate) prng: Prng,
    /// The dynamic table, the newest entry first.
    table: VecDeque<(Vec<u8>, Vec<u8>)>,
    used: usize,
    size: usize,
    /// The largest table that the reader allows.
    limit: usize,
    /// The reader has allowed less than what is used: the next block has to say so.
    owes_update: bool,
}

impl Pen {
    /// Begins a connection whose reader allows a table of `limit` bytes: as a client with the
    /// preface, and on both sides with SETTINGS and the acknowledgement of the reader's.
    pub(crate) fn new(seed: u64, is_client: bool, limit: usize) -> Pen {
        let mut pen = Pen {
            out: if is_client { PREFACE.to_vec() } else { Vec::new() },
            prng: Prng::new(seed),
            table: VecDeque::new(),
            used: 0,
            size: 4096,
            limit,
            owes_update: limit < 4096,
        };
        write(&mut pen.out, Kind::Settings, 0, 0, &[]);
        write(&mut pen.out, Kind::Settings, ACK, 0, &[]);
        pen
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.prng.below(u64::try_from(bound).unwrap())).unwrap()
    }

    /// HEADERS, and CONTINUATION as often as chance wants it.
    pub(crate) fn headers(&mut self, id: u32, fields: &Fields, end: bool) {
        let block = self.block(fields);
        self.cut_block(id, &block, end);
    }

    /// The same of a block that is there.
    pub(crate) fn cut_block(&mut self, id: u32, block: &[u8], end: bool) {
        let mut flags = if end { END_STREAM } else { 0 };
        let mut kind = Kind::Headers;
        let mut rest = block;
        loop {
            let all = rest.len() <= 16_000 && !self.prng.one_in(3);
            let len = if all { rest.len() } else { self.below(rest.len().min(16_000) + 1) };
            let (part, later) = rest.split_at(len);
            if all {
                flags |= END_HEADERS;
            }
            if kind == Kind::Headers {
                self.first_of_block(id, flags, part);
            } else {
                write(&mut self.out, kind, flags, id, part);
            }
            if all {
                return;
            }
            (rest, flags, kind) = (later, 0, Kind::Continuation);
        }
    }

    /// HEADERS, which alone may have padding and a priority.
    fn first_of_block(&mut self, id: u32, mut flags: u8, part: &[u8]) {
        let mut payload = Vec::new();
        let padding = self.padding();
        if let Some(len) = padding {
            flags |= PADDED;
            payload.push(len);
        }
        if self.prng.one_in(4) {
            flags |= PRIORITY;
            // Of the next stream, or exclusively of the one behind it: never of itself.
            let other = if self.prng.one_in(2) { id + 2 } else { (id + 4) | 0x8000_0000 };
            payload.extend_from_slice(&other.to_be_bytes());
            payload.push(7);
        }
        payload.extend_from_slice(part);
        payload.resize(payload.len() + usize::from(padding.unwrap_or(0)), 0);
        write(&mut self.out, Kind::Headers, flags, id, &payload);
    }

    fn padding(&mut self) -> Option<u8> {
        let padding = if self.prng.one_in(8) { 255 } else { self.prng.below(12) };
        self.prng.one_in(3).then(|| u8::try_from(padding).unwrap())
    }

    /// One frame of DATA.
    pub(crate) fn data(&mut self, id: u32, bytes: &[u8], end: bool) {
        let mut flags = if end { END_STREAM } else { 0 };
        let mut payload = Vec::new();
        let padding = self.padding();
        if let Some(len) = padding {
            flags |= PADDED;
            payload.push(len);
        }
        payload.extend_from_slice(bytes);
        payload.resize(payload.len() + usize::from(padding.unwrap_or(0)), 0);
        write(&mut self.out, Kind::Data, flags, id, &payload);
    }

    pub(crate) fn reset(&mut self, id: u32, code: ErrorCode) {
        write(&mut self.out, Kind::Reset, 0, id, &code.0.to_be_bytes());
    }

    /// A frame that changes nothing that a message is made of. `id` was opened.
    pub(crate) fn aside(&mut self, id: u32) {
        match self.prng.below(6) {
            0 => write(&mut self.out, Kind::Ping, 0, 0, b"whatever"),
            1 => write(
                &mut self.out,
                Kind::Settings,
                0,
                0,
                b"\0\x04\0\x01\x11\x70\x7f\x7f\0\0\0\x01",
            ),
            2 => write_window_update(&mut self.out, 0, 5000),
            3 => write_window_update(&mut self.out, id, 2000),
            4 => write(&mut self.out, Kind::Priority, 0, id, &[0, 0, 0, 0, 15]),
            _ => write(&mut self.out, Kind::Unknown(0x7e), 0xff, id, b"of an extension"),
        }
    }

    /// A header block (RFC 7541 §6).
    pub(crate) fn block(&mut self, fields: &Fields) -> Vec<u8> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.owes_update) || self.prng.one_in(6) {
            // §4.2: the smallest size between two blocks, and the last.
            let (one, two) = (self.below(self.limit + 1), self.below(self.limit + 1));
            if one < two || self.prng.one_in(2) {
                self.resize(&mut out, one);
            }
            if one <= two || out.is_empty() {
                self.resize(&mut out, two);
            }
        }
        for (name, value) in fields {
            self.field(&mut out, name, value);
        }
        out
    }

    fn resize(&mut self, out: &mut Vec<u8>, size: usize) {
        integer(out, 0x20, 5, size);
        self.size = size;
        self.evict(0);
    }

    fn evict(&mut self, room: usize) {
        while self.used + room > self.size {
            let Some((name, value)) = self.table.pop_back() else { return };
            self.used -= name.len() + value.len() + ENTRY_BYTES;
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        let dynamic = self.table.iter().position(|entry| entry.0 == name && entry.1 == value);
        let dynamic = dynamic.map(|place| place + STATIC_ENTRIES + 1);
        let whole = dynamic.or(static_field(name, value).map(usize::from));
        if let Some(index) = whole
            && !self.prng.one_in(4)
        {
            return integer(out, 0x80, 7, index);
        }
        let dynamic = self.table.iter().rposition(|entry| entry.0 == name);
        let dynamic = dynamic.map(|place| place + STATIC_ENTRIES + 1);
        let known = dynamic.or(static_name(name).map(usize::from));
        let known = known.filter(|_| !self.prng.one_in(4)).unwrap_or(0);
        let (pattern, prefix) = [(0x40, 6), (0x40, 6), (0, 4), (0x10, 4)][self.below(4)];
        integer(out, pattern, prefix, known);
        if known == 0 {
            self.text(out, name);
        }
        self.text(out, value);
        if pattern == 0x40 {
            let bytes = name.len() + value.len() + ENTRY_BYTES;
            self.evict(bytes);
            if bytes <= self.size {
                self.used += bytes;
                self.table.push_front((name.to_vec(), value.to_vec()));
            }
        }
    }

    fn text(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        if self.prng.one_in(2) {
            integer(out, 0x80, 7, huffman::encoded_len(text));
            huffman::encode(text, out);
        } else {
            integer(out, 0, 7, text.len());
            out.extend_from_slice(text);
        }
    }
}

/// RFC 7541 §5.1.
fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let mask = 0xff_u8 >> (8 - prefix);
    if value < usize::from(mask) {
        return out.push(pattern | u8::try_from(value).unwrap());
    }
    out.push(pattern | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}
