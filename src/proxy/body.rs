//! The body of a request as it comes: bytes from the socket, payload as ranges of the buffer they
//! lie in.

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Range;
use std::time::Duration;

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::race::{Either, race};
use crate::io::{Io, IoError, Socket};
use crate::observe::counters::Counter;
use crate::protocol::h1::body::{BodyDecoder, BodyError, BodyEvent, Step};
use crate::protocol::h1::encode;
use crate::snapshot::timeouts::Timeouts;

use super::context::Context;
use super::downstream::Downstream;
use super::h2::stream::Stream;
use super::reason::Reason;

/// What a client must bring, so many bytes in each such time that we wait for it, and for how long
/// it is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes ...
    pub(super) bytes: u64,
    /// ... in this time.
    pub(super) window: Duration,
    /// Between two reads.
    pub(super) idle: Duration,
    /// For the word that the body may come.
    pub(super) write: Duration,
}

impl Pace {
    /// Of a body that nothing else is known about.
    pub(super) fn usual(timeouts: &Timeouts) -> Self {
        let Timeouts { body_rate_bytes, body_rate_window, body_idle, write, .. } = *timeouts;
        Pace { bytes: body_rate_bytes, window: body_rate_window, idle: body_idle, write }
    }

    /// The same for a call, which may be silent in one direction for as long as it is not in the
    /// other.
    pub(super) fn silent(self) -> Self {
        Pace { bytes: 0, idle: limits::CALL_SILENCE_MAX, ..self }
    }
}

/// What is taken at once through a pipe, or was the last time, at least. Less is cheaper to copy.
const SPLICED_MIN: usize = 16 * 1024;

/// A request body that is being received. One buffer at a time; none while nothing is there.
pub(super) struct RequestBody<'a, I: Io> {
    cx: &'a Context<I>,
    down: Downstream<'a, I>,
    decoder: BodyDecoder,
    buffer: Option<Buffer>,
    /// What of the buffer was not taken yet, if that is not all of it. Of a stream of HTTP/2: DATA
    /// without its frames. Of a sealed connection: what was in the records.
    ranges: VecDeque<Range<usize>>,
    /// Of a stream of HTTP/2: what came behind it.
    trailers: Vec<u8>,
    /// Of the same: bytes that were taken since the buffer was.
    taken: u32,
    pace: Pace,
    continue_due: bool,
    paced: u64,
    waited: Duration,
    /// All waiting for the client together.
    stalled: Duration,
    received: u64,
    /// What came at once the last time.
    last: usize,
}

/// What was received, and where it is.
pub(super) enum Received<P> {
    /// In a buffer; to be decoded.
    Copied(Buffer),
    /// In a pipe; all of it is payload.
    Piped(P),
}

/// The next thing in the buffer that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// Payload: a range that counts from the start of the whole buffer.
    Data(Range<usize>),
    /// All of the buffer was looked at.
    Empty,
    /// The body is complete; what is left in the buffer belongs to the next message.
    End,
}

impl<'a, I: Io> RequestBody<'a, I> {
    /// A body whose first bytes may already lie in `buffer`, behind the head, which is consumed.
    pub(super) fn new(
        cx: &'a Context<I>,
        down: Downstream<'a, I>,
        buffer: Option<Buffer>,
        decoder: BodyDecoder,
        pace: Pace,
        continue_due: bool,
    ) -> Self {
        RequestBody {
            cx,
            down,
            decoder,
            buffer,
            ranges: VecDeque::new(),
            taken: 0,
            trailers: Vec::new(),
            pace,
            continue_due,
            paced: 0,
            waited: Duration::ZERO,
            stalled: Duration::ZERO,
            received: 0,
            last: usize::MAX,
        }
    }

    /// Payload bytes so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How long the client was waited for.
    pub(super) fn stalled(&self) -> Duration {
        self.stalled
    }

    /// Whether the whole body was decoded.
    pub(super) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether nothing of the body was decoded yet, so that it can be sent from its beginning.
    pub(super) fn is_untouched(&self) -> bool {
        self.received == 0 && !self.decoder.is_done()
    }

