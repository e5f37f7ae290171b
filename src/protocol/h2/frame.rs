//! Frames as they stand on the wire (RFC 9113 §4.1, §6).

use std::fmt;

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame head.
pub const FRAME_HEAD_BYTES: usize = 9;
/// The largest payload that each side takes without having said so (RFC 9113 §4.2).
pub const FRAME_BYTES_DEFAULT: u32 = 16_384;
/// The largest payload that a side may allow (RFC 9113 §6.5.2).
pub const FRAME_BYTES_MAX: u32 = 16_777_215;

/// Number of a stream within its connection: odd ones are opened by the client. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The largest there is: 2³¹ - 1.
    pub const MAX: StreamId = StreamId(0x7fff_ffff);
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a stream or a connection ended (RFC 9113 §7). Unknown codes keep their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing is wrong.
    pub const NO_ERROR: ErrorCode = ErrorCode(0x0);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(0x1);
    /// Our own fault.
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(0x2);
    /// More was sent than a window allows.
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(0x4);
    /// A frame for a stream that has ended.
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(0x5);
    /// A frame of a wrong size.
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(0x6);
    /// Nothing was done with the stream: it may be tried again.
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: ErrorCode = ErrorCode(0x8);
    /// A header block could not be decoded.
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(0x9);
    /// The connection behind a CONNECT broke.
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(0xa);
    /// The peer asks for more than it should.
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(0xb);
    /// The transport is not safe enough.
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(0xc);
    /// HTTP/1.1 is wanted.
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(0xd);
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            ErrorCode::NO_ERROR => "NO_ERROR",
            ErrorCode::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            ErrorCode::INTERNAL_ERROR => "INTERNAL_ERROR",
            ErrorCode::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            ErrorCode::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            ErrorCode::STREAM_CLOSED => "STREAM_CLOSED",
            ErrorCode::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            ErrorCode::REFUSED_STREAM => "REFUSED_STREAM",
            ErrorCode::CANCEL => "CANCEL",
            ErrorCode::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            ErrorCode::CONNECT_ERROR => "CONNECT_ERROR",
            ErrorCode::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            ErrorCode::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            ErrorCode::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            ErrorCode(other) => return write!(f, "ErrorCode({other:#x})"),
        };
        f.write_str(name)
    }
}

/// The type octet of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Payload of a message (§6.1).
    Data,
    /// The start of a header block (§6.2).
    Headers,
    /// Advice that RFC 9113 §5.3 withdrew; read and ignored (§6.3).
    Priority,
    /// The end of one stream (§6.4).
    Reset,
    /// What a side asks of the other (§6.5).
    Settings,
    /// A promised response; never allowed here (§6.6).
    PushPromise,
    /// A question that wants its echo (§6.7).
    Ping,
    /// No further streams (§6.8).
    GoAway,
    /// Room to send (§6.9).
    WindowUpdate,
    /// More of a header block (§6.10).
    Continuation,
    /// An extension; ignored (§5.5).
    Unknown(u8),
}

impl Kind {
    /// The type for its octet.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Kind {
        match octet {
            0x0 => Kind::Data,
            0x1 => Kind::Headers,
            0x2 => Kind::Priority,
            0x3 => Kind::Reset,
            0x4 => Kind::Settings,
            0x5 => Kind::PushPromise,
            0x6 => Kind::Ping,
            0x7 => Kind::GoAway,
            0x8 => Kind::WindowUpdate,
            0x9 => Kind::Continuation,
            other => Kind::Unknown(other),
        }
    }

    /// The octet for this type.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Kind::Data => 0x0,
            Kind::Headers => 0x1,
            Kind::Priority => 0x2,
            Kind::Reset => 0x3,
            Kind::Settings => 0x4,
            Kind::PushPromise => 0x5,
            Kind::Ping => 0x6,
            Kind::GoAway => 0x7,
            Kind::WindowUpdate => 0x8,
            Kind::Continuation => 0x9,
            Kind::Unknown(other) => other,
        }
    }
}

/// Last frame of the sender's half of the stream: DATA, HEADERS.
pub const END_STREAM: u8 = 0x1;
/// Echo of SETTINGS or PING.
pub const ACK: u8 = 0x1;
/// The header block ends with this frame: HEADERS, CONTINUATION.
pub const END_HEADERS: u8 = 0x4;
/// A length octet and padding are there: DATA, HEADERS.
pub const PADDED: u8 = 0x8;
/// Five octets of priority are there: HEADERS.
pub const PRIORITY: u8 = 0x20;

/// The nine octets before each payload (RFC 9113 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHead {
    /// Bytes of payload, at most 2²⁴ - 1.
    pub len: u32,
    /// What kind of frame it is.
    pub kind: Kind,
    /// Flags, with a meaning for each kind.
    pub flags: u8,
    /// The stream, zero for the connection. Its reserved bit is dropped.
    pub stream: u32,
}

