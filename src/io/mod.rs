//! The only door to the world: clock, chance, sockets, tasks.
//!
//! Production code above is generic over [`Io`]. [`uring`] is the kernel's world (`io_uring`,
//! or epoll where it is denied); [`sim`] is a world made up from a seed, in
//! which the same code runs deterministically.
//!
//! The contract that both keep, and that every caller may rely on:
//!
//! 1. A call that can wait takes a deadline and ends by it.
//! 2. `read` and `write` take their buffers by value and give them back on every path. Their
//!    futures are awaited to the end: bytes that have moved are reported. [`Socket::cancel`] ends
//!    them early.
//! 3. Only [`Socket::readable`], [`Io::sleep_until`] and [`Ear::listen`] may be dropped while they
//!    wait; they move no bytes.
//! 4. Dropping the last clone of a socket closes it.
//! 5. Once a call on a socket has said that it was reset or is closed, no read says that the peer
//!    has finished: the kernel tells of a reset once, and then of an end.
//! 6. A pipe holds the bytes of one message at a time. It is lent again only if nothing is in it;
//!    otherwise dropping it closes it, so that no message ever meets the rest of another.

pub mod buffer;
pub mod gather;
pub mod race;
pub mod signals;
pub mod sim;
pub mod uring;
mod wheel;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::text::Text;
use crate::base::time::{Instant, UnixTime};

use buffer::Buffer;
use gather::Gather;

/// Why a call on a socket did not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoError {
    /// The deadline came first.
    TimedOut,
    /// [`Socket::cancel`] or [`Listener::cancel`] came first.
    Cancelled,
    /// Nobody listens at the address.
    Refused,
    /// The peer, or a host on the way, ended the connection without finishing it.
    Reset,
    /// The peer takes no more bytes.
    Closed,
    /// No way to the address.
    Unreachable,
    /// Out of file descriptors, ports or kernel memory.
    Exhausted,
    /// Anything else, as the system's error number.
    Other(i32),
}

/// How a TCP socket is set up; unset values leave the system's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketOptions {
    /// `TCP_NODELAY`: small writes leave at once.
    pub nodelay: bool,
    /// `TCP_CONGESTION`, for example `bbr` or `cubic`.
    pub congestion: Option<Text<15>>,
    /// `TCP_NOTSENT_LOWAT` in bytes: how much unsent data may queue before the socket stops being
    /// writable.
    pub not_sent_lowat: Option<u32>,
    /// `SO_RCVBUF` in bytes; switches the kernel's own tuning off.
    pub receive_buffer: Option<u32>,
    /// `SO_SNDBUF` in bytes; switches the kernel's own tuning off.
    pub send_buffer: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            nodelay: true,
            congestion: None,
            not_sent_lowat: None,
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

/// How late what is read of the kernel's last tick may be, at the slowest of its tick rates.
pub const CLOCK_LAG_MAX: Duration = Duration::from_millis(10);

/// A world to run in. Cloning gives another handle to the same one.
pub trait Io: Clone + 'static {
    /// A TCP connection of this world.
    type Socket: Socket<Pipe = Self::Pipe>;
    /// What bytes pass through from one socket to another.
    type Pipe: Pipe;
    /// A listening address of this world.
    type Listener: Listener<Socket = Self::Socket>;
    /// The end that waits for a [`Bell`](Io::Bell).
    type Ear: Ear;
    /// The end that any thread may ring.
    type Bell: Bell;

    /// The monotonic clock. Read in `proxy`, `shard` and `control` only, once after a wait.
    fn now(&self) -> Instant;
    /// The monotonic clock as it stood [`CLOCK_LAG_MAX`] ago at most, never ahead of [`Io::now`].
    /// For deadlines: it costs a fraction of a look at the clock.
    fn lately(&self) -> Instant;
    /// The calendar, at most [`CLOCK_LAG_MAX`] late.
    fn unix_now(&self) -> UnixTime;
    /// Fills `out` with bytes fit for keys.
    fn secret(&self, out: &mut [u8]);
    /// Starts a task on this thread. Callers go through a gate, which guards against panics.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// Waits until `deadline`. May be dropped.
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()>;
    /// Lets every other task that is ready run first, and io that is due complete.
    fn yield_now(&self) -> impl Future<Output = ()>;
    /// Opens a connection.
    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Socket, IoError>>;
    /// An empty pipe, if one can be had: their number is bounded, here and by the kernel. Callers
    /// copy otherwise.
    fn pipe(&self) -> Option<Self::Pipe>;
    /// A way for other threads to wake a task of this one.
    fn bell(&self) -> Result<(Self::Bell, Self::Ear), IoError>;
}

/// Rings an [`Ear`] on another thread. Rings that nobody has heard yet count as one.
pub trait Bell: Clone + Send + Sync + 'static {
    /// Wakes the listener. Never waits.
    fn ring(&self);
}

