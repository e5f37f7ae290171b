//! Forwarding to gRPC endpoints: both directions pass as they come, nothing is looked into.
//!
//! A call may be answered before it is whole and go on after that, and its status stands in the
//! trailers; so its client has to speak HTTP/2 as well, or gRPC-Web.

use std::cell::Cell;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;
use crate::io::gather::Gather;
use crate::io::race::{Either, join, race};
use crate::observe::counters::Counter;
use crate::protocol::base64::Decoder;
use crate::protocol::grpc::status::Status;
use crate::protocol::h2::request;
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::body::{Piece, Received, RequestBody};
use crate::proxy::choice::Chooser;
use crate::proxy::context::AnswerText;
use crate::proxy::event::Event;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc::fault;
use crate::proxy::grpc::stream::GrpcStream;
use crate::proxy::grpc::unframed::Unframed;
use crate::proxy::grpc::web::{Asked, Coding, Shown};
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::upstream::group::Outcome;

use super::attempt::Failure;
use super::forward::{Destination, authority, outcome};
use super::heads::{self, Shape};
use super::line::Line;
use super::patience::Patience;
use super::response::Delivered;
use super::trailers;

/// Parts of one write.
const PARTS_MAX: usize = 512;

/// Passes a request through and its answer back. An error: nothing was said to the client yet.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    destination: &Destination<'_>,
    mut chooser: Chooser<'_, I>,
    patience: Patience,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Delivered, Reason> {
    let asked = Asked::by(exchange.head, exchange.text);
    if exchange.down.stream().is_none() && asked.is_none() {
        return Err(Reason::VersionUnsupported);
    }
    let mut number = chooser.pick()?;
    loop {
        let visit = chooser.begin(number, record);
        let reason = match open(exchange, destination, &chooser, number, patience).await {
            Ok(stream) => {
                record.upstream_sent = Some(stream.begun());
                let mut pass = Pass::new(exchange, stream, patience);
                pass.idle = destination.route.timeouts.idle;
                pass.first = destination.first;
                pass.asked = asked;
                let answered = pass.run(body, record).await;
                let is_unable = record.grpc_status == Some(Status::Unavailable.code());
                visit.went(match outcome(&answered) {
                    Outcome::Well if is_unable => Outcome::Failed,
                    outcome => outcome,
                });
                return answered.map_err(|failure| failure.reason);
            }
            Err(reason) => reason,
        };
        visit.failed(reason);
        drop(visit);
        // Nothing of it has left: it may go elsewhere.
        let again = reason.is_unreached();
        let next = if again { chooser.again(number, patience.end()).await } else { None };
        number = next.ok_or(reason)?;
    }
}

async fn open<I: Io>(
    exchange: &Exchange<'_, I>,
    destination: &Destination<'_>,
    chooser: &Chooser<'_, I>,
    number: usize,
    patience: Patience,
) -> Result<GrpcStream<I>, Reason> {
    let Chooser { spec, table, .. } = chooser;
    let (Some(pool), Some(endpoint)) = (table.pools.get(number), spec.endpoints.get(number)) else {
        return Err(Reason::Bug);
    };
    let named = authority(spec, endpoint);
    let (mut text, mut block) = (Vec::new(), Vec::new());
    let (path, host) = (destination.path, named.as_deref());
    let written = match Asked::by(exchange.head, exchange.text) {
        None => heads::request(exchange, path, host, None, &mut text),
        Some(asked) => {
            let head = asked.head(exchange.head, exchange.text);
            heads::request(&exchange.with_head(&head), path, host, None, &mut text)
        }
    };
    written.map_err(|_| Reason::RequestMalformed)?;
    request::block(spec.scheme(), &text, &mut block);
    let now = exchange.cx.io.now();
    let deadline = patience.connect(now);
    let stream = pool.open(exchange.cx, spec, &block, true, now, deadline).await?;
    stream.pass_through();
    Ok(stream)
}

/// A call that is passed through.
struct Pass<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    stream: GrpcStream<I>,
    patience: Patience,
    idle: Duration,
    /// What leaves before the body.
    first: &'a [u8],
    /// What its client asked for, if it is a browser.
    asked: Option<Asked<'a>>,
    /// Raised when nothing more of the request is wanted.
    stop: Event,
    /// When some of the request left last.
    moved: Cell<Instant>,
    /// When all of it had.
    sent: Cell<Option<Instant>>,
    /// Why it will never be whole.
    failed: Cell<Option<Reason>>,
    /// Who may write to the client.
    line: Line,
}