impl FrameHead {
    /// Reads a head. All bytes have a meaning, so this cannot fail.
    #[must_use]
    pub const fn parse(bytes: &[u8; FRAME_HEAD_BYTES]) -> FrameHead {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        FrameHead {
            len: u32::from_be_bytes([0, a, b, c]),
            kind: Kind::from_octet(kind),
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// The nine octets. `len` must be below 2²⁴.
    #[must_use]
    pub const fn encode(&self) -> [u8; FRAME_HEAD_BYTES] {
        debug_assert!(self.len <= FRAME_BYTES_MAX && self.stream <= StreamId::MAX.0);
        let [_, a, b, c] = self.len.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [a, b, c, self.kind.octet(), self.flags, s0, s1, s2, s3]
    }

    /// Whether a flag is set.
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame with a short payload.
pub fn write(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(FRAME_BYTES_MAX);
    out.extend_from_slice(&FrameHead { len, kind, flags, stream }.encode());
    out.extend_from_slice(payload);
}

/// Appends `RST_STREAM` (§6.4). 13 bytes.
pub fn write_reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    write(out, Kind::Reset, 0, stream, &code.0.to_be_bytes());
}

/// Appends the echo of SETTINGS (§6.5.3). 9 bytes.
pub fn write_settings_ack(out: &mut Vec<u8>) {
    write(out, Kind::Settings, ACK, 0, &[]);
}

/// Appends PING or its echo (§6.7). 17 bytes.
pub fn write_ping(out: &mut Vec<u8>, payload: [u8; 8], ack: bool) {
    write(out, Kind::Ping, if ack { ACK } else { 0 }, 0, &payload);
}

/// Appends GOAWAY without debug data (§6.8). 17 bytes.
pub fn write_go_away(out: &mut Vec<u8>, last: u32, code: ErrorCode) {
    let payload = (u64::from(last) << 32) | u64::from(code.0);
    write(out, Kind::GoAway, 0, 0, &payload.to_be_bytes());
}

/// Appends `WINDOW_UPDATE` (§6.9). 13 bytes. `increment` is from 1 to 2³¹ - 1.
pub fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    debug_assert!(increment > 0 && increment <= 0x7fff_ffff);
    write(out, Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
}

/// Appends HEADERS and as many CONTINUATIONs as `block` needs at `frame_max` bytes each (§6.2,
/// §6.10).
pub fn write_headers(
    out: &mut Vec<u8>,
    stream: u32,
    block: &[u8],
    end_stream: bool,
    frame_max: u32,
) {
    let frame_max = to_usize(frame_max.max(1));
    let first_flags = if end_stream { END_STREAM } else { 0 };
    let (mut part, mut rest) = block.split_at(block.len().min(frame_max));
    let mut kind = Kind::Headers;
    let mut flags = first_flags;
    loop {
        if rest.is_empty() {
            flags |= END_HEADERS;
        }
        write(out, kind, flags, stream, part);
        if rest.is_empty() {
            return;
        }
        (part, rest) = rest.split_at(rest.len().min(frame_max));
        kind = Kind::Continuation;
        flags = 0;
    }
}

/// The first four bytes as a number, big end first.
#[must_use]
pub fn be_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A length of the wire as a length in memory. Otus runs on 64 bits only, so this loses nothing.
#[must_use]
pub fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_it_is_read() {
        for octet in 0..=255u8 {
            let head = FrameHead {
                len: 0x00ab_cdef,
                kind: Kind::from_octet(octet),
                flags: 0x25,
                stream: 0x7abb_ccdd,
            };
            let bytes = head.encode();
            assert_eq!(bytes, [0xab, 0xcd, 0xef, octet, 0x25, 0x7a, 0xbb, 0xcc, 0xdd]);
            assert_eq!(FrameHead::parse(&bytes), head);
        }
    }

    #[test]
    fn the_reserved_bit_of_a_stream_is_dropped() {
        let head = FrameHead::parse(&[0, 0, 0, 0, 0, 0x80, 0, 0, 1]);
        assert_eq!(head.stream, 1);
    }

    #[test]
    fn a_long_block_continues_in_further_frames() {
        check(0, 4, &[(Kind::Headers, END_HEADERS | END_STREAM, 0)]);
        check(4, 4, &[(Kind::Headers, END_HEADERS | END_STREAM, 4)]);
        check(5, 4, &[(Kind::Headers, END_STREAM, 4), (Kind::Continuation, END_HEADERS, 1)]);
        check(
            12,
            4,
            &[
                (Kind::Headers, END_STREAM, 4),
                (Kind::Continuation, 0, 4),
                (Kind::Continuation, END_HEADERS, 4),
            ],
        );
    }

    #[track_caller]
    fn check(block: usize, frame_max: u32, want: &[(Kind, u8, u32)]) {
        let block: Vec<u8> = (0..block).map(|n| u8::try_from(n).unwrap()).collect();
        let mut out = Vec::new();
        write_headers(&mut out, 7, &block, true, frame_max);
        let mut rest = out.as_slice();
        let mut seen = Vec::new();
        let mut joined = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk() {
            let head = FrameHead::parse(head);
            let (payload, tail) = tail.split_at(to_usize(head.len));
            assert_eq!(head.stream, 7);
            seen.push((head.kind, head.flags, head.len));
            joined.extend_from_slice(payload);
            rest = tail;
        }
        assert_eq!(seen, want);
        assert_eq!(joined, block);
    }
}
