//! Which descriptors are ready, as the kernel tells: watched from their registration to their end,
//! at each change and once for all directions, so that a wait costs no call.
//!
//! What is known may be late, never wrong for good: a change that the kernel has noted is told in
//! the next turn. So a call that finds nothing marks its side as not ready and then waits. What is
//! told of may also have been read already, before it was told; where that is possible the kernel
//! is asked again before a wait for the read side ends.

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "places are indices that only this file makes; u32 fits into usize"
)]

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::epoll::Epoll;
use super::kernel_ring::KernelRing;
use super::sends::Sends;
use super::{Driver, Shared, options};

/// All that a descriptor is watched for. Not urgent bytes: with one that has only become readable
/// the ring says that it has them, too.
pub(super) const INTEREST: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP;

/// So many events in one turn make a crowd: with fewer a write leaves at once.
const CROWD: usize = 8;

/// Turns that the end of a thread waits for answers; one is enough.
const FINISHING_TURNS: u32 = 1000;

const READS: i32 = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
const WRITES: i32 = libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR;
const STAYS: i32 = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;

/// Which half of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Bytes, connections or an end to be taken.
    Read,
    /// Room for bytes.
    Write,
}

/// A place in the table, and which of its registrations one after the other is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    place: u32,
    generation: u32,
}

impl Token {
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.place) << 32 | u64::from(self.generation)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        let generation = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        Token { place: u32::try_from(bits >> 32).unwrap_or(u32::MAX), generation }
    }

    /// What the answer to a write is told with: no descriptor has the last place.
    fn of_send(place: u32) -> Self {
        Token { place: u32::MAX, generation: place }
    }

    /// The place of the write whose answer this is; `None`: it is about a descriptor.
    pub(super) fn sent(self) -> Option<u32> {
        (self.place == u32::MAX).then_some(self.generation)
    }
}

/// What the kernel has told.
pub(super) struct Event {
    pub(super) token: Token,
    /// In the terms of `epoll_ctl(2)`, which are those of `poll(2)`; of a write, what it returned.
    pub(super) happened: i32,
    /// Nothing more will be told unless it is asked again.
    pub(super) is_last: bool,
}

enum Poller {
    Ring(Box<KernelRing>),
    Epoll(Epoll),
}

/// Whether a read would find something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Nothing,
    /// What was told of may have been read since.
    Perhaps,
    Something,
}

struct Slot {
    generation: u32,
    fd: RawFd,
    read: Reads,
    write: bool,
    /// An end or an error: the read side stays ready until a read finds nothing.
    stays: bool,
    /// The turn after which bytes were read last.
    last_read: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// The descriptors of a thread.
pub(super) struct Reactor {
    poller: RefCell<Poller>,
    table: RefCell<Table>,
    /// How many turns there were.
    turns: Cell<u64>,
    /// The last one by whose end the kernel had told all that it knew.
    settled: Cell<u64>,
    /// Kept between turns for its memory.
    events: RefCell<Vec<Event>>,
    /// Writes that leave with the next turn.
    sends: Sends,
    /// So much has happened in the last turn that writes should leave together.
    is_crowded: Cell<bool>,
}

impl Reactor {
    pub(super) fn new(driver: Driver) -> std::io::Result<Self> {
        let poller = match driver {
            Driver::IoUring => Poller::Ring(Box::new(KernelRing::new()?)),
            Driver::Epoll => Poller::Epoll(Epoll::new()?),
        };
        let (table, events) = (RefCell::default(), RefCell::default());
        let (turns, settled) = (Cell::new(1), Cell::new(1));
        let (sends, is_crowded) = (Sends::default(), Cell::new(false));
        let poller = RefCell::new(poller);
        Ok(Reactor { poller, table, turns, settled, events, sends, is_crowded })
    }

    pub(super) fn sends(&self) -> &Sends {
        &self.sends
    }

    /// Whether writes should leave together, with the next turn.
    pub(super) fn is_crowded(&self) -> bool {
        self.is_crowded.get()
    }

