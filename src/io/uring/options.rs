//! Socket options.

use std::os::fd::BorrowedFd;

use socket2::SockRef;

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

/// Whether the peer's end (FIN or reset) has arrived, even behind bytes that were not read yet.
pub(super) fn is_peer_gone(fd: BorrowedFd<'_>) -> bool {
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    #[expect(unsafe_code, reason = "poll(2) of one descriptor without waiting")]
    // SAFETY: `poll` is one valid pollfd and the count says so; the call does not wait.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready > 0 && poll.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}
