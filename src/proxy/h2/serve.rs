//! A client's connection from its preface to its end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::race::{Either, race};
use crate::io::{Io, IoError, Socket};
use crate::message::framing::Framing;
use crate::message::known::Known;
use crate::observe::counters::Counter;
use crate::protocol::h2::frame::ErrorCode;
use crate::proxy::context::{Context, HeadText, SocketOf};
use crate::proxy::downstream::Downstream;
use crate::proxy::{exchange, linger, respond, reverse};
use crate::snapshot::server::Serves;

use super::connection::{Connection, Fresh};
use super::stream::Stream;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the end of a request is waited for that has said that it has no content.
const EMPTY_END_WAIT: Duration = Duration::from_secs(1);

/// How a connection ended.
enum Over {
    /// It works, and has nothing to do any more.
    Quiet,
    /// The client broke the protocol; it is told.
    Broken,
    /// It is gone.
    Lost,
}

/// Serves a connection whose client speaks HTTP/2: it sent the preface, which begins `early`, or
/// agreed to in its handshake.
pub async fn serve<I: Io>(
    cx: &Rc<Context<I>>,
    socket: &SocketOf<I>,
    peer: SocketAddr,
    early: Option<Buffer>,
    serves: Serves,
) {
    let connection = Connection::new(cx, socket, peer, serves);
    let place = cx.fronts.enter(&connection);
    cx.streams.spawn(&cx.io, write_task(Rc::clone(&connection)));
    connection.flush.raise();
    if cx.is_draining() {
        connection.begin_drain();
    }
    let over = read_all(&connection, early).await;
    drop(place);
    match over {
        Over::Lost => connection.lose(),
        Over::Broken => connection.end(),
        Over::Quiet => {
            connection.say_goodbye(ErrorCode::NO_ERROR);
            connection.end();
        }
    }
    let is_here = !matches!(over, Over::Lost);
    if is_here && connection.write_last(cx.io.now() + GOODBYE).await {
        linger::close(cx, socket).await;
    }
    connection.lose();
    // Exchanges that still run notice soon; they are counted with their connection.
    while connection.live() > 0 {
        connection.look.wait().await;
    }
}

async fn read_all<I: Io>(connection: &Rc<Connection<I>>, early: Option<Buffer>) -> Over {
    let mut fresh = Vec::new();
    let mut now = connection.cx.io.now();
    let mut read = early;
    loop {
        if let Some(buffer) = read.take() {
            if connection.receive(buffer, now, &mut fresh).is_err() {
                return Over::Broken;
            }
            for fresh in fresh.drain(..) {
                begin(connection, fresh, now);
            }
        }
        if connection.is_over() {
            return Over::Lost;
        }
        let Some(deadline) = connection.deadline(now) else { return Over::Quiet };
        if connection.queued() > 0 {
            connection.flush.raise();
        }
        let Ok(next) = read_once(connection, deadline).await else { return Over::Lost };
        (now, read) = next;
    }
}

/// Waits for bytes, or for something else to see to.
async fn read_once<I: Io>(
    connection: &Rc<Connection<I>>,
    deadline: Instant,
) -> Result<(Instant, Option<Buffer>), ()> {
    let (cx, socket) = (&connection.cx, &connection.socket);
    if connection.is_crowded() {
        let _ = race(connection.look.wait(), cx.io.sleep_until(deadline)).await;
        return Ok((cx.io.now(), None));
    }
    match race(socket.stirred(deadline), connection.look.wait()).await {
        Either::First(Ok(())) => {}
        Either::First(Err(IoError::TimedOut)) | Either::Second(()) => {
            return Ok((cx.io.now(), None));
        }
        Either::First(Err(_)) => return Err(()),
    }
    // Ready, so this does not wait; memory is taken only now.
    let now = cx.io.now();
    let large = connection.expects_data();
    let buffer = if large { cx.buffers.large() } else { cx.buffers.small() };
    let (result, buffer) = socket.read_stirred(buffer, deadline).await;
    let Some(result) = result else { return Ok((now, None)) };
    match result {
        Ok(0) => Err(()),
        Ok(len) => {
            let len = u64::try_from(len).unwrap_or(u64::MAX);
            cx.counters.add(Counter::DownstreamReceivedBytes, len);
            Ok((now, Some(buffer)))
        }
        Err(IoError::TimedOut) => Ok((cx.io.now(), None)),
        Err(_) => Err(()),
    }
}

/// Starts the exchange of a stream. One that was opened and reset at once never begins.
fn begin<I: Io>(connection: &Rc<Connection<I>>, fresh: Fresh<I>, now: Instant) {
    let cx = &connection.cx;
    if fresh.stream.is_gone() {
        cx.put_head(fresh.head);
        return;
    }
    cx.streams.spawn(&cx.io, run(Rc::clone(connection), fresh, now));
}

async fn run<I: Io>(connection: Rc<Connection<I>>, fresh: Fresh<I>, started: Instant) {
    let Fresh { stream, mut head, refused } = fresh;
    if refused.is_none() && connection.serves == Serves::Http {
        know_the_end(&stream, &mut head, started).await;
        if stream.is_gone() {
            // It was no request: what came contradicts what it said.
            connection.cx.put_head(head);
            return;
        }
    }
    let (cx, peer) = (&connection.cx, connection.peer);
    let down = Downstream::Http2(&stream);
    // What becomes of the connection is not for one of its streams to say.
    match (refused, connection.serves) {
        (Some(reason), _) => drop(respond::refuse(cx, down, peer, &head, reason, started).await),
        (None, Serves::Http) => drop(exchange::run(cx, down, peer, &head, None, started).await),
        // Boxed: its state would make every other stream larger.
        (None, Serves::Reverse) => {
            Box::pin(reverse::serve::run(cx, down, peer, &head, started)).await;
        }
    }
    cx.put_head(head);
}

/// Finds out that a request has no content, where its head does not tell because the end of the
/// stream follows in a frame of its own: then the endpoint is told that nothing follows, instead of
/// getting no chunks. Who says so itself is waited for, but not for long.
async fn know_the_end<I: Io>(stream: &Stream<I>, head: &mut HeadText, started: Instant) {
    let HeadText { head, text } = head;
    if head.framing != Framing::Chunked {
        return;
    }
    let is_empty = head.value(text, Known::ContentLength).is_some();
    if is_empty && !stream.is_here() && !head.expect_continue {
        // Boxed: its state would make every other stream larger.
        let _ = Box::pin(stream.readable(started + EMPTY_END_WAIT)).await;
    }
    if stream.is_over() && !stream.has_trailers() {
        head.framing = if is_empty { Framing::Length(0) } else { Framing::Empty };
        head.expect_continue = false;
    }
}

/// Writes what is queued whenever nobody else does.
async fn write_task<I: Io>(connection: Rc<Connection<I>>) {
    while !connection.is_over() {
        connection.flush.wait().await;
        connection.write_queued().await;
    }
}
