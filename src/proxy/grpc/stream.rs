//! One call to an endpoint: a stream of an HTTP/2 connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::race::{Either, race};
use crate::io::{Io, IoError, Socket};
use crate::observe::counters::Counter;
use crate::protocol::grpc::frame::{FrameError, MessageDecoder};
use crate::protocol::grpc::status::{self, Opening, Status};
use crate::protocol::h2::frame::{ErrorCode, StreamId};
use crate::protocol::h2::hpack::fields::Fields;
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::context::Context;
use crate::proxy::downstream::Downstream;
use crate::proxy::reason::Reason;

use super::connection::{GrpcConnection, was_refused};
use super::raw::Raw;
use super::unframed::Unframed;

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The service said so.
    Ended(Status),
    /// The endpoint reset the stream.
    Reset(ErrorCode),
    /// The connection was lost.
    Lost(Reason),
    /// The answer is no gRPC, or larger than allowed.
    Broken(Reason),
}

/// What is known of a call; shared by its exchange and the task that reads.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: StreamId,
    pub(super) upload: bool,
    waker: RefCell<Option<Waker>>,
    answer: RefCell<Answer>,
    /// The answer of a call that is passed through goes here instead.
    pub(super) raw: RefCell<Option<Raw>>,
}

#[derive(Debug)]
struct Answer {
    decoder: MessageDecoder,
    /// Messages that came and were not taken yet; bounded by `held`.
    messages: Messages,
    held: usize,
    begun: bool,
    end: Option<End>,
}

/// Messages in the order in which they came. Most calls have one, which needs no list.
#[derive(Debug, Default)]
struct Messages {
    first: Option<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

impl Messages {
    fn push(&mut self, message: Vec<u8>) {
        if self.first.is_none() {
            self.first = Some(message);
        } else {
            self.others.push(message);
        }
    }
}

impl Call {
    pub(super) fn new(id: StreamId, upload: bool) -> Self {
        let answer = Answer {
            decoder: MessageDecoder::new(limits::GRPC_MESSAGE_BYTES_MAX),
            messages: Messages::default(),
            held: 0,
            begun: false,
            end: None,
        };
        let (waker, raw) = (RefCell::new(None), RefCell::new(None));
        Call { id, upload, waker, answer: RefCell::new(answer), raw }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The first end counts.
    pub(super) fn end(&self, end: End) {
        self.answer.borrow_mut().end.get_or_insert(end);
        self.wake();
    }

    pub(super) fn head(&self, fields: &Fields, end_stream: bool) {
        let read = self.raw.borrow_mut().as_mut().map(|raw| raw.fields(fields, end_stream));
        if let Some(read) = read {
            if !read {
                self.end(End::Broken(Reason::UpstreamProtocol));
            }
            return self.wake();
        }
        let pairs = fields.iter();
        let mut answer = self.answer.borrow_mut();
        if answer.begun {
            let status = status::trailers(pairs);
            let whole = answer.decoder.is_between_messages();
            drop(answer);
            let broken = End::Broken(Reason::AnswerMalformed);
            self.end(if whole { End::Ended(status) } else { broken });
            return;
        }
        answer.begun = true;
        drop(answer);
        match status::opening(fields.status().unwrap_or(0), end_stream, pairs) {
            Opening::Messages => self.wake(),
            Opening::Ended(status) | Opening::NotGrpc(status) => self.end(End::Ended(status)),
        }
    }

    pub(super) fn data(&self, data: &[u8], end_stream: bool) {
        if let Err(reason) = self.collect(data) {
            self.end(End::Broken(reason));
        } else if end_stream {
            // gRPC ends with trailers; a stream that ends without has no status.
            self.end(End::Ended(Status::Unknown));
        }
    }

    fn collect(&self, data: &[u8]) -> Result<(), Reason> {
        let mut answer = self.answer.borrow_mut();
        let mut rest = data;
        while !rest.is_empty() {
            let fed = answer.decoder.feed(rest).map_err(|error| match error {
                FrameError::TooLarge => Reason::AnswerTooLarge,
                FrameError::Compressed | FrameError::FlagUnknown => Reason::AnswerMalformed,
            })?;
            rest = rest.get(fed.consumed..).unwrap_or_default();
            if fed.complete {
                let message = answer.decoder.take_message();
                answer.held += message.len().max(1);
                answer.messages.push(message);
                if answer.held > limits::GRPC_MESSAGE_BYTES_MAX {
                    return Err(Reason::AnswerTooLarge);
                }
                self.wake();
            }
        }
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        self.answer.borrow().end.is_some()
    }
}

/// The exchange's end of a call. Dropping it before the call has ended cancels the call.
pub struct GrpcStream<I: Io> {
    pub(super) cx: Rc<Context<I>>,
    pub(super) connection: Rc<GrpcConnection<I>>,
    pub(super) call: Rc<Call>,
    sent_end: Cell<bool>,
    pub(super) sent_any: Cell<bool>,
    pub(super) out: RefCell<Gather>,
    begun: Instant,
}

/// How a call ended for the exchange.
#[derive(Clone, Copy, Debug)]
pub struct CallOutcome {
    /// The service's own status, if it gave one.
    pub outcome: Result<Status, Reason>,
    /// The endpoint has certainly not acted on the request: it may be sent again.
    pub refused: bool,
    /// The connection was lost: what the endpoint did is not known, as if it were unavailable.
    pub lost: bool,
}

impl<I: Io> GrpcStream<I> {
    pub(super) fn new(
        cx: &Rc<Context<I>>,
        connection: Rc<GrpcConnection<I>>,
        call: Rc<Call>,
        begun: Instant,
    ) -> Self {
        cx.counters.count(Counter::UpstreamStreamsOpened);
        GrpcStream {
            cx: Rc::clone(cx),
            connection,
            call,
            sent_end: Cell::new(false),
            sent_any: Cell::new(false),
            out: RefCell::new(Gather::new()),
            begun,
        }
    }

