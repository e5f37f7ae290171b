//! What a connection tells its caller.

use crate::base::time::Instant;
use crate::protocol::h2::flood::Flood;
use crate::protocol::h2::frame::{ErrorCode, StreamId};
use crate::protocol::h2::hpack::decode::DecodeError;

/// Which part of a message a header block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadersKind {
    /// An interim response (1xx); the head is still to come.
    Informational,
    /// The head of the request or response.
    Head,
    /// Trailers: the message ends here.
    Trailers,
}

/// What happened. Everything it refers to stays valid until the next call of `receive`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A header block; its fields are in `Connection::fields`. In the server's role a head opens
    /// the stream.
    Headers {
        /// The stream.
        id: StreamId,
        /// Nothing follows.
        end_stream: bool,
        /// What the block is.
        kind: HeadersKind,
    },
    /// A request whose head is beyond `header_list_max`: answer 431 or reset it. Server only.
    HeadTooLarge {
        /// The stream, which is open now.
        id: StreamId,
    },
    /// DATA, or a part of a DATA frame: `input[start..start + len]` of this call. Each byte is to
    /// be given back with `Connection::release`, whatever becomes of the stream.
    Data {
        /// The stream.
        id: StreamId,
        /// Where it begins in `input`.
        start: usize,
        /// How many bytes; zero only if the stream ends here.
        len: u32,
        /// Nothing follows.
        end_stream: bool,
    },
    /// The stream is over before its end. Nothing can be sent on it any more.
    Reset {
        /// The stream.
        id: StreamId,
        /// Why.
        code: ErrorCode,
        /// The peer did it (or will not process it, after GOAWAY); else we did, for the peer's
        /// fault.
        by_peer: bool,
    },
    /// A window has grown.
    Writable {
        /// The stream; none: that of the connection, or all.
        id: Option<StreamId>,
    },
    /// The peer opens or takes no further streams. A `Reset` follows for each of ours above `last`.
    GoAway {
        /// The last stream that it may have acted on.
        last: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// The peer's SETTINGS are in force: `max_frame_size` and `can_open` may have changed.
    SettingsApplied,
    /// The peer acknowledged our SETTINGS.
    SettingsAcknowledged,
    /// The echo of a PING that the caller sent.
    Pong {
        /// As it was sent.
        payload: [u8; 8],
    },
}

/// What one call of `receive` took from the front of its input, and what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// Bytes that need not be fed again.
    pub consumed: usize,
    /// None: all input is consumed.
    pub event: Option<Event>,
}

/// What `tick` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick {
    /// Call again then, unless something is received before.
    pub deadline: Option<Instant>,
    /// The peer is gone: close the connection.
    pub dead: bool,
}

/// The connection cannot go on. GOAWAY with `code` is in `outgoing`: write it, then close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionError {
    /// What the peer is told.
    pub code: ErrorCode,
    /// What it did.
    pub fault: Fault,
}

/// What a peer did that ends a connection. Sections are those of RFC 9113.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It does not begin with the preface, or not with SETTINGS (§3.4).
    Preface,
    /// A frame beyond what we allow, or of a wrong size for its kind (§4.2).
    FrameSize,
    /// Padding as long as the frame or longer (§6.1).
    Padding,
    /// A frame of a stream that must have one without, or the reverse (§6).
    StreamZero,
    /// A frame for a stream that nobody has opened (§5.1).
    StreamIdle,
    /// A header block for a stream that has ended (§5.1).
    StreamClosed,
    /// A stream number of the wrong side, or not above those before (§5.1.1).
    StreamNumber,
    /// CONTINUATION without a block, or something else within one (§4.3, §6.10).
    Continuation,
    /// A header block that cannot be decoded (§4.3).
    Compression(DecodeError),
    /// More than a window allows, or a window beyond 2³¹ - 1 (§6.9).
    FlowControl,
    /// A window update of zero for the connection (§6.9).
    WindowZero,
    /// A setting with a value that it cannot have (§6.5.2).
    SettingsValue,
    /// An acknowledgement of SETTINGS that were not sent (§6.5.3).
    SettingsAck,
    /// A push, which is never allowed here (§6.6).
    Push,
    /// Too much of something (§10.5).
    Flood(Flood),
}

/// Why no stream was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// As many are open as the peer allows.
    StreamsMax,
    /// A GOAWAY was sent or received, or the connection failed: use another one.
    GoingAway,
    /// All numbers are used up: use another connection.
    IdsExhausted,
    /// A server opens no streams.
    NotClient,
}

/// Why nothing was sent on a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamError {
    /// The stream has ended or was reset, or our half has ended.
    Closed,
    /// Not at this point: DATA before the head, or trailers that do not end the stream.
    Order,
    /// More than `capacity` or `max_frame_size`.
    Capacity,
}
