//! After a valid 101: bytes both ways until both sides have finished.

use std::cell::Cell;

use crate::base::time::Instant;
use crate::io::buffer::{Buffer, Gather};
use crate::io::race::join;
use crate::io::{Io, IoError, Socket};
use crate::proxy::context::SocketOf;
use crate::proxy::reason::Reason;

use super::attempt::Flow;
use super::response::Delivered;

/// Sends the 101 with what followed it, then relays. Ends when both sides have, or when nothing
/// moves in either direction for the idle time.
pub(super) async fn run<I: Io>(flow: &Flow<'_, I>, out: Gather, rest: Buffer) -> Delivered {
    let exchange = flow.exchange;
    let tunnel = Tunnel { flow, last: Cell::new(exchange.cx.io.now()) };
    let (client, endpoint) = (exchange.socket, flow.endpoint);
    let mut sent = 0;
    let begun = tunnel.begin(out, rest).await;
    let mut cut = begun.err();
    if cut.is_none() {
        let (up, down) = join(tunnel.pump(client, endpoint), tunnel.pump(endpoint, client)).await;
        sent = down.0;
        cut = up.1.err().or(down.1.err());
    }
    Delivered { status: 101, sent, keep: false, reusable: false, cut }
}

struct Tunnel<'a, I: Io> {
    flow: &'a Flow<'a, I>,
    /// When something moved, in either direction.
    last: Cell<Instant>,
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
        self.flow.exchange.socket.write(out, deadline).await.0.map_err(|_| Reason::ClientLeft)
    }

    /// Relays one direction to its end; returns its bytes. A failure ends the other direction too.
    async fn pump(&self, from: &SocketOf<I>, to: &SocketOf<I>) -> (u64, Result<(), Reason>) {
        let mut moved = 0;
        let result = loop {
            match self.pump_once(from, to).await {
                Ok(0) => {
                    to.shutdown_write();
                    break Ok(());
                }
                Ok(len) => moved += u64::try_from(len).unwrap_or(u64::MAX),
                Err(reason) => {
                    from.cancel();
                    to.cancel();
                    break Err(reason);
                }
            }
        };
        (moved, result)
    }

    async fn pump_once(&self, from: &SocketOf<I>, to: &SocketOf<I>) -> Result<usize, Reason> {
        let cx = self.flow.exchange.cx;
        loop {
            let deadline = self.deadline();
            match from.readable(deadline).await {
                Ok(()) => break,
                // The other direction may have moved meanwhile.
                Err(IoError::TimedOut) if self.deadline() > cx.io.now() => {}
                Err(IoError::TimedOut) => return Err(Reason::UpstreamTimedOut),
                Err(_) => return Err(Reason::UpstreamReset),
            }
        }
        self.last.set(cx.io.now());
        let deadline = self.deadline();
        let (result, buffer) = from.read(cx.buffers.large(), deadline).await;
        let len = result.map_err(|_| Reason::UpstreamReset)?;
        if len > 0 {
            let mut out = Gather::new();
            let range = buffer.position()..buffer.position() + buffer.len();
            out.set_payload(buffer);
            out.push_payload(range);
            to.write(out, deadline).await.0.map_err(|_| Reason::UpstreamReset)?;
            self.last.set(cx.io.now());
        }
        Ok(len)
    }
}
