//! Which driver carries the shards' waits.

use crate::io::uring::{self, Driver};
use crate::observe::notice::{Notices, Severity};
use crate::snapshot::server::IoDriver;

/// `io_uring` if as many rings as there are shards can be had at once: memory may be enough for
/// some of them. In automatic mode epoll takes its place with one loud line.
pub fn choose(wanted: IoDriver, shards: usize, notices: &Notices) -> Result<Driver, String> {
    if wanted == IoDriver::Epoll {
        return Ok(Driver::Epoll);
    }
    let Err(error) = uring::probe_many(shards) else {
        return Ok(Driver::IoUring);
    };
    let why = explain(&error);
    if wanted == IoDriver::IoUring {
        return Err(format!("server.io = \"io_uring\", but {why}"));
    }
    notices.tell(super::notice(
        Severity::Warn,
        "io_uring_denied",
        format!("running on epoll, which costs more CPU per request: {why}"),
    ));
    Ok(Driver::Epoll)
}

/// What the error means and what to do about it.
fn explain(error: &std::io::Error) -> String {
    let way_out = match error.raw_os_error() {
        Some(libc_errno::EPERM) => {
            match std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled") {
                Ok(value) if value.trim() != "0" => {
                    "kernel.io_uring_disabled forbids it; \
                     `sysctl -w kernel.io_uring_disabled=0` allows it"
                }
                _ => {
                    "a seccomp profile forbids it (Docker's default one does); \
                     allow io_uring_setup, io_uring_enter and io_uring_register"
                }
            }
        }
        Some(libc_errno::ENOSYS) => {
            "this kernel has no io_uring; Linux 6.1 or later has what is needed"
        }
        Some(libc_errno::EINVAL) => {
            "this kernel's io_uring is too old; Linux 6.1 or later has what is needed"
        }
        Some(libc_errno::ENOMEM) => "the limit of locked memory is too small; raise LimitMEMLOCK",
        _ => "the kernel refused it",
    };
    format!("io_uring_setup failed ({error}): {way_out}")
}

/// Error numbers of Linux that are the same on every architecture we run on.
mod libc_errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOSYS: i32 = 38;
}