    /// Whether all that is left of a body of known length has arrived.
    pub(super) fn is_here(&self) -> bool {
        let held = match self.down {
            Downstream::Http1(_) => self.buffer.as_ref().map_or(0, Buffer::len) + self.scattered(),
            Downstream::Http2(stream) if stream.is_here() => return true,
            Downstream::Http2(stream) => stream.held(),
        };
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        self.is_done() || self.decoder.length_left().is_some_and(|left| left <= held)
    }

    /// Whether bytes have arrived that were not decoded yet.
    pub(super) fn has_bytes(&self) -> bool {
        match self.down {
            Downstream::Http1(_) if !self.ranges.is_empty() => true,
            Downstream::Http1(_) => self.buffer.as_ref().is_some_and(|buffer| !buffer.is_empty()),
            Downstream::Http2(stream) => !self.ranges.is_empty() || stream.held() > 0,
        }
    }

    /// Whether the body is known to be too large before anything of it is looked at.
    pub(super) fn is_too_large(&self) -> bool {
        self.decoder.is_refused()
    }

    /// The bytes that lie behind the body, if it is complete: the start of the next request.
    pub(super) fn take_rest(&mut self) -> Option<Buffer> {
        let mut rest = self.buffer.take()?;
        if matches!(self.down, Downstream::Http1(_)) && !self.ranges.is_empty() {
            rest.join(self.ranges.drain(..));
        }
        Some(rest)
    }

