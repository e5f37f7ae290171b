//! An answer that a module streams: what is asked for, and in which form it goes to the client.

use std::borrow::Cow;

use crate::gufo::arguments::{Argument, ArgumentValue};
use crate::gufo::reply::Reply as Answer;
use crate::io::Io;
use crate::message::head::Method;
use crate::message::known::Known;
use crate::protocol::grpc::status::Status;
use crate::proxy::attempt::{Attempts, Method as GrpcMethod};
use crate::proxy::exchange::{Exchange, Target};
use crate::proxy::grpc::stream::GrpcStream;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::proxy::respond::Answered;
use crate::snapshot::gufo::Download;
use crate::upstream::group::Outcome;

use super::answers::Answers;
use super::{events, file};

/// In which form a stream goes to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::proxy) enum How {
    /// As the content of an answer.
    File,
    /// As events.
    Events,
}

/// In which form the answer comes, if the module is known to stream its answers.
pub(in crate::proxy) fn configured<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
) -> Option<How> {
    let reads = matches!(exchange.head.method, Method::Get | Method::Head);
    match target.module.download {
        _ if !reads || !target.module.dialect.has_streams() => None,
        Download::Call => None,
        Download::Stream => Some(wanted(exchange)),
        Download::Events => Some(How::Events),
    }
}

/// In which form the client wants a stream.
pub(in crate::proxy) fn wanted<I: Io>(exchange: &Exchange<'_, I>) -> How {
    let mut accepts = exchange.head.values(exchange.text, Known::Accept);
    let is_events = |kind: &[u8]| {
        let end = kind.iter().position(|byte| *byte == b';').unwrap_or(kind.len());
        let name = kind.get(..end).unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"text/event-stream")
    };
    let asks = accepts.any(|value| value.split(|byte| *byte == b',').any(is_events));
    if asks { How::Events } else { How::File }
}

/// Fields that say which part of a stream is wanted, and the arguments that they become.
const FIELDS: [(Known, &str); 3] =
    [(Known::Range, "range"), (Known::IfRange, "if_range"), (Known::LastEventId, "last_event_id")];

/// Adds them to the arguments, which stay in the order of their names. They replace parameters of
/// these names.
pub(in crate::proxy) fn add_fields<'a, I: Io>(
    exchange: &Exchange<'a, I>,
    args: &mut Vec<Argument<'a>>,
) {
    for (known, name) in FIELDS {
        let value = exchange.head.value(exchange.text, known).map(str::from_utf8);
        let Some(Ok(value)) = value else { continue };
        args.retain(|argument| argument.name != name);
        let place = args.partition_point(|argument| *argument.name < *name);
        let value = ArgumentValue::Text(Cow::Borrowed(value));
        args.insert(place, Argument { name: Cow::Borrowed(name), value });
    }
}

/// Opens a stream with `message`, and relays what comes. `said` is what the service said before.
pub(in crate::proxy) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    message: &[u8],
    said: &Answer,
    how: How,
    record: &mut Record,
) -> Result<Answered, Reason> {
    let now = exchange.cx.io.now();
    let deadline = now + target.module.stream_timeout;
    let mut attempts = Attempts::new(exchange, target, GrpcMethod::Stream, record)?;
    let (stream, visit) = attempts.open(now, deadline, record).await?;
    stream.pass_through();
    let mut answers = Answers::new(exchange, &stream);
    let result = match ask(exchange, &stream, message, target).await {
        Err(reason) => Err(reason),
        Ok(()) => match how {
            How::File => file::relay(exchange, target, &mut answers, said, record).await,
            How::Events => events::relay(exchange, target, &mut answers, record).await,
        },
    };
    record.grpc_status = answers.status.map(Status::code).or(record.grpc_status);
    match &result {
        Ok(Answered::Delivered(delivered)) => match delivered.cut {
            None => visit.went(Outcome::Well),
            Some(reason) => visit.failed(reason),
        },
        Ok(Answered::Here(_)) => visit.went(Outcome::Well),
        Err(reason) => {
            visit.failed(*reason);
            stream.give_up(*reason);
        }
    }
    result
}

/// Sends the one message that there is.
async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    stream: &GrpcStream<I>,
    message: &[u8],
    target: &Target<'_>,
) -> Result<(), Reason> {
    let deadline = exchange.cx.io.now() + target.module.stream_timeout;
    match stream.send(exchange.down, message, true, deadline).await {
        // It may have answered without having heard all.
        Err(_) if stream.has_said_more() => Ok(()),
        sent => sent,
    }
}
