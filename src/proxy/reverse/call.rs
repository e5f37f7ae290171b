//! `Do`: heartbeats for the gateway, everything else for the module that it names.

use crate::base::limits;
use crate::gufo::answer;
use crate::gufo::asked::Asked;
use crate::gufo::dialect::Dialect;
use crate::gufo::fault::GufoFault;
use crate::gufo::heartbeat as beats;
use crate::gufo::path::Reserved;
use crate::gufo::registry::Wanted;
use crate::gufo::request::Call;
use crate::gufo::translate::{self, PartsError, Passage};
use crate::io::Io;
use crate::protocol::grpc::frame::{self, PREFIX_BYTES};
use crate::protocol::grpc::status::Status;
use crate::proxy::body::RequestBody;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc::served::{self, Answer};
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::proxy::unary::{self, Question};
use crate::proxy::{heartbeat, registry, reply, trace, trust};
use crate::snapshot::gufo::Module;

use super::proof;
use super::serve::{Told, patience};

/// Answers a call. An error: it could not be understood, and nothing was said yet. All else that
/// fails is an answer as well (SPEC 4.8).
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    packaged: bool,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Told, Reason> {
    let message = served::read(body, limits::GRPC_MESSAGE_BYTES_MAX).await?;
    let asked = Asked::read(packaged, &message).map_err(|_| Reason::BodyMalformed)?;
    let (said, reason) = match ask(exchange, &asked, record).await {
        Ok(said) => (said, None),
        Err(Reason::ClientLeft) => return Err(Reason::ClientLeft),
        Err(reason) => (fault(exchange, reason), Some(reason)),
    };
    let mut answer = Answer::new(exchange);
    let told = answer.end(Status::Ok, &framed(&said), record).await;
    Ok(Told { sent: answer.sent(), reason: told.err().or(reason) })
}

/// A message as it stands in DATA.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&frame::prefix(len), message].concat()
}

/// How a failure is told: as data, never as a status of gRPC.
pub(super) fn fault<I: Io>(exchange: &Exchange<'_, I>, reason: Reason) -> Vec<u8> {
    let legacy = exchange.tables.snapshot.gufo.legacy_status;
    let (status, code, message) = reply::told(reason, legacy);
    answer::fault(status, code, message)
}

/// Waits for a module that is not known yet, where somebody may know it; the exchange that knows it
/// then. `None`: it is known already.
pub(super) async fn seek<'a, I: Io>(
    exchange: &'a Exchange<'a, I>,
    name: &str,
) -> Result<Option<Exchange<'a, I>>, Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    if gufo.find(name.as_bytes()).is_some() {
        return Ok(None);
    }
    if gufo.registry.is_none() && gufo.is_unplaced(name.as_bytes()) {
        return Err(Reason::AddressMissing);
    }
    let is_module = gufo.registry.is_some() && Reserved::from_name(name).is_none();
    let wanted = Wanted::module(name).filter(|_| is_module).ok_or(Reason::ModuleUnknown)?;
    // Boxed: nearly all modules are known.
    Box::pin(registry::seek(exchange, &wanted)).await?;
    Ok(Some(exchange.renewed()))
}

/// The module of this name with its dense id.
pub(super) fn find<'a, I: Io>(
    exchange: &'a Exchange<'_, I>,
    name: &str,
) -> Result<(usize, &'a Module), Reason> {
    let found = exchange.tables.snapshot.gufo.find(name.as_bytes());
    found.ok_or(Reason::ModuleUnknown)
}

async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    asked: &Asked<'_>,
    record: &mut Record,
) -> Result<Vec<u8>, Reason> {
    proof::check(exchange, asked).await?;
    if asked.call.module == beats::MODULE {
        return beat(exchange, asked, record).await;
    }
    let renewed = seek(exchange, asked.call.module).await?;
    let exchange = renewed.as_ref().unwrap_or(exchange);
    let (index, module) = find(exchange, asked.call.module)?;
    if let Some(table) = exchange.tables.modules.get(index) {
        record.label = table.label;
    }
    let timeout = match patience(exchange)? {
        Some(own) => own.saturating_sub(exchange.cx.io.now() - exchange.started),
        None => module.timeout,
    };
    let made;
    let message = match translate::passage(asked, module.dialect) {
        Ok(Passage::Same) => asked.message,
        Ok(Passage::Moved(moved)) => {
            made = moved;
            made.as_slice()
        }
        Ok(Passage::Anew) => {
            made = anew(exchange, asked, module)?;
            made.get(PREFIX_BYTES..).unwrap_or_default()
        }
        Err(_) => return Err(Reason::BodyMalformed),
    };
    let question = Question {
        upstream: module.upstream,
        method: module.dialect.path_do(),
        message,
        timeout: timeout.min(module.timeout),
    };
    let repeatable = translate::reads(asked.call.method);
    let said = unary::ask_as(exchange, &question, repeatable, record).await?;
    response(module.dialect, &said, asked)
}

fn response(from: Dialect, said: &[u8], asked: &Asked<'_>) -> Result<Vec<u8>, Reason> {
    let made = translate::response(from, asked.dialect, said, asked.message);
    made.map_err(|_| Reason::AnswerMalformed)
}

/// The call in the words of the module's dialect, with a signature of ours: that of the caller is
/// over other words.
fn anew<I: Io>(
    exchange: &Exchange<'_, I>,
    asked: &Asked<'_>,
    module: &Module,
) -> Result<Vec<u8>, Reason> {
    let traceparent = trace::shown(exchange);
    let made = translate::anew(asked, module.dialect, |call| {
        let trace_id = call.trace_id.or_else(|| traceparent.as_ref().and_then(trace::id));
        trust::with_sign(exchange, module, &Call { trace_id, ..*call }, |call| {
            let mut message = Vec::new();
            call.encode(module.dialect, &mut message).map(|()| message)
        })
    });
    match made {
        Ok(Ok(message)) => Ok(message),
        Ok(Err(_)) => Err(Reason::BodyTooLarge),
        Err(PartsError::Wire(_) | PartsError::NotAnObject) => Err(Reason::BodyMalformed),
    }
}

async fn beat<I: Io>(
    exchange: &Exchange<'_, I>,
    asked: &Asked<'_>,
    record: &mut Record,
) -> Result<Vec<u8>, Reason> {
    let payload = beats::payload(asked).ok().flatten().ok_or(Reason::BodyMalformed)?;
    match heartbeat::tell_master(exchange, &payload, record).await {
        None => Ok(beats::alone_message(exchange.time)),
        Some(Ok((dialect, said))) => response(dialect, &said, asked),
        Some(Err(Reason::ClientLeft)) => Err(Reason::ClientLeft),
        Some(Err(_)) => {
            let legacy = exchange.tables.snapshot.gufo.legacy_status;
            let failed = GufoFault::HeartbeatFailed;
            Ok(answer::fault(failed.status(legacy), failed.code(), failed.message()))
        }
    }
}
