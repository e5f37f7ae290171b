//! The TLS state of a connection and the bytes that are between it and the wire. No io.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, ReadTraffic, UnbufferedConnectionCommon,
    UnbufferedStatus, WriteTraffic,
};

use crate::io::buffer::{Buffer, BufferPool};
use crate::io::gather::{Gather, SLICES_MAX};

use super::in_place::{Place, TOKEN_BYTES, within};
use super::inbox::Inbox;

/// Payload of one record (RFC 8446 §5.1).
const PAYLOAD_MAX: usize = 16 * 1024;
/// What a record has besides its payload, at most: header, nonce, content type, tag.
const OVERHEAD_MAX: usize = 5 + 8 + 1 + 16;
/// A message about keys that may stand before the payload of a write.
const KEY_UPDATE_MAX: usize = 64;
/// Bytes of handshake messages and alerts that wait to be sent. Far more than any handshake has.
const QUEUED_MAX: usize = 256 * 1024;
/// Alerts that are fetched after a fault.
const ALERTS_MAX: usize = 4;

/// The connection can never be used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

/// What there is to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opened {
    /// So many bytes of payload lie ready.
    Bytes(usize),
    /// The peer has said that nothing more comes.
    End,
    /// Records have to come first.
    NeedMore,
}

/// Which side of the connection we are, with rustls' state of it.
pub(super) enum Machine {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// See the head of this file.
pub(super) struct Engine {
    machine: Machine,
    wire: Wire,
}

/// Bytes between the state and the wire.
struct Wire {
    inbox: Inbox,
    /// Records that must leave before all others.
    queued: Vec<u8>,
    ended: bool,
    broken: bool,
    /// What broke it.
    cause: Cause,
}

/// What broke a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The certificate of the peer.
    Distrust,
    /// The peer, who has said so.
    Alert,
    /// Anything else, or nothing.
    Other,
}

/// What is asked of rustls.
enum Goal<'a> {
    /// Open all records that are here whole.
    Open,
    /// Put payload into a record, or several.
    Seal(&'a [u8], &'a mut Buffer),
    /// Say that nothing more comes.
    Goodbye,
}

/// What became of it.
enum Done {
    /// As far as possible.
    Yes,
    /// There was no room.
    Full,
}

/// rustls' two kinds of connection, as far as both do the same.
trait Common {
    type Data;
    fn process<'c, 'i>(&'c mut self, from: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    /// Whether there is something to write.
    fn has_more(&self) -> bool;
}

impl Common for UnbufferedConnectionCommon<ServerConnectionData> {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, from: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(from)
    }
    fn has_more(&self) -> bool {
        self.wants_write()
    }
}

impl Common for UnbufferedConnectionCommon<ClientConnectionData> {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, from: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(from)
    }
    fn has_more(&self) -> bool {
        self.wants_write()
    }
}

impl Engine {
    pub(super) fn new(machine: Machine) -> Self {
        let wire = Wire {
            inbox: Inbox::default(),
            queued: Vec::new(),
            ended: false,
            broken: false,
            cause: Cause::Other,
        };
        Engine { machine, wire }
    }

    /// What both sides agreed on.
    pub(super) fn facts<T>(&self, read: impl FnOnce(&rustls::CommonState) -> T) -> T {
        match &self.machine {
            Machine::Server(connection) => read(connection),
            Machine::Client(connection) => read(connection),
        }
    }

    pub(super) fn is_distrusted(&self) -> bool {
        self.wire.cause == Cause::Distrust
    }

    pub(super) fn is_alerted(&self) -> bool {
        self.wire.cause == Cause::Alert
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.facts(rustls::CommonState::is_handshaking)
    }

    /// Appends what came and could not be opened yet to a buffer that more is read into; false: no
    /// room is left for more.
    pub(super) fn lead(&self, buffer: &mut Buffer) -> bool {
        let sealed = self.wire.inbox.sealed();
        // More than a record that cannot be opened: a message over many records, none of ours.
        buffer.append(sealed) == sealed.len() && buffer.room() > 0
    }

    /// Takes a buffer that [`lead`](Self::lead) has written to, and what was read behind that.
    pub(super) fn feed(&mut self, buffer: Buffer) {
        self.wire.inbox.feed(buffer);
    }

    /// Opens what was read into a buffer that held `kept` bytes before [`lead`](Self::lead), and
    /// gives it back as if payload had been read into it.
    pub(super) fn open_behind(
        &mut self,
        buffer: Buffer,
        kept: usize,
        pool: &BufferPool,
    ) -> Option<Buffer> {
        self.wire.inbox.feed_behind(buffer, kept);
        self.run(Goal::Open);
        let (buffer, fits) = self.wire.inbox.give_back(pool);
        self.wire.broken |= !fits;
        buffer
    }

