//! The end of an exchange: the answer is sent, what happened is told, and what becomes of the
//! connection is said.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::base::time::Instant;
use crate::io::Io;
use crate::message::head::{Method, RequestHead, Version};

use super::body::RequestBody;
use super::connection::After;
use super::context::{Context, HeadText};
use super::downstream::Downstream;
use super::exchange::Exchange;
use super::grpc::fault;
use super::grpc::web::Asked;
use super::http::response::Delivered;
use super::reason::{Fate, Reason};
use super::record::{Record, Subject};
use super::reply::{self, Reply, Style, Terms};
use super::request_id;

/// What became of a request that was not refused.
pub(super) enum Answered {
    /// The answer is here whole.
    Here(Reply),
    /// It was delivered as it came.
    Delivered(Delivered),
}

/// Answers a head that could not be read.
pub(super) async fn refuse<I: Io>(
    cx: &Rc<Context<I>>,
    down: Downstream<'_, I>,
    peer: SocketAddr,
    head: &HeadText,
    reason: Reason,
    started: Instant,
) -> After {
    let request_id = request_id::new(cx, cx.io.unix_now());
    debug_assert!(head.text.is_empty(), "a refused head keeps no text");
    // What was read of the head before the fault is not to be trusted: nothing of it is told.
    let blank = RequestHead::default();
    let record = Record::begin(cx, started);
    let tables = cx.tables();
    let client = peer.ip().to_canonical();
    let (tables, head, span) = (&*tables, &blank, None);
    let subject = Subject { tables, head, text: &[], client, request_id, span, secure: false };
    let reply = Reply::problem(reason, request_id.as_str());
    let version = Version::Http11;
    let request_id = request_id.as_bytes();
    let (defaults, lines) = (&[][..], &[][..]);
    let terms = Terms { method: Method::Get, version, keep: false, request_id, defaults, lines };
    let sent = reply::send(cx, down, &reply, &terms).await;
    record.end(cx, &subject, Some(reason), reply.status, sent.unwrap_or(0));
    if sent.is_ok() { After::Linger } else { After::Close }
}

/// Tells of an answer that was delivered and says what becomes of the connection.
pub(super) fn conclude<I: Io>(
    exchange: &Exchange<'_, I>,
    delivered: &Delivered,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> After {
    record.received = body.received();
    record.stalled = body.stalled();
    let Delivered { status, sent, keep, cut, .. } = *delivered;
    exchange.end_admission(status, cut);
    record.end(exchange.cx, &exchange.subject(), cut, status, sent);
    if cut.is_some() || status == 101 {
        return After::Close;
    }
    after(keep, body)
}

/// Sends the answer, if it was not, and says what becomes of the connection.
pub(super) async fn respond<I: Io>(
    exchange: &Exchange<'_, I>,
    style: Style,
    result: Result<Answered, Reason>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> After {
    let cx = exchange.cx;
    let (reply, reason) = match result {
        Ok(Answered::Delivered(delivered)) => return conclude(exchange, &delivered, body, record),
        Ok(Answered::Here(reply)) => (reply, None),
        Err(reason) => {
            let gufo = &exchange.tables.snapshot.gufo;
            let now = cx.io.unix_now();
            let reply = match style {
                Style::Problem => match exchange.refusal(reason) {
                    Some(refusal) => Reply::refusal(reason, &refusal),
                    None => Reply::problem(reason, exchange.request_id.as_str()),
                },
                Style::Call => {
                    record.grpc_status = Some(fault::status(reason).code());
                    Reply::call(reason)
                }
                Style::WebCall => {
                    record.grpc_status = Some(fault::status(reason).code());
                    match Asked::by(exchange.head, exchange.text) {
                        Some(asked) => Reply::web_call(reason, &asked),
                        None => Reply::call(reason),
                    }
                }
                Style::Envelope => Reply::fault(reason, gufo.legacy_status, now),
            };
            (reply, Some(reason))
        }
    };
    record.received = body.received();
    record.stalled = body.stalled();
    exchange.end_admission(reply.status, reason);
    let fate = reason.map_or(Fate::Keep, |reason| reason.row().fate);
    let keep =
        exchange.head.keep_alive && body.is_done() && fate == Fate::Keep && !cx.is_draining();
    if reply.status == 0 {
        record.end(cx, &exchange.subject(), reason, 0, 0);
        return After::Close;
    }
    let defaults = match style {
        Style::Envelope => &exchange.tables.default_lines[..],
        Style::Problem | Style::Call | Style::WebCall => &[],
    };
    let RequestHead { method, version, .. } = *exchange.head;
    let request_id = exchange.request_id.as_bytes();
    let lines = exchange.answer_lines();
    let terms = Terms { method, version, keep, request_id, defaults, lines };
    let sent = reply::send(cx, exchange.down, &reply, &terms).await;
    let reason = sent.err().or(reason);
    record.end(cx, &exchange.subject(), reason, reply.status, sent.unwrap_or(0));
    if sent.is_err() {
        return After::Close;
    }
    match after(keep, body) {
        After::Wait if reason == Some(Reason::Overloaded) => After::Rest,
        after => after,
    }
}

/// What becomes of a connection whose exchange ended well.
fn after<I: Io>(keep: bool, body: &mut RequestBody<'_, I>) -> After {
    if !keep {
        return After::Linger;
    }
    match body.take_rest() {
        Some(rest) if !rest.is_empty() => After::Next(rest),
        _ => After::Wait,
    }
}