    /// When the stream was opened.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The call has failed for this reason, before the service ended it.
    pub fn give_up(&self, reason: Reason) {
        if reason == Reason::UpstreamTimedOut {
            self.connection.distrust(self.begun);
        }
    }

    /// Whether the service has ended the call: nothing more needs to be sent.
    pub fn is_over(&self) -> bool {
        self.call.is_over()
    }

    /// Takes the messages that have come so far.
    pub fn take_messages(&self) -> impl Iterator<Item = Vec<u8>> + use<I> {
        let mut answer = self.call.answer.borrow_mut();
        answer.held = 0;
        let Messages { first, others } = std::mem::take(&mut answer.messages);
        first.into_iter().chain(others)
    }

    /// Sends a small message by copying it; `end` half-closes.
    pub async fn send(
        &self,
        client: Downstream<'_, I>,
        message: &[u8],
        end: bool,
        deadline: Instant,
    ) -> Result<(), Reason> {
        let mut rest = message;
        loop {
            let room = self.writable(client, deadline).await?;
            let take = rest.len().min(room);
            let (now, later) = rest.split_at(take);
            rest = later;
            let last = rest.is_empty();
            let sent =
                self.connection.engine.borrow_mut().send_data(self.call.id, now, end && last);
            if sent.is_err() {
                return Err(self.end_reason());
            }
            self.sent_any.set(true);
            self.connection.flush.raise();
            if last {
                self.sent_end.set(end);
                return Ok(());
            }
        }
    }

