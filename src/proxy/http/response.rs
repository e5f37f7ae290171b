//! The endpoint's answer on its way to the client.

use std::ops::Range;

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::{Io, IoError, Pipe, Socket};
use crate::message::framing::Framing;
use crate::message::head::{ResponseHead, Version};
use crate::observe::counters::Counter;
use crate::protocol::h1::body::{BodyDecoder, BodyEvent};
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress};
use crate::protocol::h1::response::ResponseParser;
use crate::proxy::attempt::{LOOK_INTERVAL, lost};
use crate::proxy::context::AnswerText;
use crate::proxy::h2::stream::Stream;
use crate::proxy::reason::Reason;

use super::attempt::{Failure, Flow};
use super::heads::{self, Downstream, Shape};
use super::{stream_tunnel, trailers, tunnel};

/// Parts of one write.
const PARTS_MAX: usize = 512;
/// So little payload is copied behind the head: one slice costs the kernel less than two.
const COPY_BYTES: usize = 4096;

/// What is taken at once through a pipe, or was the last time, at least. Less is cheaper to copy.
const SPLICED_MIN: usize = 16 * 1024;
/// What is sent at once from a pipe.
const PIPED_WRITE_BYTES: usize = 256 * 1024;
/// Of a body of which less is left, the rest is copied: that costs no more.
const SPLICED_REST_MIN: u64 = 128 * 1024;
/// The same where the kernel paces what is sent: each write makes it set a timer.
const SPLICED_PACED_REST_MIN: u64 = 512 * 1024;

/// The head of an answer, its text, and what followed it.
pub(super) struct Answer {
    says: Box<AnswerText>,
    rest: Buffer,
}

impl Answer {
    /// Whether the endpoint does not want the rest of the request.
    pub(super) fn is_refusal(&self) -> bool {
        self.says.head.status >= 300
    }
}

/// What became of an answer that was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::proxy) struct Delivered {
    pub(in crate::proxy) status: u16,
    /// Bytes of content.
    pub(in crate::proxy) sent: u64,
    /// Whether the client's connection may carry another exchange.
    pub(in crate::proxy) keep: bool,
    /// Whether the endpoint's connection may.
    pub(super) reusable: bool,
    /// It was one only in name: bytes went both ways.
    pub(super) tunnel: bool,
    /// Why it is not whole.
    pub(in crate::proxy) cut: Option<Reason>,
}

impl Delivered {
    /// An answer of our own on a stream, with so many bytes of content.
    pub(in crate::proxy) fn here(sent: u64, cut: Option<Reason>) -> Self {
        Delivered::own(200, sent, false, cut)
    }

    /// An answer that was put together here.
    pub(in crate::proxy) fn own(status: u16, sent: u64, keep: bool, cut: Option<Reason>) -> Self {
        Delivered { status, sent, keep, reusable: false, tunnel: false, cut }
    }
}

/// Reads the head of the final answer; interim ones are passed on.
pub(super) async fn read_head<I: Io>(flow: &Flow<'_, I>) -> Result<Answer, Failure> {
    let cx = flow.exchange.cx;
    let method = flow.exchange.head.method;
    let mut buffer = cx.buffers.small();
    let mut says = cx.take_answer();
    let mut parser = ResponseParser::new(HeadLimits::default(), method);
    let (mut silent, mut interims) = (true, 0);
    loop {
        while !buffer.is_empty() {
            let spoken = |reason| Failure { reason, silent: false };
            let progress = parser.parse(buffer.filled(), &mut says.head);
            let progress = progress.map_err(|_| spoken(Reason::UpstreamProtocol))?;
            let Progress::Done { len } = progress else {
                if buffer.room() == 0 {
                    return Err(spoken(Reason::AnswerTooLarge));
                }
                break;
            };
            says.text.extend_from_slice(buffer.filled().get(..len).unwrap_or_default());
            buffer.consume(len);
            if !says.head.is_interim() {
                check_switch(flow, &says.head, &says.text).map_err(spoken)?;
                return Ok(Answer { says, rest: buffer });
            }
            interims += 1;
            if interims > limits::INTERIM_ANSWERS_MAX {
                return Err(spoken(Reason::UpstreamProtocol));
            }
            interim(flow, &says.head, &says.text).await.map_err(spoken)?;
            says.head.clear();
            says.text.clear();
            parser.reset(method);
            buffer.compact();
        }
        let so_far = |reason| Failure { reason, silent };
        wait(flow, false, || flow.answer_deadline()).await.map_err(so_far)?;
        let (result, back) = flow.endpoint.read_stirred(buffer, flow.answer_deadline()).await;
        buffer = back;
        let Some(result) = result else { continue };
        match result {
            Ok(0) => return Err(so_far(Reason::UpstreamClosed)),
            Ok(len) => {
                silent = false;
                count_received(flow, len);
            }
            Err(IoError::TimedOut) => return Err(so_far(Reason::UpstreamTimedOut)),
            Err(_) => return Err(so_far(lost::<I>(flow.endpoint))),
        }
    }
}

