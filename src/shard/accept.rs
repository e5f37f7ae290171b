//! Taking connections from a listener.

use std::rc::Rc;
use std::time::Duration;

use crate::io::{Io, IoError, Listener};
use crate::observe::counters::Counter;
use crate::proxy::connection;
use crate::proxy::context::Context;

/// Connections taken in a row before others have their turn.
const BURST: u32 = 64;
/// Before the next attempt when the process is out of descriptors.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(50);

/// Accepts until the listener is cancelled and its queue is empty: what the kernel has accepted for
/// us is served. `place` is that of the listener among all.
pub(super) async fn run<I: Io>(cx: Rc<Context<I>>, listener: I::Listener, place: u16) {
    let mut burst = 0;
    loop {
        // The last descriptors are for endpoints: who was let in is to be served.
        while cx.gate.inside() >= cx.room.get() && !cx.is_draining() {
            cx.io.sleep_until(cx.io.now() + EXHAUSTED_WAIT).await;
        }
        match listener.accept().await {
            Ok((socket, peer)) => {
                if cx.gate.inside() >= cx.tables().snapshot.limits.connections {
                    cx.counters.count(Counter::ConnectionsRefused);
                    drop(socket);
                } else {
                    cx.gate.spawn(&cx.io, connection::serve(Rc::clone(&cx), socket, peer, place));
                }
            }
            Err(IoError::Cancelled) => return,
            Err(IoError::Exhausted) => cx.io.sleep_until(cx.io.now() + EXHAUSTED_WAIT).await,
            Err(_) => {} // That connection was gone before we took it.
        }
        burst += 1;
        if burst == BURST {
            burst = 0;
            cx.io.yield_now().await;
        }
    }
}