    /// Sends what lies in `unframed`, the payload straight from `buffer`, which comes back on every
    /// path.
    ///
    /// A frame's header leaves only together with its payload, which is already here: a slow client
    /// never stalls the other calls of the connection inside a frame. `patience` bounds every wait.
    pub async fn send_unframed(
        &self,
        client: Downstream<'_, I>,
        unframed: &mut Unframed,
        buffer: Option<Buffer>,
        end: bool,
        patience: Duration,
    ) -> (Result<(), Reason>, Option<Buffer>) {
        let mut out = self.out.take();
        if let Some(buffer) = buffer {
            out.set_payload(buffer);
        }
        let mut result = Ok(());
        let mut looked = None;
        while result.is_ok() && !(unframed.is_empty() && (!end || self.sent_end.get())) {
            (result, out) = self.send_some(client, unframed, out, end, patience).await;
            if result.is_ok() && !unframed.is_empty() && self.is_abandoned(client, &mut looked) {
                result = Err(Reason::ClientLeft);
            }
        }
        let buffer = out.take_payload();
        out.clear();
        self.out.replace(out);
        (result, buffer)
    }

    /// Whether the client has left. A service that takes a few bytes at a time never lets us wait
    /// for long, so that no wait would find it out; looked at when it is due.
    pub(super) fn is_abandoned(
        &self,
        client: Downstream<'_, I>,
        looked: &mut Option<Instant>,
    ) -> bool {
        let now = self.cx.io.now();
        let due = *looked.get_or_insert(now) + LOOK_INTERVAL;
        if now < due {
            return false;
        }
        *looked = Some(now);
        client.is_gone()
    }

    async fn send_some(
        &self,
        client: Downstream<'_, I>,
        unframed: &mut Unframed,
        mut out: Gather,
        end: bool,
        patience: Duration,
    ) -> (Result<(), Reason>, Gather) {
        if !unframed.is_empty()
            && let Err(reason) = self.writable(client, self.cx.io.now() + patience).await
        {
            return (Err(reason), out);
        }
        let turn = self.connection.turn.take().await;
        out.clear();
        self.connection.take_queued(&mut out);
        let framed = self.frame(unframed, &mut out, end);
        // Also after a fault: what the engine had queued belongs to other calls as well.
        let len = out.len();
        let (result, out) = self.connection.socket.write(out, self.cx.io.now() + patience).await;
        drop(turn);
        let result = self.written(result, len);
        (result.and(framed), out)
    }

    /// Books what was written, or that the connection is of no use any more.
    pub(super) fn written(&self, result: Result<(), IoError>, len: usize) -> Result<(), Reason> {
        let counted = u64::try_from(len).unwrap_or(u64::MAX);
        self.cx.counters.add(Counter::UpstreamSentBytes, counted);
        result.map_err(|error| {
            let reason = match error {
                IoError::TimedOut => Reason::UpstreamTimedOut,
                _ => Reason::UpstreamReset,
            };
            // A frame may be half written: nothing else can be sent on this connection.
            self.connection.lose(reason);
            self.end_reason()
        })
    }

    /// Cuts as much as the windows allow into frames.
    fn frame(&self, unframed: &mut Unframed, out: &mut Gather, end: bool) -> Result<(), Reason> {
        let mut engine = self.connection.engine.borrow_mut();
        loop {
            let room = engine.capacity(self.call.id).min(engine.max_frame_size());
            let take = unframed.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let last = end && take == unframed.len();
            if (take == 0 && !last) || self.sent_end.get() {
                return Ok(());
            }
            let len = u32::try_from(take).unwrap_or(u32::MAX);
            let Ok(header) = engine.data_header(self.call.id, len, last) else {
                drop(engine);
                return Err(self.end_reason());
            };
            out.push(&header);
            unframed.take(take, out);
            self.sent_any.set(true);
            if last {
                self.sent_end.set(true);
            }
        }
    }

    /// Waits until payload may be sent; returns how much. Gives up soon after the client has left.
    pub(super) async fn writable(
        &self,
        client: Downstream<'_, I>,
        deadline: Instant,
    ) -> Result<usize, Reason> {
        loop {
            if let Some(result) = self.room() {
                return result; // The usual case: it costs no look at the clock.
            }
            let look = self.cx.io.now() + LOOK_INTERVAL;
            match self.writable_until(look.min(deadline)).await {
                Some(result) => return result,
                None if self.cx.io.now() >= deadline => {
                    self.cx.counters.count(Counter::UpstreamTimeouts);
                    return Err(Reason::UpstreamTimedOut);
                }
                None if client.is_gone() => return Err(Reason::ClientLeft),
                None => {}
            }
        }
    }

