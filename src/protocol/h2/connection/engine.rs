//! The state of a connection, and what may be asked of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::block::Block;
use super::config::{Config, Role};
use super::event::{ConnectionError, Event, Fault};
use super::receive::Reading;
use crate::base::time::Instant;
use crate::protocol::h2::flood::{Counter, Counters, Flood, Rule};
use crate::protocol::h2::flow::{RecvWindow, SendWindow, WINDOW_DEFAULT};
use crate::protocol::h2::frame::{self, ErrorCode, PREFACE, StreamId, to_usize};
use crate::protocol::h2::hpack::decode::Decoder;
use crate::protocol::h2::hpack::fields::Fields;
use crate::protocol::h2::settings::Settings;
use crate::protocol::h2::stream::{Ended, Half, Stream, Streams};

/// One HTTP/2 connection. See the [module](super) for how it is driven.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) config: Config,
    /// Written before any payload whose head is made later.
    pub(super) outgoing: Vec<u8>,
    /// Bytes of replies in `outgoing` since it was last seen empty.
    pub(super) replies: usize,

    pub(super) reading: Reading,
    /// Frames that have begun.
    pub(super) frames: u64,
    /// The bytes of a frame head, or of a payload, that came in pieces.
    pub(super) partial: Vec<u8>,
    /// The header block of `open_block` so far.
    pub(super) block: Vec<u8>,
    pub(super) open_block: Option<OpenBlock>,
    pub(super) decoder: Decoder,
    /// The last head, and the last trailers.
    pub(super) head: Block,
    pub(super) trailers: Block,
    /// Which of the two came last.
    pub(super) trailers_last: bool,
    /// Events to be reported before anything else is read.
    pub(super) pending: VecDeque<Event>,
    pub(super) failed: Option<ConnectionError>,

    /// What the peer has been told.
    pub(super) ours: Settings,
    /// SETTINGS of ours that the peer has not acknowledged, with the window before them.
    pub(super) unacknowledged: Option<u32>,
    pub(super) theirs: Settings,
    pub(super) theirs_seen: bool,
    /// The next block has to say that we use no dynamic table; then it has been said for good.
    pub(super) table_update: TableUpdate,

    pub(super) streams: Streams,
    /// The next stream that we open.
    pub(super) next_id: u32,
    /// The last stream that the peer opened.
    pub(super) last_peer: u32,
    pub(super) send_window: SendWindow,
    pub(super) recv_window: RecvWindow,
    /// The last stream that the peer will process, once it said so.
    pub(super) going_away: Option<u32>,
    /// The last stream that we process, once we said so.
    pub(super) go_away_sent: Option<u32>,

    pub(super) counters: Counters,
    pub(super) last_received: Instant,
    pub(super) ping_sent: Option<Instant>,
    /// How long the peer may be silent before the next PING.
    pub(super) quiet: Duration,
}

/// A header block that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenBlock {
    pub(super) id: u32,
    pub(super) end_stream: bool,
    /// It made the stream depend on itself (RFC 7540 §5.3.1).
    pub(super) self_dependent: bool,
    pub(super) frames: u32,
}

/// Whether the peer has to be told that our encoder uses no dynamic table (RFC 7541 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TableUpdate {
    /// The peer allows what it began with.
    NotNeeded,
    /// With the next block.
    Due,
    Done,
}

/// What a stream number means that is not among the living.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absent {
    /// Nobody has opened it.
    Idle,
    /// We reset it or will not process it: what comes was under way.
    Late,
    Ended(Ended),
    /// It ended too long ago to tell how, or was skipped.
    Forgotten,
}

