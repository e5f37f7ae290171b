//! What happened, for whoever has to find out why.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::base::time::Instant;

use super::faults::FaultKind;

/// Entries kept; older ones are only part of the digest.
const ENTRIES_MAX: usize = 4096;

/// A call of the contract that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `Io::connect`.
    Connect,
    /// `Listener::accept`.
    Accept,
    /// `Socket::readable`.
    Readable,
    /// `Socket::read`.
    Read,
    /// `Socket::write`.
    Write,
    /// `Socket::splice_in`.
    SpliceIn,
    /// `Socket::splice_out`.
    SpliceOut,
}

/// A rule of the contract in [`crate::io`] that a caller broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// The call was dropped while it waited.
    Dropped(Call),
    /// A second call began in the same direction while the first one waited.
    Overlapped(Call, Call),
    /// A read was given a buffer without room.
    NoRoom,
    /// Bytes were to be taken into a pipe that holds some, or none were to be taken.
    PipeInUse,
    /// More was to be written from a pipe than it holds.
    PipeTooShort,
}

/// One broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// The task that ran, counted from 1 in the order of spawning; zero: none.
    pub task: u64,
    /// The connection, as the trace names it; zero: none.
    pub connection: u64,
    /// Which rule.
    pub rule: Rule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Rule::Dropped(call) => write!(f, "{call:?} was dropped while it waited")?,
            Rule::Overlapped(first, second) => {
                write!(f, "{second:?} began while {first:?} still waited")?;
            }
            Rule::NoRoom => f.write_str("Read was given a buffer without room")?,
            Rule::PipeInUse => f.write_str("SpliceIn was given a pipe in use")?,
            Rule::PipeTooShort => f.write_str("SpliceOut was given too short a pipe")?,
        }
        write!(f, " (task {}, connection {})", self.task, self.connection)
    }
}

/// The end of a connection that acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The one that connected.
    Client,
    /// The one that was accepted.
    Server,
}

impl End {
    pub(super) const fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

/// What an end of a connection did or met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Connected,
    Accepted,
    Sent,
    Received,
    Finished,
    SawEnd,
    SentReset,
    GotReset,
    Cancelled,
    TimedOut,
    Closed,
    ClosedWithReset,
}

impl Act {
    /// In words that follow the name of who did it.
    fn text(self, bytes: u64) -> String {
        let text = match self {
            Act::Sent => return format!("sent {bytes}"),
            Act::Received => return format!("received {bytes}"),
            Act::Finished => "finished",
            Act::SawEnd => "saw the end",
            Act::SentReset => "sent a reset",
            Act::GotReset => "got a reset",
            Act::Cancelled => "cancelled",
            Act::TimedOut => "timed out",
            Act::Connected => "connected",
            Act::Accepted => "accepted",
            Act::Closed => "closed",
            Act::ClosedWithReset => "closed, resets",
        };
        text.to_owned()
    }
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Listening(SocketAddr),
    Connecting(SocketAddr),
    Refused(SocketAddr),
    Link { link: u64, end: End, act: Act, bytes: u64 },
    Fault { kind: FaultKind, link: u64 },
    Broken(Violation),
    Note(&'static str, u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    at: Instant,
    task: u64,
    what: What,
}

/// The latest entries, and a digest of all.
#[derive(Debug)]
pub(super) struct Trace {
    entries: VecDeque<Entry>,
    digest: u64,
    start: Instant,
    /// Who is who, for whoever reads it. No part of the digest.
    cast: Cast,
}

/// The actors of a world: hosts by their names, and for which of them a task acts.
#[derive(Debug, Default)]
struct Cast {
    names: BTreeMap<IpAddr, String>,
    /// Both ends of each connection, the one that connected first.
    links: BTreeMap<u64, [SocketAddr; 2]>,
    tasks: BTreeMap<u64, IpAddr>,
}

impl Cast {
    fn name(&self, host: IpAddr) -> String {
        self.names.get(&host).cloned().unwrap_or_else(|| host.to_string())
    }

    /// The host of an end of a connection.
    fn host(&self, link: u64, end: End) -> Option<IpAddr> {
        let [client, server] = self.links.get(&link)?;
        Some(if end == End::Client { client.ip() } else { server.ip() })
    }

