//! Readiness through `io_uring`: one multishot poll for the whole life of a descriptor.

use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::reactor::{Event, INTEREST, Token};

/// Entries of the submission queue: more new and closed descriptors than this in one turn cost one
/// more system call.
const ENTRIES: u32 = 1024;
/// Entries of the completion queue. What does not fit waits in the kernel.
const COMPLETIONS: u32 = 8192;
/// Marks completions that nobody waits for.
const IGNORED: u64 = u64::MAX;
/// `IORING_ENTER_GETEVENTS`
const COMPLETE: u32 = 1;

/// A ring of the kernel.
pub(super) struct KernelRing {
    ring: IoUring,
}

impl KernelRing {
    /// The flags that cost least: completions run when we ask for them, not by interrupting us
    /// (measured: half the CPU per request of the default flags at 8 to 64 connections), and the
    /// kernel says in memory when there is something to ask for. To be used on the thread that made
    /// it alone.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        let ring = builder.setup_cqsize(COMPLETIONS).build(ENTRIES)?;
        Ok(KernelRing { ring })
    }

    /// Tells of each change of `fd` from now on.
    pub(super) fn watch(&mut self, fd: RawFd, token: Token) -> std::io::Result<()> {
        let interest = u32::try_from(INTEREST).unwrap_or_default();
        let poll = opcode::PollAdd::new(Fd(fd), interest).multi(true).build();
        self.push(&poll.user_data(token.to_bits()))
    }

    /// Ends a watch. The kernel keeps what was watched open until the next turn.
    pub(super) fn forget(&mut self, token: Token) {
        // Not `PollRemove`: the kernel refuses it (EALREADY) while an event of the poll waits to be
        // told, and the connection would stay open for as long as nothing else happens to it.
        let remove = opcode::AsyncCancel::new(token.to_bits()).build().user_data(IGNORED);
        // Where the queue cannot be emptied, the turn says so.
        let _ = self.push(&remove);
    }

    /// Queues a write that does not wait. Its answer is told with `token` in the next turn.
    ///
    /// # Safety
    ///
    /// `bytes` can be read for `len` bytes, and `fd` stays open, until the answer has been told.
    #[expect(unsafe_code, reason = "the kernel reads the bytes later")]
    pub(super) unsafe fn send(
        &mut self,
        fd: RawFd,
        bytes: *const u8,
        len: u32,
        token: Token,
    ) -> std::io::Result<()> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let send = opcode::Send::new(Fd(fd), bytes, len).flags(flags).build();
        self.push(&send.user_data(token.to_bits()))
    }

    fn push(&mut self, entry: &squeue::Entry) -> std::io::Result<()> {
        loop {
            #[expect(unsafe_code, reason = "the kernel acts on what is pushed")]
            // SAFETY: polls and their removal name a descriptor and numbers, and no memory; what a
            // write names is left alone, as whoever queues it has promised.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            self.enter()?;
        }
    }

    /// Submits what is queued and lets what is due complete, without waiting.
    fn enter(&mut self) -> std::io::Result<()> {
        let queued = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
        #[expect(unsafe_code, reason = "submitting with a flag that no safe call sets by itself")]
        // SAFETY: no argument is passed, and what is queued was found safe when it was pushed.
        let entered =
            unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, COMPLETE, None) };
        passable(entered)
    }

    /// Adds what has happened to `events`; waits for it for up to `wait`, or as long as it takes.
    /// Says whether that is all that had happened by then.
    pub(super) fn turn(
        &mut self,
        wait: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> std::io::Result<bool> {
        if wait == Some(Duration::ZERO) || !self.ring.completion().is_empty() {
            let queue = self.ring.submission();
            if !queue.is_empty() || queue.taskrun() || queue.cq_overflow() {
                drop(queue);
                self.enter()?;
            }
        } else if let Some(wait) = wait {
            let until = Timespec::from(wait);
            let args = SubmitArgs::new().timespec(&until);
            passable(self.ring.submitter().submit_with_args(1, &args))?;
        } else {
            passable(self.ring.submitter().submit_and_wait(1))?;
        }
        for entry in self.ring.completion() {
            if entry.user_data() == IGNORED {
                continue;
            }
            let token = Token::from_bits(entry.user_data());
            // A poll that failed is begun again, and whoever waits finds out by a call.
            let failed = entry.result() < 0 && token.sent().is_none();
            let happened = if failed { INTEREST } else { entry.result() };
            let is_last = !cqueue::more(entry.flags());
            events.push(Event { token, happened, is_last });
        }
        let queue = self.ring.submission();
        Ok(!queue.taskrun() && !queue.cq_overflow())
    }
}

/// Errors after which the next turn goes on: a signal, the end of the time, completions that have
/// to be taken first.
fn passable(entered: std::io::Result<usize>) -> std::io::Result<()> {
    match entered {
        Err(error)
            if !matches!(
                error.raw_os_error(),
                Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
