//! What our engine and the crate make of the same octets, as one kind of log.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use http::Request;
use otus::base::prng::Prng;
use otus::base::time::Instant;
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::{ConnectionError, Event, HeadersKind};
use otus::protocol::h2::frame::{ErrorCode, FrameHead, Kind, PREFACE, be_u32};
use otus::protocol::h2::hpack::encode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::pen::Fields;

/// More than any script, or what it is answered.
const PIPE_BYTES: usize = 8 << 20;
/// Windows that no script fills.
const WINDOW: u32 = 1 << 20;
/// The preface, SETTINGS and their acknowledgement.
pub(crate) const GREETING_BYTES: usize = 42;
/// Turns without news after which nothing more is expected.
const QUIET_TURNS: usize = 300;

/// How far a message came.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Open,
    Whole,
    Reset(u32),
}

/// A message as it was understood; all fields are sorted, for the crate keeps no order of names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) interim: Vec<Fields>,
    pub(crate) head: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Fields>,
    pub(crate) end: End,
}

/// By stream.
pub(crate) type Log = BTreeMap<u32, Seen>;

/// What we promise a writer; the crate is set to the same.
fn config(role: Role, table: u32) -> Config {
    let base = if role == Role::Server { Config::server() } else { Config::client() };
    let streams_max = if role == Role::Server { 10_000 } else { 0 };
    Config {
        header_table: table,
        initial_window: WINDOW,
        connection_window: 16 * WINDOW,
        streams_max,
        streams_assumed: 10_000,
        ..base
    }
}

pub(crate) fn sorted(mut fields: Fields) -> Fields {
    fields.sort();
    fields
}

/// Our engine, fed in pieces of any size. As a client it has sent `requests` before.
pub(crate) fn ours(
    role: Role,
    bytes: &[u8],
    table: u32,
    requests: usize,
    prng: &mut Prng,
) -> (Log, Result<(), ConnectionError>) {
    let mut now = 1_000_000_000_000;
    let mut connection = Connection::new(role, config(role, table), Instant::from_nanos(now));
    let mut block = Vec::new();
    for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", "/")] {
        encode::field(&mut block, name.as_bytes(), value.as_bytes());
    }
    encode::field(&mut block, b":authority", b"a.example");
    for _ in 0..requests {
        connection.open(&block, true).unwrap();
    }
    let mut log = Log::new();
    let mut rest = bytes;
    let most = if prng.one_in(2) { 40 } else { 30_000 };
    while !rest.is_empty() {
        let len = 1 + usize::try_from(prng.below(most)).unwrap();
        let (mut input, later) = rest.split_at(len.min(rest.len()));
        rest = later;
        now += 1_000_000;
        loop {
            let received = match connection.receive(input, Instant::from_nanos(now)) {
                Ok(received) => received,
                Err(error) => return (log, Err(error)),
            };
            connection.check();
            let Some(event) = received.event else { break };
            note(&mut connection, &mut log, event, input);
            input = &input[received.consumed..];
        }
        connection.outgoing().clear();
    }
    (log, Ok(()))
}

fn note(connection: &mut Connection, log: &mut Log, event: Event, input: &[u8]) {
    match event {
        Event::Headers { id, end_stream, kind } => {
            let fields = connection.fields().iter();
            let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            let fields = sorted(fields);
            let seen = log.entry(id.0).or_default();
            match kind {
                HeadersKind::Informational => seen.interim.push(fields),
                HeadersKind::Head => seen.head = fields,
                HeadersKind::Trailers => seen.trailers = Some(fields),
            }
            if end_stream {
                seen.end = End::Whole;
            }
        }
        Event::Data { id, start, len, end_stream } => {
            let seen = log.get_mut(&id.0).unwrap();
            seen.body.extend_from_slice(&input[start..start + usize::try_from(len).unwrap()]);
            connection.release(id, len);
            if end_stream {
                seen.end = End::Whole;
            }
        }
        Event::Reset { id, code, .. } => log.entry(id.0).or_default().end = End::Reset(code.0),
        Event::HeadTooLarge { id } => connection.reset(id, ErrorCode::REFUSED_STREAM),
        _ => {}
    }
}

/// The log of the crate, which its tasks write.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<(Log, usize)>>);

impl Shared {
    fn note(&self, id: u32, change: impl FnOnce(&mut Seen)) {
        let mut shared = self.0.lock().unwrap();
        change(shared.0.entry(id).or_default());
        shared.1 += 1;
    }

