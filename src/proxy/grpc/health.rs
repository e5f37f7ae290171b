//! `grpc.health.v1.Health` of the gateway itself: whether it, or what is behind it, takes calls.

use std::rc::Rc;
use std::time::Duration;

use prost::Message;

use crate::io::Io;
use crate::io::race::race;
use crate::message::head::Method;
use crate::protocol::grpc::health::{self, CHECK, Request, Serving, WATCH};
use crate::protocol::grpc::status::Status;
use crate::proxy::body::RequestBody;
use crate::proxy::event::Event;
use crate::proxy::exchange::Exchange;
use crate::proxy::http::response::Delivered;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;

use super::fault;
use super::served::{self, Answer};

/// Of a request; a real one is the name of a service.
const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Calls of one shard that wait for changes at the same time.
const WATCHES_MAX: usize = 1024;
/// A client that is gone without a word is found out by being told again.
const AGAIN: Duration = Duration::from_mins(5);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::proxy) enum Asked {
    /// How it is now.
    Check,
    /// And whenever that changes.
    Watch,
}

impl Asked {
    /// What a request asks, if that is for us to say.
    pub(in crate::proxy) fn by<I: Io>(exchange: &Exchange<'_, I>) -> Option<Self> {
        let (head, text) = (exchange.head, exchange.text);
        let path = head.path.of(text);
        let asked = match path {
            _ if path == CHECK.as_bytes() => Asked::Check,
            _ if path == WATCH.as_bytes() => Asked::Watch,
            _ => return None,
        };
        let is_offered = exchange.tables.snapshot.server.http2.grpc_health;
        (is_offered && head.method == Method::Post && fault::is_call(head, text)).then_some(asked)
    }
}

/// Answers a call. An error: nothing was said to the client yet.
pub(in crate::proxy) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    asked: Asked,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Delivered, Reason> {
    let service = read(body).await?;
    let mut answer = Answer::new(exchange);
    let told = match (asked, state(exchange, &service)) {
        (Asked::Check, None) => answer.end(Status::NotFound, &[], record).await,
        (Asked::Check, Some(state)) => answer.end(Status::Ok, &health::answer(state), record).await,
        (Asked::Watch, _) => watch(&mut answer, &service, record).await,
    };
    match told {
        Err(reason) if !answer.has_begun() => Err(reason),
        told => Ok(Delivered::here(answer.sent(), told.err())),
    }
}

/// The name of the service that is asked about.
async fn read<I: Io>(body: &mut RequestBody<'_, I>) -> Result<String, Reason> {
    let request = served::read(body, REQUEST_BYTES_MAX).await?;
    let read = Request::decode(request.as_slice()).map_err(|_| Reason::BodyMalformed)?;
    Ok(read.service)
}

/// How a service is now; `None`: there is none of that name. A shard that drains serves nothing.
fn state<I: Io>(exchange: &Exchange<'_, I>, service: &str) -> Option<Serving> {
    let is_served = service.is_empty() || exchange.cx.tables().is_served(service)?;
    let is_served = is_served && !exchange.cx.is_draining();
    Some(if is_served { Serving::Serving } else { Serving::NotServing })
}

/// Tells of the state at once and whenever it changes, until the client leaves or the shard
/// takes its leave.
async fn watch<I: Io>(
    answer: &mut Answer<'_, I>,
    service: &str,
    record: &mut Record,
) -> Result<(), Reason> {
    let exchange = answer.exchange();
    let cx = exchange.cx;
    let Some(stream) = exchange.down.stream() else { return Err(Reason::Bug) };
    let changed = Rc::new(Event::default());
    if cx.watches.len() >= WATCHES_MAX {
        return answer.end(Status::ResourceExhausted, &[], record).await;
    }
    let _place = cx.watches.enter(&changed);
    let (mut last, mut again) = (None, cx.io.now() + AGAIN);
    loop {
        let state = state(exchange, service).unwrap_or(Serving::ServiceUnknown);
        if cx.is_draining() {
            // What is in flight is waited for: this would never end.
            return answer.end(Status::Unavailable, &health::answer(state), record).await;
        }
        if last.replace(state) != Some(state) || cx.io.now() >= again {
            answer.send(&health::answer(state), false).await?;
            again = cx.io.now() + AGAIN;
        }
        let moved = race(changed.wait(), cx.io.sleep_until(again));
        race(stream.gone(), moved).await;
        if stream.is_gone() {
            return Err(Reason::ClientLeft);
        }
    }
}
