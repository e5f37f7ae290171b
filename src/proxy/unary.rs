//! One message to a gRPC service of an upstream, and its answer.

use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;
use crate::observe::counters::Counter;
use crate::protocol::grpc::status::Status;
use crate::protocol::grpc::timeout;
use crate::protocol::h2::hpack::encode::Block;
use crate::proxy::attempt::wait;
use crate::proxy::choice::Chooser;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::snapshot::upstream::UpstreamId;
use crate::upstream::group::Outcome;

/// What is called.
pub(super) struct Question<'a> {
    pub(super) upstream: UpstreamId,
    pub(super) method: &'a str,
    pub(super) message: &'a [u8],
    pub(super) timeout: Duration,
}

/// Asks; asking twice does no harm, so what was lost is asked again where the upstream allows it.
pub(super) async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    question: &Question<'_>,
) -> Result<Vec<u8>, Reason> {
    ask_as(exchange, question, true, &mut Record::aside(exchange.started)).await
}

/// The same, told of in `record`. What is not `repeatable` is asked again only if nobody can have
/// looked at it.
pub(super) async fn ask_as<I: Io>(
    exchange: &Exchange<'_, I>,
    question: &Question<'_>,
    repeatable: bool,
    record: &mut Record,
) -> Result<Vec<u8>, Reason> {
    let mut chooser = Chooser::new(exchange, question.upstream, record)?;
    let deadline = exchange.cx.io.now() + question.timeout;
    let mut number = chooser.pick()?;
    loop {
        let visit = chooser.begin(number, record);
        record.upstream_sent = Some(exchange.cx.io.now());
        let answered = once(exchange, question, &chooser, number, deadline).await;
        record.upstream_answered = Some(exchange.cx.io.now());
        let (reason, again) = match answered {
            Ok(answer) => {
                visit.went(Outcome::Well);
                record.grpc_status = Some(Status::Ok.code());
                return Ok(answer);
            }
            Err(Failed { reason, unseen, lost }) => (reason, unseen || (lost && repeatable)),
        };
        if let Reason::ServiceFailed(status) = reason {
            record.grpc_status = Some(status.code());
        }
        visit.failed(reason);
        drop(visit);
        let next = if again { chooser.again(number, deadline).await } else { None };
        number = next.ok_or(reason)?;
    }
}

/// An attempt that came to nothing.
struct Failed {
    reason: Reason,
    /// The endpoint has certainly not acted on it.
    unseen: bool,
    /// It may have, or not.
    lost: bool,
}

impl Failed {
    /// It is not tried again.
    fn at_last(reason: Reason) -> Self {
        Failed { reason, unseen: false, lost: false }
    }
}

/// One attempt.
async fn once<I: Io>(
    exchange: &Exchange<'_, I>,
    question: &Question<'_>,
    chooser: &Chooser<'_, I>,
    number: usize,
    deadline: Instant,
) -> Result<Vec<u8>, Failed> {
    let Chooser { spec, table, .. } = chooser;
    let (Some(pool), Some(endpoint)) = (table.pools.get(number), spec.endpoints.get(number)) else {
        return Err(Failed::at_last(Reason::Bug));
    };
    let block = Block::new()
        .field(b":method", b"POST")
        .field(b":scheme", spec.scheme().as_bytes())
        .compact(b":path", question.method.as_bytes())
        .compact(b":authority", endpoint.authority().as_bytes())
        .compact(b"content-type", b"application/grpc")
        .compact(b"te", b"trailers")
        .compact(b"user-agent", concat!("otus/", env!("CARGO_PKG_VERSION")).as_bytes())
        .compact(b"grpc-timeout", timeout::encode(question.timeout).as_str().as_bytes())
        .field(b"x-request-id", exchange.request_id.as_bytes());
    let (cx, now) = (exchange.cx, exchange.cx.io.now());
    let stream = pool
        .open(cx, spec, block.as_slice(), false, now, deadline)
        .await
        .map_err(|reason| Failed { reason, unseen: reason.is_unreached(), lost: false })?;
    let mut message = vec![0];
    let len = u32::try_from(question.message.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(question.message);
    let sent = stream.send(exchange.down, &message, true, deadline).await;
    if !stream.is_over() {
        let waited = match sent {
            Ok(()) => wait(exchange, deadline, || stream.ended()).await,
            Err(reason) => Err(reason),
        };
        waited.map_err(|reason| {
            stream.give_up(reason);
            Failed::at_last(reason)
        })?;
    }
    let ended = stream.outcome();
    match ended.outcome {
        Ok(Status::Ok) => match stream.take_messages().next() {
            Some(answer) => Ok(answer),
            None => Err(Failed::at_last(Reason::AnswerMalformed)),
        },
        // The service keeps the deadline that it was told, and may notice first.
        Ok(Status::Cancelled | Status::DeadlineExceeded) if cx.io.now() >= deadline => {
            cx.counters.count(Counter::UpstreamTimeouts);
            Err(Failed::at_last(Reason::UpstreamTimedOut))
        }
        Ok(status) => {
            let lost = status == Status::Unavailable;
            Err(Failed { reason: Reason::ServiceFailed(status), unseen: false, lost })
        }
        Err(reason) => Err(Failed { reason, unseen: ended.refused, lost: ended.lost }),
    }
}
