//! Closing while the client is still sending, so that the answer is not lost.
//!
//! A socket that is closed with unread bytes in it sends a reset, and a reset makes the client's
//! kernel throw away what it has received and not yet read (RFC 9112 §9.6).

use crate::base::limits;
use crate::io::{Io, Socket};
use crate::snapshot::timeouts::Timeouts;

use super::context::{Context, SocketOf};

/// Says that nothing more comes, and reads and throws away what the client still sends, for a
/// bounded time.
pub(super) async fn close<I: Io>(cx: &Context<I>, socket: &SocketOf<I>) {
    let timeouts: Timeouts = cx.tables().snapshot.timeouts;
    socket.shutdown_write();
    let end = cx.io.now() + limits::LINGER_TOTAL_MAX;
    loop {
        let deadline = end.min(cx.io.now() + timeouts.linger);
        if socket.readable(deadline).await.is_err() {
            return;
        }
        let (result, _) = socket.read(cx.buffers.large(), deadline).await;
        if !matches!(result, Ok(len) if len > 0) {
            return;
        }
        // A client that sends without pause must not hold up the others of this shard.
        cx.io.yield_now().await;
    }
}
