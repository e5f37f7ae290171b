//! A connection of a service, and the calls on it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::limits;
use crate::base::time::Instant;
use crate::gufo::dialect::Dialect;
use crate::io::Io;
use crate::message::framing::Framing;
use crate::message::head::Method;
use crate::protocol::grpc::timeout;
use crate::protocol::h1::body::BodyDecoder;
use crate::proxy::body::{Pace, RequestBody};
use crate::proxy::context::{Context, HeadText};
use crate::proxy::downstream::Downstream;
use crate::proxy::exchange::Exchange;
use crate::proxy::grpc::{fault, health};
use crate::proxy::h2;
use crate::proxy::http::response::Delivered;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::proxy::reply::Style;
use crate::proxy::{respond, secure};
use crate::snapshot::server::Serves;
use crate::tls::stream::Stream;

use super::{call, stream};

/// Serves a connection to its end. It begins with HTTP/2, and with no header of a proxy: services
/// come directly.
pub(in crate::proxy) async fn connection<I: Io>(
    cx: &Rc<Context<I>>,
    mut socket: Stream<I::Socket>,
    peer: SocketAddr,
    listener: u16,
) {
    if secure::begin(cx, &mut socket, listener, None).await.is_some() {
        h2::serve::serve(cx, &socket, peer, None, Serves::Reverse).await;
    }
}

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// `packaged`: in dialect C.
    Do {
        packaged: bool,
    },
    Stream {
        packaged: bool,
    },
    Health(health::Asked),
}

/// What of an answer was sent, and why it is a failure if it is one.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) sent: u64,
    pub(super) reason: Option<Reason>,
}

/// Serves one call to its end.
pub(in crate::proxy) async fn run<I: Io>(
    cx: &Rc<Context<I>>,
    down: Downstream<'_, I>,
    peer: SocketAddr,
    head: &HeadText,
    started: Instant,
) {
    let exchange = Exchange::new(cx, down, peer, head, started);
    let mut record = Record::begin(cx, started);
    let wanted = wanted(&exchange);
    let mut body = open_body(&exchange, matches!(wanted, Ok(Wanted::Stream { .. })));
    let result = match wanted {
        Ok(Wanted::Do { packaged }) => {
            let _place = cx.exchanges.enter(down.socket());
            call::run(&exchange, packaged, &mut body, &mut record).await
        }
        Ok(Wanted::Stream { packaged }) => {
            let _place = cx.uploads.enter(down.socket());
            stream::run(&exchange, packaged, &mut body, &mut record).await
        }
        Ok(Wanted::Health(asked)) => {
            let _place = cx.exchanges.enter(down.socket());
            let answered = health::run(&exchange, asked, &mut body, &mut record).await;
            answered.map(|Delivered { sent, cut, .. }| Told { sent, reason: cut })
        }
        Err((reason, style)) => {
            respond::respond(&exchange, style, Err(reason), &mut body, &mut record).await;
            return;
        }
    };
    match result {
        Ok(Told { sent, reason }) => {
            record.received = body.received();
            record.stalled = body.stalled();
            record.end(cx, &exchange.subject(), reason, 200, sent);
        }
        // Nothing was said yet: it is no call that could be understood.
        Err(reason) => {
            respond::respond(&exchange, Style::Call, Err(reason), &mut body, &mut record).await;
        }
    }
}

/// What a request asks for; an error, and how it is told, if that is nothing of this server.
fn wanted<I: Io>(exchange: &Exchange<'_, I>) -> Result<Wanted, (Reason, Style)> {
    let (head, text) = (exchange.head, exchange.text);
    if !fault::is_call(head, text) {
        return Err((Reason::RouteNotFound, Style::Problem));
    }
    if head.method != Method::Post {
        return Err((Reason::MethodNotAllowed, Style::Call));
    }
    if let Some(asked) = health::Asked::by(exchange) {
        return Ok(Wanted::Health(asked));
    }
    let path = head.path.of(text);
    for dialect in [Dialect::B, Dialect::C] {
        let packaged = dialect == Dialect::C;
        if path == dialect.path_do().as_bytes() {
            return Ok(Wanted::Do { packaged });
        }
        if path == dialect.path_stream().as_bytes() {
            return Ok(Wanted::Stream { packaged });
        }
    }
    Err((Reason::RouteNotFound, Style::Call))
}

/// The body of a call. A stream may be silent for as long as who it is for allows.
fn open_body<'a, I: Io>(exchange: &Exchange<'a, I>, is_stream: bool) -> RequestBody<'a, I> {
    let mut pace = Pace::usual(&exchange.tables.snapshot.timeouts);
    let mut max = u64::try_from(limits::GRPC_MESSAGE_BYTES_MAX).unwrap_or(u64::MAX);
    max = max.saturating_add(u64::from(u16::MAX)); // A message and its prefix.
    if is_stream {
        pace = pace.silent();
        max = u64::MAX;
    }
    let framing = match exchange.head.framing {
        Framing::Chunked => Framing::UntilClose,
        framing => framing,
    };
    let decoder = BodyDecoder::new(framing, max);
    let unasked = exchange.head.expect_continue;
    RequestBody::new(exchange.cx, exchange.down, None, decoder, pace, unasked)
}

/// How long the caller waits, as it says (`grpc-timeout`).
pub(super) fn patience<I: Io>(exchange: &Exchange<'_, I>) -> Result<Option<Duration>, Reason> {
    match exchange.head.by_name(exchange.text, "grpc-timeout") {
        None => Ok(None),
        Some(value) => timeout::decode(value).map(Some).ok_or(Reason::RequestMalformed),
    }
}
