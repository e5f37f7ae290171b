//! Signals as values: blocked in all threads, waited for in one.

#![expect(unsafe_code, reason = "signal sets are C structures that only libc fills")]

use std::mem::MaybeUninit;

/// What an operator asks of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: finish and stop.
    Stop,
}

/// The signals that are waited for.
#[derive(Clone, Copy)]
pub struct Signals {
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks them in this thread and in all that it starts from now on.
    #[must_use]
    pub fn block() -> Self {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the whole set that the pointer is valid for.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
            // SAFETY: the set is initialised, the numbers are valid signals.
            unsafe {
                libc::sigaddset(&raw mut set, signal);
            }
        }
        // SAFETY: the set is initialised; no old set is asked for.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
        Signals { set }
    }

    /// Waits for the next one.
    #[must_use]
    pub fn wait(&self) -> Signal {
        loop {
            let mut signal = 0;
            // SAFETY: set and number are valid places; the call waits and writes the number.
            let failed = unsafe { libc::sigwait(&raw const self.set, &raw mut signal) };
            match signal {
                libc::SIGHUP if failed == 0 => return Signal::Reload,
                libc::SIGTERM | libc::SIGINT if failed == 0 => return Signal::Stop,
                _ => {}
            }
        }
    }
}

/// From now on a file that may not grow any further is an error of the write and not the end of the
/// process: the gateway goes on without its log.
pub fn ignore_full_files() {
    // SAFETY: no handler is installed; the signal is ignored by the kernel.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// From now on the kernel backs no memory of this process with huge pages (2 MiB) by itself.
///
/// The allocator asks for them, and one that holds a single live object is resident as a whole:
/// thousands of idle connections would cost several times what they hold. The kernel may know no
/// such switch; then all is as it was.
pub fn refuse_huge_pages() {
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this operation takes numbers alone and touches no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, on, unused, unused, unused);
    }
}

/// Raises the limit of open files to what the system allows; returns the limit in force.
#[must_use]
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place to write to and, then, to read from.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        }
    }
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_blocked_are_told_one_by_one() {
        // A mask is of the thread that sets it, and `raise` is to the thread that calls.
        let told = std::thread::spawn(|| {
            let signals = Signals::block();
            [libc::SIGHUP, libc::SIGTERM, libc::SIGINT].map(|signal| {
                // SAFETY: a number is passed; the signal is blocked in this thread.
                assert_eq!(unsafe { libc::raise(signal) }, 0);
                signals.wait()
            })
        });
        assert_eq!(told.join().unwrap(), [Signal::Reload, Signal::Stop, Signal::Stop]);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_once_and_for_all() {
        let limit = raise_open_files();
        assert!(limit > 2);
        assert_eq!(raise_open_files(), limit);
    }
}
