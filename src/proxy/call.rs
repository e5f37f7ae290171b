//! JSON over REST → a unary call of `Reverse.Do` → an envelope.

use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;

use crate::base::text::Text;
use crate::gufo::arguments::{self, Argument};
use crate::gufo::dialect::Dialect;
use crate::gufo::reply::Reply as Answer;
use crate::gufo::request::Call;
use crate::gufo::stream::{self, Purpose};
use crate::io::Io;
use crate::message::head::Method;
use crate::message::known::Known;
use crate::observe::counters::Counter;
use crate::protocol::grpc::status::Status;
use crate::upstream::group::Outcome;

use super::attempt::{Attempts, Method as GrpcMethod, wait};
use super::body::RequestBody;
use super::embedded;
use super::exchange::{Exchange, Target};
use super::reason::Reason;
use super::record::Record;
use super::reply::Reply;
use super::respond::Answered;
use super::session;
use super::stream::{download, local};
use super::trace;
use super::trust;

/// What a call is made of and what it brings; used again for the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    body: Vec<u8>,
    message: Vec<u8>,
    answer: Answer,
}

impl Memory {
    /// Makes the message of a call.
    pub(super) fn encode(&mut self, call: &Call<'_>, dialect: Dialect) -> Result<(), Reason> {
        call.encode(dialect, &mut self.message).map_err(|_| Reason::BodyTooLarge)
    }

    /// The message, which is not needed here any more.
    pub(super) fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }

    /// Takes in a message of the answer.
    pub(super) fn merge(&mut self, dialect: Dialect, message: &[u8]) -> Result<(), Reason> {
        self.answer.merge(dialect, message).map_err(|_| Reason::AnswerMalformed)
    }

    /// Collects the body.
    pub(super) async fn collect<I: Io>(
        &mut self,
        body: &mut RequestBody<'_, I>,
    ) -> Result<(), Reason> {
        let json = &mut self.body;
        body.each(|bytes| {
            json.extend_from_slice(bytes);
            Ok(())
        })
        .await
    }

    /// The body that was collected.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The same, taken out.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// What the service answered.
    pub(super) const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The same for the client.
    pub(super) fn reply<I: Io>(&self, exchange: &Exchange<'_, I>) -> Result<Reply, Reason> {
        let session = exchange.session.get().map(Rc::as_ref);
        Reply::answer(&self.answer, session, exchange.time)
    }

    /// Forgets what it holds, and keeps the memory unless it was unusually much.
    pub(super) fn clear(&mut self) {
        const KEPT: usize = 16 * 1024;
        for bytes in [&mut self.body, &mut self.message] {
            bytes.clear();
            bytes.shrink_to(KEPT);
        }
        self.answer.clear();
    }
}

/// Reads the arguments, calls the module and maps its answer. `memory` is empty.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    memory: &mut Memory,
    record: &mut Record,
) -> Result<Answered, Reason> {
    memory.collect(body).await?;
    trust::check(exchange, &target.path, target.shown, &memory.body).await?;
    if exchange.tables.snapshot.gufo.session.is_some() {
        session::check(exchange, target).await?;
    }
    let mut how = download::configured(exchange, target);
    if how.is_none() {
        encode(exchange, target, memory, None)?;
        ask(exchange, target, memory, record).await?;
        let follows = memory.answer.is_stream() && target.module.dialect.has_streams();
        if let Some((files, file)) = local::named(exchange, &memory.answer) {
            return Box::pin(local::serve(exchange, files, &file)).await;
        }
        if !follows || memory.answer.status() >= 400 {
            return memory.reply(exchange).map(Answered::Here);
        }
        memory.message.clear();
        how = Some(download::wanted(exchange));
    }
    let Some(how) = how else { return Err(Reason::Bug) };
    encode(exchange, target, memory, Some(Purpose::Download))?;
    let Memory { message, answer, .. } = memory;
    // Boxed: most answers are no streams.
    Box::pin(download::run(exchange, target, message, answer, how, record)).await
}

