//! A client's connection: waiting, reading heads, and one exchange after the other.
//!
//! While it waits for a request it owns no buffer and almost no memory; what an exchange needs
//! lives in a future of its own that exists only as long as there is something to do.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::{Io, IoError, Socket};
use crate::observe::counters::Counter;
use crate::protocol::h1::request::{FaultKind, HeadLimits, Progress, RequestParser};
use crate::protocol::h2::frame::PREFACE;
use crate::snapshot::Snapshot;
use crate::snapshot::server::Serves;
use crate::tls::handshake::Protocol;
use crate::tls::stream::Stream;

use super::context::{Context, HeadText, SocketOf};
use super::downstream::Downstream;
use super::exchange;
use super::h2;
use super::linger;
use super::proxied;
use super::reason::Reason;
use super::respond;
use super::reverse;
use super::secure;

/// What becomes of the connection.
#[derive(Debug)]
pub enum After {
    /// It waits for the next request.
    Wait,
    /// The same, but it is not listened to for a while: it was refused for overload.
    Rest,
    /// The next request is already here.
    Next(Buffer),
    /// It is closed; the client may still be sending.
    Linger,
    /// It is closed at once.
    Close,
    /// The client speaks HTTP/2. Boxed: nobody else pays for it.
    Http2(Box<Buffer>),
}

/// For the first request of a connection that is taken during a drain.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How long a connection keeps the state of its exchanges after one. Few of those that wait longer
/// are worth the memory.
const WARM: Duration = Duration::from_millis(500);
/// Connections of a shard that keep it at once: about 700 KiB. Were there more, they would not find
/// it in the cache any more, and making it anew costs no more than that.
const WARM_MAX: u32 = 128;

/// Serves a connection to its end.
///
/// This future is what an idle connection costs. It is a block, because an async function keeps its
/// arguments twice.
pub fn serve<I: Io>(
    cx: Rc<Context<I>>,
    socket: I::Socket,
    mut peer: SocketAddr,
    listener: u16,
) -> impl Future<Output = ()> + 'static {
    let mut socket = Stream::Plain(socket);
    async move {
        cx.counters.count(Counter::ConnectionsAccepted);
        let closed = CountClosed(&cx);
        if cx.tables().serves(listener) == Serves::Reverse {
            return Box::pin(reverse::serve::connection(&cx, socket, peer, listener)).await;
        }
        let Some(early) = proxied::begin(&cx, &socket, &mut peer).await else { return };
        let early = secure::begin(&cx, &mut socket, listener, early).await;
        let Some(mut early) = early else { return };
        // What is spoken was agreed on in the handshake, or shows in the first bytes.
        if socket.protocol() == Some(Protocol::Http2) {
            return Box::pin(h2::serve::serve(&cx, &socket, peer, None, Serves::Http)).await;
        }
        // A new connection has to say something soon; one that was queued before a drain, at once.
        let mut is_first = true;
        let mut idle = cx.tables().snapshot.timeouts.head;
        if cx.is_draining() {
            idle = idle.min(LAST_CHANCE);
        }
        let end = loop {
            if early.is_none() {
                let deadline = cx.io.lately() + idle;
                let place = cx.parked.enter(&socket);
                if socket.readable(deadline).await.is_err() {
                    break After::Close;
                }
                drop(place);
            }
            let (after, waited) = Box::pin(busy(&cx, &socket, peer, early.take(), is_first)).await;
            is_first = false;
            match after {
                After::Wait | After::Next(_) => {}
                // Boxed: nobody else pays for it.
                After::Rest => Box::pin(rest(&cx)).await,
                end => break end,
            }
            if cx.is_draining() {
                break After::Close;
            }
            idle = cx.tables().snapshot.timeouts.idle.saturating_sub(waited);
        };
        if !matches!(end, After::Close) {
            Box::pin(finish(&cx, &socket, peer, end)).await;
        }
        drop(closed);
    }
}

/// Leaves a client alone that was refused for overload: whatever it sends meanwhile waits.
async fn rest<I: Io>(cx: &Context<I>) {
    let rest = cx.with_prng(|prng| cx.tables().policies.rest(cx.gate.inside(), prng));
    cx.io.sleep_until(cx.io.now() + rest).await;
}

/// What is left to do behind the last request of HTTP/1.
async fn finish<I: Io>(cx: &Rc<Context<I>>, socket: &SocketOf<I>, peer: SocketAddr, end: After) {
    match end {
        After::Http2(early) => {
            h2::serve::serve(cx, socket, peer, Some(*early), Serves::Http).await;
        }
        After::Linger => linger::close(cx, socket).await,
        After::Wait | After::Rest | After::Next(_) | After::Close => {}
    }
}

/// Counts the end of a connection however it comes, a panic included.
struct CountClosed<'a, I: Io>(&'a Context<I>);

impl<I: Io> Drop for CountClosed<'_, I> {
    fn drop(&mut self) {
        self.0.counters.count(Counter::ConnectionsClosed);
    }
}

