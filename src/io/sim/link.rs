//! A connection: two directed pipes, and what TCP lets its users see of delay, end, reset and
//! silence.

mod trouble;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{IoSlice, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::IoError;

use super::core::{Core, Event};
use super::faults::{FaultKind, below, count, log_uniform, nanos};
use super::trace::{Act, Call, End};

/// First wait of a sender whose segments get through to nobody (RFC 6298 §5; Linux: 200 ms) ...
const RETRANSMIT_MIN: Duration = Duration::from_millis(200);
/// ... and the longest one. Linux goes to two minutes; a shorter one only makes healing show
/// sooner.
const RETRANSMIT_MAX: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Load {
    Data(usize),
    End,
    Reset,
}

/// What the sender has sent behind its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tail {
    Nothing,
    End,
    Reset,
}

/// Whether a reset has come, and been told to a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reset {
    NotYet,
    Came,
    Told,
}

/// Bytes on their way from one end to the other.
#[derive(Debug)]
struct Pipe {
    capacity: usize,
    /// What arrived and was not read, then what is under way.
    bytes: VecDeque<u8>,
    arrived: usize,
    flight: VecDeque<(Instant, Load)>,
    /// When the segment sent last arrives; the next does not come before it.
    latest: Instant,
    /// Bytes ever sent.
    sent: u64,
    tail: Tail,
    end_arrived: bool,
    /// Nothing arrives any more.
    lost: bool,
    /// Its reader lets no byte more leave.
    shut: bool,
    /// The next wait for a host that cannot be reached, if one runs.
    retransmit: Option<Duration>,
}

impl Pipe {
    fn room(&self) -> usize {
        if self.shut { 0 } else { self.capacity.saturating_sub(self.bytes.len()) }
    }

    /// A pipe never holds more than it can, and knows where all of it is.
    fn check(&self) {
        let under_way = self.flight.iter().map(|(_, load)| match load {
            Load::Data(len) => *len,
            Load::End | Load::Reset => 0,
        });
        let known = self.arrived + under_way.sum::<usize>();
        debug_assert!(known <= self.bytes.len() && self.bytes.len() <= self.capacity, "{self:?}");
    }
}

/// What an end has and knows.
#[derive(Debug)]
struct Side {
    out: Pipe,
    open: bool,
    cancelled: bool,
    reset: Reset,
    reset_on_close: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Side {
    fn is_reset(&self) -> bool {
        self.reset != Reset::NotYet
    }
}

#[derive(Debug)]
struct Sides {
    client: Side,
    server: Side,
    trouble: Option<trouble::Trouble>,
}

impl Sides {
    fn pair(&mut self, end: End) -> (&mut Side, &mut Side) {
        match end {
            End::Client => (&mut self.client, &mut self.server),
            End::Server => (&mut self.server, &mut self.client),
        }
    }

    fn of(&self, end: End) -> (&Side, &Side) {
        match end {
            End::Client => (&self.client, &self.server),
            End::Server => (&self.server, &self.client),
        }
    }
}

/// Which calls wait in a direction of an end.
#[derive(Debug, Default)]
pub(super) struct Busy {
    pub(super) reading: Cell<Option<Call>>,
    pub(super) writing: Cell<Option<Call>>,
}

/// What a waiting call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// Bytes, the end or an error to read.
    Read,
    /// Room or an error to write.
    Write,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    client: SocketAddr,
    server: SocketAddr,
    sides: RefCell<Sides>,
    busy: [Busy; 2],
}

impl Link {
    pub(super) fn open(core: &mut Core, client: SocketAddr, server: SocketAddr) -> Rc<Self> {
        let id = core.new_link();
        core.trace.open(id, client, server);
        let trouble = trouble::draw(core);
        let sides = Sides { client: new_side(core), server: new_side(core), trouble };
        let busy = [Busy::default(), Busy::default()];
        let link = Rc::new(Link { id, client, server, sides: RefCell::new(sides), busy });
        if trouble.is_some_and(|trouble| trouble.at_bytes.is_none()) {
            let after = log_uniform(&mut core.prng, 1, nanos(core.faults.trouble_after_max));
            let at = core.now + Duration::from_nanos(after);
            core.schedule(at, Event::Strike(Rc::downgrade(&link)));
        }
        link
    }

