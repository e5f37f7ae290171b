//! A request body on its way to the endpoint.

use std::ops::Range;

use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::{Io, IoError, Pipe, Socket};
use crate::message::framing::Framing;
use crate::observe::counters::Counter;
use crate::protocol::h1::encode;
use crate::proxy::body::{Piece, Received, RequestBody};
use crate::proxy::reason::Reason;

use super::attempt::Flow;
use super::trailers;

/// Parts of one write.
const PARTS_MAX: usize = 512;

/// How sending a body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// All of it has left.
    Whole,
    /// Nothing more of it was wanted.
    Stopped,
}

/// Sends `out`, which is the head, and then the body as it comes. Bytes that came with the head
/// leave with it.
pub(super) async fn send<I: Io>(
    flow: &Flow<'_, I>,
    body: &mut RequestBody<'_, I>,
    mut out: Gather,
) -> Result<Sent, Reason> {
    let chunked = flow.exchange.head.framing == Framing::Chunked;
    let mut ranges = Vec::new();
    loop {
        if !out.is_empty() && !body.has_bytes() {
            out = write(flow, out).await?;
        }
        if body.is_done() {
            if !out.is_empty() {
                out = write(flow, out).await?; // The bytes behind it are the next request's.
            }
            flow.exchange.cx.put_gather(out);
            return Ok(Sent::Whole);
        }
        if body.is_awaited() {
            Box::pin(flow.line.ask(body)).await?; // Boxed: hardly any request waits for it.
        }
        let Some(received) = body.take_unless(flow.stop.wait(), flow.endpoint.can_splice()).await?
        else {
            return Ok(Sent::Stopped);
        };
        let mut buffer = match received {
            Received::Copied(buffer) => buffer,
            Received::Piped(pipe) => {
                out = pass(flow, out, pipe, chunked).await?;
                continue;
            }
        };
        loop {
            let whole = cut(flow, body, &mut buffer, &mut out, &mut ranges)?;
            if !out.is_empty() {
                out.set_payload(buffer);
                let (result, back) = try_write(flow, out).await;
                out = back;
                let Some(back) = out.take_payload() else { return Err(Reason::Bug) };
                buffer = back;
                if let Err(reason) = result {
                    body.put(buffer); // The next request may lie behind this one.
                    return Err(reason);
                }
            }
            if whole {
                break;
            }
        }
        body.put(buffer);
    }
}

/// Lines up what the buffer holds, as one chunk of ours; false if there is more than fits in one
/// write.
fn cut<I: Io>(
    flow: &Flow<'_, I>,
    body: &mut RequestBody<'_, I>,
    buffer: &mut Buffer,
    out: &mut Gather,
    ranges: &mut Vec<Range<usize>>,
) -> Result<bool, Reason> {
    let (head, text) = (flow.exchange.head, flow.exchange.text);
    let chunked = head.framing == Framing::Chunked;
    let mut end = None;
    while ranges.len() < PARTS_MAX && end.is_none() {
        match body.next(buffer)? {
            Piece::Data(range) => ranges.push(range),
            last => end = Some(last),
        }
    }
    let len: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    if chunked && len > 0 {
        out.push_with(|own| encode::chunk_head(own, u64::try_from(len).unwrap_or(u64::MAX)));
    }
    for range in ranges.drain(..) {
        out.push_payload(range);
    }
    if chunked && len > 0 {
        out.push(encode::CRLF);
    }
    if chunked && end == Some(Piece::End) {
        out.push_with(|own| trailers::end(body.trailers(), &head.fields, text, own));
    }
    Ok(end.is_some())
}

async fn write<I: Io>(flow: &Flow<'_, I>, out: Gather) -> Result<Gather, Reason> {
    let (result, out) = try_write(flow, out).await;
    result.map(|()| out)
}

/// Sends all that is in a pipe, as one chunk of ours if need be. Leaves what has to follow it.
async fn pass<I: Io>(
    flow: &Flow<'_, I>,
    mut out: Gather,
    pipe: I::Pipe,
    chunked: bool,
) -> Result<Gather, Reason> {
    let len = pipe.len();
    if chunked {
        out.push_with(|own| encode::chunk_head(own, u64::try_from(len).unwrap_or(u64::MAX)));
    }
    let sent = out.len() + len;
    let deadline = flow.patience.progress(flow.exchange.cx.io.now());
    let (result, mut out, _pipe) = flow.endpoint.splice_out(out, pipe, len, false, deadline).await;
    out.clear();
    written(flow, result, sent)?;
    if chunked {
        out.push(encode::CRLF);
    }
    Ok(out)
}

/// Gives the memory back whatever happens.
async fn try_write<I: Io>(flow: &Flow<'_, I>, out: Gather) -> (Result<(), Reason>, Gather) {
    let len = out.len();
    let deadline = flow.patience.progress(flow.exchange.cx.io.lately());
    let (result, mut out) = flow.endpoint.write(out, deadline).await;
    out.clear();
    (written(flow, result, len), out)
}

/// Counts what was sent, and says what it means that it was not.
fn written<I: Io>(
    flow: &Flow<'_, I>,
    result: Result<(), IoError>,
    len: usize,
) -> Result<(), Reason> {
    let cx = flow.exchange.cx;
    match result {
        Ok(()) => {
            flow.moved.set(cx.io.lately());
            cx.counters.add(Counter::UpstreamSentBytes, u64::try_from(len).unwrap_or(u64::MAX));
            Ok(())
        }
        Err(IoError::TimedOut) => {
            cx.counters.count(Counter::UpstreamTimeouts);
            Err(Reason::UpstreamTimedOut)
        }
        Err(_) => Err(Reason::UpstreamReset),
    }
}