impl<'a, I: Io> Pass<'a, I> {
    fn new(exchange: &'a Exchange<'a, I>, stream: GrpcStream<I>, patience: Patience) -> Self {
        let (moved, sent) = (Cell::new(exchange.cx.io.now()), Cell::new(None));
        let (stop, failed) = (Event::default(), Cell::new(None));
        let (idle, first, asked) = (Duration::ZERO, &[][..], None);
        let line = Line::default();
        Pass { exchange, stream, patience, idle, first, asked, stop, moved, sent, failed, line }
    }

    async fn run(
        &self,
        body: &mut RequestBody<'_, I>,
        record: &mut Record,
    ) -> Result<Delivered, Failure> {
        let up = async {
            match self.up(body).await {
                Ok(()) => {}
                // It has answered, or failed, without the rest.
                Err(_) if self.stream.is_over() => {}
                Err(reason) => {
                    self.failed.set(Some(reason));
                    self.stream.abandon(reason);
                }
            }
        };
        let down = async {
            let answered = self.down(record).await;
            self.stop.raise();
            self.stream.abandon(Reason::UpstreamEndedEarly);
            answered
        };
        let ((), answered) = join(up, down).await;
        let failed = self.failed.get();
        match answered {
            Ok(delivered) if delivered.cut.is_some() => {
                Ok(Delivered { cut: failed.or(delivered.cut), ..delivered })
            }
            Ok(delivered) => Ok(delivered),
            Err(reason) => {
                let reason = failed.unwrap_or(reason);
                self.stream.give_up(reason);
                Err(Failure { reason, silent: false })
            }
        }
    }

    /// Sends the request as it comes.
    async fn up(&self, body: &mut RequestBody<'_, I>) -> Result<(), Reason> {
        let client = self.exchange.down;
        if !self.first.is_empty() {
            let deadline = self.exchange.cx.io.now() + self.idle;
            self.stream.send(client, self.first, false, deadline).await?;
        }
        let mut unframed = Unframed::default();
        let is_text = self.asked.is_some_and(|asked| asked.coding() == Coding::Text);
        let mut text = is_text.then(Decoder::default);
        while !body.is_done() {
            self.line.ask(body).await?;
            let Some(received) = body.take_unless(self.stop.wait(), false).await? else {
                return Ok(());
            };
            let Received::Copied(mut buffer) = received else { return Err(Reason::Bug) };
            let mut whole = false;
            while !whole {
                while !whole && unframed.parts() < PARTS_MAX {
                    match (body.next(&mut buffer)?, &mut text) {
                        (Piece::Data(range), None) => unframed.push_payload(range),
                        (Piece::Data(range), Some(text)) => unframed
                            .push_with(|own| text.decode(buffer.range(range), own))
                            .map_err(|_| Reason::BodyMalformed)?,
                        (Piece::Empty | Piece::End, _) => whole = true,
                    }
                }
                let end = whole && body.is_done();
                if end && text.as_ref().is_some_and(|text| !text.is_whole()) {
                    return Err(Reason::BodyMalformed);
                }
                let (result, back) = self
                    .stream
                    .send_unframed(client, &mut unframed, Some(buffer), end, self.idle)
                    .await;
                unframed.clear();
                let Some(back) = back else { return Err(Reason::Bug) };
                buffer = back;
                result?;
            }
            body.put(buffer);
            self.moved.set(self.exchange.cx.io.now());
        }
        // Nothing happens if the end has left already.
        let sent = self.stream.send_unframed(client, &mut unframed, None, true, self.idle).await;
        sent.0?;
        self.sent.set(Some(self.exchange.cx.io.now()));
        Ok(())
    }

    /// Delivers the answer as it comes.
    async fn down(&self, record: &mut Record) -> Result<Delivered, Reason> {
        let exchange = self.exchange;
        let mut says = loop {
            if let Some(says) = self.stream.take_head() {
                break says;
            }
            self.wait(|| match self.sent.get() {
                Some(sent) => self.patience.first_byte(sent),
                None => self.patience.end(),
            })
            .await?;
        };
        record.upstream_answered = Some(exchange.cx.io.now());
        self.line.begin_answer().await;
        let said = says.head.by_name(&says.text, "grpc-status");
        record.grpc_status = said.and_then(number);
        let mut shown = Shown::new(self.asked.as_ref(), &mut says);
        let AnswerText { head, text, .. } = &*says;
        let status = head.status;
        let shape = heads::shape(head.framing, exchange.head.version);
        if shape == Shape::Chunked {
            shown.in_chunks();
        }
        let is_stream = exchange.down.stream().is_some();
        let keep = is_stream
            || (exchange.head.keep_alive
                && self.sent.get().is_some()
                && !exchange.cx.is_draining());
        let down = heads::Downstream { exchange, shape, keep, upgrade: None };
        let mut out = exchange.cx.take_gather();
        exchange.down.head(&mut out, |own| heads::response(head, text, &down, own));
        let mut sent = 0;
        let cut = self.content(&says, out, &mut shown, &mut sent, record).await.err();
        exchange.cx.put_answer(says);
        if let Some(reason) = cut {
            if !shown.begun {
                return Err(reason);
            }
            self.excuse(shown, reason, record).await;
        }
        let keep = keep && !is_stream && cut.is_none();
        Ok(Delivered { status, sent, keep, reusable: false, tunnel: false, cut })
    }