    pub(super) fn address(&self, end: End) -> SocketAddr {
        match end {
            End::Client => self.client,
            End::Server => self.server,
        }
    }

    pub(super) fn busy(&self, end: End) -> &Busy {
        let [client, server] = &self.busy;
        match end {
            End::Client => client,
            End::Server => server,
        }
    }

    pub(super) fn is_cancelled(&self, end: End) -> bool {
        self.sides.borrow().of(end).0.cancelled
    }

    /// Whether a call in this direction would not wait.
    pub(super) fn is_ready(&self, end: End, want: Want) -> bool {
        let sides = self.sides.borrow();
        let (own, peer) = sides.of(end);
        own.is_reset()
            || match want {
                Want::Read => peer.out.arrived > 0 || peer.out.end_arrived,
                Want::Write => own.out.tail != Tail::Nothing || own.out.room() > 0,
            }
    }

    /// Remembers whom to wake when `is_ready` changes or the end is cancelled.
    pub(super) fn wake_when_ready(&self, end: End, want: Want, waker: &Waker) {
        let mut sides = self.sides.borrow_mut();
        let (own, _) = sides.pair(end);
        match want {
            Want::Read => own.reader = Some(waker.clone()),
            Want::Write => own.writer = Some(waker.clone()),
        }
    }

    /// Moves bytes that arrived; `None`: nothing to tell yet.
    pub(super) fn receive(
        &self,
        core: &mut Core,
        end: End,
        room: &mut [u8],
    ) -> Option<Result<usize, IoError>> {
        let mut sides = self.sides.borrow_mut();
        let (own, peer) = sides.pair(end);
        let pipe = &mut peer.out;
        let mut len = pipe.arrived.min(room.len());
        if len > 0 {
            if len > 1 && core.faults.short_read.happens(&mut core.prng) {
                len = 1 + below(&mut core.prng, len - 1);
                core.met(FaultKind::ShortRead, self.id);
            }
            let got = room.get_mut(..len).map(|to| pipe.bytes.read_exact(to));
            debug_assert!(matches!(got, Some(Ok(()))), "arrived bytes are there");
            pipe.arrived -= len;
            wake(&mut peer.writer);
            core.act(self.id, end, Act::Received, count(len));
            return Some(Ok(len));
        }
        if own.is_reset() {
            own.reset = Reset::Told;
            return Some(Err(IoError::Reset));
        }
        pipe.end_arrived.then_some(Ok(0))
    }

