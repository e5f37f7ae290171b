//! What all parts of the world share: the clock, chance, what is due, and the books.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use crate::base::prng::Prng;
use crate::base::time::{Instant, UnixTime};

use super::faults::{FaultKind, Faults, log_uniform, nanos};
use super::link::Link;
use super::listener::Registered;
use super::pipe::PipeBook;
use super::tasks::{Body, Crew};
use super::trace::{Act, End, Rule, Trace, Violation, What};

/// 2026-01-01T00:00:00Z: where the calendar of every world stands when its clock starts.
const EPOCH: Duration = Duration::from_hours(490_896);
/// Furthest that the calendar is set off by a fault.
const JUMP_MAX: Duration = Duration::from_hours(1);
/// First port given to listeners and clients that ask for any.
const PORT_MIN: u16 = 32_768;

/// What happens at a moment.
pub(super) enum Event {
    /// Somebody's time has come.
    Wake(Waker),
    /// Bytes, an end or a reset that this end sent arrive; true: sent again, for want of an answer.
    Arrive(Weak<Link>, End, bool),
    /// The trouble drawn for a connection begins.
    Strike(Weak<Link>),
    /// The system of who accepted a connection has had no answer for too long.
    GiveUp(Weak<Link>),
}

/// Place of an event; the second number is drawn, so that events of one moment have no order.
pub(super) type EventKey = (Instant, u64);

/// A task that lets others go first, and the round in which it may go on.
pub(super) struct Yielded {
    pub(super) round: u64,
    pub(super) released: Rc<Cell<bool>>,
    pub(super) waker: Waker,
}

/// What all handles of one world share.
pub(super) struct Shared {
    pub(super) core: RefCell<Core>,
    /// Tasks that the executor has not taken in yet.
    pub(super) spawned: RefCell<Vec<(Crew, Body)>>,
}

pub(super) struct Core {
    pub(super) seed: u64,
    pub(super) now: Instant,
    pub(super) prng: Prng,
    pub(super) secrets: Prng,
    pub(super) faults: Faults,
    pub(super) trace: Trace,
    pub(super) violations: Vec<Violation>,
    pub(super) listeners: BTreeMap<SocketAddr, Vec<Registered>>,
    pub(super) lost_hosts: BTreeSet<IpAddr>,
    pub(super) yielded: Vec<Yielded>,
    pub(super) round: u64,
    /// The task that runs; zero: none.
    pub(super) task: u64,
    /// Handles of connections that are open.
    pub(super) sockets: usize,
    pub(super) pipes: PipeBook,
    /// The world has ended: what is dropped now was not dropped by anybody.
    pub(super) ended: bool,
    met: BTreeMap<FaultKind, u64>,
    events: BTreeMap<EventKey, Event>,
    events_made: u64,
    links: u64,
    port: u16,
    start: Instant,
    calendar: Duration,
}

