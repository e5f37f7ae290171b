//! The kernel's world: a thread with a runtime of its own, on `io_uring`, or on epoll where
//! `io_uring` is denied.
//!
//! Each descriptor is watched once and for all; sockets move bytes with non-blocking calls at once
//! and wait for what the kernel tells. It is lent none of our buffers to write into across a wait,
//! so a wait can end early without losing bytes, an idle connection owns no buffer, and both
//! drivers behave alike. Where much is going on, small writes leave together with the next turn.
//! ARCHITECTURE.md has the decisions and what they were measured against.

mod bell;
mod epoll;
mod kernel_ring;
mod listener;
mod options;
mod pipe;
mod reactor;
mod sends;
mod socket;
mod spin;
mod tasks;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::base::time::{Instant, UnixTime};

use super::wheel::{Key, TICK, Wheel};
use super::{CLOCK_LAG_MAX, Io, IoError, SocketOptions};

use reactor::Reactor;

pub use bell::{RingBell, RingEar};
pub use listener::{RingListener, bind, prefer};
pub use pipe::RingPipe;
pub use socket::RingSocket;

/// What carries a shard's waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// `io_uring`.
    IoUring,
    /// epoll.
    Epoll,
}

impl Driver {
    /// The name in configuration, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// Whether `io_uring` can be used here, or the error of the attempt.
pub fn probe() -> std::io::Result<()> {
    probe_many(1)
}

/// Whether so many threads can use `io_uring` at once, or the error of the attempt.
pub fn probe_many(threads: usize) -> std::io::Result<()> {
    let rings: Result<Vec<_>, _> = (0..threads).map(|_| kernel_ring::KernelRing::new()).collect();
    rings.map(drop)
}

/// Runs `main` to its end on a runtime built on this very thread. What it started and left ends
/// with it.
pub fn run<F, T>(driver: Driver, main: impl FnOnce(Ring) -> F) -> std::io::Result<T>
where
    F: Future<Output = T>,
{
    let Some(tasks) = tasks::Running::enter() else {
        return Err(std::io::Error::other("this thread runs tasks already"));
    };
    let shared = Rc::new(Shared {
        driver,
        reactor: Reactor::new(driver)?,
        wheel: RefCell::new(Wheel::new(monotonic())),
        look: Cell::new(Instant::NEVER),
        sleepers: RefCell::default(),
        sleeps: Cell::new(0),
        pipes: pipe::Pipes::default(),
        spin: spin::Spin::default(),
    });
    let mut main = pin!(main(Ring { shared: Rc::clone(&shared) }));
    loop {
        if let Poll::Ready(output) = tasks.round(main.as_mut()) {
            shared.reactor.finish()?;
            return Ok(output);
        }
        let wait = if tasks.is_idle() { shared.rest() } else { Some(Duration::ZERO) };
        shared.turn(wait)?;
        shared.wake_due();
    }
}

/// The world of one thread: implements [`Io`].
#[derive(Clone, Debug)]
pub struct Ring {
    shared: Rc<Shared>,
}

struct Shared {
    driver: Driver,
    reactor: Reactor,
    wheel: RefCell<Wheel>,
    /// When the wheel is looked at next.
    look: Cell<Instant>,
    /// Those who want to sleep for a moment only, too short for the wheel; few at a time.
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    /// Tells two of them with one deadline apart.
    sleeps: Cell<u64>,
    pipes: pipe::Pipes,
    spin: spin::Spin,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("driver", &self.driver).finish_non_exhaustive()
    }
}

impl Ring {
    /// What carries the waits.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.shared.driver
    }

    /// Looks for what happens for up to `most` before it sleeps, as far as that is worth it; zero,
    /// as at first: never.
    pub fn busy_poll(&self, most: Duration) {
        self.shared.spin.set(most);
    }
}

impl Shared {
    /// Runs `change` on the wheel, which is looked at by `deadline` at the latest from then on.
    fn with_wheel<T>(&self, deadline: Instant, change: impl FnOnce(&mut Wheel) -> T) -> T {
        if deadline < self.look.get() {
            self.look.set(deadline);
        }
        change(&mut self.wheel.borrow_mut())
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    fn poll_alarm(&self, key: Key, cx: &Context<'_>) -> Poll<Result<(), IoError>> {
        if self.wheel.borrow_mut().poll(key, cx.waker()) {
            return Poll::Ready(Err(IoError::TimedOut));
        }
        Poll::Pending
    }

    /// How long nothing is due; `None`: for ever.
    fn rest(&self) -> Option<Duration> {
        let sleeper = self.sleepers.borrow().first_key_value().map(|(key, _)| key.0);
        let next = sleeper.unwrap_or(Instant::NEVER).min(self.look.get());
        (next != Instant::NEVER).then(|| next - monotonic())
    }

    /// A turn of the reactor. Where it would sleep it looks first, if asked to.
    fn turn(&self, wait: Option<Duration>) -> std::io::Result<()> {
        if !self.spin.is_on() || wait == Some(Duration::ZERO) {
            return self.reactor.turn(wait).map(drop);
        }
        let (began, span) = (monotonic(), self.spin.span());
        let until = began + wait.map_or(span, |wait| wait.min(span));
        let mut now = began;
        while now < until {
            if self.reactor.turn(Some(Duration::ZERO))? {
                self.spin.is_worth_it();
                return Ok(());
            }
            std::hint::spin_loop();
            now = monotonic();
        }
        let heard = self.reactor.turn(wait.map(|wait| wait.saturating_sub(now - began)))?;
        self.spin.has_slept(monotonic() - began, heard);
        Ok(())
    }

    /// Wakes whose deadline has passed.
    fn wake_due(&self) {
        if self.look.get() <= lately() + CLOCK_LAG_MAX {
            let now = monotonic();
            if self.look.get() <= now {
                let mut wheel = self.wheel.borrow_mut();
                wheel.advance(now);
                self.look.set(wheel.next().unwrap_or(Instant::NEVER));
            }
        }
        if self.sleepers.borrow().is_empty() {
            return;
        }
        let now = monotonic();
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            match sleepers.first_entry() {
                Some(first) if first.key().0 <= now => first.remove().wake(),
                _ => return,
            }
        }
    }
}

