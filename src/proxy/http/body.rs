//! A request body on its way to the endpoint.

use std::ops::Range;

use crate::io::buffer::{Buffer, Gather};
use crate::io::{Io, IoError, Socket};
use crate::message::framing::Framing;
use crate::observe::counters::Counter;
use crate::protocol::h1::encode;
use crate::proxy::body::{Piece, RequestBody};
use crate::proxy::reason::Reason;

use super::attempt::Flow;

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
        let Some(mut buffer) = body.take_unless(flow.stop.wait()).await? else {
            return Ok(Sent::Stopped);
        };
        loop {
            let whole = cut(body, &mut buffer, &mut out, chunked, &mut ranges)?;
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
    body: &mut RequestBody<'_, I>,
    buffer: &mut Buffer,
    out: &mut Gather,
    chunked: bool,
    ranges: &mut Vec<Range<usize>>,
) -> Result<bool, Reason> {
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
        out.push(encode::LAST_CHUNK);
    }
    Ok(end.is_some())
}

async fn write<I: Io>(flow: &Flow<'_, I>, out: Gather) -> Result<Gather, Reason> {
    let (result, out) = try_write(flow, out).await;
    result.map(|()| out)
}

/// Gives the memory back whatever happens.
async fn try_write<I: Io>(flow: &Flow<'_, I>, out: Gather) -> (Result<(), Reason>, Gather) {
    let cx = flow.exchange.cx;
    let len = out.len();
    let deadline = flow.patience.progress(cx.io.now());
    let (result, mut out) = flow.endpoint.write(out, deadline).await;
    out.clear();
    let result = match result {
        Ok(()) => {
            flow.moved.set(cx.io.now());
            cx.counters.add(Counter::UpstreamSentBytes, u64::try_from(len).unwrap_or(u64::MAX));
            Ok(())
        }
        Err(IoError::TimedOut) => {
            cx.counters.count(Counter::UpstreamTimeouts);
            Err(Reason::UpstreamTimedOut)
        }
        Err(_) => Err(Reason::UpstreamReset),
    };
    (result, out)
}
