//! The kernel's world: a thread with its own ring (monoio on `io_uring`, or on epoll where
//! `io_uring` is denied).
//!
//! Sockets wait for readiness through the ring (one batched submission for all of them) and move
//! bytes with non-blocking calls at once. The kernel never holds one of our buffers across a wait,
//! so a wait can end early without losing bytes, an idle connection owns no buffer, and both
//! drivers behave alike. ARCHITECTURE.md has the decision and what it was measured against.

mod bell;
mod listener;
mod options;
mod pipe;
mod socket;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::base::time::{Instant, UnixTime};

use super::wheel::{Key, TICK, Wheel};
use super::{Io, IoError, SocketOptions};

pub use bell::{RingBell, RingEar};
pub use listener::{RingListener, bind};
pub use pipe::RingPipe;
pub use socket::RingSocket;

/// What carries a shard's waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// `io_uring`.
    IoUring,
    /// epoll, through monoio's legacy driver.
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

/// Entries of a shard's submission queue: more waits than this in one turn cost one more system
/// call.
const RING_ENTRIES: u32 = 4096;

/// Whether `io_uring` can be used here, or the error of the attempt.
pub fn probe() -> std::io::Result<()> {
    builder().build(8).map(|_ring| ())
}

/// The ring flags that cost least: completions run when we ask for them, not by interrupting us
/// (measured: half the CPU per request of the default flags at 8 to 64 connections).
fn builder() -> io_uring::Builder {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    builder
}

/// Runs `main` to its end on a runtime built on this very thread, as `SINGLE_ISSUER` asks.
pub fn run<F, T>(driver: Driver, main: impl FnOnce(Ring) -> F) -> std::io::Result<T>
where
    F: Future<Output = T>,
{
    match driver {
        Driver::IoUring => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
                .uring_builder(builder())
                .with_entries(RING_ENTRIES)
                .enable_timer()
                .build()?;
            runtime.block_on(async { Ok(main(Ring::start(driver)?).await) })
        }
        Driver::Epoll => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new()
                .with_entries(RING_ENTRIES)
                .enable_timer()
                .build()?;
            runtime.block_on(async { Ok(main(Ring::start(driver)?).await) })
        }
    }
}

/// The world of one thread: implements [`Io`].
#[derive(Clone, Debug)]
pub struct Ring {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    driver: Driver,
    wheel: RefCell<Wheel>,
    /// Wakes the ticker when a deadline comes before what it sleeps for.
    ticker: RefCell<(Instant, Option<Waker>)>,
    /// One end of a pair that nobody uses: it can be written to at any time.
    idle: (monoio::net::UnixStream, UnixStream),
    pipes: pipe::Pipes,
}

impl Ring {
    fn start(driver: Driver) -> std::io::Result<Self> {
        let now = monotonic();
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let shared = Rc::new(Shared {
            driver,
            wheel: RefCell::new(Wheel::new(now)),
            ticker: RefCell::new((Instant::NEVER, None)),
            idle: (monoio::net::UnixStream::from_std(near)?, far),
            pipes: pipe::Pipes::default(),
        });
        monoio::spawn(tick(Rc::clone(&shared)));
        Ok(Ring { shared })
    }

    /// What carries the waits.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.shared.driver
    }
}

impl Shared {
    /// Runs `change` on the wheel; wakes the ticker if `deadline` comes before what it sleeps for.
    fn with_wheel<T>(&self, deadline: Instant, change: impl FnOnce(&mut Wheel) -> T) -> T {
        let result = change(&mut self.wheel.borrow_mut());
        let mut ticker = self.ticker.borrow_mut();
        if deadline < ticker.0 {
            ticker.0 = deadline;
            if let Some(waker) = ticker.1.take() {
                waker.wake();
            }
        }
        result
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

/// Lets deadlines expire. Sleeps while there are none.
async fn tick(shared: Rc<Shared>) {
    loop {
        let next = {
            let mut wheel = shared.wheel.borrow_mut();
            wheel.advance(monotonic());
            wheel.next().unwrap_or(Instant::NEVER)
        };
        *shared.ticker.borrow_mut() = (next, None);
        let changed = std::future::poll_fn(|cx| {
            let mut ticker = shared.ticker.borrow_mut();
            if ticker.0 < next {
                return Poll::Ready(());
            }
            ticker.1 = Some(cx.waker().clone());
            Poll::Pending
        });
        if next == Instant::NEVER {
            changed.await;
        } else {
            let sleep = monoio::time::sleep((next - monotonic()).max(Duration::from_millis(1)));
            super::race::race(changed, sleep).await;
        }
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
        monoio::spawn(task);
    }

    async fn sleep_until(&self, deadline: Instant) {
        if deadline == Instant::NEVER {
            return std::future::pending().await;
        }
        if deadline - lately() < 4 * TICK {
            // Boxed: the runtime's timers are large and aligned to 128 bytes, and so would be every
            // future that might wait for one.
            Box::pin(monoio::time::sleep(deadline - monotonic())).await;
            return;
        }
        // Deadlines that almost never come cost next to nothing in the wheel.
        let alarm = Alarm::new(&self.shared, deadline);
        std::future::poll_fn(|cx| {
            let due = self.shared.wheel.borrow_mut().poll(alarm.key, cx.waker());
            if due { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    async fn yield_now(&self) {
        if self.shared.driver == Driver::IoUring {
            // Done as soon as the kernel is entered, together with all that is due by then. Without
            // it the runtime submits, but with `DEFER_TASKRUN` nothing completes.
            let _ = self.shared.idle.0.writable(false).await;
        }
        // monoio queues a task that wakes itself in front of all others, so that io would starve.
        // A new task goes to the back.
        monoio::spawn(async {}).await;
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
        bell::pair()
    }
}

/// The descriptor of a stream, for calls that take one; it lives as long as the stream.
fn borrow(stream: &impl AsRawFd) -> BorrowedFd<'_> {
    #[expect(unsafe_code, reason = "monoio's streams do not implement AsFd")]
    // SAFETY: the stream owns the descriptor and is borrowed for as long as the result lives, so
    // that it is open and stays so.
    unsafe {
        BorrowedFd::borrow_raw(stream.as_raw_fd())
    }
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
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EADDRNOTAVAIL) => {
            IoError::Exhausted
        }
        other => IoError::Other(other.unwrap_or(0)),
    }
}