/// A 101 has to answer the handshake that was asked for. On a stream any success would say that
/// there is a tunnel (RFC 8441 §4).
fn check_switch<I: Io>(flow: &Flow<'_, I>, head: &ResponseHead, text: &[u8]) -> Result<(), Reason> {
    let request = flow.exchange;
    let is_fine = head.status != 101
        || flow.upgrade.is_some_and(|up| up.is_taken(request.head, request.text, head, text));
    let is_mistaken = matches!(head.status, 200..=299) && request.head.is_extended_connect();
    if is_fine && !is_mistaken { Ok(()) } else { Err(Reason::UpstreamProtocol) }
}

fn count_received<I: Io>(flow: &Flow<'_, I>, len: usize) {
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    flow.exchange.cx.counters.add(Counter::UpstreamReceivedBytes, len);
}

/// Waits for bytes of the endpoint; notices when the client has left meanwhile. The deadline may
/// come nearer while it waits. `sure`: they are there, and not only perhaps.
async fn wait<I: Io>(
    flow: &Flow<'_, I>,
    sure: bool,
    deadline: impl Fn() -> Instant,
) -> Result<(), Reason> {
    let cx = flow.exchange.cx;
    loop {
        let until = deadline().min(cx.io.lately() + LOOK_INTERVAL);
        let come = if sure {
            flow.endpoint.readable(until).await
        } else {
            flow.endpoint.stirred(until).await
        };
        match come {
            Ok(()) => return Ok(()),
            Err(IoError::TimedOut) => {}
            Err(_) => return Err(lost::<I>(flow.endpoint)),
        }
        if cx.io.now() >= deadline() {
            cx.counters.count(Counter::UpstreamTimeouts);
            return Err(Reason::UpstreamTimedOut);
        }
        if flow.exchange.down.is_gone() {
            return Err(Reason::ClientLeft);
        }
    }
}

/// Passes an interim answer on. 100 is between the endpoint and us: the client got its own.
async fn interim<I: Io>(
    flow: &Flow<'_, I>,
    head: &ResponseHead,
    text: &[u8],
) -> Result<(), Reason> {
    let exchange = flow.exchange;
    if head.status == 100 || exchange.head.version == Version::Http10 {
        return Ok(());
    }
    let _turn = flow.line.interrupt().await;
    let deadline = exchange.cx.io.now() + exchange.tables.snapshot.timeouts.write;
    let sent = exchange.down.interim(|own| heads::interim(head, text, own), deadline).await;
    sent.map_err(|_| Reason::ClientLeft)
}

/// Delivers an answer whose head was read. Fails while nothing was said to the client.
pub(super) async fn deliver<I: Io>(
    flow: &Flow<'_, I>,
    answer: Answer,
) -> Result<Delivered, Failure> {
    let Answer { mut says, rest } = answer;
    let ranges = std::mem::take(&mut says.ranges);
    let AnswerText { head, text, .. } = &*says;
    let exchange = flow.exchange;
    let is_tunnel = head.status == 101;
    let shape = heads::shape(head.framing, exchange.head.version);
    let keep = exchange.head.keep_alive
        && flow.is_sent()
        && !is_tunnel
        && shape != Shape::UntilClose
        && !exchange.cx.is_draining();
    if matches!(head.framing, Framing::Length(length) if length >= limits::SLOW_READ_BYTES)
        && exchange.down.window().is_some_and(|window| window < limits::CLIENT_WINDOW_MIN)
    {
        exchange.down.spoil();
        return Err(Failure { reason: Reason::ClientStalled, silent: false });
    }
    exchange.head_came(head.status);
    flow.line.begin_answer().await;
    let mut out = exchange.cx.take_gather();
    let down = Downstream { exchange, shape, keep, upgrade: flow.upgrade };
    exchange.down.head(&mut out, |own| heads::response(head, text, &down, own));
    if let Some(stream) = exchange.down.stream().filter(|_| is_tunnel) {
        return Ok(Box::pin(stream_tunnel::run(flow, stream, rest)).await);
    }
    if is_tunnel {
        return Ok(Box::pin(tunnel::run(flow, out, rest)).await);
    }
    let mut relay = Relay {
        flow,
        says: &says,
        decoder: BodyDecoder::new(head.framing, u64::MAX),
        chunked: shape == Shape::Chunked,
        framed: exchange.down.stream().is_some(),
        begun: false,
        last: usize::MAX,
        piped_from: piped_from(flow, head.framing),
        ranges,
        sent: 0,
    };
    let result = relay.run(out, rest).await;
    let cut = result.err();
    if let Some(reason) = cut {
        if !relay.begun {
            return Err(Failure { reason, silent: false });
        }
        // A cut message must not look complete: the client gets a reset instead of an end.
        exchange.down.spoil();
    }
    let delivered = Delivered {
        status: head.status,
        sent: relay.sent,
        keep: keep && cut.is_none(),
        tunnel: false,
        reusable: result == Ok(true) && head.keep_alive && flow.is_sent(),
        cut,
    };
    says.ranges = relay.ranges;
    exchange.cx.put_answer(says);
    Ok(delivered)
}