impl Core {
    pub(super) fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        // The clock of a machine does not start at zero either.
        let start = Instant::from_nanos(prng.below(nanos(Duration::from_secs(1_000_000))));
        Core {
            seed,
            now: start,
            secrets: Prng::new(prng.next_u64()),
            prng,
            faults: Faults::none(),
            trace: Trace::new(start),
            violations: Vec::new(),
            listeners: BTreeMap::new(),
            lost_hosts: BTreeSet::new(),
            yielded: Vec::new(),
            round: 0,
            task: 0,
            sockets: 0,
            pipes: PipeBook::default(),
            ended: false,
            met: BTreeMap::new(),
            events: BTreeMap::new(),
            events_made: 0,
            links: 0,
            port: PORT_MIN,
            start,
            calendar: EPOCH,
        }
    }

    /// Plans an event. The key takes it back.
    pub(super) fn schedule(&mut self, at: Instant, event: Event) -> EventKey {
        self.events_made += 1;
        let chance = self.prng.next_u64() << 32;
        let key = (at, chance | (self.events_made & u64::from(u32::MAX)));
        self.events.insert(key, event);
        key
    }

    /// Plans to wake somebody, as late as timers are.
    pub(super) fn alarm(&mut self, at: Instant, waker: Waker) -> EventKey {
        let late = nanos(self.faults.timer_late_max);
        let late = Duration::from_nanos(if late > 0 { self.prng.below(late) } else { 0 });
        self.schedule(at + late, Event::Wake(waker))
    }

    /// Takes an event back; if it has happened already, nothing.
    pub(super) fn unschedule(&mut self, key: EventKey) {
        self.events.remove(&key);
    }

    /// When the next event is due.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.events.first_key_value().map(|(key, _)| key.0)
    }

    /// The next event, if it is due.
    pub(super) fn due(&mut self) -> Option<Event> {
        if self.next_event()? > self.now {
            return None;
        }
        self.events.pop_first().map(|(_, event)| event)
    }

    /// How long a segment travels; never no time at all, so that the clock moves as long as bytes
    /// do.
    pub(super) fn delay(&mut self) -> Duration {
        let min = nanos(self.faults.delay_min).max(1);
        let more = nanos(self.faults.delay_max).saturating_sub(min);
        Duration::from_nanos(min + self.prng.below(more.saturating_add(1)))
    }

    /// How late a call that has moved its bytes says so.
    pub(super) fn lateness(&mut self) -> Duration {
        Duration::from_nanos(log_uniform(&mut self.prng, 1, nanos(self.faults.late_max)))
    }

    /// The calendar.
    pub(super) fn unix_now(&mut self) -> UnixTime {
        if self.faults.calendar_jump.happens(&mut self.prng) {
            self.met(FaultKind::CalendarJump, 0);
            let far = Duration::from_nanos(self.prng.below(nanos(2 * JUMP_MAX)));
            self.calendar = EPOCH.saturating_sub(JUMP_MAX) + far;
        }
        UnixTime(self.calendar + (self.now - self.start))
    }

    /// Moves the calendar, not the clock.
    pub(super) fn move_calendar(&mut self, by: Duration, back: bool) {
        self.calendar =
            if back { self.calendar.saturating_sub(by) } else { self.calendar.saturating_add(by) };
    }

    /// A port that nobody was given lately.
    pub(super) fn any_port(&mut self) -> u16 {
        let port = self.port;
        self.port = port.checked_add(1).unwrap_or(PORT_MIN);
        port
    }

    /// Number of a new connection.
    pub(super) fn new_link(&mut self) -> u64 {
        self.links += 1;
        self.links
    }

    /// Whether nothing passes between two hosts.
    pub(super) fn is_cut(&self, a: SocketAddr, b: SocketAddr) -> bool {
        !self.lost_hosts.is_empty()
            && (self.lost_hosts.contains(&a.ip()) || self.lost_hosts.contains(&b.ip()))
    }

    /// Books a fault that took place.
    pub(super) fn met(&mut self, kind: FaultKind, link: u64) {
        *self.met.entry(kind).or_default() += 1;
        self.write(What::Fault { kind, link });
    }

    /// How often each kind of fault took place.
    pub(super) fn met_so_far(&self) -> Vec<(FaultKind, u64)> {
        let times = |kind| self.met.get(&kind).copied().unwrap_or(0);
        FaultKind::ALL.into_iter().map(|kind| (kind, times(kind))).collect()
    }

    /// Writes into the trace.
    pub(super) fn write(&mut self, what: What) {
        self.trace.push(self.now, self.task, what);
    }

    /// Writes into the trace what an end of a connection did.
    pub(super) fn act(&mut self, link: u64, end: End, act: Act, bytes: u64) {
        self.write(What::Link { link, end, act, bytes });
    }

    /// Books a broken rule of the contract.
    pub(super) fn broken(&mut self, rule: Rule, connection: u64) {
        let violation = Violation { at: self.now, task: self.task, connection, rule };
        self.write(What::Broken(violation));
        self.violations.push(violation);
    }
}
