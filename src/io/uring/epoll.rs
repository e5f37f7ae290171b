//! Readiness through epoll, where `io_uring` is denied.

#![expect(unsafe_code, reason = "the three calls of epoll")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::reactor::{Event, INTEREST, Token};

/// Events that are taken in one call.
const EVENTS: usize = 1024;

/// An epoll of the kernel.
pub(super) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(super) fn new() -> std::io::Result<Self> {
        // SAFETY: the call takes a number and gives a descriptor or an error.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS] })
    }

    /// Tells of each change of `fd` from now on.
    pub(super) fn watch(&mut self, fd: BorrowedFd<'_>, token: Token) -> std::io::Result<()> {
        let events = u32::try_from(INTEREST).unwrap_or_default() | EDGES;
        let mut event = libc::epoll_event { events, u64: token.to_bits() };
        // SAFETY: both descriptors are borrowed, so they are open; `event` lives through the call.
        let added = unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_raw_fd(),
                &raw mut event,
            )
        };
        checked(added).map(|_| ())
    }

    /// Ends a watch.
    pub(super) fn forget(&mut self, fd: BorrowedFd<'_>) {
        // SAFETY: both descriptors are borrowed, so they are open; no event is read for a removal.
        unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                fd.as_raw_fd(),
                std::ptr::null_mut(),
            );
        }
    }

    /// Adds what has happened to `events`; waits for it for up to `wait`, or as long as it takes.
    pub(super) fn turn(
        &mut self,
        wait: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> std::io::Result<()> {
        let millis = wait.map_or(-1, |wait| {
            i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let room = i32::try_from(self.events.len()).unwrap_or(0);
        // SAFETY: the pointer is to `room` events that may be written to.
        let got = unsafe {
            libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, millis)
        };
        let count = match checked(got) {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        for event in self.events.iter().take(count) {
            let happened = i32::from_ne_bytes(event.events.to_ne_bytes());
            events.push(Event { token: Token::from_bits(event.u64), happened, is_last: false });
        }
        Ok(())
    }
}

/// Each change once. (The constant of the library is negative.)
const EDGES: u32 = 1 << 31;

fn checked(result: i32) -> std::io::Result<i32> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