/// How much has to be left of a body for it to pass through a pipe; `None`: it never does.
fn piped_from<I: Io>(flow: &Flow<'_, I>, framing: Framing) -> Option<u64> {
    let Framing::Length(SPLICED_REST_MIN..) = framing else { return None };
    let down = flow.exchange.down;
    let is_plain = down.stream().is_none() && down.socket().can_splice();
    if !is_plain || !flow.endpoint.can_splice() {
        return None;
    }
    Some(if down.socket().is_paced() { SPLICED_PACED_REST_MIN } else { SPLICED_REST_MIN })
}

struct Relay<'a, I: Io> {
    flow: &'a Flow<'a, I>,
    says: &'a AnswerText,
    decoder: BodyDecoder,
    chunked: bool,
    /// The end is told by a frame of its own, and the head does not lie in the first write.
    framed: bool,
    /// Whether anything may have reached the client.
    begun: bool,
    /// What came at once the last time.
    last: usize,
    /// How much has to be left of the body for it to pass through a pipe; `None`: it never does.
    piped_from: Option<u64>,
    /// What of the buffer leaves next.
    ranges: Vec<Range<usize>>,
    sent: u64,
}

/// What came of the endpoint, and where it is.
enum Read<P> {
    /// In a buffer; to be decoded.
    Copied(Buffer),
    /// In a pipe; all of it is payload.
    Piped(P),
    /// Nothing more comes.
    End,
}