/// Calls the module with the message in `memory`, where its answer is put.
pub(super) async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    memory: &mut Memory,
    record: &mut Record,
) -> Result<(), Reason> {
    if let Some(transport) = &exchange.tables.snapshot.embedded.transport {
        return Box::pin(embedded::call(exchange, target, transport, memory, record)).await;
    }
    let Memory { message, answer, .. } = memory;
    let method = exchange.head.method;
    let mut now = exchange.cx.io.now();
    let deadline = now + target.module.timeout;
    let mut attempts = Attempts::new(exchange, target, GrpcMethod::Do, record)?;
    loop {
        let (stream, visit) = attempts.open(now, deadline, record).await?;
        let sent = stream.send(exchange.down, message, true, deadline).await;
        if !stream.is_over() {
            let waited = match sent {
                Ok(()) => wait(exchange, deadline, || stream.ended()).await,
                Err(reason) => Err(reason),
            };
            waited.inspect_err(|reason| {
                stream.give_up(*reason);
                visit.failed(*reason);
            })?;
        }
        now = exchange.cx.io.now();
        record.upstream_answered = Some(now);
        let ended = stream.outcome();
        let (reason, again) = match ended.outcome {
            Ok(status) => {
                record.grpc_status = Some(status.code());
                match status {
                    Status::Ok => {
                        visit.went(Outcome::Well);
                        for message in stream.take_messages() {
                            answer
                                .merge(target.module.dialect, &message)
                                .map_err(|_| Reason::AnswerMalformed)?;
                        }
                        return Ok(());
                    }
                    // The service keeps the deadline that it was told, and may notice first.
                    Status::Cancelled | Status::DeadlineExceeded if now >= deadline => {
                        exchange.cx.counters.count(Counter::UpstreamTimeouts);
                        (Reason::UpstreamTimedOut, false)
                    }
                    Status::Unavailable => (Reason::ServiceFailed(status), method.is_idempotent()),
                    status => (Reason::ServiceFailed(status), false),
                }
            }
            Err(reason) => (reason, ended.refused || (ended.lost && method.is_idempotent())),
        };
        visit.failed(reason);
        drop((stream, visit));
        if !again || !attempts.again(deadline).await {
            return Err(reason);
        }
    }
}

/// Makes the message of a body, or of the query: of a call, or the first of a stream.
fn encode<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    memory: &mut Memory,
    purpose: Option<Purpose>,
) -> Result<(), Reason> {
    let Memory { body: json, message, .. } = memory;
    let dialect = target.module.dialect;
    let has_body = matches!(exchange.head.method, Method::Post | Method::Patch | Method::Delete);
    let (mut args, body) = match (has_body, dialect) {
        // A body that is no JSON object carries no arguments: that is the contract (SPEC 4.5).
        (true, Dialect::A | Dialect::B) => {
            let args = arguments::from_json(json);
            // Gateways of that time said so, where there was anything to read.
            let is_old_post = dialect == Dialect::A && exchange.head.method == Method::Post;
            if args.is_err() && is_old_post && !json.is_empty() {
                return Err(Reason::BodyUndecodable);
            }
            (args.unwrap_or_default(), None)
        }
        (true, Dialect::C) => {
            let body = str::from_utf8(json).ok().filter(|_| arguments::from_json(json).is_ok());
            (query_arguments(exchange), body)
        }
        (false, _) => (query_arguments(exchange), None),
    };
    if purpose.is_some() {
        download::add_fields(exchange, &mut args);
    }
    with_call(exchange, target, &args, body, |call| match purpose {
        None => call.encode(dialect, message),
        Some(purpose) => stream::first(call, dialect, purpose, message),
    })
    .map_err(|_| Reason::BodyTooLarge)
}

/// The query's parameters. One that cannot be decoded carries no arguments, as a body.
pub(super) fn query_arguments<'a, I: Io>(exchange: &Exchange<'a, I>) -> Vec<Argument<'a>> {
    let query = exchange.head.query.map(|query| query.of(exchange.text)).unwrap_or_default();
    arguments::from_query(query).unwrap_or_default()
}