    /// Bytes of the buffer that lie in ranges of it.
    fn scattered(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Takes the buffer to decode from; waits for bytes if it holds none.
    pub(super) async fn take(&mut self) -> Result<Buffer, Reason> {
        match self.take_unless(pending(), false).await? {
            Some(Received::Copied(buffer)) => Ok(buffer),
            _ => Err(Reason::Bug),
        }
    }

    /// The same; nothing if `over` came to its end before there were bytes. With `piped`, payload
    /// may come in a pipe.
    pub(super) async fn take_unless(
        &mut self,
        over: impl Future<Output = ()>,
        piped: bool,
    ) -> Result<Option<Received<I::Pipe>>, Reason> {
        if let Some(buffer) = self.buffer.take() {
            if !buffer.is_empty() || !self.ranges.is_empty() || self.decoder.is_done() {
                return Ok(Some(Received::Copied(buffer)));
            }
            drop(buffer); // It goes home while we wait: an idle upload owns no memory.
        }
        self.ask().await?;
        self.receive(over, piped).await
    }

    /// The trailer fields of a body that is complete, as lines.
    pub(super) fn trailers(&self) -> &[u8] {
        if self.trailers.is_empty() { self.decoder.trailers() } else { &self.trailers }
    }

    /// Gives the buffer back; what was not decoded stays in it.
    pub(super) fn put(&mut self, buffer: Buffer) {
        self.buffer = Some(buffer);
        // What was taken has left by now: the client may send as much again.
        if let Downstream::Http2(stream) = self.down {
            stream.release(std::mem::take(&mut self.taken));
        }
    }

    /// Decodes the next piece of a buffer that was taken.
    pub(super) fn next(&mut self, buffer: &mut Buffer) -> Result<Piece, Reason> {
        if let Downstream::Http2(stream) = self.down {
            return self.next_framed(stream);
        }
        loop {
            if self.decoder.is_done() {
                return Ok(Piece::End);
            }
            let (step, origin) = self.decode(buffer)?;
            match step.event {
                BodyEvent::Data { start, len } => {
                    self.received += u64::try_from(len).unwrap_or(u64::MAX);
                    return Ok(Piece::Data(origin + start..origin + start + len));
                }
                BodyEvent::End => return Ok(Piece::End),
                BodyEvent::NeedMore if buffer.is_empty() && self.ranges.is_empty() => {
                    return Ok(Piece::Empty);
                }
                BodyEvent::NeedMore if step.consumed == 0 => return Err(Reason::Bug),
                BodyEvent::NeedMore => {}
            }
        }
    }

    /// Decodes what comes first of what was not taken; says where in the buffer it begins.
    fn decode(&mut self, buffer: &mut Buffer) -> Result<(Step, usize), Reason> {
        let Some(range) = self.ranges.front_mut() else {
            let step = self.decoder.decode(buffer.filled()).map_err(reason_of)?;
            let origin = buffer.position();
            buffer.consume(step.consumed);
            return Ok((step, origin));
        };
        let step = self.decoder.decode(buffer.range(range.clone())).map_err(reason_of)?;
        let origin = range.start;
        range.start += step.consumed;
        if range.start >= range.end {
            self.ranges.pop_front();
        }
        Ok((step, origin))
    }

    /// Hands all that is left of the payload to `take`, up to the first fault.
    pub(super) async fn each(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        while !self.is_done() {
            let mut buffer = self.take().await?;
            let taken = loop {
                let piece = match self.next(&mut buffer) {
                    Ok(Piece::Data(range)) => take(buffer.range(range)),
                    Ok(Piece::Empty | Piece::End) => break Ok(()),
                    Err(reason) => Err(reason),
                };
                if piece.is_err() {
                    break piece;
                }
            };
            self.put(buffer); // What was not taken may be the next message.
            taken?;
        }
        Ok(())
    }

    /// The same, of a stream: the frames are taken off already.
    fn next_framed(&mut self, stream: &Stream<I>) -> Result<Piece, Reason> {
        if let Some(range) = self.ranges.pop_front() {
            let len = u64::try_from(range.len()).unwrap_or(u64::MAX);
            if !self.decoder.skip(len) {
                return Err(Reason::BodyTooLarge);
            }
            self.received += len;
            self.taken += u32::try_from(len).unwrap_or(u32::MAX);
            return Ok(Piece::Data(range));
        }
        if stream.is_over() {
            self.decoder.finish().map_err(|_| Reason::BodyMalformed)?;
            self.trailers = stream.take_trailers();
        }
        Ok(if self.decoder.is_done() { Piece::End } else { Piece::Empty })
    }

    /// Whether the client waits for `100 Continue`.
    pub(super) fn is_awaited(&self) -> bool {
        self.continue_due
    }

    /// The client is not told any more to go on: its answer has begun.
    pub(super) fn forgo(&mut self) {
        self.continue_due = false;
    }

    /// Sends `100 Continue` if the client waits for it.
    pub(super) async fn ask(&mut self) -> Result<(), Reason> {
        if !std::mem::take(&mut self.continue_due) {
            return Ok(());
        }
        let deadline = self.cx.io.now() + self.pace.write;
        let sent = self.down.interim(|own| own.extend_from_slice(encode::CONTINUE), deadline).await;
        sent.map_err(|_| Reason::ClientLeft)
    }

    /// Waits until bytes are there, and only then takes memory for them.
    async fn receive(
        &mut self,
        over: impl Future<Output = ()>,
        piped: bool,
    ) -> Result<Option<Received<I::Pipe>>, Reason> {
        let start = self.cx.io.now();
        let left = self.pace.window.saturating_sub(self.waited).max(Duration::from_millis(1));
        let idle = start + self.pace.idle;
        // Only the wait can be given up: a read moves bytes.
        let counted = match race(self.wait(start, start + left, idle), over).await {
            Either::First(ready) => ready?,
            Either::Second(()) => return Ok(None),
        };
        if let Downstream::Http2(stream) = self.down {
            self.add_wait(self.cx.io.now() - counted);
            return self.collect(stream).map(Some);
        }
        let (result, received) = self.read(piped, idle).await;
        match result {
            Ok(0) => Err(Reason::BodyTruncated),
            Ok(len) => {
                self.add_wait(self.cx.io.now() - counted);
                self.last = len;
                self.count(len)?;
                if let Received::Piped(_) = received {
                    self.pass(len)?;
                }
                Ok(Some(received))
            }
            Err(IoError::TimedOut) => Err(self.timed_out(Reason::BodyTimedOut)),
            Err(_) => Err(Reason::ClientLeft),
        }
    }

    /// Takes what a stream has; nothing at its end.
    fn collect(&mut self, stream: &Stream<I>) -> Result<Received<I::Pipe>, Reason> {
        let Some((mut buffer, ranges)) = stream.take() else {
            return Ok(Received::Copied(self.cx.buffers.small()));
        };
        buffer.consume(buffer.len()); // The ranges say what is left of it.
        self.ranges = ranges;
        self.pace(self.scattered())?;
        Ok(Received::Copied(buffer))
    }

    async fn read(
        &mut self,
        piped: bool,
        deadline: Instant,
    ) -> (Result<usize, IoError>, Received<I::Pipe>) {
        if let Some(buffer) = self.down.socket().take_opened(&mut self.ranges) {
            return (Ok(self.scattered()), Received::Copied(buffer));
        }
        let piped = piped && self.down.socket().can_splice();
        let max = if piped { self.spliceable() } else { 0 };
        if max > 0
            && let Some(pipe) = self.cx.io.pipe()
        {
            let (result, pipe) = self.down.socket().splice_in(pipe, max, deadline).await;
            return (result, Received::Piped(pipe));
        }
        let (result, buffer) = self.down.socket().read(self.cx.buffers.body(), deadline).await;
        (result, Received::Copied(buffer))
    }

    /// How much may be taken into a pipe; zero: it is not worth it, or is no payload only.
    fn spliceable(&self) -> usize {
        let left = self.decoder.remaining().unwrap_or(0);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if self.last.min(left) < SPLICED_MIN { 0 } else { left.min(limits::PIPE_BYTES) }
    }

    /// Payload passes by the decoder, in a pipe.
    fn pass(&mut self, len: usize) -> Result<(), Reason> {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(len);
        if self.decoder.skip(len) { Ok(()) } else { Err(Reason::Bug) }
    }

    /// Waits for readiness; the window of the pace may turn several times meanwhile. Returns up to
    /// when the wait is counted.
    async fn wait(
        &mut self,
        mut since: Instant,
        mut turn: Instant,
        idle: Instant,
    ) -> Result<Instant, Reason> {
        loop {
            let ready = match self.down {
                Downstream::Http1(socket) => socket.body_readable(turn.min(idle)).await,
                Downstream::Http2(stream) => stream.readable(turn.min(idle)).await,
            };
            match ready {
                Ok(()) => return Ok(since),
                Err(IoError::TimedOut) => {}
                Err(_) => return Err(Reason::ClientLeft),
            }
            let now = self.cx.io.now();
            self.add_wait(now - since);
            since = now;
            if now >= idle {
                return Err(self.timed_out(Reason::BodyTimedOut));
            }
            self.check_pace()?;
            turn = now + self.pace.window;
        }
    }

    fn add_wait(&mut self, took: Duration) {
        self.waited += took;
        self.stalled += took;
    }

    fn count(&mut self, len: usize) -> Result<(), Reason> {
        let received = u64::try_from(len).unwrap_or(u64::MAX);
        self.cx.counters.add(Counter::DownstreamReceivedBytes, received);
        self.pace(len)
    }

    fn pace(&mut self, len: usize) -> Result<(), Reason> {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.paced = self.paced.saturating_add(len);
        self.check_pace()
    }

    /// Only time spent waiting for the client counts: backpressure from the service is not its
    /// fault.
    fn check_pace(&mut self) -> Result<(), Reason> {
        if self.waited < self.pace.window {
            return Ok(());
        }
        if self.paced < self.pace.bytes {
            return Err(self.timed_out(Reason::BodyTooSlow));
        }
        self.waited = Duration::ZERO;
        self.paced = 0;
        Ok(())
    }

    fn timed_out(&self, reason: Reason) -> Reason {
        self.cx.counters.count(Counter::DownstreamTimeouts);
        reason
    }
}

fn reason_of(error: BodyError) -> Reason {
    match error {
        BodyError::TooLarge => Reason::BodyTooLarge,
        _ => Reason::BodyMalformed,
    }
}
