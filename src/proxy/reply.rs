//! Answers that the gateway writes: envelopes of the Gufo surface, problem details, and small
//! texts.

use std::borrow::Cow;

use crate::base::decimal;
use crate::base::time::UnixTime;
use crate::gufo::download;
use crate::gufo::envelope::{self, Envelope, LANG_DEFAULT};
use crate::gufo::fault::GufoFault;
use crate::gufo::json;
use crate::gufo::reply::Reply as Answer;
use crate::gufo::session::{self, Session};
use crate::io::Io;
use crate::message::head::{Method, Version};
use crate::protocol::h1::encode;

use super::context::Context;
use super::downstream::Downstream;
use super::grpc::fault;
use super::grpc::web::Asked;
use super::policy::Refusal;
use super::reason::{Blame, Reason};

/// In which form a refusal is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// RFC 9457.
    Problem,
    /// The envelope of the Gufo surface (SPEC 5.3).
    Envelope,
    /// A status of gRPC.
    Call,
    /// The same for a browser.
    WebCall,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// 0: nothing is sent.
    pub(super) status: u16,
    content_type: Cow<'static, str>,
    disposition: Option<String>,
    proxy_status: Option<&'static str>,
    /// A field line that the status asks for, encoded.
    line: Vec<u8>,
    body: Vec<u8>,
}

/// What the head of an answer says besides.
pub(super) struct Terms<'a> {
    /// Of the request: HEAD gets no body.
    pub(super) method: Method,
    /// Of the request.
    pub(super) version: Version,
    /// Whether the connection stays open.
    pub(super) keep: bool,
    pub(super) request_id: &'a [u8],
    /// Field lines of the surface (SPEC 2.6), encoded.
    pub(super) defaults: &'a [u8],
    /// Field lines of policies, encoded.
    pub(super) lines: &'a [u8],
}

const JSON: &str = "application/json";
const GRPC: &str = "application/grpc";
/// Content of one write. A client that takes so much within the time-out makes progress.
const WRITE_BYTES: usize = 64 * 1024;
const PROBLEM: &str = "application/problem+json";

impl Reply {
    fn new(status: u16, content_type: impl Into<Cow<'static, str>>, body: Vec<u8>) -> Self {
        let content_type = content_type.into();
        Reply {
            status,
            content_type,
            disposition: None,
            proxy_status: None,
            line: Vec::new(),
            body,
        }
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Reply::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// A text of another type.
    pub(super) fn page(content_type: &'static str, body: &str) -> Self {
        Reply::new(200, content_type, body.into())
    }

    /// An answer that is JSON already.
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        Reply::new(status, JSON, body)
    }

    pub(super) fn empty(status: u16) -> Self {
        Reply::new(status, "", Vec::new())
    }

    /// Sends the client elsewhere (RFC 9110 §15.4).
    pub(super) fn redirect(status: u16, location: &[u8]) -> Self {
        let mut reply = Reply::empty(status);
        encode::field(&mut reply.line, b"location", location);
        reply
    }

    /// Adds a field.
    pub(super) fn with(mut self, name: &[u8], value: &str) -> Self {
        encode::field(&mut self.line, name, value.as_bytes());
        self
    }

    /// Names the methods that the path is served with (RFC 9110 §15.5.6).
    pub(super) fn allow(self, methods: &str) -> Self {
        self.with(b"allow", methods)
    }

    /// What a service answered.
    pub(super) fn answer(
        answer: &Answer,
        session: Option<&Session>,
        now: UnixTime,
    ) -> Result<Self, Reason> {
        if let Some(file) = download::download(answer).map_err(|_| Reason::FileRefused)? {
            let body = file.body.into_owned().into_bytes();
            let mut reply = Reply::new(200, file.content_type.into_owned(), body);
            reply.disposition = Some(file.disposition);
            return Ok(reply);
        }
        let mut body = Vec::with_capacity(512);
        let session = session::updated(session, answer);
        let session = session.as_deref().map(session_told);
        Envelope { session, ..envelope(now) }.reply(&mut body, answer);
        let content_type = match answer.content_type() {
            Some(own) => Cow::Owned(own.into_owned()),
            None => Cow::Borrowed(JSON),
        };
        Ok(Reply::new(answer.status(), content_type, body))
    }

