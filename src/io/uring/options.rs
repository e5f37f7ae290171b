//! Socket options.

use std::os::fd::BorrowedFd;

use socket2::{SockRef, TcpKeepalive};

use crate::base::limits;
use crate::io::SocketOptions;

/// Sets what is asked for; what the kernel refuses is left as it was (`otus check` says so
/// beforehand).
pub(super) fn apply(fd: BorrowedFd<'_>, options: SocketOptions) {
    let socket = SockRef::from(&fd);
    let _ = socket.set_tcp_nodelay(options.nodelay);
    if let Some(name) = options.congestion {
        let _ = socket.set_tcp_congestion(name.as_str().as_bytes());
    }
    if let Some(bytes) = options.not_sent_lowat {
        let _ = socket.set_tcp_notsent_lowat(bytes);
    }
    if let Some(bytes) = options.receive_buffer {
        let _ = socket.set_recv_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    if let Some(bytes) = options.send_buffer {
        let _ = socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

/// Lets the kernel find out that a peer is lost where nothing is sent that it would have to answer:
/// calls and tunnels may be silent for hours (RFC 9293 §3.8.4; `TCP_USER_TIMEOUT`, RFC 5482).
pub(super) fn watch(fd: BorrowedFd<'_>) {
    let socket = SockRef::from(&fd);
    let probes = TcpKeepalive::new()
        .with_time(limits::CLIENT_PROBE_AFTER)
        .with_interval(limits::CLIENT_PROBE_EVERY);
    let _ = socket.set_tcp_keepalive(&probes);
    let _ = socket.set_tcp_user_timeout(Some(limits::CLIENT_LOST_AFTER));
}

/// Whether the congestion control of the socket is one of those that pace.
pub(super) fn is_paced(fd: BorrowedFd<'_>) -> bool {
    SockRef::from(&fd).tcp_congestion().is_ok_and(|name| name.starts_with(b"bbr"))
}

/// Whether the peer's end (FIN or reset) has arrived, even behind bytes that were not read yet.
pub(super) fn is_peer_gone(fd: BorrowedFd<'_>) -> bool {
    pending(fd, libc::POLLRDHUP) & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

/// Whether nothing waits to be read: no bytes, no end, no error.
pub(super) fn is_quiet(fd: BorrowedFd<'_>) -> bool {
    pending(fd, libc::POLLIN | libc::POLLRDHUP) == 0
}

/// What has happened on a descriptor, of what is asked for and of errors.
fn pending(fd: BorrowedFd<'_>, events: libc::c_short) -> libc::c_short {
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    #[expect(unsafe_code, reason = "poll(2) of one descriptor without waiting")]
    // SAFETY: `poll` is one valid pollfd and the count says so; the call does not wait.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    if ready > 0 { poll.revents } else { 0 }
}

/// The window that the peer advertised last, in bytes; `None` if the kernel does not tell.
pub(super) fn window(fd: BorrowedFd<'_>) -> Option<u32> {
    use std::os::fd::AsRawFd;
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let whole = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    let mut len = whole;
    #[expect(unsafe_code, reason = "getsockopt(2) into a zeroed tcp_info")]
    // SAFETY: the pointer is to `len` writable bytes, which is what the kernel is told. All of
    // `tcp_info` is integers, for which zeros and any bytes that the kernel writes are valid.
    let info = unsafe {
        let status = libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        );
        (status == 0).then(|| info.assume_init())?
    };
    // An older kernel writes less, and the field stays zero.
    (len == whole).then_some(info.tcpi_snd_wnd)
}