    /// How much payload may be sent now, if any; an error if the call is over.
    fn room(&self) -> Option<Result<usize, Reason>> {
        if self.call.is_over() {
            return Some(Err(self.end_reason()));
        }
        let room = self.connection.engine.borrow().capacity(self.call.id);
        (room > 0).then(|| Ok(usize::try_from(room).unwrap_or(usize::MAX)))
    }

    async fn writable_until(&self, deadline: Instant) -> Option<Result<usize, Reason>> {
        let ready = poll_fn(|cx| {
            if let Some(result) = self.room() {
                return Poll::Ready(result);
            }
            self.park(cx.waker());
            Poll::Pending
        });
        match race(ready, self.cx.io.sleep_until(deadline)).await {
            Either::First(result) => Some(result),
            Either::Second(()) => None,
        }
    }

    fn park(&self, waker: &Waker) {
        let mut parked = self.call.waker.borrow_mut();
        match &*parked {
            Some(old) if old.will_wake(waker) => {}
            _ => *parked = Some(waker.clone()),
        }
    }

    /// Waits until the call is over. May be dropped.
    pub async fn ended(&self) {
        self.until(|answer| answer.end.is_some()).await;
    }

    /// Waits until the call is over or a message has come. May be dropped.
    pub async fn progress(&self) {
        self.until(|answer| answer.end.is_some() || answer.messages.first.is_some()).await;
    }

    async fn until(&self, is_reached: impl Fn(&Answer) -> bool) {
        self.until_call(|call| is_reached(&call.answer.borrow())).await;
    }

    pub(super) async fn until_call(&self, is_reached: impl Fn(&Call) -> bool) {
        poll_fn(|cx| {
            if is_reached(&self.call) {
                return Poll::Ready(());
            }
            self.park(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// How the call ended; an error before it has.
    pub fn outcome(&self) -> CallOutcome {
        let end = self.call.answer.borrow().end;
        let lost = matches!(end, Some(End::Lost(_)));
        let of = |outcome, refused| CallOutcome { outcome, refused, lost };
        match end {
            Some(End::Ended(status)) => {
                self.cx.counters.grpc_status(u32::from(status.code()));
                of(Ok(status), false)
            }
            Some(End::Reset(code)) => of(Err(Reason::UpstreamReset), was_refused(code)),
            Some(End::Lost(reason)) => of(Err(reason), !self.sent_any.get()),
            Some(End::Broken(reason)) => of(Err(reason), false),
            None => of(Err(Reason::Bug), false),
        }
    }

    /// Why nothing more can be sent.
    pub(super) fn end_reason(&self) -> Reason {
        match self.call.answer.borrow().end {
            Some(End::Ended(_)) => Reason::UpstreamEndedEarly,
            Some(End::Lost(reason) | End::Broken(reason)) => reason,
            Some(End::Reset(_)) | None => Reason::UpstreamReset,
        }
    }
}

impl<I: Io> Drop for GrpcStream<I> {
    fn drop(&mut self) {
        let connection = &self.connection;
        if !connection.is_lost() {
            // Ends a side that is still open: ours, or that of a service whose answer is not taken.
            // After a whole answer this is no complaint (RFC 9113 §8.1).
            let mut engine = connection.engine.borrow_mut();
            engine.reset(self.call.id, ErrorCode::CANCEL);
            if let Some(raw) = self.call.raw.borrow_mut().as_mut() {
                engine.release(self.call.id, raw.close());
            }
            if !engine.outgoing().is_empty() {
                connection.flush.raise();
            }
            if !self.call.is_over() {
                self.cx.counters.count(Counter::UpstreamStreamsCancelled);
            }
        }
        connection.forget(&self.call, &self.cx);
        self.cx.counters.count(Counter::UpstreamStreamsClosed);
    }
}