    /// A refusal outside the Gufo surface.
    pub(super) fn problem(reason: Reason, request_id: &str) -> Self {
        let row = reason.row();
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(b"{\"type\":\"https://otus.invalid/problems/");
        body.extend(row.code.bytes().map(|byte| if byte == b'_' { b'-' } else { byte }));
        body.extend_from_slice(b"\",\"title\":");
        json::put_string(&mut body, encode::reason(row.status));
        body.extend_from_slice(b",\"status\":");
        decimal::push(&mut body, row.status);
        body.extend_from_slice(b",\"detail\":");
        json::put_string(&mut body, row.detail);
        body.extend_from_slice(b",\"code\":");
        json::put_string(&mut body, row.code);
        body.extend_from_slice(b",\"request_id\":");
        json::put_string(&mut body, request_id);
        body.push(b'}');
        let mut reply = Reply::new(row.status, PROBLEM, body);
        reply.proxy_status = Some(proxy_status(reason));
        reply
    }

    /// A refusal as another gateway tells it.
    pub(super) fn refusal(reason: Reason, refusal: &Refusal) -> Self {
        let content_type = match refusal.body.first() {
            None => "",
            Some(b'{') => JSON,
            Some(_) => "text/plain; charset=utf-8",
        };
        let mut reply = Reply::new(refusal.status, content_type, refusal.body.clone());
        reply.proxy_status = Some(proxy_status(reason));
        reply
    }

    /// A refusal of a call of gRPC: nothing but trailers, which stand in the head.
    pub(super) fn call(reason: Reason) -> Self {
        let mut reply = Reply::new(200, GRPC, Vec::new());
        fault::lines(reason, &mut reply.line);
        reply.proxy_status = Some(proxy_status(reason));
        reply
    }

    /// The same of a call of gRPC-Web: the trailers are its content.
    pub(super) fn web_call(reason: Reason, asked: &Asked<'_>) -> Self {
        let mut lines = Vec::new();
        fault::lines(reason, &mut lines);
        let mut reply = Reply::new(200, asked.content_type(), asked.end(&lines));
        reply.proxy_status = Some(proxy_status(reason));
        reply
    }

    /// A fault of the original's own table that no other part of the gateway has.
    pub(super) fn gufo_fault(fault: GufoFault, legacy: bool, now: UnixTime) -> Self {
        let mut body = Vec::with_capacity(128);
        envelope(now).fault(&mut body, fault);
        Reply::new(fault.status(legacy), JSON, body)
    }

    /// Values of the gateway's own; they are JSON text.
    pub(super) fn values(values: &[(&str, &str)], now: UnixTime) -> Self {
        let mut body = Vec::with_capacity(128);
        envelope(now).data(&mut body, values);
        Reply::new(200, JSON, body)
    }

    /// A refusal within the Gufo surface. With `legacy` it has the status of the original, if that
    /// had one.
    pub(super) fn fault(reason: Reason, legacy: bool, now: UnixTime) -> Self {
        let (status, code, message) = told(reason, legacy);
        let mut body = Vec::with_capacity(128);
        envelope(now).error(&mut body, code, message);
        let status = if reason.row().status == 0 { 0 } else { status };
        let mut reply = Reply::new(status, JSON, body);
        reply.proxy_status = Some(proxy_status(reason));
        reply
    }
}

/// How services and their clients are told of a reason: status of HTTP, code and message.
pub(super) fn told(reason: Reason, legacy: bool) -> (u16, &'static str, &'static str) {
    let row = reason.row();
    match fault_of(reason) {
        Some(fault) => {
            let status = if legacy { fault.status(true) } else { row.status };
            (status, fault.code(), fault.message())
        }
        None if row.blame == Blame::Client => (row.status, "00003", row.detail),
        None => (row.status, "00004", row.detail),
    }
}

impl Reply {
    /// `<base>/info` (SPEC 5.1).
    pub(super) fn info(
        version: &str,
        registration: bool,
        session: Option<&Session>,
        now: UnixTime,
    ) -> Self {
        let mut text = Vec::new();
        json::put_string(&mut text, version);
        let version = str::from_utf8(&text).unwrap_or("\"\"");
        let registration = if registration { "true" } else { "false" };
        let data = [("version", version), ("registration", registration)];
        let mut body = Vec::with_capacity(128);
        let session = session.map(session_told);
        Envelope { session, ..envelope(now) }.data(&mut body, &data);
        Reply::new(200, JSON, body)
    }
}