    /// Moves as many bytes as there is room for, perhaps fewer.
    pub(super) fn send(
        self: &Rc<Self>,
        core: &mut Core,
        end: End,
        slices: &[IoSlice<'_>],
    ) -> Result<usize, IoError> {
        let mut sides = self.sides.borrow_mut();
        let trouble = sides.trouble.filter(|trouble| trouble.end == end);
        let trouble_at = trouble.and_then(|trouble| trouble.at_bytes);
        let (own, _) = sides.pair(end);
        if own.is_reset() {
            let before = std::mem::replace(&mut own.reset, Reset::Told);
            return Err(if before == Reset::Told { IoError::Closed } else { IoError::Reset });
        }
        if own.out.tail != Tail::Nothing {
            return Err(IoError::Closed);
        }
        let total = slices.iter().map(|slice| slice.len()).sum();
        let mut len = own.out.room().min(total);
        if len > 1 && core.faults.short_write.happens(&mut core.prng) {
            len = 1 + below(&mut core.prng, len - 1);
            core.met(FaultKind::ShortWrite, self.id);
        }
        if let Some(at) = trouble_at {
            let left = at.saturating_sub(own.out.sent);
            len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if len > 0 {
            append(&mut own.out.bytes, slices, len);
            own.out.sent += count(len);
            core.act(self.id, end, Act::Sent, count(len));
            self.post(core, end, &mut own.out, Load::Data(len));
            own.out.check();
        }
        if trouble_at.is_some_and(|at| at <= own.out.sent) {
            self.befall(core, &mut sides);
        }
        Ok(len)
    }

    fn post(self: &Rc<Self>, core: &mut Core, from: End, pipe: &mut Pipe, load: Load) {
        if pipe.lost {
            return;
        }
        let at = pipe.latest.max(core.now + core.delay());
        pipe.latest = at;
        pipe.flight.push_back((at, load));
        core.schedule(at, Event::Arrive(Rc::downgrade(self), from, false));
    }

    /// No more bytes come from this end.
    pub(super) fn finish(self: &Rc<Self>, core: &mut Core, end: End) {
        let mut sides = self.sides.borrow_mut();
        let (own, _) = sides.pair(end);
        if own.out.tail == Tail::Nothing && !own.is_reset() {
            own.out.tail = Tail::End;
            core.act(self.id, end, Act::Finished, 0);
            self.post(core, end, &mut own.out, Load::End);
        }
        wake(&mut own.writer);
    }

    /// The calls of this end come to their end.
    pub(super) fn cancel(self: &Rc<Self>, core: &mut Core, end: End) {
        {
            let mut sides = self.sides.borrow_mut();
            let (own, _) = sides.pair(end);
            if own.cancelled {
                return;
            }
            own.cancelled = true;
            core.act(self.id, end, Act::Cancelled, 0);
            wake(&mut own.reader);
            wake(&mut own.writer);
            if own.reset_on_close {
                return;
            }
        }
        self.finish(core, end);
    }

    /// Lets the peer send nothing, or goes on.
    pub(super) fn shut_window(&self, end: End, shut: bool) {
        let mut sides = self.sides.borrow_mut();
        let (_, peer) = sides.pair(end);
        peer.out.shut = shut;
        wake(&mut peer.writer);
    }

    pub(super) fn reset_on_close(&self, end: End) {
        self.sides.borrow_mut().pair(end).0.reset_on_close = true;
    }

    pub(super) fn is_peer_gone(&self, end: End) -> bool {
        let sides = self.sides.borrow();
        let (own, peer) = sides.of(end);
        own.is_reset() || own.cancelled || peer.out.end_arrived
    }

    pub(super) fn is_quiet(&self, end: End) -> bool {
        let sides = self.sides.borrow();
        let (own, peer) = sides.of(end);
        !own.is_reset() && !own.cancelled && !peer.out.end_arrived && peer.out.arrived == 0
    }

    /// The last handle of this end is gone. As with TCP, bytes that were not read make it a reset.
    pub(super) fn close(self: &Rc<Self>, core: &mut Core, end: End) {
        let mut sides = self.sides.borrow_mut();
        let (own, peer) = sides.pair(end);
        own.open = false;
        let unread = peer.out.arrived;
        peer.out.bytes.drain(..unread.min(peer.out.bytes.len()));
        peer.out.arrived = 0;
        wake(&mut peer.writer);
        if own.is_reset() {
            core.act(self.id, end, Act::Closed, 0);
        } else if own.reset_on_close || unread > 0 {
            core.act(self.id, end, Act::ClosedWithReset, count(unread));
            self.send_reset(core, end, own);
        } else {
            core.act(self.id, end, Act::Closed, 0);
            if own.out.tail == Tail::Nothing {
                own.out.tail = Tail::End;
                self.post(core, end, &mut own.out, Load::End);
            }
        }
    }

    /// A reset follows what is under way, or overtakes it.
    fn send_reset(self: &Rc<Self>, core: &mut Core, end: End, own: &mut Side) {
        if std::mem::replace(&mut own.out.tail, Tail::Reset) == Tail::Reset {
            return;
        }
        core.act(self.id, end, Act::SentReset, 0);
        if core.prng.one_in(2) {
            own.out.flight.clear();
            own.out.bytes.truncate(own.out.arrived);
            own.out.latest = core.now;
        }
        self.post(core, end, &mut own.out, Load::Reset);
    }

    /// What `from` sent and is due arrives.
    pub(super) fn arrive(self: &Rc<Self>, core: &mut Core, from: End, retry: bool) {
        let mut sides = self.sides.borrow_mut();
        let (own, peer) = sides.pair(from);
        if own.out.retransmit.is_some() && !retry {
            return;
        }
        if core.is_cut(self.client, self.server) {
            let wait = own.out.retransmit.map_or(RETRANSMIT_MIN, |w| (w * 2).min(RETRANSMIT_MAX));
            own.out.retransmit = Some(wait);
            core.met(FaultKind::HostLost, self.id);
            core.schedule(core.now + wait, Event::Arrive(Rc::downgrade(self), from, true));
            return;
        }
        own.out.retransmit = None;
        while let Some((at, load)) = own.out.flight.front().copied()
            && at <= core.now
        {
            own.out.flight.pop_front();
            match load {
                _ if peer.is_reset() => {}
                Load::Data(len) if peer.open && !peer.cancelled => {
                    own.out.arrived += len;
                    wake(&mut peer.reader);
                }
                Load::Data(len) => {
                    // Nobody will read it: the peer's system answers with a reset.
                    let arrived = own.out.arrived;
                    own.out.bytes.drain(arrived..arrived + len);
                    wake(&mut own.writer);
                    self.send_reset(core, from.other(), peer);
                }
                Load::End => {
                    own.out.end_arrived = true;
                    core.act(self.id, from.other(), Act::SawEnd, 0);
                    wake(&mut peer.reader);
                }
                Load::Reset => {
                    core.act(self.id, from.other(), Act::GotReset, 0);
                    self.hit_by_reset(core, peer, &mut own.out);
                }
            }
        }
        own.out.check();
    }

    fn hit_by_reset(&self, core: &mut Core, victim: &mut Side, incoming: &mut Pipe) {
        victim.reset = Reset::Came;
        incoming.flight.clear();
        incoming.bytes.truncate(incoming.arrived);
        if incoming.arrived > 0 && core.faults.reset_queue_lost.happens(&mut core.prng) {
            core.met(FaultKind::ResetQueueLost, self.id);
            incoming.bytes.clear();
            incoming.arrived = 0;
        }
        // What this end sent and did not get through is thrown away, too; not so a reset, which
        // nobody repeats.
        victim.out.flight.retain(|(_, load)| *load == Load::Reset);
        victim.out.bytes.truncate(victim.out.arrived);
        wake(&mut victim.reader);
        wake(&mut victim.writer);
    }
}

fn new_side(core: &mut Core) -> Side {
    let (min, max) = (core.faults.buffer_min, core.faults.buffer_max);
    let capacity = log_uniform(&mut core.prng, u64::from(min.max(1)), u64::from(max));
    Side {
        out: Pipe {
            capacity: usize::try_from(capacity).unwrap_or(1),
            bytes: VecDeque::new(),
            arrived: 0,
            flight: VecDeque::new(),
            latest: core.now,
            sent: 0,
            tail: Tail::Nothing,
            end_arrived: false,
            lost: false,
            shut: false,
            retransmit: None,
        },
        open: true,
        cancelled: false,
        reset: Reset::NotYet,
        reset_on_close: false,
        reader: None,
        writer: None,
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn append(bytes: &mut VecDeque<u8>, slices: &[IoSlice<'_>], mut len: usize) {
    for slice in slices {
        let take = slice.len().min(len);
        bytes.extend(slice.get(..take).unwrap_or_default());
        len -= take;
    }
}