    /// Opens what has come.
    pub(super) fn open(&mut self) -> Result<Opened, Broken> {
        if self.wire.inbox.ready() == 0 && !self.wire.ended {
            self.run(Goal::Open);
        }
        match (self.wire.inbox.ready(), self.wire.ended, self.wire.broken) {
            (0, _, true) => Err(Broken),
            (0, true, _) => Ok(Opened::End),
            (0, false, _) => Ok(Opened::NeedMore),
            (ready, ..) => Ok(Opened::Bytes(ready)),
        }
    }

    /// Copies what lies ready into `into`, as much as it has room for.
    pub(super) fn fetch(&mut self, into: &mut Buffer) -> usize {
        self.wire.inbox.fetch(into)
    }

    /// Gives the buffer away that payload lies in, with where it does.
    pub(super) fn take(
        &mut self,
        ranges: &mut VecDeque<Range<usize>>,
        pool: &BufferPool,
    ) -> Option<Buffer> {
        let (buffer, fits) = self.wire.inbox.take(ranges, pool);
        self.wire.broken |= !fits;
        buffer
    }

    /// Puts what follows the first `done` bytes of `plain` into records, as far as `out` has room;
    /// what waited goes first. `spare` gives memory to put small parts together in.
    pub(super) fn seal(
        &mut self,
        plain: &Gather,
        done: &mut usize,
        out: &mut Buffer,
        spare: &BufferPool,
    ) -> Result<(), Broken> {
        self.unqueue(out);
        let mut joined: Option<Buffer> = None;
        while *done < plain.len() && self.wire.queued.is_empty() {
            let left = plain.len() - *done;
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = plain.slices(*done, &mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            let first: &[u8] = slices.first().map_or(&[], |slice| slice);
            let piece = if first.len() >= PAYLOAD_MAX || first.len() == left {
                let take = fitting(out.room(), first.len());
                first.get(..take).unwrap_or_default()
            } else {
                let buffer = joined.get_or_insert_with(|| spare.small());
                buffer.clear();
                for slice in slices {
                    if buffer.append(slice) < slice.len() {
                        break;
                    }
                }
                let take = fitting(out.room(), buffer.len());
                if take < buffer.len() { &[] } else { buffer.filled() }
            };
            if piece.is_empty() {
                return Ok(());
            }
            match self.run(Goal::Seal(piece, out)) {
                Done::Yes if !self.wire.broken => *done += piece.len(),
                Done::Full if !out.is_empty() => return Ok(()),
                _ => return Err(Broken),
            }
            // A message about keys may have been queued by a record that was opened meanwhile.
            self.unqueue(out);
        }
        Ok(())
    }

    /// Moves what waits to be sent into `out`.
    pub(super) fn unqueue(&mut self, out: &mut Buffer) {
        let moved = out.append(&self.wire.queued);
        self.wire.queued.drain(..moved);
        if self.wire.queued.is_empty() {
            self.wire.queued = Vec::new();
        }
    }

    /// Whether something waits to be sent.
    pub(super) fn has_queued(&self) -> bool {
        !self.wire.queued.is_empty()
    }

    /// Queues the word that nothing more comes.
    pub(super) fn say_goodbye(&mut self) {
        if !self.wire.broken && !self.is_handshaking() {
            self.run(Goal::Goodbye);
        }
    }

    /// Nothing that was received since may be taken for an end of the peer's.
    pub(super) fn break_off(&mut self) {
        self.wire.broken = true;
    }

    /// Gives memory back that is larger than what it holds.
    pub(super) fn shed(&mut self, pool: &BufferPool) {
        let fits = self.wire.inbox.shed(pool);
        self.wire.broken |= !fits;
    }

    fn run(&mut self, goal: Goal<'_>) -> Done {
        match &mut self.machine {
            Machine::Server(connection) => run(&mut ***connection, &mut self.wire, goal),
            Machine::Client(connection) => run(&mut ***connection, &mut self.wire, goal),
        }
    }
}

/// How many of `len` bytes fit into records that fit into `room`; whole records unless it is all.
fn fitting(room: usize, len: usize) -> usize {
    let room = room.saturating_sub(KEY_UPDATE_MAX);
    let record = PAYLOAD_MAX + OVERHEAD_MAX;
    let whole = (room / record) * PAYLOAD_MAX;
    let all = whole + (room % record).saturating_sub(OVERHEAD_MAX);
    if len <= all { len } else { whole.min(len) }
}

impl Wire {
    fn broken(&mut self) -> Done {
        self.broken = true;
        Done::Yes
    }

