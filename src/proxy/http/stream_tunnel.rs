//! A tunnel whose client is a stream of HTTP/2 (RFC 8441): DATA to bytes and back, each within the
//! windows, until both sides have finished.

use std::cell::Cell;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::race::join;
use crate::io::{Io, IoError, Socket};
use crate::message::known::Known;
use crate::observe::counters::Counter;
use crate::protocol::h2::frame::ErrorCode;
use crate::protocol::upgrade::Upgrade;
use crate::proxy::exchange::{Exchange, Plan};
use crate::proxy::h2::stream::Stream;
use crate::proxy::reason::Reason;
use crate::snapshot::upstream::Protocol;

use super::attempt::Flow;
use super::response::Delivered;

/// What is asked for as a tunnel through a stream is that or nothing: every success would say that
/// there is one.
pub(in crate::proxy) fn check_tunnel<I: Io>(
    exchange: &Exchange<'_, I>,
    plan: &Plan<'_>,
) -> Result<(), Reason> {
    let (head, text) = (exchange.head, exchange.text);
    if !head.is_extended_connect() {
        return Ok(());
    }
    let name = head.value(text, Known::Upgrade).unwrap_or_default();
    let is_spoken = name.eq_ignore_ascii_case(Upgrade::WebSocket.name());
    match plan {
        Plan::Refuse(_) | Plan::Socket(_) if is_spoken => Ok(()),
        Plan::Forward(route, id) if is_spoken && route.upgrades.contain(name) => {
            let spec = exchange.tables.snapshot.upstream(*id);
            if spec.is_none_or(|spec| spec.protocol != Protocol::Http1) {
                return Err(Reason::ProtocolUnsupported);
            }
            Upgrade::asked_for(head, text).map(drop).ok_or(Reason::RequestMalformed)
        }
        _ => Err(Reason::ProtocolUnsupported),
    }
}

/// Sends the head, which the stream holds already, with what followed it, then relays. Ends when
/// both sides have, or when nothing moves in either direction for the idle time.
pub(super) async fn run<I: Io>(flow: &Flow<'_, I>, stream: &Stream<I>, rest: Buffer) -> Delivered {
    let last = Cell::new(flow.exchange.cx.io.now());
    let tunnel = Tunnel { flow, stream, last, cut: Cell::new(None), sent: Cell::new(0) };
    join(tunnel.up(), tunnel.down(rest)).await;
    let (sent, cut) = (tunnel.sent.get(), tunnel.cut.get());
    Delivered { status: 200, sent, keep: false, reusable: false, tunnel: true, cut }
}

struct Tunnel<'a, I: Io> {
    flow: &'a Flow<'a, I>,
    stream: &'a Stream<I>,
    /// When something moved, in either direction.
    last: Cell<Instant>,
    /// What went wrong first.
    cut: Cell<Option<Reason>>,
    /// Bytes for the client.
    sent: Cell<u64>,
}

impl<I: Io> Tunnel<'_, I> {
    /// Everything that the client sends, and its end.
    async fn up(&self) {
        loop {
            match self.up_once().await {
                Ok(true) => {}
                Ok(false) if self.cut.get().is_some() => return,
                Ok(false) => return self.flow.endpoint.shutdown_write(),
                Err(reason) => return self.fail(reason),
            }
        }
    }

    /// Everything that the endpoint sends, and its end.
    async fn down(&self, rest: Buffer) {
        let mut next = Some(rest);
        loop {
            let end = next.is_none();
            if let Err(reason) = self.say(next.take()).await {
                return self.fail(reason);
            }
            if end {
                return;
            }
            match self.read().await {
                Ok(read) => next = read,
                Err(reason) => return self.fail(reason),
            }
        }
    }

    fn deadline(&self) -> Instant {
        self.flow.patience.tunnel(self.last.get())
    }

    fn moved(&self) {
        self.last.set(self.flow.exchange.cx.io.now());
    }

    /// Ends the other direction too. The connection carries others: only the stream is reset.
    fn fail(&self, reason: Reason) {
        self.cut.set(self.cut.get().or(Some(reason)));
        self.flow.endpoint.reset_on_close();
        self.flow.endpoint.cancel();
        // As TCP would break off (RFC 8441 §5).
        self.stream.abort(ErrorCode::CANCEL);
    }

    /// Passes on what has come from the client; false: nothing more comes.
    async fn up_once(&self) -> Result<bool, Reason> {
        let Some((buffer, ranges)) = self.stream.take() else {
            if self.stream.is_over() {
                return Ok(false);
            }
            return match self.stream.readable(self.deadline()).await {
                Ok(()) => Ok(true),
                Err(error) => self.waited(error, Reason::ClientLeft),
            };
        };
        self.moved();
        let mut out = self.flow.exchange.cx.take_gather();
        out.set_payload(buffer);
        for range in ranges {
            out.push_payload(range);
        }
        let len = out.len();
        let (result, out) = self.flow.endpoint.write(out, self.deadline()).await;
        self.flow.exchange.cx.put_gather(out);
        result.map_err(|_| Reason::UpstreamReset)?;
        let counted = u64::try_from(len).unwrap_or(u64::MAX);
        self.flow.exchange.cx.counters.add(Counter::UpstreamSentBytes, counted);
        // It has left: the client may send as much again.
        self.stream.release(u32::try_from(len).unwrap_or(u32::MAX));
        self.moved();
        Ok(true)
    }

    /// Sends bytes to the client; none: the end.
    async fn say(&self, bytes: Option<Buffer>) -> Result<(), Reason> {
        let end = bytes.is_none();
        let mut out = Gather::new();
        if let Some(buffer) = bytes {
            let range = buffer.position()..buffer.position() + buffer.len();
            out.set_payload(buffer);
            out.push_payload(range);
        }
        let len = u64::try_from(out.len()).unwrap_or(u64::MAX);
        let (result, _) = self.stream.write(out, end, self.deadline()).await;
        result.map_err(|error| match error {
            IoError::TimedOut => Reason::ClientStalled,
            _ => Reason::ClientLeft,
        })?;
        self.flow.exchange.cx.counters.add(Counter::DownstreamSentBytes, len);
        self.sent.set(self.sent.get() + len);
        self.moved();
        Ok(())
    }

    /// What the endpoint sends next; none at its end.
    async fn read(&self) -> Result<Option<Buffer>, Reason> {
        let cx = self.flow.exchange.cx;
        while let Err(error) = self.flow.endpoint.readable(self.deadline()).await {
            self.waited(error, Reason::UpstreamReset)?;
        }
        let large = self.stream.is_wide();
        let buffer = if large { cx.buffers.large() } else { cx.buffers.small() };
        let (result, buffer) = self.flow.endpoint.read(buffer, self.deadline()).await;
        let len = result.map_err(|_| Reason::UpstreamReset)?;
        self.moved();
        let counted = u64::try_from(len).unwrap_or(u64::MAX);
        cx.counters.add(Counter::UpstreamReceivedBytes, counted);
        Ok((len > 0).then_some(buffer))
    }

    /// What it means that a wait has ended with nothing: true if it may go on, because the other
    /// direction has moved meanwhile.
    fn waited(&self, error: IoError, lost: Reason) -> Result<bool, Reason> {
        match error {
            IoError::TimedOut if self.deadline() > self.flow.exchange.cx.io.now() => Ok(true),
            IoError::TimedOut => Err(Reason::UpstreamTimedOut),
            _ => Err(lost),
        }
    }
}