    /// As if much had happened in the last turn.
    #[cfg(test)]
    pub(super) fn crowd(&self) {
        self.is_crowded.set(matches!(&*self.poller.borrow(), Poller::Ring(_)));
    }

    /// Queues a write for the next turn.
    ///
    /// # Safety
    ///
    /// `bytes` can be read for `len` bytes, and `fd` stays open, until the write at `place` of
    /// [`sends`](Reactor::sends) has its answer.
    #[expect(unsafe_code, reason = "the kernel reads the bytes later")]
    pub(super) unsafe fn queue(
        &self,
        fd: RawFd,
        bytes: *const u8,
        len: u32,
        place: u32,
    ) -> std::io::Result<()> {
        match &mut *self.poller.borrow_mut() {
            // SAFETY: what is asked for here was promised.
            Poller::Ring(ring) => unsafe { ring.send(fd, bytes, len, Token::of_send(place)) },
            Poller::Epoll(_) => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    /// Hands over the writes that are queued, so that their connections can end. The kernel answers
    /// while it is asked; what it leaves open stays in memory.
    pub(super) fn finish(&self) -> std::io::Result<()> {
        for _ in 0..FINISHING_TURNS {
            if !self.sends.are_under_way() {
                break;
            }
            self.turn(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    fn register(&self, fd: BorrowedFd<'_>) -> std::io::Result<Token> {
        let token = self.table.borrow_mut().insert(fd.as_raw_fd());
        let watched = match &mut *self.poller.borrow_mut() {
            Poller::Ring(ring) => ring.watch(fd.as_raw_fd(), token),
            Poller::Epoll(epoll) => epoll.watch(fd, token),
        };
        if watched.is_err() {
            self.table.borrow_mut().remove(token);
        }
        watched.map(|()| token)
    }

    fn forget(&self, fd: BorrowedFd<'_>, token: Token) {
        self.table.borrow_mut().remove(token);
        match &mut *self.poller.borrow_mut() {
            Poller::Ring(ring) => ring.forget(token),
            Poller::Epoll(epoll) => epoll.forget(fd),
        }
    }

    /// Hears what has happened; waits for it for up to `wait`, or as long as it takes. Whether
    /// there was anything.
    pub(super) fn turn(&self, wait: Option<Duration>) -> std::io::Result<bool> {
        let mut events = self.events.borrow_mut();
        let (settled, since) = match &mut *self.poller.borrow_mut() {
            Poller::Ring(ring) => (ring.turn(wait, &mut events)?, self.settled.get()),
            Poller::Epoll(epoll) => {
                epoll.turn(wait, &mut events)?;
                // It looks again when it tells.
                (true, u64::MAX)
            }
        };
        self.turns.set(self.turns.get() + 1);
        if settled {
            self.settled.set(self.turns.get());
        }
        let heard = !events.is_empty();
        let is_ring = since != u64::MAX;
        self.is_crowded.set(is_ring && events.len() >= CROWD);
        for event in events.drain(..) {
            if let Some(place) = event.token.sent() {
                self.sends.answered(place, event.happened);
                continue;
            }
            let Some((wakers, fd)) = self.table.borrow_mut().note(&event, since) else { continue };
            for waker in wakers.into_iter().flatten() {
                waker.wake();
            }
            if event.is_last
                && let Poller::Ring(ring) = &mut *self.poller.borrow_mut()
            {
                ring.watch(fd, event.token)?;
            }
        }
        Ok(heard)
    }
}

impl Table {
    fn insert(&mut self, fd: RawFd) -> Token {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                fd,
                read: Reads::Nothing,
                write: true,
                stays: false,
                last_read: 0,
                reader: None,
                writer: None,
            });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        // The last one is kept free for what is not a descriptor.
        assert!(place != u32::MAX, "more descriptors than can be numbered");
        let slot = &mut self.slots[place as usize];
        (slot.fd, slot.read, slot.write) = (fd, Reads::Nothing, true);
        (slot.stays, slot.last_read) = (false, 0);
        Token { place, generation: slot.generation }
    }

    fn remove(&mut self, token: Token) {
        let slot = &mut self.slots[token.place as usize];
        slot.generation = slot.generation.wrapping_add(1);
        (slot.reader, slot.writer) = (None, None);
        self.free.push(token.place);
    }

    /// Takes note of an event and says whom to wake, and the descriptor; `None`: it is about one
    /// that is gone. What was read after the turn `since` may be what the event is about.
    fn note(&mut self, event: &Event, since: u64) -> Option<([Option<Waker>; 2], RawFd)> {
        let slot = self.slots.get_mut(event.token.place as usize)?;
        if slot.generation != event.token.generation {
            return None;
        }
        let mut wakers = [None, None];
        if event.happened & READS != 0 {
            if slot.last_read < since {
                slot.read = Reads::Something;
            } else if slot.read == Reads::Nothing {
                slot.read = Reads::Perhaps;
            }
            wakers[0] = slot.reader.take();
        }
        if event.happened & WRITES != 0 {
            slot.write = true;
            wakers[1] = slot.writer.take();
        }
        slot.stays |= event.happened & STAYS != 0;
        Some((wakers, slot.fd))
    }
}

/// A descriptor that is watched; closed at the end.
pub(super) struct Source {
    fd: OwnedFd,
    token: Token,
    shared: Rc<Shared>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.fd.as_raw_fd())
    }
}

impl Source {
    /// Takes over a descriptor that does not block. Its write side counts as ready until a call
    /// finds out otherwise, its read side as not ready until the kernel tells in the next turn.
    pub(super) fn new(shared: &Rc<Shared>, fd: OwnedFd) -> std::io::Result<Self> {
        let token = shared.reactor.register(fd.as_fd())?;
        Ok(Source { fd, token, shared: Rc::clone(shared) })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    fn with<T>(&self, look: impl FnOnce(&mut Slot) -> T) -> T {
        look(&mut self.shared.reactor.table.borrow_mut().slots[self.token.place as usize])
    }

    /// Whether a call would not wait, as far as is known.
    pub(super) fn is_ready(&self, side: Side) -> bool {
        self.with(|slot| match side {
            Side::Read => slot.read != Reads::Nothing,
            Side::Write => slot.write,
        })
    }

    /// Like [`is_ready`](Source::is_ready); if not, `waker` is woken when it is. One waker a side.
    /// `sure`: a read would find something, and not only perhaps.
    pub(super) fn poll_ready(&self, side: Side, sure: bool, waker: &Waker) -> bool {
        self.with(|slot| {
            if sure && side == Side::Read && slot.read == Reads::Perhaps {
                let nothing = options::is_quiet(self.fd.as_fd());
                slot.read = if nothing { Reads::Nothing } else { Reads::Something };
            }
            let (ready, place) = match side {
                Side::Read => (slot.read != Reads::Nothing, &mut slot.reader),
                Side::Write => (slot.write, &mut slot.writer),
            };
            if !ready && !place.as_ref().is_some_and(|old| old.will_wake(waker)) {
                *place = Some(waker.clone());
            }
            ready
        })
    }

    /// A call found nothing, or no room.
    pub(super) fn is_drained(&self, side: Side) {
        self.with(|slot| match side {
            Side::Read => slot.read = Reads::Nothing,
            Side::Write => slot.write = false,
        });
    }

    /// Bytes were read. `short`: less than there was room for, so that nothing is left but an end
    /// or an error, if there is one. (Nor is what lies behind a byte that the peer marked as
    /// urgent, where reads stop: it is read when more has come. Nothing that speaks a protocol of
    /// ours marks bytes.)
    pub(super) fn was_read(&self, short: bool) {
        let turn = self.shared.reactor.turns.get();
        self.with(|slot| {
            slot.last_read = turn;
            slot.read = if short && !slot.stays { Reads::Nothing } else { Reads::Perhaps };
        });
    }

    /// Wakes who waits, whatever for.
    pub(super) fn wake(&self) {
        for waker in
            self.with(|slot| [slot.reader.take(), slot.writer.take()]).into_iter().flatten()
        {
            waker.wake();
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.reactor.forget(self.fd.as_fd(), self.token);
    }
}