/// Waits for the next request for a short time; what of it is there, or an empty buffer.
async fn wait_warm<I: Io>(cx: &Context<I>, socket: &SocketOf<I>) -> Result<Buffer, IoError> {
    let _counted = Warm::enter(&cx.warm);
    let warm = WARM.min(cx.tables().snapshot.timeouts.idle);
    let _place = cx.parked.enter(socket);
    let deadline = cx.io.lately() + warm;
    loop {
        socket.stirred(deadline).await?;
        let mut buffer = cx.buffers.small();
        if socket.is_tls() {
            return Ok(buffer); // It is there, and reading it may take an answer to the client.
        }
        match socket.try_read(&mut buffer) {
            // Nothing is held while nothing is there.
            None => {}
            Some(Ok(0) | Err(_)) => return Err(IoError::Closed),
            Some(Ok(len)) => {
                cx.counters.add(Counter::DownstreamReceivedBytes, count(len));
                return Ok(buffer);
            }
        }
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Counts a connection among the warm ones.
struct Warm<'a>(&'a Cell<u32>);

impl<'a> Warm<'a> {
    fn enter(warm: &'a Cell<u32>) -> Self {
        warm.set(warm.get() + 1);
        Warm(warm)
    }
}

impl Drop for Warm<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// From the first byte of a request until none has come for a while; says how long that was.
/// Between requests there is no buffer, but making this future anew for each of them would cost
/// more than most of its work.
async fn busy<I: Io>(
    cx: &Rc<Context<I>>,
    socket: &SocketOf<I>,
    peer: SocketAddr,
    early: proxied::Early,
    mut is_first: bool,
) -> (After, Duration) {
    let down = Downstream::Http1(socket);
    let mut buffer = early.map_or_else(|| cx.buffers.small(), |early| *early);
    loop {
        let mut head = cx.take_head();
        let started = cx.io.now();
        let read = read_head(cx, socket, buffer, &mut head, started).await;
        let after = match read {
            Ok(rest) => exchange::run(cx, down, peer, &head, Some(rest), started).await,
            Err(HeadFault::Quiet) => After::Close,
            Err(HeadFault::Http2(early)) if is_first => After::Http2(Box::new(early)),
            Err(HeadFault::Http2(_)) => {
                let reason = Reason::VersionUnsupported;
                respond::refuse(cx, down, peer, &head, reason, started).await
            }
            Err(HeadFault::Answer(reason)) => {
                respond::refuse(cx, down, peer, &head, reason, started).await
            }
        };
        cx.put_head(head);
        is_first = false;
        match after {
            After::Next(rest) => buffer = rest,
            After::Wait if !cx.is_draining() && cx.warm.get() < WARM_MAX => {
                match wait_warm(cx, socket).await {
                    Ok(early) => buffer = early,
                    Err(IoError::TimedOut) => return (After::Wait, WARM),
                    Err(_) => return (After::Close, WARM),
                }
            }
            other => return (other, Duration::ZERO),
        }
    }
}

enum HeadFault {
    /// The client closed, or is gone: nobody would read an answer.
    Quiet,
    /// The client is told.
    Answer(Reason),
    /// It is the preface of HTTP/2.
    Http2(Buffer),
}

/// Reads a head and keeps its text; gives back what follows it.
async fn read_head<I: Io>(
    cx: &Context<I>,
    socket: &SocketOf<I>,
    mut buffer: Buffer,
    head: &mut HeadText,
    started: Instant,
) -> Result<Buffer, HeadFault> {
    let tables = cx.tables();
    let limits = &tables.snapshot.limits;
    let mut parser = RequestParser::new(HeadLimits {
        bytes: limits.head_bytes,
        target: limits.target_bytes,
        fields: limits.head_fields,
    });
    let deadline = started + tables.snapshot.timeouts.head;
    buffer.compact();
    loop {
        if !buffer.is_empty() {
            match parser.parse(buffer.filled(), &mut head.head) {
                Ok(Progress::Done { len }) => {
                    head.text.extend_from_slice(buffer.filled().get(..len).unwrap_or_default());
                    buffer.consume(len);
                    return Ok(buffer);
                }
                Ok(Progress::NeedMore) if buffer.room() == 0 => {
                    return Err(HeadFault::Answer(Reason::HeadTooLarge));
                }
                Ok(Progress::NeedMore) => {}
                // Under TLS it would have been agreed on.
                Err(_) if !socket.is_tls() && is_preface(&tables.snapshot, buffer.filled()) => {
                    return Err(HeadFault::Http2(buffer));
                }
                Err(error) => return Err(HeadFault::Answer(reason_of(error.kind()))),
            }
        }
        let (result, back) = socket.read(buffer, deadline).await;
        buffer = back;
        match result {
            Ok(0) => return Err(HeadFault::Quiet),
            Ok(len) => cx.counters.add(Counter::DownstreamReceivedBytes, count(len)),
            Err(IoError::TimedOut) => {
                cx.counters.count(Counter::DownstreamTimeouts);
                return Err(HeadFault::Answer(Reason::HeadTimedOut));
            }
            Err(_) => return Err(HeadFault::Quiet),
        }
    }
}

/// Whether a head that is none of HTTP/1 is how HTTP/2 begins, where that is spoken.
fn is_preface(snapshot: &Snapshot, bytes: &[u8]) -> bool {
    let len = bytes.len().min(PREFACE.len());
    snapshot.server.http2.cleartext && bytes.get(..len) == PREFACE.get(..len)
}

/// What a refused head deserves.
pub(super) fn reason_of(kind: FaultKind) -> Reason {
    match kind {
        FaultKind::Malformed => Reason::RequestMalformed,
        FaultKind::TargetTooLong => Reason::TargetTooLong,
        FaultKind::HeadTooLarge => Reason::HeadTooLarge,
        FaultKind::VersionUnsupported => Reason::VersionUnsupported,
        FaultKind::CodingUnsupported => Reason::CodingUnsupported,
        FaultKind::ExpectationUnsupported => Reason::ExpectationUnsupported,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::uring::Ring;

    fn output_size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_keeps_a_small_future() {
        assert!(output_size(serve::<Ring>) <= 216, "{}", output_size(serve::<Ring>));
    }
}