    async fn content(
        &self,
        says: &AnswerText,
        mut out: Gather,
        shown: &mut Shown,
        sent: &mut u64,
        record: &mut Record,
    ) -> Result<(), Reason> {
        loop {
            let content = self.stream.take_content();
            let end = self.stream.take_end();
            let len = content.as_ref().map_or(0, crate::io::buffer::Buffer::len);
            if content.is_none() && end.is_none() && shown.begun {
                let now = self.exchange.cx.io.now();
                self.wait(|| self.patience.progress(now.max(self.moved.get()))).await?;
                continue;
            }
            let end = end.map(|lines| self.trailers(says, &lines, shown.is_web(), record));
            *sent += shown.put(content, end.as_deref(), &mut out)?;
            // The head leaves at once, also if nothing follows it yet.
            shown.begun = true;
            out = self.write(out, end.is_some()).await?;
            drop(out.take_payload());
            out.clear();
            self.stream.release(len);
            if end.is_some() {
                self.exchange.cx.put_gather(out);
                return Ok(());
            }
        }
    }

    /// Tells the client of an answer that was begun that it cannot be finished.
    async fn excuse(&self, mut shown: Shown, reason: Reason, record: &mut Record) {
        let is_here = !matches!(reason, Reason::ClientLeft | Reason::ClientStalled);
        if is_here && shown.can_end() {
            let (mut lines, mut out) = (Vec::new(), self.exchange.cx.take_gather());
            fault::lines(reason, &mut lines);
            record.grpc_status = Some(fault::status(reason).code());
            if shown.put(None, Some(&lines), &mut out).is_ok()
                && self.write(out, true).await.is_ok()
            {
                return;
            }
        }
        self.exchange.down.spoil();
    }

    /// The trailers that are passed on.
    fn trailers(
        &self,
        says: &AnswerText,
        lines: &[u8],
        is_web: bool,
        record: &mut Record,
    ) -> Vec<u8> {
        let status = lines.split(|byte| *byte == b'\n').find_map(|line| {
            line.strip_prefix(b"grpc-status: ").and_then(|value| number(value.trim_ascii_end()))
        });
        record.grpc_status = status.or(record.grpc_status);
        let AnswerText { head, text, .. } = says;
        let mut passed_on = Vec::new();
        trailers::passed_on(lines, &head.fields, text, &mut passed_on);
        if let Some(stream) = self.exchange.down.stream().filter(|_| !is_web) {
            stream.trailers(&passed_on);
        }
        passed_on
    }

    async fn write(&self, out: Gather, end: bool) -> Result<Gather, Reason> {
        let cx = self.exchange.cx;
        let len = out.len();
        let deadline = cx.io.now() + self.exchange.tables.snapshot.timeouts.write;
        let (result, out) = self.exchange.down.write(out, end, deadline).await;
        cx.written(result, len).map(|()| out)
    }

    /// Waits until the endpoint has said more; notices when the client has left meanwhile.
    async fn wait(&self, deadline: impl Fn() -> Instant) -> Result<(), Reason> {
        let cx = self.exchange.cx;
        loop {
            if self.stream.is_over() {
                return Err(self.failed.get().unwrap_or(self.stream.why_over()));
            }
            let look = cx.io.now() + LOOK_INTERVAL;
            let sleep = cx.io.sleep_until(look.min(deadline()));
            if let Either::First(()) = race(self.stream.said_more(), sleep).await {
                if self.stream.has_said_more() {
                    return Ok(());
                }
                continue;
            }
            if cx.io.now() >= deadline() {
                cx.counters.count(Counter::UpstreamTimeouts);
                return Err(Reason::UpstreamTimedOut);
            }
            if self.exchange.down.is_gone() {
                return Err(Reason::ClientLeft);
            }
        }
    }
}

/// A status of gRPC, as it stands in a field.
fn number(value: &[u8]) -> Option<u8> {
    str::from_utf8(value).ok()?.parse().ok()
}