/// A place in the wheel that is given back when the wait is over or dropped.
struct Alarm<'a> {
    shared: &'a Shared,
    key: Key,
}

impl<'a> Alarm<'a> {
    fn new(shared: &'a Shared, deadline: Instant) -> Self {
        let key = shared.with_wheel(deadline, |wheel| {
            let key = wheel.insert();
            wheel.set(key, deadline);
            key
        });
        Alarm { shared, key }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.shared.wheel.borrow_mut().remove(self.key);
    }
}

/// A short sleep that is forgotten when it is over or dropped.
struct Nap<'a> {
    shared: &'a Shared,
    key: (Instant, u64),
}

impl<'a> Nap<'a> {
    fn new(shared: &'a Shared, deadline: Instant) -> Self {
        let number = shared.sleeps.get();
        shared.sleeps.set(number.wrapping_add(1));
        Nap { shared, key: (deadline, number) }
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        self.shared.sleepers.borrow_mut().remove(&self.key);
    }
}

fn monotonic() -> Instant {
    instant(clock(libc::CLOCK_MONOTONIC))
}

/// What the kernel noted at its last tick: nothing is asked of the hardware.
fn lately() -> Instant {
    instant(clock(libc::CLOCK_MONOTONIC_COARSE))
}

fn instant(since_boot: Duration) -> Instant {
    Instant::from_nanos(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX))
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(
        unsafe_code,
        reason = "the clock of the kernel, without the detour over an opaque type"
    )]
    // SAFETY: `time` is a valid place to write a timespec to; the clocks that are asked for exist
    // on every Linux.
    unsafe {
        libc::clock_gettime(which, &raw mut time);
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Io for Ring {
    type Socket = RingSocket;
    type Pipe = RingPipe;
    type Listener = RingListener;
    type Ear = RingEar;
    type Bell = RingBell;

    fn now(&self) -> Instant {
        monotonic()
    }

    fn lately(&self) -> Instant {
        lately()
    }

    fn unix_now(&self) -> UnixTime {
        UnixTime(clock(libc::CLOCK_REALTIME_COARSE))
    }

    fn secret(&self, out: &mut [u8]) {
        use ring::rand::{SecureRandom, SystemRandom};
        // getrandom(2) fails on no kernel that has io_uring; a zero key must not pass silently.
        assert!(SystemRandom::new().fill(out).is_ok(), "the kernel gave no random bytes");
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tasks::spawn(task);
    }

    async fn sleep_until(&self, deadline: Instant) {
        if deadline == Instant::NEVER {
            return std::future::pending().await;
        }
        let shared = &*self.shared;
        if deadline - lately() < 4 * TICK {
            let nap = Nap::new(shared, deadline);
            return poll_fn(|cx| {
                if deadline <= monotonic() {
                    return Poll::Ready(());
                }
                shared.sleepers.borrow_mut().insert(nap.key, cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
        // Deadlines that almost never come cost next to nothing in the wheel.
        let alarm = Alarm::new(shared, deadline);
        poll_fn(|cx| shared.poll_alarm(alarm.key, cx).map(|_| ())).await;
    }

    async fn yield_now(&self) {
        // The next round is behind all that is ready and behind a turn of the reactor.
        let mut is_told = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut is_told, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        deadline: Instant,
    ) -> Result<RingSocket, IoError> {
        socket::connect(&self.shared, address, options, deadline).await
    }

    fn pipe(&self) -> Option<RingPipe> {
        pipe::lend(&self.shared)
    }

    fn bell(&self) -> Result<(RingBell, RingEar), IoError> {
        bell::pair(&self.shared)
    }
}

/// Whether this process or machine is out of something: no peer has a part in that.
#[must_use]
pub fn is_exhausted(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL)
    )
}

/// What a system error means to us.
fn io_error(error: &std::io::Error) -> IoError {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => IoError::TimedOut,
        Some(libc::ECANCELED) => IoError::Cancelled,
        Some(libc::ECONNREFUSED) => IoError::Refused,
        Some(libc::ECONNRESET | libc::ECONNABORTED) => IoError::Reset,
        Some(libc::EPIPE | libc::ENOTCONN | libc::ESHUTDOWN) => IoError::Closed,
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::ENETDOWN) => {
            IoError::Unreachable
        }
        _ if is_exhausted(error) => IoError::Exhausted,
        other => IoError::Other(other.unwrap_or(0)),
    }
}