/// Hears a [`Bell`].
pub trait Ear: 'static {
    /// Waits until the bell has rung since the last call. May be dropped.
    fn listen(&self) -> impl Future<Output = ()>;
}

/// An address that accepts connections.
pub trait Listener: Clone + 'static {
    /// What an accepted connection is.
    type Socket: Socket;

    /// The next connection and its peer's address. Never dropped while it waits: use `cancel`.
    fn accept(&self) -> impl Future<Output = Result<(Self::Socket, SocketAddr), IoError>>;
    /// Ends a waiting `accept` with [`IoError::Cancelled`], and all later ones once the queue is
    /// empty.
    fn cancel(&self);
    /// The address in use, with its real port.
    fn address(&self) -> SocketAddr;
}

/// Memory of the world's own, through which bytes pass from one socket to another without being
/// copied or seen. Takes up to [`limits::PIPE_BYTES`] at a time.
///
/// [`limits::PIPE_BYTES`]: crate::base::limits::PIPE_BYTES
pub trait Pipe: 'static {
    /// Bytes that are in it.
    fn len(&self) -> usize;

    /// Whether nothing is in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A TCP connection. Clones share it; one may read while another writes.
pub trait Socket: Clone + 'static {
    /// What its bytes can pass through.
    type Pipe: Pipe;

    /// Waits until a read would not wait: bytes, end or error. Moves nothing, may be dropped.
    fn readable(&self, deadline: Instant) -> impl Future<Output = Result<(), IoError>>;

    /// The same for who goes on with [`try_read`](Socket::try_read) and waits again if that finds
    /// nothing: it may end although nothing is there, and costs less for it.
    fn stirred(&self, deadline: Instant) -> impl Future<Output = Result<(), IoError>> {
        self.readable(deadline)
    }

    /// Reads at least one byte into the free part of `buffer` and says how many; zero: the peer has
    /// finished.
    fn read(
        &self,
        buffer: Buffer,
        deadline: Instant,
    ) -> impl Future<Output = (Result<usize, IoError>, Buffer)>;

    /// Writes all of `out`, in order. On an error an unknown part has left.
    fn write(
        &self,
        out: Gather,
        deadline: Instant,
    ) -> impl Future<Output = (Result<(), IoError>, Gather)>;

    /// Reads at least one byte and at most `max` into `pipe`, which must be empty, and says how
    /// many; zero: the peer has finished. Otherwise like [`read`](Socket::read), and a read as far
    /// as others are concerned.
    fn splice_in(
        &self,
        pipe: Self::Pipe,
        max: usize,
        deadline: Instant,
    ) -> impl Future<Output = (Result<usize, IoError>, Self::Pipe)>;

    /// Writes all of `head` and then the next `len` bytes of `pipe`, which holds at least as many.
    /// `more` says that another write follows at once, so that the last segment may wait for it.
    /// Otherwise like [`write`](Socket::write).
    fn splice_out(
        &self,
        head: Gather,
        pipe: Self::Pipe,
        len: usize,
        more: bool,
        deadline: Instant,
    ) -> impl Future<Output = (Result<(), IoError>, Gather, Self::Pipe)>;

    /// Reads what is there, without waiting; `None`: nothing is. Otherwise like
    /// [`read`](Socket::read).
    fn try_read(&self, buffer: &mut Buffer) -> Option<Result<usize, IoError>>;

    /// Writes what there is room for, without waiting, and says how much. Not while another write
    /// is under way.
    fn try_write(&self, bytes: &[u8]) -> Result<usize, IoError>;

    /// Whether bytes can pass through a pipe here. Where not, [`splice_in`](Socket::splice_in) and
    /// [`splice_out`](Socket::splice_out) fail.
    fn can_splice(&self) -> bool {
        true
    }

    /// Ends the connection now: calls that wait return soon, with [`IoError::Cancelled`] or with
    /// what they had.
    fn cancel(&self);

    /// Tells the peer that no more bytes come. What was written is still delivered.
    fn shutdown_write(&self);

    /// Whether the peer is known to have finished or reset, even behind bytes that were not read
    /// yet.
    fn is_peer_gone(&self) -> bool;

    /// Whether nothing has come that was not read: no bytes, no end, no error. As of the last time
    /// that the task waited.
    fn is_quiet(&self) -> bool;

    /// Bytes that the peer said it has room for, where that is known.
    fn window(&self) -> Option<u32>;

    /// Whether the kernel paces what is sent, as with BBR, instead of sending what the window
    /// allows at once. Many small writes cost much more then.
    fn is_paced(&self) -> bool;

    /// Closes with a reset instead of an orderly end, so that a cut message cannot look complete. A
    /// [`cancel`](Socket::cancel) behind it tells of no end either.
    fn reset_on_close(&self);

    /// Sets options after the fact; what the kernel refuses is left as it was.
    fn set_options(&self, options: SocketOptions);
}