    /// Who did what an entry tells.
    fn actor(&self, entry: &Entry) -> String {
        let host = match entry.what {
            What::Link { link, end, .. } => self.host(link, end),
            _ => None,
        };
        match host.or_else(|| self.tasks.get(&entry.task).copied()) {
            Some(host) => self.name(host),
            None if entry.task == 0 => "the world".to_owned(),
            None => format!("task {}", entry.task),
        }
    }

    /// What was done, and to whom.
    fn event(&self, entry: &Entry) -> String {
        let What::Link { link, end, act, bytes } = entry.what else {
            return entry.what.to_string();
        };
        let peer = self.host(link, end.other()).map(|host| self.name(host)).unwrap_or_default();
        let way = if end == End::Client { "to" } else { "from" };
        format!("{} (connection {link} {way} {peer})", act.text(bytes))
    }
}

impl Trace {
    pub(super) fn new(start: Instant) -> Self {
        Trace {
            // Whole at once: growing would be counted as a cost of whoever happens to be running.
            entries: VecDeque::with_capacity(ENTRIES_MAX),
            digest: 0xcbf2_9ce4_8422_2325,
            start,
            cast: Cast::default(),
        }
    }

    /// Calls a host by a name.
    pub(super) fn name(&mut self, host: IpAddr, name: &str) {
        self.cast.names.insert(host, name.to_owned());
    }

    /// A connection has begun.
    pub(super) fn open(&mut self, link: u64, client: SocketAddr, server: SocketAddr) {
        self.cast.links.insert(link, [client, server]);
    }

    pub(super) fn push(&mut self, at: Instant, task: u64, what: What) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at, task, what });
        if let What::Link { link, end, .. } = what
            && task > 0
            && let Some(host) = self.cast.host(link, end)
        {
            // A shard's task for a connection acts for its own host on all others as well.
            self.cast.tasks.insert(task, host);
        }
        let (kind, number) = match what {
            What::Listening(address) => (1, u64::from(address.port())),
            What::Connecting(address) => (2, u64::from(address.port())),
            What::Refused(address) => (3, u64::from(address.port())),
            What::Link { link, act, bytes, .. } => {
                self.mix(link);
                (0x100 + ordinal(act), bytes)
            }
            What::Fault { kind, link } => (
                0x200 + FaultKind::ALL.iter().take_while(|k| **k != kind).fold(0, |n, _| n + 1),
                link,
            ),
            What::Broken(violation) => (4, violation.connection),
            What::Note(_, number) => (5, number),
        };
        self.mix(at.as_nanos());
        self.mix(kind);
        self.mix(number);
    }

    /// Makes a number part of the digest.
    pub(super) fn mix(&mut self, number: u64) {
        self.digest = (self.digest.rotate_left(5) ^ number).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// A number that two runs share if the same happened in both.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The last `lines` entries as text, one a line.
    pub(super) fn text(&self, lines: usize) -> String {
        use fmt::Write;
        let mut out = String::new();
        let skip = self.entries.len().saturating_sub(lines);
        for entry in self.entries.iter().skip(skip) {
            let micros = (entry.at - self.start).as_micros();
            let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
            let (actor, event) = (self.cast.actor(entry), self.cast.event(entry));
            let _ = writeln!(out, "{seconds:>6}.{rest:06}  {actor:<14} {event}");
        }
        out
    }
}

/// Declaration order as a number.
const fn ordinal(act: Act) -> u64 {
    match act {
        Act::Connected => 0,
        Act::Accepted => 1,
        Act::Sent => 2,
        Act::Received => 3,
        Act::Finished => 4,
        Act::SawEnd => 5,
        Act::SentReset => 6,
        Act::GotReset => 7,
        Act::Cancelled => 8,
        Act::TimedOut => 9,
        Act::Closed => 10,
        Act::ClosedWithReset => 11,
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Listening(address) => write!(f, "listens on {address}"),
            What::Connecting(address) => write!(f, "connects to {address}"),
            What::Refused(address) => write!(f, "is refused by {address}"),
            What::Link { link, end, act, bytes } => {
                let end = if *end == End::Client { "client" } else { "server" };
                write!(f, "connection {link}: {end} {}", act.text(*bytes))
            }
            What::Fault { kind, link } => write!(f, "fault {kind:?}, connection {link}"),
            What::Broken(violation) => write!(f, "VIOLATION: {violation}"),
            What::Note(text, number) => write!(f, "{text} {number}"),
        }
    }
}
