//! Heartbeats of services, over gRPC and over HTTP (SPEC 8.4): the gateway alone says that they
//! lead; where there is a master, it is for the master to say.

use crate::gufo::dialect::Dialect;
use crate::gufo::fault::GufoFault;
use crate::gufo::heartbeat;
use crate::gufo::json;
use crate::gufo::path::ModulePath;
use crate::gufo::registry::MASTER;
use crate::gufo::reply::Reply as Answer;
use crate::gufo::request::Call;
use crate::io::Io;
use crate::protocol::grpc::frame::PREFIX_BYTES;
use crate::snapshot::gufo::Module;

use super::body::RequestBody;
use super::call::ip_text;
use super::exchange::Exchange;
use super::reason::Reason;
use super::record::Record;
use super::reply::Reply;
use super::trust::{self, Shown};
use super::unary::{self, Question};

/// The master, where there is one.
fn master<'a, I: Io>(exchange: &'a Exchange<'_, I>) -> Option<&'a Module> {
    exchange.tables.snapshot.gufo.module(MASTER.as_bytes())
}

/// Tells the master; gives its answer with its dialect. `None`: there is no master. `payload` is a
/// JSON object.
pub(super) async fn tell_master<I: Io>(
    exchange: &Exchange<'_, I>,
    payload: &str,
    record: &mut Record,
) -> Option<Result<(Dialect, Vec<u8>), Reason>> {
    let module = master(exchange)?;
    Some(ask(exchange, module, payload, record).await.map(|said| (module.dialect, said)))
}

async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    module: &Module,
    payload: &str,
    record: &mut Record,
) -> Result<Vec<u8>, Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    let ip = ip_text(exchange.client);
    let base = Call {
        ip: Some(ip.as_str()),
        language: Some(&gufo.language),
        api_version: gufo.bases.first().map(|base| base.version.as_str()),
        time_stamp: i32::try_from(exchange.time.seconds()).ok(),
        request_id: Some(exchange.request_id.as_str()),
        ..Call::default()
    };
    let dialect = module.dialect;
    let made = heartbeat::with_call(payload, dialect, exchange.time, &base, |call| {
        trust::with_sign(exchange, module, call, |call| {
            let mut message = Vec::new();
            call.encode(dialect, &mut message).map(|()| message)
        })
    });
    let message = made.ok_or(Reason::BodyMalformed)?.map_err(|_| Reason::BodyTooLarge)?;
    let question = Question {
        upstream: module.upstream,
        method: dialect.path_do(),
        message: message.get(PREFIX_BYTES..).unwrap_or_default(),
        timeout: module.timeout,
    };
    // Said twice, it is the same.
    unary::ask_as(exchange, &question, true, record).await
}

/// Answers a heartbeat over HTTP. It says where a service is: where anybody acts on that, only one
/// of us may say it.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    (path, shown): (&ModulePath<'_>, Shown),
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Reply, Reason> {
    let mut payload = Vec::new();
    body.each(|bytes| {
        payload.extend_from_slice(bytes);
        Ok(())
    })
    .await?;
    trust::check(exchange, path, shown, &payload).await?;
    if master(exchange).is_some() && shown == Shown::Nothing {
        return Err(Reason::SignatureWrong);
    }
    let payload = if payload.is_empty() { b"{}" } else { payload.as_slice() };
    json::members(payload).map_err(|_| Reason::BodyMalformed)?;
    let payload = str::from_utf8(payload).map_err(|_| Reason::BodyMalformed)?;
    let now = exchange.time;
    match tell_master(exchange, payload, record).await {
        None => {
            let values = heartbeat::alone(now);
            Ok(Reply::values(&values.each_ref().map(|(name, json)| (*name, json.as_str())), now))
        }
        Some(Ok((dialect, said))) => {
            let mut answer = Answer::new();
            match answer.merge(dialect, &said) {
                Ok(()) => Reply::answer(&answer, None, now),
                Err(_) => Ok(failed(exchange)),
            }
        }
        Some(Err(Reason::ClientLeft)) => Err(Reason::ClientLeft),
        Some(Err(_)) => Ok(failed(exchange)),
    }
}

/// What is said when the master could not be told.
fn failed<I: Io>(exchange: &Exchange<'_, I>) -> Reply {
    let legacy = exchange.tables.snapshot.gufo.legacy_status;
    Reply::gufo_fault(GufoFault::HeartbeatFailed, legacy, exchange.time)
}
