//! After a valid 101: bytes both ways until both sides have finished.

use std::cell::Cell;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::race::join;
use crate::io::{Io, IoError, Socket};
use crate::proxy::context::SocketOf;
use crate::proxy::reason::Reason;

use super::attempt::Flow;
use super::response::Delivered;

/// Sends the 101 with what followed it, then relays. Ends when both sides have, or when nothing
/// moves in either direction for the idle time. Nothing frames what passes: who is cut off is told
/// so by a reset, because an end would look like the other side's.
pub(super) async fn run<I: Io>(flow: &Flow<'_, I>, out: Gather, rest: Buffer) -> Delivered {
    let exchange = flow.exchange;
    let tunnel = Tunnel { flow, last: Cell::new(exchange.cx.io.now()), cut: Cell::new(None) };
    let client = Side { socket: exchange.down.socket(), lost: Reason::ClientLeft };
    let endpoint = Side { socket: flow.endpoint, lost: Reason::UpstreamReset };
    let mut sent = 0;
    let begun = tunnel.begin(out, rest).await;
    let mut cut = begun.err();
    if cut.is_some() {
        // Both were promised a tunnel, and not all has come through: that was no end.
        endpoint.socket.reset_on_close();
        client.socket.reset_on_close();
    } else {
        let up = tunnel.pump(&client, &endpoint);
        (_, sent) = join(up, tunnel.pump(&endpoint, &client)).await;
        cut = tunnel.cut.get();
    }
    Delivered { status: 101, sent, keep: false, reusable: false, tunnel: true, cut }
}

struct Tunnel<'a, I: Io> {
    flow: &'a Flow<'a, I>,
    /// When something moved, in either direction.
    last: Cell<Instant>,
    /// What went wrong first.
    cut: Cell<Option<Reason>>,
}

/// One end of it.
struct Side<'a, I: Io> {
    socket: &'a SocketOf<I>,
    /// What it means if it is lost.
    lost: Reason,
}

impl<I: Io> Tunnel<'_, I> {
    fn deadline(&self) -> Instant {
        self.flow.patience.tunnel(self.last.get())
    }

    async fn begin(&self, mut out: Gather, rest: Buffer) -> Result<(), Reason> {
        let cx = self.flow.exchange.cx;
        let range = rest.position()..rest.position() + rest.len();
        out.set_payload(rest);
        out.push_payload(range);
        let deadline = cx.io.now() + self.flow.exchange.tables.snapshot.timeouts.write;
        self.flow
            .exchange
            .down
            .socket()
            .write(out, deadline)
            .await
            .0
            .map_err(|_| Reason::ClientLeft)
    }

    /// Relays one direction to its end; returns its bytes. A failure ends the other direction too.
    async fn pump(&self, from: &Side<'_, I>, to: &Side<'_, I>) -> u64 {
        let mut moved = 0;
        loop {
            match self.pump_once(from, to).await {
                Ok(0) => {
                    // What ends a connection that broke is no end of what was said.
                    if self.cut.get().is_none() {
                        to.socket.shutdown_write();
                    }
                    return moved;
                }
                Ok(len) => moved += u64::try_from(len).unwrap_or(u64::MAX),
                Err(reason) => {
                    self.cut.set(self.cut.get().or(Some(reason)));
                    for socket in [from.socket, to.socket] {
                        socket.reset_on_close();
                        socket.cancel();
                    }
                    return moved;
                }
            }
        }
    }

    async fn pump_once(&self, from: &Side<'_, I>, to: &Side<'_, I>) -> Result<usize, Reason> {
        let cx = self.flow.exchange.cx;
        loop {
            let deadline = self.deadline();
            match from.socket.readable(deadline).await {
                Ok(()) => break,
                // The other direction may have moved meanwhile.
                Err(IoError::TimedOut) if self.deadline() > cx.io.now() => {}
                Err(IoError::TimedOut) => return Err(Reason::UpstreamTimedOut),
                Err(_) => return Err(from.lost),
            }
        }
        self.last.set(cx.io.now());
        let deadline = self.deadline();
        let (result, buffer) = from.socket.read(cx.buffers.large(), deadline).await;
        let len = result.map_err(|_| from.lost)?;
        if len > 0 {
            let mut out = Gather::new();
            let range = buffer.position()..buffer.position() + buffer.len();
            out.set_payload(buffer);
            out.push_payload(range);
            to.socket.write(out, deadline).await.0.map_err(|_| to.lost)?;
            self.last.set(cx.io.now());
        }
        Ok(len)
    }
}