/// What clients are told of a session.
fn session_told(own: &Session) -> envelope::Session<'_> {
    envelope::Session {
        uid: &own.uid,
        is_admin: own.is_admin,
        session_end: own.end,
        completed: own.completed,
        readonly: own.readonly,
    }
}

/// `GET <base>/health` (SPEC 5.1).
pub(super) fn health(now: UnixTime) -> Reply {
    let mut body = Vec::with_capacity(96);
    envelope(now).data(&mut body, &[("health", "\"OK\"")]);
    Reply::new(200, JSON, body)
}

fn envelope(time: UnixTime) -> Envelope<'static> {
    Envelope { time, lang: LANG_DEFAULT, session: None }
}

/// The row of the original's table for what happened, if it had one (SPEC 5.3).
fn fault_of(reason: Reason) -> Option<GufoFault> {
    Some(match reason {
        Reason::RequestMalformed | Reason::BodyMalformed => GufoFault::BadRequest,
        Reason::BodyUndecodable => GufoFault::BodyUndecodable,
        Reason::RouteNotFound => GufoFault::WrongRequest,
        Reason::PathInvalid => GufoFault::PathInvalid,
        Reason::PathTooShort => GufoFault::PathTooShort,
        Reason::ModuleReserved => GufoFault::WrongModule,
        Reason::ModuleUnknown => GufoFault::ModuleUnknown,
        Reason::AddressMissing => GufoFault::AddressMissing,
        Reason::RegistryUnavailable => GufoFault::Unresolved,
        Reason::SignatureWrong => GufoFault::InternalSignature,
        Reason::Unauthenticated | Reason::Forbidden => GufoFault::Unauthorized,
        Reason::RateLimited => GufoFault::RateLimited,
        Reason::ReadOnlyUser => GufoFault::ReadOnlyUser,
        Reason::BodyTruncated => GufoFault::BodyTruncated,
        Reason::BodyTooLarge | Reason::FilesTooMany => GufoFault::TooLarge,
        Reason::MultipartMalformed => GufoFault::MultipartInvalid,
        Reason::MultipartWithoutFile => GufoFault::FileMissing,
        Reason::ConnectRefused
        | Reason::ConnectTimedOut
        | Reason::ConnectFailed
        | Reason::TlsFailed
        | Reason::TlsUntrusted
        | Reason::TlsWithoutHttp2
        | Reason::EndpointsDown => GufoFault::Unreachable,
        Reason::PoolExhausted | Reason::OutOfSockets => GufoFault::ModuleConnection,
        Reason::UpstreamTimedOut => GufoFault::TransportTimeout,
        Reason::TlsAlert
        | Reason::UpstreamReset
        | Reason::UpstreamClosed
        | Reason::UpstreamProtocol
        | Reason::UpstreamEndedEarly
        | Reason::ServiceFailed(_) => GufoFault::Transport,
        Reason::AnswerTooLarge | Reason::AnswerMalformed => GufoFault::AnswerInvalid,
        Reason::FileRefused => GufoFault::FilePathRefused,
        Reason::Bug => GufoFault::Failure,
        Reason::TargetTooLong
        | Reason::HeadTooLarge
        | Reason::HeadTimedOut
        | Reason::MethodUnsupported
        | Reason::VersionUnsupported
        | Reason::CodingUnsupported
        | Reason::ExpectationUnsupported
        | Reason::ProtocolUnsupported
        | Reason::BodyTimedOut
        | Reason::BodyTooSlow
        | Reason::MethodNotAllowed
        | Reason::PaymentRequired
        | Reason::AddressRefused
        | Reason::OriginRefused
        | Reason::BotRefused
        | Reason::HostRefused
        | Reason::QuotaExceeded
        | Reason::AuthUnavailable
        | Reason::BillingUnavailable
        | Reason::TooBusy
        | Reason::CircuitOpen
        | Reason::Overloaded
        | Reason::LimitsUnavailable
        | Reason::ClientLeft
        | Reason::ClientStalled => return None,
    })
}

