//! A WebSocket to a module: its messages are those of one `Reverse.Stream` (SPEC 6.4).

use std::cell::Cell;
use std::time::Duration;

use crate::base::time::Instant;
use crate::gufo::reply::Reply as Answer;
use crate::gufo::stream::{self, Purpose, SocketMessages};
use crate::io::Io;
use crate::io::race::{Either, join, race};
use crate::protocol::grpc::status::Status;
use crate::protocol::websocket::frame::{self, Decoder, Event, Fault, Kind, code};
use crate::proxy::attempt::{Attempts, LOOK_INTERVAL, Method as GrpcMethod};
use crate::proxy::body::RequestBody;
use crate::proxy::call::{query_arguments, with_call};
use crate::proxy::event::Event as Bell;
use crate::proxy::exchange::{Exchange, Target};
use crate::proxy::grpc::stream::GrpcStream;
use crate::proxy::http::response::Delivered;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::proxy::respond::Answered;
use crate::proxy::session;
use crate::proxy::trust;
use crate::upstream::group::Outcome;

use super::answers::{Answers, Next, read};
use super::wire::{Bytes, Read, Wire};

/// From the client's close to ours, while its service may say more.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// From our close to the client's (RFC 6455 §7.1.1: whoever serves closes the connection first).
const GOODBYE: Duration = Duration::from_secs(2);

/// Opens a stream at the module, takes the handshake, and relays until either side has finished.
/// An error: the handshake was not taken.
pub(in crate::proxy) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Answered, Reason> {
    trust::check(exchange, &target.path, target.shown, &[]).await?;
    session::check(exchange, target).await?;
    let args = query_arguments(exchange);
    let dialect = target.module.dialect;
    let mut first = Vec::new();
    let messages = with_call(exchange, target, &args, None, |call| {
        stream::first(call, dialect, Purpose::Socket, &mut first)
            .map(|()| SocketMessages::new(call, dialect))
    })
    .map_err(|_| Reason::BodyTooLarge)?;
    let deadline = exchange.cx.io.now() + target.module.stream_timeout;
    let mut attempts = Attempts::new(exchange, target, GrpcMethod::Stream, record)?;
    let (stream, visit) = attempts.open(exchange.cx.io.now(), deadline, record).await?;
    stream.pass_through();
    let sent = stream.send(exchange.down, &first, false, deadline).await;
    sent.inspect_err(|reason| {
        stream.give_up(*reason);
        visit.failed(*reason);
    })?;
    let relay = Relay::new(exchange, target, &stream, messages);
    exchange.head_came(101);
    relay.wire.accept().await?;
    let rest = Wire::<I>::rest(body.take_rest());
    join(relay.up(rest), relay.down(record)).await;
    let cut = relay.cut.get();
    match cut {
        None => visit.went(Outcome::Well),
        Some(reason) => {
            visit.failed(reason);
            stream.give_up(reason);
        }
    }
    let status = if exchange.down.stream().is_some() { 200 } else { 101 };
    Ok(Answered::Delivered(Delivered::own(status, relay.wire.sent(), false, cut)))
}

/// What follows a message of the service, or a pause.
enum Then {
    Listen,
    /// It is time to close, with this code.
    Close(Option<u16>),
}

struct Relay<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    target: &'a Target<'a>,
    stream: &'a GrpcStream<I>,
    messages: SocketMessages,
    wire: Wire<'a, I>,
    /// When anything came last, from either side.
    moved: Cell<Instant>,
    /// The client's close has come, when, and with which code.
    heard: Cell<Option<(Instant, Option<u16>)>>,
    /// The service is done: the client has until then to close.
    until: Cell<Option<Instant>>,
    /// Raised with it.
    done: Bell,
    /// What went wrong first.
    cut: Cell<Option<Reason>>,
}

