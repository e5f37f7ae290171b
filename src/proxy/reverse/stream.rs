//! `Stream`: relayed to the module that its first message names; without one, each message is
//! answered with a pong (SPEC 4.8).

use crate::base::limits;
use crate::gufo::answer;
use crate::gufo::asked::Asked;
use crate::gufo::dialect::Dialect;
use crate::io::Io;
use crate::protocol::grpc::frame;
use crate::protocol::grpc::status::Status;
use crate::proxy::body::RequestBody;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc::fault;
use crate::proxy::grpc::served::{Answer, Messages};
use crate::proxy::http::forward::{self, Destination};
use crate::proxy::http::response::Delivered;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::snapshot::gufo::Module;
use crate::snapshot::route::{Route, RouteTimeouts};

use super::serve::{Told, patience};
use super::{call, proof};

/// Serves a stream to its end. An error: nothing was said yet, and it is no stream of messages.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    packaged: bool,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Told, Reason> {
    let deadline = exchange.cx.io.now() + exchange.tables.snapshot.timeouts.body_idle;
    let mut messages = Messages::new(limits::GRPC_MESSAGE_BYTES_MAX);
    let Some(first) = messages.next(exchange, body, deadline).await? else {
        return say(exchange, &[], None, record).await;
    };
    let asked = Asked::read(packaged, &first).map_err(|_| Reason::BodyMalformed)?;
    if let Err(reason) = proof::check(exchange, &asked).await {
        return say_fault(exchange, reason, record).await;
    }
    if asked.call.module.is_empty() {
        drop(first);
        return echo(exchange, messages, body, record).await;
    }
    let relayed = match call::seek(exchange, asked.call.module).await {
        Ok(renewed) => {
            let exchange = renewed.as_ref().unwrap_or(exchange);
            match find(exchange, packaged, &asked) {
                Ok((index, module)) => {
                    if let Some(table) = exchange.tables.modules.get(index) {
                        record.label = table.label;
                    }
                    let len = u32::try_from(first.len()).unwrap_or(u32::MAX);
                    let first = [&frame::prefix(len), first.as_slice(), messages.rest()].concat();
                    relay(exchange, module, &first, body, record).await
                }
                Err(reason) => Err(reason),
            }
        }
        Err(reason) => Err(reason),
    };
    match relayed {
        Ok(Delivered { sent, cut, .. }) => Ok(Told { sent, reason: cut }),
        Err(Reason::ClientLeft) => Err(Reason::ClientLeft),
        Err(reason) => say_fault(exchange, reason, record).await,
    }
}

/// The module that a stream is for. Its messages pass as they come, so it has to speak their form.
fn find<'a, I: Io>(
    exchange: &'a Exchange<'_, I>,
    packaged: bool,
    asked: &Asked<'_>,
) -> Result<(usize, &'a Module), Reason> {
    let (index, module) = call::find(exchange, asked.call.module)?;
    let wanted = if packaged { Dialect::C } else { Dialect::B };
    if module.dialect == wanted { Ok((index, module)) } else { Err(Reason::ProtocolUnsupported) }
}

/// Passes both directions through, each as fast as the other side takes it.
async fn relay<I: Io>(
    exchange: &Exchange<'_, I>,
    module: &Module,
    first: &[u8],
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Delivered, Reason> {
    let Some(spec) = exchange.tables.snapshot.upstream(module.upstream) else {
        return Err(Reason::Bug);
    };
    let mut route = Route::to_upstream(&module.name, module.upstream);
    route.timeouts = RouteTimeouts {
        connect: spec.connect_timeout,
        first_byte: module.stream_timeout,
        idle: module.stream_timeout,
        total: patience(exchange)?,
    };
    let destination = Destination {
        upstream: module.upstream,
        path: module.dialect.path_stream().as_bytes(),
        route: &route,
        begun: exchange.started,
        first,
    };
    // Boxed: endpoints that speak HTTP/1.1 have room in it as well.
    Box::pin(forward::run(exchange, &destination, body, record)).await
}

/// Answers each message, the first of which has come, with a pong.
async fn echo<I: Io>(
    exchange: &Exchange<'_, I>,
    mut messages: Messages,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Told, Reason> {
    let pong = call::framed(&answer::pong());
    let mut answer = Answer::new(exchange);
    let reason = loop {
        if let Err(reason) = answer.send(&pong, false).await {
            return Ok(Told { sent: answer.sent(), reason: Some(reason) });
        }
        let deadline = exchange.cx.io.now() + limits::STREAM_IDLE_TIMEOUT;
        match messages.next(exchange, body, deadline).await {
            Ok(Some(_)) if exchange.cx.is_draining() => break Some(Reason::Overloaded),
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(reason) => break Some(reason),
        }
    };
    let status = reason.map_or(Status::Ok, fault::status);
    let told = answer.end(status, &[], record).await;
    Ok(Told { sent: answer.sent(), reason: told.err().or(reason) })
}

async fn say_fault<I: Io>(
    exchange: &Exchange<'_, I>,
    reason: Reason,
    record: &mut Record,
) -> Result<Told, Reason> {
    let message = match reason {
        Reason::ProtocolUnsupported => answer::fault(reason.row().status, "0000500", OTHER_FORM),
        _ => call::fault(exchange, reason),
    };
    let message = call::framed(&message);
    say(exchange, &message, Some(reason), record).await
}

/// What is said of a module whose messages are others.
const OTHER_FORM: &str = "The module speaks another form of the protocol";

/// Says one message, or none, and that this is all.
async fn say<I: Io>(
    exchange: &Exchange<'_, I>,
    message: &[u8],
    reason: Option<Reason>,
    record: &mut Record,
) -> Result<Told, Reason> {
    let mut answer = Answer::new(exchange);
    let told = answer.end(Status::Ok, message, record).await;
    Ok(Told { sent: answer.sent(), reason: told.err().or(reason) })
}
