//! One GET to an HTTP upstream, for ourselves: the answer is small, or of no use.

use std::time::Duration;

use crate::base::time::Instant;
use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::io::{Io, IoError, Socket};
use crate::message::head::{Method, ResponseHead};
use crate::protocol::h1::body::{BodyDecoder, BodyEvent};
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress};
use crate::protocol::h1::response::ResponseParser;
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::choice::Chooser;
use crate::proxy::exchange::Exchange;
use crate::proxy::http::connection::HttpConnection;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::snapshot::secret::Secret;
use crate::snapshot::upstream::{HostField, UpstreamId};
use crate::upstream::group::Outcome;

/// Bytes of an answer's content.
const CONTENT_BYTES_MAX: u64 = 16 * 1024;
/// Interim answers that are passed over.
const INTERIMS_MAX: u32 = 8;

/// What is asked for.
pub(super) struct Question<'a> {
    pub(super) upstream: UpstreamId,
    pub(super) path: &'a str,
    pub(super) query: &'a [u8],
    /// What we prove ourselves with; empty: nothing.
    pub(super) token: &'a Secret,
    pub(super) timeout: Duration,
}

/// What came.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Vec<u8>,
}

/// Asks; a GET may be sent again, where the upstream allows it.
pub(super) async fn get<I: Io>(
    exchange: &Exchange<'_, I>,
    question: &Question<'_>,
) -> Result<Answer, Reason> {
    let mut aside = Record::aside(exchange.started);
    let mut chooser = Chooser::new(exchange, question.upstream, &mut aside)?;
    let deadline = exchange.cx.io.now() + question.timeout;
    let mut number = chooser.pick()?;
    let mut fresh = false;
    loop {
        let visit = chooser.begin(number, &mut aside);
        let attempt = Attempt { exchange, question, chooser: &chooser, number, deadline };
        let (reason, stale) = match attempt.run(fresh).await {
            Ok(answer) => {
                let is_unable = matches!(answer.status, 502..=504);
                visit.went(if is_unable { Outcome::Failed } else { Outcome::Well });
                return Ok(answer);
            }
            Err(failed) => failed,
        };
        visit.failed(reason);
        if stale {
            // The endpoint closed an idle connection as we took it: no fault, and no attempt.
            visit.went(Outcome::Unclear);
            drop(visit);
            chooser.forgive();
            fresh = true;
            continue;
        }
        drop(visit);
        let lost = matches!(reason, Reason::UpstreamReset | Reason::UpstreamClosed);
        let again = lost || reason.is_unreached();
        let next = if again { chooser.again(number, deadline).await } else { None };
        number = next.ok_or(reason)?;
    }
}

struct Attempt<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    question: &'a Question<'a>,
    chooser: &'a Chooser<'a, I>,
    number: usize,
    deadline: Instant,
}

