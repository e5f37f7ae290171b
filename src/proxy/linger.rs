//! Closing while the client is still sending, so that the answer is not lost.
//!
//! A socket that is closed with unread bytes in it sends a reset, and a reset makes the client's kernel throw
//! away what it has received and not yet read (RFC 9112 §9.6).

use crate::base::limits;
use crate::io::{Io, Socket};
use crate::snapshot::timeouts::Timeouts;

use super::context::{Context, SocketOf};

/// Says that nothing more comes, and reads and throws away what the client still sends, for a bounded time.
pub async fn close<I: Io>(cx: &Context<I>, socket: &SocketOf<I>) {
    let timeouts: Timeouts = cx.tables().snapshot.timeouts;
    socket.shutdown_write();
    let deadline = cx.io.now() + timeouts.linger;
    let mut left = limits::LINGER_BYTES_MAX;
    while left > 0 {
        if socket.readable(deadline).await.is_err() {
            return;
        }
        let (result, _) = socket.read(cx.buffers.large(), deadline).await;
        match result {
            Ok(len) if len > 0 => {
                left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
            }
            _ => return,
        }
        // A client that sends without pause must not hold up the others of this shard.
        cx.io.yield_now().await;
    }
}