    /// The log, once nothing is written to it any more.
    async fn settled(&self) -> Log {
        let (mut quiet, mut last) = (0, 0);
        while quiet < QUIET_TURNS {
            tokio::task::yield_now().await;
            let now = self.0.lock().unwrap().1;
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
        self.0.lock().unwrap().0.clone()
    }
}

/// The crate's server, and the code with which it ended the connection.
pub(crate) async fn crate_server(bytes: &[u8], table: u32) -> (Log, Option<u32>) {
    let (mut near, far) = tokio::io::duplex(PIPE_BYTES);
    // It widens the window of the connection when it has read the beginning.
    let (greeting, rest) = bytes.split_at(GREETING_BYTES);
    near.write_all(greeting).await.unwrap();
    let log = Shared::default();
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .max_pending_accept_reset_streams(10_000)
        .max_concurrent_reset_streams(10_000)
        .data_frame_budget(1 << 30)
        .header_table_size(table);
    let own = log.clone();
    let server = tokio::spawn(async move {
        let Ok(mut server) = builder.handshake::<_, Bytes>(far).await else { return };
        let mut kept = Vec::new();
        while let Some(Ok((request, respond))) = server.accept().await {
            let id = respond.stream_id().as_u32();
            kept.push(respond);
            let (head, body) = request.into_parts();
            let mut fields: Fields = vec![(b":method".to_vec(), head.method.as_str().into())];
            let mut pseudo = |name: &str, value: Option<&str>| {
                fields.extend(value.map(|value| (name.into(), value.into())));
            };
            pseudo(":scheme", head.uri.scheme_str());
            pseudo(":authority", head.uri.authority().map(http::uri::Authority::as_str));
            pseudo(":path", head.uri.path_and_query().map(http::uri::PathAndQuery::as_str));
            fields.extend(unmap(&head.headers));
            own.note(id, |seen| seen.head = sorted(fields));
            tokio::spawn(collect(own.clone(), id, body));
        }
        // Streams that are open stay so.
        std::future::pending::<()>().await;
    });
    log.settled().await;
    near.write_all(rest).await.unwrap();
    let seen = log.settled().await;
    let code = ended_with(&mut near).await;
    server.abort();
    (seen, code)
}

/// The same of the crate's client, which has sent `requests` before.
pub(crate) async fn crate_client(bytes: &[u8], table: u32, requests: usize) -> (Log, Option<u32>) {
    let (mut near, far) = tokio::io::duplex(PIPE_BYTES);
    let log = Shared::default();
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .max_concurrent_reset_streams(10_000)
        .data_frame_budget(1 << 30)
        .header_table_size(table);
    let (mut client, connection) = builder.handshake::<_, Bytes>(far).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..requests {
        let request = Request::get("http://a.example/").body(()).unwrap();
        let (mut answer, _) = client.send_request(request, true).unwrap();
        let (id, own) = (answer.stream_id().as_u32(), log.clone());
        own.note(id, |_| {});
        tasks.push(tokio::spawn(async move {
            while let Some(Ok(interim)) = poll_fn(|cx| answer.poll_informational(cx)).await {
                let fields = status(interim.status(), interim.headers());
                own.note(id, |seen| seen.interim.push(fields));
            }
            match answer.await {
                Ok(answer) => {
                    let (head, body) = answer.into_parts();
                    own.note(id, |seen| seen.head = status(head.status, &head.headers));
                    collect(own, id, body).await;
                }
                Err(error) => ended(&own, id, &error),
            }
        }));
    }
    let driver = tokio::spawn(connection);
    // The requests are on their way before the first answer.
    log.settled().await;
    near.write_all(bytes).await.unwrap();
    let seen = log.settled().await;
    let code = ended_with(&mut near).await;
    driver.abort();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    (seen, code)
}

fn status(status: http::StatusCode, fields: &http::HeaderMap) -> Fields {
    let mut all: Fields = vec![(b":status".to_vec(), status.as_str().into())];
    all.extend(unmap(fields));
    sorted(all)
}

fn unmap(map: &http::HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())).collect()
}

async fn collect(log: Shared, id: u32, mut body: RecvStream) {
    while let Some(bytes) = body.data().await {
        match bytes {
            Ok(bytes) => {
                body.flow_control().release_capacity(bytes.len()).unwrap();
                log.note(id, |seen| seen.body.extend_from_slice(&bytes));
            }
            Err(error) => return ended(&log, id, &error),
        }
    }
    match body.trailers().await {
        Ok(trailers) => log.note(id, |seen| {
            seen.trailers = trailers.map(|map| sorted(unmap(&map)));
            seen.end = End::Whole;
        }),
        Err(error) => ended(&log, id, &error),
    }
}

fn ended(log: &Shared, id: u32, error: &h2::Error) {
    if let (true, Some(reason)) = (error.is_reset(), error.reason()) {
        log.note(id, |seen| seen.end = End::Reset(reason.into()));
    }
}

/// The code of the last GOAWAY among what was answered.
async fn ended_with(near: &mut DuplexStream) -> Option<u32> {
    let mut said = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while let Some(Ok(len @ 1..)) = poll_now(near.read(&mut chunk)).await {
        said.extend_from_slice(&chunk[..len]);
    }
    let mut rest = said.as_slice();
    rest = rest.strip_prefix(PREFACE).unwrap_or(rest);
    let mut code = None;
    while let Some((head, tail)) = rest.split_first_chunk() {
        let head = FrameHead::parse(head);
        let (payload, later) = tail.split_at(usize::try_from(head.len).unwrap());
        if head.kind == Kind::GoAway {
            code = be_u32(&payload[4..]);
        }
        rest = later;
    }
    code
}

/// What a future has now.
async fn poll_now<T>(what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    poll_fn(|cx| match what.as_mut().poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
