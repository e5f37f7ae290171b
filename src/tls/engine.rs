//! The TLS state of a connection and the bytes that are between it and the wire. No io.

use std::io::IoSlice;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus,
    WriteTraffic,
};

use crate::base::limits::RECORD_BUFFER_BYTES;
use crate::io::buffer::{Buffer, BufferPool, Gather, SLICES_MAX};

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
    /// So many bytes were put into the buffer, or lie ready if there was none.
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
    /// Records that came and were not opened yet.
    sealed: Option<Buffer>,
    open: Ready,
    /// Records that must leave before all others.
    queued: Vec<u8>,
    ended: bool,
    broken: bool,
    /// What broke it is the peer's certificate.
    distrusted: bool,
}

/// Payload that was opened and not fetched, from `fetched` on.
#[derive(Default)]
struct Ready {
    bytes: Vec<u8>,
    fetched: usize,
}

/// What is asked of rustls.
enum Goal<'a> {
    /// Open records until there is payload.
    Open(Option<&'a mut Buffer>),
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
            sealed: None,
            open: Ready::default(),
            queued: Vec::new(),
            ended: false,
            broken: false,
            distrusted: false,
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
        self.wire.distrusted
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.facts(rustls::CommonState::is_handshaking)
    }

    /// A buffer for what comes next, with room in front for what is here already.
    pub(super) fn next_buffer(&self, pool: &BufferPool, large: bool) -> Result<Buffer, Broken> {
        let held = self.wire.sealed.as_ref().map_or(0, Buffer::len);
        let mut buffer = if large { pool.large() } else { pool.record() };
        buffer.leave_front(held);
        // More than a record that cannot be opened: a message over many records, none of ours.
        if buffer.room() == 0 { Err(Broken) } else { Ok(buffer) }
    }

    /// Takes what was read into a buffer of [`next_buffer`](Self::next_buffer).
    pub(super) fn feed(&mut self, mut buffer: Buffer) -> Result<(), Broken> {
        if let Some(held) = self.wire.sealed.take()
            && !buffer.prepend(held.filled())
        {
            return Err(Broken);
        }
        self.wire.sealed = Some(buffer);
        Ok(())
    }

    /// Opens records into `into` as far as there is room, or until something lies ready.
    pub(super) fn open(&mut self, mut into: Option<&mut Buffer>) -> Result<Opened, Broken> {
        let before = into.as_ref().map_or(0, |buffer| buffer.len());
        if let Some(buffer) = into.as_deref_mut() {
            self.wire.open.fetch(buffer);
        }
        if self.wire.open.bytes.is_empty() && !self.wire.ended {
            self.run(Goal::Open(into.as_deref_mut()));
        }
        let moved = match &into {
            Some(buffer) => buffer.len() - before,
            None => self.wire.open.bytes.len() - self.wire.open.fetched,
        };
        if moved > 0 {
            return Ok(Opened::Bytes(moved));
        }
        match (self.wire.ended, self.wire.broken) {
            (_, true) => Err(Broken),
            (true, _) => Ok(Opened::End),
            _ => Ok(Opened::NeedMore),
        }
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
        let Some(sealed) = &self.wire.sealed else { return };
        if sealed.is_empty() {
            self.wire.sealed = None;
        } else if sealed.len() + sealed.room() > RECORD_BUFFER_BYTES
            && sealed.len() < RECORD_BUFFER_BYTES
        {
            let mut smaller = pool.record();
            smaller.append(sealed.filled());
            self.wire.sealed = Some(smaller);
        }
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

impl Ready {
    /// Moves payload into `into`.
    fn fetch(&mut self, into: &mut Buffer) {
        self.fetched += into.append(self.bytes.get(self.fetched..).unwrap_or_default());
        if self.fetched >= self.bytes.len() {
            *self = Ready::default(); // An idle connection keeps no memory.
        }
    }

    /// Puts payload where the goal wants it; what there is no room for waits.
    fn take(&mut self, mut payload: &[u8], goal: &mut Goal<'_>) {
        if let Goal::Open(Some(into)) = goal
            && self.bytes.is_empty()
        {
            let taken = into.append(payload);
            payload = payload.get(taken..).unwrap_or_default();
        }
        self.bytes.extend_from_slice(payload);
    }

    /// Whether a reader has what it can take. What lies ready is bounded: nothing more is opened
    /// until it was fetched.
    fn is_enough(&self, goal: &Goal<'_>) -> bool {
        match goal {
            Goal::Open(into) => {
                let is_full = into.as_ref().is_some_and(|buffer| buffer.room() == 0);
                is_full || !self.bytes.is_empty()
            }
            Goal::Seal(..) | Goal::Goodbye => false,
        }
    }
}

impl Wire {
    fn discard(&mut self, len: usize) {
        if let Some(sealed) = &mut self.sealed {
            sealed.consume(len);
            if sealed.is_empty() {
                self.sealed = None;
            }
        }
    }

    fn broken(&mut self) -> Done {
        self.broken = true;
        Done::Yes
    }
}

/// Drives rustls until the goal is reached or records have to come first. Afterwards `wire` says
/// what has become of the connection.
fn run<C: Common>(connection: &mut C, wire: &mut Wire, mut goal: Goal<'_>) -> Done {
    if wire.broken {
        return Done::Yes;
    }
    loop {
        let incoming = wire.sealed.as_mut().map_or(&mut [][..], Buffer::filled_mut);
        let UnbufferedStatus { mut discard, state, .. } = connection.process(incoming);
        let mut done = None;
        match state {
            Err(error) => {
                wire.discard(discard);
                wire.distrusted = matches!(error, rustls::Error::InvalidCertificate(_));
                wire.broken = true; // From here on nothing that came is looked at again.
                take_alerts(connection, wire);
                return Done::Yes;
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    wire.open.take(record.payload, &mut goal);
                }
                if wire.open.is_enough(&goal) {
                    done = Some(Done::Yes);
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
                let is_open = matches!(goal, Goal::Open(_));
                done = Some(if is_open { Done::Yes } else { Done::Full });
            }
            Ok(_) => {
                wire.discard(discard);
                return wire.broken();
            }
        }
        wire.discard(discard);
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
        Goal::Open(_) => Done::Yes,
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

/// After a fault rustls has an alert for the peer, which says why.
fn take_alerts<C: Common>(connection: &mut C, wire: &mut Wire) {
    // With nothing left to write it would look at the faulty record again.
    for _ in 0..ALERTS_MAX {
        if !connection.has_more() {
            return;
        }
        let incoming = wire.sealed.as_mut().map_or(&mut [][..], Buffer::filled_mut);
        let UnbufferedStatus { state, .. } = connection.process(incoming);
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