impl<'a, I: Io> Relay<'a, I> {
    fn new(
        exchange: &'a Exchange<'a, I>,
        target: &'a Target<'a>,
        stream: &'a GrpcStream<I>,
        messages: SocketMessages,
    ) -> Self {
        Relay {
            exchange,
            target,
            stream,
            messages,
            wire: Wire::new(exchange),
            moved: Cell::new(exchange.cx.io.now()),
            heard: Cell::new(None),
            until: Cell::new(None),
            done: Bell::default(),
            cut: Cell::new(None),
        }
    }

    fn now(&self) -> Instant {
        self.exchange.cx.io.now()
    }

    /// The first thing that goes wrong counts; both directions end.
    fn fail(&self, reason: Reason) {
        self.cut.set(self.cut.get().or(Some(reason)));
        self.stream.abandon(reason);
    }

    async fn close(&self, code: Option<u16>) {
        let mut out = Vec::new();
        frame::put_close(&mut out, code);
        // Whoever does not take it has left, and nobody is left to tell.
        let _ = self.wire.say(&out, true).await;
    }

    /// What the client sends, to its close.
    async fn up(&self, rest: Option<Bytes>) {
        let mut decoder = Decoder::new(self.exchange.tables.snapshot.limits.socket_message_bytes);
        let mut next = rest;
        loop {
            if let Some(bytes) = next.take() {
                match self.take(&mut decoder, bytes).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(reason) => {
                        self.fail(reason);
                        // What the client has sent must not make a reset of the close it is told.
                        let until = self.now() + GOODBYE;
                        self.until.set(self.until.get().or(Some(until)));
                        if self.wire.is_closed() {
                            self.discard(until).await;
                        }
                        return;
                    }
                }
            }
            match self.listen().await {
                Ok(Read::Bytes(bytes)) => next = Some(bytes),
                Ok(Read::Nothing) => {}
                // Who leaves without a close has not finished.
                Ok(Read::End) | Err(_) if self.until.get().is_some() => return,
                Ok(Read::End) => return self.fail(Reason::ClientLeft),
                Err(reason) => return self.fail(reason),
            }
            if self.until.get().is_some_and(|until| self.now() >= until) {
                return;
            }
        }
    }

    /// Reads what nobody wants, for a while.
    async fn discard(&self, until: Instant) {
        while self.now() < until && self.wire.readable(until).await.is_ok() {
            match self.wire.read().await {
                Ok(Read::Bytes(bytes)) => {
                    self.wire.release(bytes.ranges.iter().map(ExactSizeIterator::len).sum());
                }
                Ok(Read::Nothing) => {}
                Ok(Read::End) | Err(_) => return,
            }
        }
    }

    /// Waits for bytes of the client, and no longer than it has.
    async fn listen(&self) -> Result<Read, Reason> {
        let until = self.until.get();
        let readable = self.wire.readable(until.unwrap_or(Instant::NEVER));
        let ready = match until {
            Some(_) => readable.await,
            None => match race(readable, self.done.wait()).await {
                Either::First(ready) => ready,
                Either::Second(()) => return Ok(Read::Nothing),
            },
        };
        match ready {
            Ok(()) => self.wire.read().await,
            Err(crate::io::IoError::TimedOut) => Ok(Read::Nothing),
            Err(_) => Err(Reason::ClientLeft),
        }
    }

    /// Takes bytes; false: nothing that follows counts.
    async fn take(&self, decoder: &mut Decoder, bytes: Bytes) -> Result<bool, Reason> {
        let Bytes { buffer, ranges } = bytes;
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                let fed = match decoder.feed(buffer.range(at..range.end)) {
                    Ok(fed) => fed,
                    Err(fault) => {
                        self.close(Some(fault.code())).await;
                        return Err(reason_of(fault));
                    }
                };
                at += fed.consumed;
                if let Some(event) = fed.event
                    && !self.heard(event, decoder.payload()).await?
                {
                    return Ok(false);
                }
            }
            self.wire.release(range.len());
        }
        Ok(true)
    }

    /// What the client has said; false: it was its close.
    async fn heard(&self, event: Event, payload: &[u8]) -> Result<bool, Reason> {
        self.moved.set(self.now());
        let deadline = self.now() + self.target.module.stream_timeout;
        match event {
            Event::Message(_) if self.until.get().is_some() => {}
            Event::Message(kind) => {
                let mut out = Vec::new();
                self.messages
                    .put(kind == Kind::Text, payload, &mut out)
                    .map_err(|_| Reason::BodyTooLarge)?;
                let sent = self.stream.send(self.exchange.down, &out, false, deadline).await;
                match sent {
                    Err(reason @ Reason::ClientLeft) => return Err(reason),
                    // What the service has said last says why.
                    Err(reason) => self.stream.abandon(reason),
                    Ok(()) => {}
                }
                self.moved.set(self.now());
            }
            Event::Ping => {
                let mut out = Vec::new();
                frame::put_pong(&mut out, payload);
                self.wire.say(&out, false).await?;
            }
            Event::Pong => {}
            Event::Close(code) => {
                self.heard.set(Some((self.now(), code)));
                // The service may have ended already; and it has a while for its last words.
                let deadline = self.now() + LAST_WORDS;
                let _ = self.stream.send(self.exchange.down, &[], true, deadline).await;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the service says, to its end; then our close.
    async fn down(&self, record: &mut Record) {
        let mut answers = Answers::new(self.exchange, self.stream);
        let code = loop {
            match self.relay(&mut answers).await {
                Ok(Then::Listen) => {}
                Ok(Then::Close(code)) => break code,
                Err(reason) => {
                    self.fail(reason);
                    break Some(code::FAILURE);
                }
            }
        };
        record.grpc_status = answers.status.map(Status::code);
        self.close(code).await;
        self.until.set(Some(self.now() + GOODBYE));
        self.stream.abandon(Reason::UpstreamEndedEarly);
        self.done.raise();
    }

    /// Relays the next message.
    async fn relay(&self, answers: &mut Answers<'_, I>) -> Result<Then, Reason> {
        let pause = self.now() + LOOK_INTERVAL;
        let Some(next) = answers.next_until(pause, Instant::NEVER).await? else {
            return Ok(self.pause());
        };
        let Next::Message(message) = next else {
            let code = self.heard.get().map_or(Some(code::NORMAL), |(_, code)| code);
            return Ok(Then::Close(code));
        };
        self.moved.set(self.now());
        let said = read(&message)?;
        let mut values = Answer::new();
        let merged = said.merge(&message, self.target.module.dialect, &mut values);
        merged.map_err(|_| Reason::AnswerMalformed)?;
        let (mut json, mut out) = (Vec::new(), Vec::new());
        let content = match said.chunk {
            // A service that does not say means bytes.
            Some(data) if stream::says_text(&values) == Some(true) => Some((Kind::Text, data)),
            Some(data) => Some((Kind::Binary, data)),
            None => values.put_data(&mut json).then_some((Kind::Text, &json[..])),
        };
        if let Some((kind, data)) = content {
            if kind == Kind::Text && str::from_utf8(data).is_err() {
                return Err(Reason::AnswerMalformed);
            }
            frame::put_message(&mut out, kind, data);
            self.wire.say(&out, false).await?;
            self.moved.set(self.now());
        }
        if values.status() >= 400 {
            return Err(Reason::UpstreamEndedEarly);
        }
        let is_end = said.meta("phase") == Some("end");
        Ok(if is_end { Then::Close(Some(code::NORMAL)) } else { Then::Listen })
    }

    /// Nothing has come of the service for a while.
    fn pause(&self) -> Then {
        let now = self.now();
        if let Some((heard, code)) = self.heard.get()
            && now >= heard + LAST_WORDS
        {
            return Then::Close(code);
        }
        let is_idle = now >= self.moved.get() + self.target.module.stream_timeout;
        let is_over = self.exchange.cx.is_draining() || is_idle || self.wire.is_closed();
        if is_over { Then::Close(Some(code::GOING_AWAY)) } else { Then::Listen }
    }
}

fn reason_of(fault: Fault) -> Reason {
    match fault {
        Fault::Protocol | Fault::NotUtf8 => Reason::BodyMalformed,
        Fault::TooLarge => Reason::BodyTooLarge,
    }
}