impl<I: Io> Attempt<'_, I> {
    /// With an error, whether the connection had been used before and ended without a byte.
    async fn run(&self, fresh: bool) -> Result<Answer, (Reason, bool)> {
        let sure = |reason| (reason, false);
        let cx = self.exchange.cx;
        let Chooser { spec, table, .. } = self.chooser;
        let pool = table.http_pools.get(self.number).ok_or((Reason::Bug, false))?;
        let idle = if fresh { None } else { pool.take(cx.io.lately()) };
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let deadline = self.deadline.min(cx.io.now() + spec.connect_timeout);
            let made = pool.connect(cx, spec, self.exchange.peer, deadline).await;
            made.map_err(sure)?
        };
        let mut out = Gather::new();
        out.push_result(|own| self.write(own)).map_err(sure)?;
        let sent = connection.socket.write(out, self.deadline).await.0;
        let stale = |reason| (reason, connection.is_used && reason != Reason::UpstreamTimedOut);
        sent.map_err(|error| stale(reason_of(error)))?;
        let mut silent = true;
        let read = self.read(&connection, &mut silent).await;
        let (answer, keep) =
            read.map_err(|reason| if silent { stale(reason) } else { sure(reason) })?;
        if keep && !spec.send_proxy_protocol {
            pool.put(connection, spec, cx.io.lately());
        }
        Ok(answer)
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), Reason> {
        let Question { path, query, token, .. } = self.question;
        let spec = self.chooser.spec;
        let endpoint = spec.endpoints.get(self.number).ok_or(Reason::Bug)?;
        encode::request_line(out, b"GET", path.as_bytes(), Some(query)).map_err(|_| Reason::Bug)?;
        let host = match &spec.host {
            // What the client calls us is no name of this one.
            HostField::Client | HostField::Endpoint => endpoint.authority(),
            HostField::Fixed(host) => host.clone(),
        };
        encode::field(out, b"host", host.as_bytes());
        encode::field(out, b"accept", b"application/json");
        let agent = concat!("otus/", env!("CARGO_PKG_VERSION"));
        encode::field(out, b"user-agent", agent.as_bytes());
        encode::field(out, b"x-request-id", self.exchange.request_id.as_bytes());
        if !token.is_empty() {
            let bearer = format!("Bearer {}", token.expose());
            encode::field(out, b"authorization", bearer.as_bytes());
        }
        encode::end(out);
        Ok(())
    }

    /// Reads an answer; true if the connection is at a clean end of it.
    async fn read(
        &self,
        connection: &HttpConnection<I>,
        silent: &mut bool,
    ) -> Result<(Answer, bool), Reason> {
        let mut buffer = self.exchange.cx.buffers.small();
        let mut parser = ResponseParser::new(HeadLimits::default(), Method::Get);
        let (mut head, mut interims) = (ResponseHead::default(), 0);
        loop {
            let is_empty = buffer.is_empty();
            let progress = (!is_empty).then(|| parser.parse(buffer.filled(), &mut head));
            match progress {
                Some(Err(_)) => return Err(Reason::UpstreamProtocol),
                Some(Ok(Progress::Done { len })) => {
                    buffer.consume(len);
                    if !head.is_interim() {
                        break;
                    }
                    interims += 1;
                    if interims > INTERIMS_MAX {
                        return Err(Reason::UpstreamProtocol);
                    }
                    head.clear();
                    parser.reset(Method::Get);
                    buffer.compact();
                    continue;
                }
                Some(Ok(_)) if buffer.room() == 0 => return Err(Reason::AnswerTooLarge),
                Some(Ok(_)) | None => {}
            }
            let more;
            (more, buffer) = self.more(connection, buffer).await;
            if more? == 0 {
                return Err(Reason::UpstreamClosed);
            }
            *silent = false;
        }
        if head.status == 101 {
            return Err(Reason::UpstreamProtocol);
        }
        self.content(connection, &head, buffer).await
    }

    async fn content(
        &self,
        connection: &HttpConnection<I>,
        head: &ResponseHead,
        mut buffer: Buffer,
    ) -> Result<(Answer, bool), Reason> {
        let mut decoder = BodyDecoder::new(head.framing, CONTENT_BYTES_MAX);
        let mut content = Vec::new();
        loop {
            while !decoder.is_done() {
                let step = decoder.decode(buffer.filled()).map_err(|_| Reason::AnswerTooLarge)?;
                if let BodyEvent::Data { start, len } = step.event {
                    let data = buffer.filled().get(start..start + len);
                    content.extend_from_slice(data.unwrap_or_default());
                }
                buffer.consume(step.consumed);
                if step.event == BodyEvent::NeedMore {
                    break;
                }
            }
            if decoder.is_done() {
                let keep = head.keep_alive && buffer.is_empty();
                return Ok((Answer { status: head.status, content }, keep));
            }
            buffer.clear();
            let more;
            (more, buffer) = self.more(connection, buffer).await;
            if more? == 0 {
                decoder.finish().map_err(|_| Reason::UpstreamClosed)?;
                return Ok((Answer { status: head.status, content }, false));
            }
        }
    }

    /// Reads on; gives up at the deadline, and soon after the client has left.
    async fn more(
        &self,
        connection: &HttpConnection<I>,
        buffer: Buffer,
    ) -> (Result<usize, Reason>, Buffer) {
        let io = &self.exchange.cx.io;
        loop {
            let look = io.lately() + LOOK_INTERVAL;
            match connection.socket.readable(look.min(self.deadline)).await {
                Ok(()) => break,
                Err(IoError::TimedOut) => {}
                Err(_) => return (Err(Reason::UpstreamReset), buffer),
            }
            if io.now() >= self.deadline {
                return (Err(Reason::UpstreamTimedOut), buffer);
            }
            if self.exchange.down.is_gone() {
                return (Err(Reason::ClientLeft), buffer);
            }
        }
        let (read, buffer) = connection.socket.read(buffer, self.deadline).await;
        (read.map_err(reason_of), buffer)
    }
}

fn reason_of(error: IoError) -> Reason {
    match error {
        IoError::TimedOut => Reason::UpstreamTimedOut,
        _ => Reason::UpstreamReset,
    }
}
