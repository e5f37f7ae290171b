//! Reading: frame heads, payloads, and which part of the engine each frame is for.

use super::config::Role;
use super::engine::{Connection, broken, calm, count, wrong_size};
use super::event::{ConnectionError, Event, Fault, Received};
use crate::base::time::Instant;
use crate::protocol::h2::flood::Flood;
use crate::protocol::h2::frame::{
    ACK, FRAME_HEAD_BYTES, FrameHead, Kind, PREFACE, StreamId, to_usize,
};
use crate::protocol::h2::stream::Half;

/// What the next bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// The preface, of which so many bytes have come.
    Preface(usize),
    /// A frame head; the part that has come is in `partial`.
    Head,
    /// A payload that is handled in one piece; the part that has come is in `partial`.
    Payload(FrameHead),
    /// The padding length of DATA.
    PadLength(FrameHead),
    /// Payload of DATA, which is passed on as it comes.
    Data(Run),
    /// Bytes of no interest.
    Skip(u32),
}

/// The rest of a DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) id: u32,
    pub(super) left: u32,
    pub(super) padding: u32,
    pub(super) end_stream: bool,
}

impl Connection {
    /// Feeds bytes that the socket read, in pieces of any size.
    ///
    /// Returns after each event; call again with the rest of the input until no event comes back,
    /// which means that all is consumed. No byte has to be fed twice. On an error GOAWAY is in
    /// `outgoing`: write it, then close.
    pub fn receive(&mut self, input: &[u8], now: Instant) -> Result<Received, ConnectionError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !input.is_empty() {
            self.heard(now);
        }
        let mut consumed = 0;
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Received { consumed, event: Some(event) });
            }
            match self.step(input, &mut consumed, now) {
                Ok(true) => {}
                Ok(false) => return Ok(Received { consumed, event: None }),
                Err(error) => {
                    self.fail(error);
                    return Err(error);
                }
            }
        }
    }

    /// Reads one part of a frame. False: it needs more input, and has taken all there was.
    fn step(
        &mut self,
        input: &[u8],
        consumed: &mut usize,
        now: Instant,
    ) -> Result<bool, ConnectionError> {
        let rest = input.get(*consumed..).unwrap_or_default();
        match self.reading {
            Reading::Head => {
                let Some((head, taken)) = self.gather_head(rest) else {
                    *consumed = input.len();
                    return Ok(false);
                };
                *consumed += taken;
                self.begin(head, now)?;
            }
            Reading::Data(run) => {
                if rest.is_empty() {
                    return Ok(false);
                }
                *consumed += self.data_piece(run, rest.len(), *consumed);
            }
            Reading::Payload(head) => {
                let need = to_usize(head.len) - self.partial.len();
                let Some((part, _)) = rest.split_at_checked(need) else {
                    self.partial.extend_from_slice(rest);
                    *consumed = input.len();
                    return Ok(false);
                };
                *consumed += need;
                self.reading = Reading::Head;
                self.payload(head, part, now)?;
            }
            Reading::Skip(left) => {
                if rest.is_empty() {
                    return Ok(false);
                }
                let taken = to_usize(left).min(rest.len());
                *consumed += taken;
                self.skip(left.saturating_sub(u32::try_from(taken).unwrap_or(left)));
            }
            Reading::PadLength(head) => {
                let Some(padding) = rest.first() else { return Ok(false) };
                *consumed += 1;
                self.data(head, Some(*padding), now)?;
            }
            Reading::Preface(matched) => {
                let want = PREFACE.get(matched..).unwrap_or_default();
                let taken = want.len().min(rest.len());
                if want.get(..taken) != rest.get(..taken) {
                    return Err(broken(Fault::Preface));
                }
                *consumed += taken;
                if taken < want.len() {
                    self.reading = Reading::Preface(matched + taken);
                    return Ok(false);
                }
                self.reading = Reading::Head;
            }
        }
        Ok(true)
    }

    /// A frame head, and how many bytes of `rest` it took; or all of `rest` is kept.
    fn gather_head(&mut self, rest: &[u8]) -> Option<(FrameHead, usize)> {
        if self.partial.is_empty()
            && let Some(bytes) = rest.first_chunk()
        {
            return Some((FrameHead::parse(bytes), FRAME_HEAD_BYTES));
        }
        let need = FRAME_HEAD_BYTES - self.partial.len();
        let taken = need.min(rest.len());
        self.partial.extend_from_slice(rest.get(..taken)?);
        let head = FrameHead::parse(self.partial.first_chunk()?);
        self.partial.clear();
        Some((head, taken))
    }

    /// Hands a whole payload on, of which `part` is the end and `partial` what came before.
    fn payload(
        &mut self,
        head: FrameHead,
        part: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        if self.partial.is_empty() {
            return self.frame(head, part, now);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(part);
        let result = self.frame(head, &whole, now);
        whole.clear();
        // An idle connection holds no more than a small frame.
        whole.shrink_to(256);
        self.partial = whole;
        result
    }

    /// The next `left` bytes are of no interest.
    pub(super) fn skip(&mut self, left: u32) {
        self.reading = if left == 0 { Reading::Head } else { Reading::Skip(left) };
    }

    /// Judges a frame by its head, before its payload is waited for (§4.2, §6).
    fn begin(&mut self, head: FrameHead, now: Instant) -> Result<(), ConnectionError> {
        self.frames += 1;
        if self.replies > self.config.replies_max {
            return Err(calm(Flood::Replies));
        }
        if !self.theirs_seen && (head.kind != Kind::Settings || head.has(ACK)) {
            return Err(broken(Fault::Preface));
        }
        if head.len > self.ours.frame_max {
            return Err(wrong_size());
        }
        match self.open_block {
            Some(block) if head.kind != Kind::Continuation || head.stream != block.id => {
                return Err(broken(Fault::Continuation));
            }
            None if head.kind == Kind::Continuation => return Err(broken(Fault::Continuation)),
            _ => {}
        }
        if head.kind != Kind::Ping {
            self.heard_more();
        }
        self.judge_stream(head)?;
        judge_size(head)?;
        match head.kind {
            Kind::Data => return self.data_head(head, now),
            Kind::PushPromise => return Err(broken(Fault::Push)),
            Kind::Priority | Kind::Unknown(_) => {
                count(&mut self.counters.odd, self.config.floods.odd, now, Flood::Odd)?;
                if head.kind != Kind::Priority || head.len != 5 {
                    self.skip(head.len);
                    // §6.3: a stream error, which an idle or closed stream cannot have.
                    if head.kind == Kind::Priority {
                        return self.priority_size(head, now);
                    }
                    return Ok(());
                }
            }
            _ => {}
        }
        self.reading = Reading::Payload(head);
        Ok(())
    }

    /// Which kinds need a stream, and which must have none (§6).
    fn judge_stream(&self, head: FrameHead) -> Result<(), ConnectionError> {
        let zero = head.stream == 0;
        match head.kind {
            Kind::Settings | Kind::Ping | Kind::GoAway if !zero => Err(broken(Fault::StreamZero)),
            Kind::Data | Kind::Headers | Kind::Priority | Kind::Reset | Kind::Continuation
                if zero =>
            {
                Err(broken(Fault::StreamZero))
            }
            // Only the client opens streams here, so a server's number is never right (§5.1.1).
            Kind::Headers if head.stream.is_multiple_of(2) => Err(broken(Fault::StreamNumber)),
            Kind::Headers if self.role == Role::Client && head.stream >= self.next_id => {
                Err(broken(Fault::StreamIdle))
            }
            _ => Ok(()),
        }
    }

    /// Hands a frame to where it belongs.
    fn frame(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        match head.kind {
            Kind::Headers => self.headers(head, payload, now),
            Kind::Continuation => self.continuation(head, payload, now),
            Kind::WindowUpdate => self.window_update(head, payload, now),
            Kind::Settings if head.has(ACK) => self.settings_acknowledged(),
            Kind::Settings => self.settings(payload, now),
            Kind::Ping => self.ping_received(head, payload, now),
            Kind::Reset => self.reset_received(head, payload, now),
            Kind::GoAway => {
                self.go_away_received(payload);
                Ok(())
            }
            Kind::Priority => self.priority(head, payload, now),
            Kind::Data | Kind::PushPromise | Kind::Unknown(_) => Ok(()),
        }
    }

    /// Passes on what is there of a DATA frame. Gives the number of bytes taken.
    fn data_piece(&mut self, run: Run, available: usize, start: usize) -> usize {
        let wanted = self.streams.get(run.id).is_some_and(|stream| stream.recv == Half::Body);
        if !wanted {
            // The stream was reset within the frame: the rest is not reported, so it is not
            // released.
            self.give_back(run.left);
            self.skip(run.left + run.padding);
            return 0;
        }
        let taken = to_usize(run.left).min(available);
        let len = u32::try_from(taken).unwrap_or(run.left);
        let left = run.left - len;
        let end_stream = run.end_stream && left == 0;
        if left == 0 {
            self.skip(run.padding);
        } else {
            self.reading = Reading::Data(Run { left, ..run });
        }
        if end_stream {
            self.half_ended(run.id);
        }
        self.pending.push_back(Event::Data { id: StreamId(run.id), start, len, end_stream });
        taken
    }
}

/// Kinds of a fixed size (§6). PRIORITY is judged apart: it fails its stream only.
fn judge_size(head: FrameHead) -> Result<(), ConnectionError> {
    let right = match head.kind {
        Kind::Reset | Kind::WindowUpdate => head.len == 4,
        Kind::Ping => head.len == 8,
        Kind::GoAway => head.len >= 8,
        Kind::Settings if head.has(ACK) => head.len == 0,
        Kind::Settings => head.len.is_multiple_of(6),
        _ => true,
    };
    if right { Ok(()) } else { Err(wrong_size()) }
}