/// Hands `then` the request in the words of the protocol (SPEC 4.5).
pub(super) fn with_call<I: Io, T>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    args: &[Argument<'_>],
    body: Option<&str>,
    then: impl FnOnce(&Call<'_>) -> T,
) -> T {
    let (head, text) = (exchange.head, exchange.text);
    let ip = ip_text(exchange.client);
    let shown = session::shown(exchange).ok().flatten();
    let gufo = &exchange.tables.snapshot.gufo;
    let path = &target.path;
    let session = exchange.session.get();
    let is_packaged = target.module.dialect == Dialect::C;
    let traceparent = is_packaged.then(|| trace::shown(exchange)).flatten();
    let call = Call {
        module: &path.module,
        param: &path.param,
        param_id: path.param_id.as_deref(),
        param_idd: path.param_idd.as_deref(),
        path: utf8(Some(head.path.of(text))),
        method: str::from_utf8(head.method_text.of(text)).unwrap_or_default(),
        ip: Some(ip.as_str()),
        user_agent: utf8(head.value(text, Known::UserAgent)),
        api_version: Some(target.api_version),
        language: language(utf8(head.value(text, Known::AcceptLanguage))).or(Some(&gufo.language)),
        time_stamp: i32::try_from(exchange.time.seconds()).ok(),
        token: shown.as_ref().map(|shown| &*shown.token),
        token_type: shown.as_ref().map(|shown| &*shown.kind),
        request_id: Some(exchange.request_id.as_str()),
        trace_id: traceparent.as_ref().and_then(trace::id),
        uid: session.map(|own| own.uid.as_str()),
        is_admin: session.map(|own| own.is_admin),
        session_end: session.map(|own| own.end),
        completed: session.map(|own| own.completed),
        readonly: session.map(|own| own.readonly),
        args,
        body,
        ..Call::default()
    };
    trust::with_sign(exchange, target.module, &call, then)
}

/// The digits of an octet with a dot behind them, and how many bytes that are.
static OCTETS: [([u8; 4], u8); 256] = octets();

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "at compile time")]
const fn octets() -> [([u8; 4], u8); 256] {
    let mut out = [([b'.'; 4], 0); 256];
    let mut octet: u8 = 0;
    loop {
        let ones = b'0' + octet % 10;
        let tens = b'0' + octet / 10 % 10;
        out[octet as usize] = match octet {
            0..=9 => ([ones, b'.', b'.', b'.'], 2),
            10..=99 => ([tens, ones, b'.', b'.'], 3),
            100.. => ([b'0' + octet / 100, tens, ones, b'.'], 4),
        };
        if octet == u8::MAX {
            return out;
        }
        octet += 1;
    }
}

/// An address as text, without an allocation; IPv4 without the machinery of `fmt`.
pub(super) fn ip_text(address: IpAddr) -> Text<48> {
    match address {
        IpAddr::V4(address) => {
            let mut text = [0; 16];
            let mut len = 0;
            for octet in address.octets() {
                #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
                let (digits, count) = OCTETS[usize::from(octet)];
                if let Some(place) = text.get_mut(len..len + 4) {
                    place.copy_from_slice(&digits);
                }
                len += usize::from(count);
            }
            Text::ascii(text.get(..len - 1).unwrap_or_default()) // No dot at the end.
        }
        IpAddr::V6(address) => {
            let mut text = Text::EMPTY;
            let _ = write!(text, "{address}"); // A text of 48 bytes has room for every address.
            text
        }
    }
}

fn utf8(bytes: Option<&[u8]>) -> Option<&str> {
    str::from_utf8(bytes?).ok()
}

/// The language that the client prefers, without its region: `de` of `de-AT,de;q=0.9`.
fn language(accept: Option<&str>) -> Option<&str> {
    let first = accept?.split(',').next()?;
    let tag = first.split(['-', ';']).next()?.trim();
    let is_language = (2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphabetic());
    is_language.then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::{ip_text, language};

    #[test]
    fn addresses_are_written_as_usual() {
        for text in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "10.20.3.100", "2001:db8::1", "::1"]
        {
            assert_eq!(ip_text(text.parse().unwrap()).as_str(), text);
        }
    }

    #[test]
    fn the_first_language_counts_without_its_region() {
        assert_eq!(language(Some("de-AT,de;q=0.9,en;q=0.8")), Some("de"));
        assert_eq!(language(Some("eng")), Some("eng"));
        assert_eq!(language(Some("*")), None);
        assert_eq!(language(Some("x\"y")), None);
        assert_eq!(language(None), None);
    }
}