    /// rustls has opened one record of payload.
    fn lay(&mut self, place: Option<Place>) -> bool {
        let found = place.and_then(|place| place.in_bytes(self.inbox.sealed()));
        found.is_some_and(|(skip, len)| self.inbox.lay(skip, len))
    }
}

/// Drives rustls until the goal is reached or records have to come first. Afterwards `wire` says
/// what has become of the connection.
fn run<C: Common>(connection: &mut C, wire: &mut Wire, mut goal: Goal<'_>) -> Done {
    if wire.broken {
        return Done::Yes;
    }
    loop {
        let incoming = wire.inbox.sealed_mut();
        let (status, place) = within(|| connection.process(incoming));
        let UnbufferedStatus { discard, state, .. } = status;
        let mut done = None;
        match state {
            Err(error) => {
                wire.inbox.discard(discard);
                wire.cause = match error {
                    rustls::Error::InvalidCertificate(_) => Cause::Distrust,
                    rustls::Error::AlertReceived(_) => Cause::Alert,
                    _ => Cause::Other,
                };
                wire.broken = true; // From here on nothing that came is looked at again.
                take_alerts(connection, wire);
                return Done::Yes;
            }
            Ok(ConnectionState::ReadTraffic(traffic)) => {
                if !(is_token(traffic) && wire.lay(place)) {
                    return wire.broken();
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if !encode(&mut wire.queued, |room| data.encode(room)) {
                    done = Some(Done::Full);
                }
            }
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(ConnectionState::PeerClosed) => wire.ended = true,
            Ok(ConnectionState::Closed) => {
                wire.ended = true;
                done = Some(Done::Full);
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                done = Some(write(&mut traffic, &mut wire.queued, &mut goal));
            }
            // Before the handshake is over nothing can be sealed; early data was never offered.
            Ok(ConnectionState::BlockedHandshake) => {
                let is_open = matches!(goal, Goal::Open);
                done = Some(if is_open { Done::Yes } else { Done::Full });
            }
            Ok(_) => {
                wire.inbox.discard(discard);
                return wire.broken();
            }
        }
        wire.inbox.discard(discard);
        if wire.ended {
            wire.inbox.discard_all(); // What follows the end is nothing (RFC 8446 §6.1).
        }
        if let Some(Done::Full) = done
            && wire.queued.len() > QUEUED_MAX
        {
            return wire.broken();
        }
        if let Some(done) = done {
            return done;
        }
    }
}

/// What is to be done once payload may be sent.
fn write<D>(traffic: &mut WriteTraffic<'_, D>, queued: &mut Vec<u8>, goal: &mut Goal<'_>) -> Done {
    match goal {
        Goal::Open => Done::Yes,
        Goal::Seal(plain, out) => match traffic.encrypt(plain, out.room_mut()) {
            Ok(len) => {
                out.fill(len);
                Done::Yes
            }
            Err(_) => Done::Full,
        },
        Goal::Goodbye => {
            goodbye(queued, |room| traffic.queue_close_notify(room));
            Done::Yes
        }
    }
}

/// Whether rustls has handed on what stands for the payload of one record, and nothing else: a
/// cipher that is not of `in_place` would hand on all of it.
fn is_token<D>(mut traffic: ReadTraffic<'_, '_, D>) -> bool {
    let first = traffic.next_record();
    let is_token = matches!(first, Some(Ok(record)) if record.payload.len() == TOKEN_BYTES);
    is_token && traffic.next_record().is_none()
}

/// After a fault rustls has an alert for the peer, which says why.
fn take_alerts<C: Common>(connection: &mut C, wire: &mut Wire) {
    // With nothing left to write it would look at the faulty record again.
    for _ in 0..ALERTS_MAX {
        if !connection.has_more() {
            return;
        }
        let UnbufferedStatus { state, .. } = connection.process(wire.inbox.sealed_mut());
        let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
        encode(&mut wire.queued, |room| data.encode(room));
    }
}

/// Appends a record that rustls has made; false if too much waits already: a peer that takes
/// nothing and asks for answers.
fn encode(
    queued: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> bool {
    let Err(EncodeError::InsufficientSize(size)) = write(&mut []) else { return true };
    let start = queued.len();
    if start + size.required_size > QUEUED_MAX {
        // Counted as too much by the caller.
        queued.resize(QUEUED_MAX + 1, 0);
        return false;
    }
    queued.resize(start + size.required_size, 0);
    let written = queued.get_mut(start..).map_or(Ok(0), write);
    queued.truncate(start + written.unwrap_or(0));
    true
}

fn goodbye(queued: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>) {
    let mut room = [0; 2 * KEY_UPDATE_MAX];
    if let Ok(len) = write(&mut room) {
        queued.extend_from_slice(room.get(..len).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