impl<I: Io> Relay<'_, I> {
    /// Sends the head and then the body as it comes. True if the connection is at a clean end
    /// of a message.
    async fn run(&mut self, mut out: Gather, rest: Buffer) -> Result<bool, Reason> {
        let mut buffer = rest;
        loop {
            let whole = self.cut(&mut buffer, &mut out)?;
            if !out.is_empty() || (self.framed && (!self.begun || self.decoder.is_done())) {
                out.set_payload(buffer);
                out = self.write(out, self.decoder.is_done()).await?;
                let Some(back) = out.take_payload() else { return Err(Reason::Bug) };
                buffer = back;
            }
            if self.decoder.is_done() {
                self.flow.exchange.cx.put_gather(out);
                return Ok(buffer.is_empty());
            }
            if whole {
                drop(buffer);
                buffer = loop {
                    match self.read().await? {
                        Read::Copied(next) => break next,
                        Read::Piped(pipe) => {
                            self.pass(pipe).await?;
                            if self.decoder.is_done() {
                                self.flow.exchange.cx.put_gather(out);
                                return Ok(true);
                            }
                        }
                        Read::End => return self.finish(out).await,
                    }
                };
            }
        }
    }

    /// The end of a body that only the close can tell. It leaves no connection.
    async fn finish(&mut self, mut out: Gather) -> Result<bool, Reason> {
        self.decoder.finish().map_err(|_| Reason::UpstreamClosed)?;
        if self.chunked {
            out.push(encode::LAST_CHUNK);
        }
        if self.chunked || self.framed {
            self.write(out, true).await?;
        }
        Ok(false)
    }

    /// Sends all that is in a pipe. The client has the time of a write for each part of it, as if
    /// it lay in a buffer.
    async fn pass(&mut self, mut pipe: I::Pipe) -> Result<(), Reason> {
        let exchange = self.flow.exchange;
        while !pipe.is_empty() {
            let len = pipe.len().min(PIPED_WRITE_BYTES);
            let more = len < pipe.len();
            let deadline = exchange.cx.io.now() + exchange.tables.snapshot.timeouts.write;
            let socket = exchange.down.socket();
            let (result, _, back) =
                socket.splice_out(Gather::new(), pipe, len, more, deadline).await;
            pipe = back;
            exchange.cx.written(result, len)?;
            self.sent += u64::try_from(len).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// How much may be taken into a pipe; zero: it is not worth it, or is no payload only.
    fn spliceable(&self) -> usize {
        match (self.decoder.length_left(), self.piped_from) {
            (Some(left), Some(least)) if left >= least && self.last >= SPLICED_MIN => {
                usize::try_from(left).unwrap_or(usize::MAX).min(limits::PIPE_BYTES)
            }
            _ => 0,
        }
    }

    /// Lines up what the buffer holds; false if there is more than fits in one write.
    fn cut(&mut self, buffer: &mut Buffer, out: &mut Gather) -> Result<bool, Reason> {
        let mut len = 0;
        let whole = loop {
            if self.decoder.is_done() {
                break true;
            }
            if self.ranges.len() >= PARTS_MAX {
                break false;
            }
            let origin = buffer.position();
            let step =
                self.decoder.decode(buffer.filled()).map_err(|_| Reason::UpstreamProtocol)?;
            buffer.consume(step.consumed);
            match step.event {
                BodyEvent::Data { start, len: part } => {
                    self.ranges.push(origin + start..origin + start + part);
                    len += part;
                }
                BodyEvent::End => break true,
                BodyEvent::NeedMore if buffer.is_empty() => break true,
                BodyEvent::NeedMore if step.consumed == 0 => return Err(Reason::Bug),
                BodyEvent::NeedMore => {}
            }
        };
        let size = u64::try_from(len).unwrap_or(u64::MAX);
        if self.chunked && len > 0 {
            out.push_with(|own| encode::chunk_head(own, size));
        }
        for range in self.ranges.drain(..) {
            if len <= COPY_BYTES {
                out.push(buffer.range(range));
            } else {
                out.push_payload(range);
            }
        }
        if self.chunked && len > 0 {
            out.push(encode::CRLF);
        }
        if (self.chunked || self.framed) && self.decoder.is_done() {
            self.end(out);
        }
        self.sent += size;
        Ok(whole)
    }

    /// Ends a body, with the trailers if the client wants them.
    fn end(&self, out: &mut Gather) {
        let request = self.flow.exchange;
        let mut lines = self.decoder.trailers();
        if !lines.is_empty() && !trailers::are_wanted(request.head, request.text) {
            lines = &[];
        }
        let AnswerText { head, text, .. } = self.says;
        match request.down.stream() {
            None => out.push_with(|own| trailers::end(lines, &head.fields, text, own)),
            Some(stream) => {
                let mut passed_on = Vec::new();
                trailers::passed_on(lines, &head.fields, text, &mut passed_on);
                stream.trailers(&passed_on);
            }
        }
    }

    /// The next bytes of the endpoint.
    async fn read(&mut self) -> Result<Read<I::Pipe>, Reason> {
        let cx = self.flow.exchange.cx;
        let (now, patience) = (cx.io.now(), &self.flow.patience);
        if now >= patience.end() {
            return Err(Reason::UpstreamTimedOut); // However fast it comes.
        }
        // The endpoint may have nothing to say while the rest of the request reaches it.
        let deadline = || patience.progress(now.max(self.flow.moved.get()));
        wait(self.flow, true, deadline).await?;
        let max = self.spliceable();
        if max > 0
            && let Some(pipe) = cx.io.pipe()
        {
            let (result, pipe) = self.flow.endpoint.splice_in(pipe, max, deadline()).await;
            let len = self.received(result)?;
            let passed = self.decoder.skip(u64::try_from(len).unwrap_or(u64::MAX));
            return match len {
                0 => Ok(Read::End),
                _ if passed => Ok(Read::Piped(pipe)),
                _ => Err(Reason::Bug),
            };
        }
        let stream = self.flow.exchange.down.stream();
        let large = stream.is_none_or(Stream::is_wide);
        let buffer = if large { cx.buffers.large() } else { cx.buffers.small() };
        let (result, buffer) = self.flow.endpoint.read(buffer, deadline()).await;
        Ok(if self.received(result)? == 0 { Read::End } else { Read::Copied(buffer) })
    }

    fn received(&mut self, result: Result<usize, IoError>) -> Result<usize, Reason> {
        match result {
            Ok(len) => {
                self.last = len;
                count_received(self.flow, len);
                Ok(len)
            }
            Err(IoError::TimedOut) => Err(Reason::UpstreamTimedOut),
            Err(_) => Err(Reason::UpstreamReset),
        }
    }

    async fn write(&mut self, out: Gather, end: bool) -> Result<Gather, Reason> {
        self.begun = true;
        let exchange = self.flow.exchange;
        let cx = exchange.cx;
        let len = out.len();
        let deadline = cx.io.lately() + exchange.tables.snapshot.timeouts.write;
        let (result, mut out) = exchange.down.write(out, end, deadline).await;
        out.clear();
        cx.written(result, len).map(|()| out)
    }
}