impl Connection {
    /// A new connection, with what is to be sent first in `outgoing`.
    #[must_use]
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        let client = role == Role::Client;
        let ours = Settings {
            header_table: config.header_table,
            push: !client,
            streams_max: if client { u32::MAX } else { config.streams_max },
            initial_window: config.initial_window,
            frame_max: config.frame_max,
            header_list_max: config.header_list_max,
            connect_protocol: !client && config.connect_protocol,
        };
        let mut outgoing = Vec::with_capacity(96);
        if client {
            outgoing.extend_from_slice(PREFACE);
        }
        ours.write(&Settings::default(), &mut outgoing);
        let mut recv_window = RecvWindow::new(WINDOW_DEFAULT);
        if let Some(increment) = recv_window.resize(config.connection_window) {
            frame::write_window_update(&mut outgoing, 0, increment);
        }
        Connection {
            role,
            config,
            outgoing,
            replies: 0,
            reading: if client { Reading::Head } else { Reading::Preface(0) },
            frames: 0,
            partial: Vec::new(),
            block: Vec::new(),
            open_block: None,
            // Until it has acknowledged our SETTINGS, the peer may use what it began with.
            decoder: Decoder::new(config.header_table.max(4096)),
            head: Block::new(config.header_list_max),
            trailers: Block::new(config.header_list_max),
            trailers_last: false,
            pending: VecDeque::new(),
            failed: None,
            ours,
            unacknowledged: Some(WINDOW_DEFAULT),
            theirs: Settings::default(),
            theirs_seen: false,
            table_update: TableUpdate::NotNeeded,
            streams: Streams::default(),
            next_id: 1,
            last_peer: 0,
            send_window: SendWindow::new(WINDOW_DEFAULT),
            recv_window,
            going_away: None,
            go_away_sent: None,
            counters: Counters::default(),
            last_received: now,
            ping_sent: None,
            quiet: config.keep_alive.map_or(Duration::MAX, |(interval, _)| interval),
        }
    }

    /// Control frames, HEADERS and small DATA, to be written before any payload whose head is made
    /// later. Take all of it; what is left counts against `Config::replies_max`.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// The fields of the last `Event::Headers`.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        if self.trailers_last { self.trailers.fields() } else { self.head.fields() }
    }

    /// Bytes of DATA that may be sent on the stream now. Zero: wait for `Event::Writable`.
    #[must_use]
    pub fn capacity(&self, id: StreamId) -> u32 {
        match self.streams.get(id.0) {
            Some(stream) if stream.send == Half::Body => {
                stream.send_window.available().min(self.send_window.available())
            }
            _ => 0,
        }
    }

    /// Bytes of DATA that may be sent on all streams together.
    #[must_use]
    pub fn connection_capacity(&self) -> u32 {
        self.send_window.available()
    }

    /// The largest payload of a frame that the peer takes.
    #[must_use]
    pub fn max_frame_size(&self) -> u32 {
        self.theirs.frame_max
    }

    /// Whether `open` would succeed.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.openable().is_ok()
    }

    /// Streams that are not closed.
    #[must_use]
    pub fn streams_open(&self) -> u32 {
        u32::try_from(self.streams.len()).unwrap_or(u32::MAX)
    }

    /// How many streams the peer lets us open at once.
    #[must_use]
    pub fn streams_allowed(&self) -> u32 {
        if self.theirs_seen { self.theirs.streams_max } else { self.config.streams_assumed }
    }

    /// No stream is open.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// A GOAWAY was sent or received, or the connection failed: no further streams.
    #[must_use]
    pub fn is_going_away(&self) -> bool {
        self.going_away.is_some() || self.go_away_sent.is_some() || self.failed.is_some()
    }

    /// The peer's first SETTINGS have come: it speaks HTTP/2.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.theirs_seen
    }

    /// What the peer asked for.
    #[must_use]
    pub fn peer_settings(&self) -> &Settings {
        &self.theirs
    }

    /// The last stream that the peer opened, for a GOAWAY that lets it finish. Zero: none.
    #[must_use]
    pub fn last_peer_stream(&self) -> u32 {
        self.last_peer
    }

    /// What the peer has begun and must end before it can say anything else, as a number that
    /// changes with the next such thing: the preface, a head, any frame that is no DATA.
    #[must_use]
    pub fn amid(&self) -> Option<u64> {
        if let Some(block) = self.open_block {
            return Some(u64::MAX - u64::from(block.id));
        }
        let amid = match self.reading {
            Reading::Head => !self.partial.is_empty(),
            Reading::Preface(_) | Reading::Payload(_) | Reading::PadLength(_) => true,
            Reading::Data(_) | Reading::Skip(_) => false,
        };
        (amid || !self.theirs_seen).then_some(self.frames)
    }

    /// Whether most of the connection's window is taken up by DATA that was not released: that the
    /// peer sends no more on one stream may be another's doing.
    #[must_use]
    pub fn is_choked(&self) -> bool {
        self.recv_window.held() / 2 >= self.recv_window.left()
    }

    /// Bytes of DATA that were reported and not yet released.
    #[must_use]
    pub fn unreleased(&self) -> u32 {
        self.recv_window.held()
    }

    /// What a number means that belongs to no living stream.
    pub(super) fn absent(&self, id: u32) -> Absent {
        let opened = match self.role {
            Role::Client => id < self.next_id,
            Role::Server => id <= self.last_peer,
        };
        if id.is_multiple_of(2) || !opened {
            return Absent::Idle;
        }
        if self.role == Role::Server && self.go_away_sent.is_some_and(|last| id > last) {
            return Absent::Late;
        }
        match self.streams.ended(id) {
            Some(Ended::ByUs) => Absent::Late,
            Some(how) => Absent::Ended(how),
            // What we opened, the peer may answer late.
            None if self.role == Role::Client => Absent::Late,
            None => Absent::Forgotten,
        }
    }

    /// A stream as it begins, with both halves given.
    pub(super) fn new_stream(&self, id: u32, send: Half, recv: Half) -> Stream {
        // Until it has acknowledged our window, the peer may use the one before.
        let window = self.unacknowledged.unwrap_or(0).max(self.ours.initial_window);
        Stream {
            id,
            send,
            recv,
            send_window: SendWindow::new(self.theirs.initial_window),
            recv_window: RecvWindow::new(window),
            length_left: None,
            bodiless: false,
        }
    }

    /// Removes a stream whose halves have both ended.
    pub(super) fn settle(&mut self, id: u32) {
        let over = |stream: &Stream| stream.send == Half::Ended && stream.recv == Half::Ended;
        if self.streams.get(id).is_some_and(over) {
            self.streams.end(id, Ended::Normally);
        }
    }

    /// Resets a stream for a fault of the peer, and counts that (CVE-2025-8671).
    pub(super) fn stream_fault(
        &mut self,
        id: u32,
        code: ErrorCode,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let known = self.streams.get(id).is_some();
        self.reply(|out| frame::write_reset(out, id, code));
        if known {
            self.streams.end(id, Ended::ByUs);
            self.pending.push_back(Event::Reset { id: StreamId(id), code, by_peer: false });
        } else {
            self.streams.remember(id, Ended::ByUs);
        }
        count(&mut self.counters.faults, self.config.floods.faults, now, Flood::Faults)
    }

    /// Gives connection window back.
    pub(super) fn give_back(&mut self, len: u32) {
        if let Some(increment) = self.recv_window.release(len) {
            self.reply(|out| frame::write_window_update(out, 0, increment));
        }
    }

    /// Writes something that the peer caused, and counts its bytes.
    pub(super) fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.queue().len();
        write(&mut self.outgoing);
        self.replies += self.outgoing.len() - before;
    }

    /// `outgoing`, to append to. If the caller has taken all that was in it, no reply is unread.
    pub(super) fn queue(&mut self) -> &mut Vec<u8> {
        if self.outgoing.is_empty() {
            self.replies = 0;
        }
        &mut self.outgoing
    }

    /// Ends the connection for a fault of the peer.
    pub(super) fn fail(&mut self, error: ConnectionError) {
        let last = self.last_peer;
        frame::write_go_away(self.queue(), last, error.code);
        self.failed = Some(error);
    }

    /// Compares what is stated twice. For tests, after every mutation.
    ///
    /// # Panics
    ///
    /// If something does not hold that must.
    pub fn check(&self) {
        self.streams.check();
        self.recv_window.check();
        self.send_window.check();
        self.decoder.table().check();
        for id in self.streams.ids() {
            if let Some(stream) = self.streams.get(id) {
                stream.send_window.check();
                stream.recv_window.check();
            }
        }
        if self.role == Role::Server {
            assert!(self.streams.len() <= to_usize(self.config.streams_max));
            assert!(self.streams.first_above(self.last_peer).is_none());
        } else {
            assert!(self.streams.first_above(self.next_id - 1).is_none());
        }
        assert!(self.partial.len() <= to_usize(self.ours.frame_max));
        assert!(self.block.len() <= to_usize(self.config.block_max()));
        assert!(self.fields().size() <= to_usize(self.config.header_list_max));
        assert!(self.replies <= self.config.replies_max + 64 || self.failed.is_some());
        assert!(self.open_block.is_some() || self.block.is_empty());
    }
}

/// Counts an event of the peer, and fails the connection if it is one too many.
pub(super) fn count(
    counter: &mut Counter,
    rule: Rule,
    now: Instant,
    flood: Flood,
) -> Result<(), ConnectionError> {
    if counter.hit(rule, now) { Ok(()) } else { Err(calm(flood)) }
}

/// The error for too much of something.
pub(super) fn calm(flood: Flood) -> ConnectionError {
    ConnectionError { code: ErrorCode::ENHANCE_YOUR_CALM, fault: Fault::Flood(flood) }
}

/// The error for a peer that broke the protocol.
pub(super) fn broken(fault: Fault) -> ConnectionError {
    ConnectionError { code: ErrorCode::PROTOCOL_ERROR, fault }
}

/// The error for a frame of a wrong size.
pub(super) fn wrong_size() -> ConnectionError {
    ConnectionError { code: ErrorCode::FRAME_SIZE_ERROR, fault: Fault::FrameSize }
}