/// Who spoke, and why (RFC 9209 §2.3).
fn proxy_status(reason: Reason) -> &'static str {
    match reason {
        Reason::ConnectRefused => "otus; error=connection_refused",
        Reason::ConnectTimedOut => "otus; error=connection_timeout",
        Reason::ConnectFailed => "otus; error=destination_unavailable",
        Reason::TlsFailed | Reason::TlsWithoutHttp2 => "otus; error=tls_protocol_error",
        Reason::TlsUntrusted => "otus; error=tls_certificate_error",
        Reason::TlsAlert => "otus; error=tls_alert_received",
        Reason::PoolExhausted | Reason::OutOfSockets => "otus; error=connection_limit_reached",
        Reason::Unauthenticated
        | Reason::PaymentRequired
        | Reason::Forbidden
        | Reason::ReadOnlyUser
        | Reason::AddressRefused
        | Reason::OriginRefused
        | Reason::BotRefused
        | Reason::RateLimited
        | Reason::QuotaExceeded => "otus; error=http_request_denied",
        Reason::UpstreamTimedOut => "otus; error=http_response_timeout",
        Reason::UpstreamReset | Reason::UpstreamClosed | Reason::UpstreamEndedEarly => {
            "otus; error=connection_terminated"
        }
        Reason::UpstreamProtocol | Reason::AnswerMalformed => "otus; error=http_protocol_error",
        Reason::AnswerTooLarge => "otus; error=http_response_body_size",
        Reason::Bug => "otus; error=proxy_internal_error",
        Reason::RegistryUnavailable => "otus; error=destination_not_found",
        _ => "otus; error=http_request_error",
    }
}

/// Writes an answer; returns the bytes of content that were sent.
pub(super) async fn send<I: Io>(
    cx: &Context<I>,
    down: Downstream<'_, I>,
    reply: &Reply,
    terms: &Terms<'_>,
) -> Result<u64, Reason> {
    // Whatever a service made of it: neither has content (RFC 9110 §15.3.5, §15.4.5).
    let is_bare = terms.method == Method::Head || matches!(reply.status, 204 | 304);
    let content = if is_bare { &[][..] } else { &reply.body };
    let (now, mut rest) = content.split_at(content.len().min(WRITE_BYTES));
    let mut out = cx.take_gather();
    down.head(&mut out, |bytes| {
        bytes.reserve(512 + now.len());
        head(cx, bytes, reply, terms);
    });
    out.push(now);
    loop {
        let len = out.len();
        let deadline = cx.io.lately() + cx.tables().snapshot.timeouts.write;
        let (result, back) = down.write(out, rest.is_empty(), deadline).await;
        out = back;
        cx.written(result, len)?;
        if rest.is_empty() {
            cx.put_gather(out);
            return Ok(u64::try_from(content.len()).unwrap_or(0));
        }
        let (now, later) = rest.split_at(rest.len().min(WRITE_BYTES));
        rest = later;
        out.clear();
        out.push(now);
    }
}

fn head<I: Io>(cx: &Context<I>, out: &mut Vec<u8>, reply: &Reply, terms: &Terms<'_>) {
    encode::status_line(out, reply.status);
    out.extend_from_slice(terms.defaults);
    out.extend_from_slice(terms.lines);
    match &reply.content_type {
        Cow::Borrowed(JSON) => out.extend_from_slice(b"content-type: application/json\r\n"),
        Cow::Borrowed("") => {}
        other => drop(encode::field(out, b"content-type", other.as_bytes())),
    }
    if let Some(disposition) = &reply.disposition {
        encode::field(out, b"content-disposition", disposition.as_bytes());
    }
    out.extend_from_slice(&reply.line);
    if let Some(status) = reply.proxy_status {
        encode::field(out, b"proxy-status", status.as_bytes());
    }
    // Both are made of bytes that were checked, or that are ours.
    for (name, value) in [(&b"x-request-id: "[..], terms.request_id), (b"date: ", &cx.date())] {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    // 204 has no content and must not say how long it is (RFC 9110 §8.6).
    if reply.status != 204 && reply.content_type != GRPC {
        encode::content_length(out, u64::try_from(reply.body.len()).unwrap_or(0));
    }
    match (terms.keep, terms.version) {
        (false, _) => encode::connection_close(out),
        // To HTTP/1.0 the default is to close.
        (true, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, _) => {}
    }
    encode::end(out);
}
