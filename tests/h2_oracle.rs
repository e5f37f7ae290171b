//! Our HTTP/2 engine against the `h2` crate, in memory: both roles, random messages, random cuts.
//! What one side sends is what the other side sees.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first fault")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first fault")]

#[path = "h2_oracle/fates.rs"]
mod fates;
#[path = "h2_oracle/pen.rs"]
mod pen;
#[path = "h2_oracle/readers.rs"]
mod readers;
#[path = "h2_oracle/stories.rs"]
mod stories;
#[path = "h2_oracle/wire.rs"]
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fates::Fate;
use h2::RecvStream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use otus::base::prng::Prng;
use otus::base::time::Instant;
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::{Event, HeadersKind};
use otus::protocol::h2::frame::{ErrorCode, StreamId};
use otus::protocol::h2::hpack::encode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

/// Names and values, sorted: `HeaderMap` keeps the order within a name only.
type List = Vec<(String, Vec<u8>)>;

/// Requests of each connection.
const EXCHANGES: usize = 60;
/// Of a stream: some hold a body, some are used up many times by each.
const WINDOWS: [u32; 4] = [20_000, 70_000, 500, 65_535];
/// More than all windows together, so that neither side waits for room to write.
const PIPE_BYTES: usize = 8 << 20;

#[test]
fn our_server_understands_the_crate_and_is_understood() {
    for seed in 0..8 {
        run(async move {
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            let config = Config {
                header_table: [4096, 0, 65_536][usize::try_from(seed % 3).unwrap()],
                initial_window: WINDOWS[usize::try_from(seed).unwrap() % WINDOWS.len()],
                connection_window: 30_000,
                ..Config::server()
            };
            let server = tokio::spawn(echo(Ours::new(Role::Server, config, far, seed)));
            crate_client(near, seed).await;
            server.await.unwrap();
        });
    }
}

#[test]
fn our_client_understands_the_crate_and_is_understood() {
    for seed in 0..8 {
        run(async move {
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            let config = Config {
                header_table: [0, 4096, 65_536][usize::try_from(seed % 3).unwrap()],
                initial_window: WINDOWS[usize::try_from(seed).unwrap() % WINDOWS.len()],
                connection_window: 30_000,
                ..Config::client()
            };
            tokio::spawn(crate_server(far, seed));
            our_client(Ours::new(Role::Client, config, near, seed), seed).await;
        });
    }
}

/// What a message is made of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Message {
    fields: List,
    body: Vec<u8>,
    trailers: Option<List>,
}

impl Message {
    fn random(prng: &mut Prng) -> Message {
        let len = if prng.one_in(4) { 0 } else { prng.below(60_000) };
        let mut body = vec![0; usize::try_from(len).unwrap()];
        prng.fill(&mut body);
        let trailers = prng.one_in(3).then(|| list(prng));
        let mut message = Message { fields: list(prng), body, trailers };
        Fate::give(&mut message, prng);
        message
    }
}

fn list(prng: &mut Prng) -> List {
    const NAMES: [&str; 8] =
        ["accept", "x-request-id", "cookie", "authorization", "grpc-timeout", "a", "vary", "etag"];
    let mut list: List = (0..=prng.below(12))
        .map(|_| {
            let name = NAMES[usize::try_from(prng.below(8)).unwrap()];
            let name =
                if prng.one_in(4) { format!("{name}-{}", prng.below(50)) } else { name.into() };
            // Few different values, so that tables are used; now and then any octet that is
            // allowed.
            let value = match prng.below(3) {
                0 => format!("value {}", prng.below(9)).into_bytes(),
                1 => vec![
                    b'a' + u8::try_from(prng.below(26)).unwrap();
                    usize::try_from(prng.below(300)).unwrap()
                ],
                _ => (0..prng.below(40)).map(|_| odd(prng)).collect(),
            };
            (name, value)
        })
        .collect();
    list.sort();
    list
}

/// An octet of a value that is neither a control character nor a space.
fn odd(prng: &mut Prng) -> u8 {
    loop {
        let byte = u8::try_from(prng.below(256)).unwrap();
        if byte > b' ' && byte != 0x7f {
            return byte;
        }
    }
}

fn map(list: &List) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let mut value = HeaderValue::from_bytes(value).unwrap();
        value.set_sensitive(name == "authorization");
        map.append(name, value);
    }
    map
}

fn unmap(map: &HeaderMap) -> List {
    let mut list: List =
        map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    list.sort();
    list
}

fn block(head: &[(&[u8], &[u8])], list: &List) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in head {
        encode::field(&mut out, name, value);
    }
    for (place, (name, value)) in list.iter().enumerate() {
        match place % 3 {
            0 => encode::field(&mut out, name.as_bytes(), value),
            1 => encode::field_compact(&mut out, name.as_bytes(), value),
            _ => encode::field_sensitive(&mut out, name.as_bytes(), value),
        }
    }
    out
}

/// The crate's client sends messages and expects each of them back.
async fn crate_client(io: DuplexStream, seed: u64) {
    let mut prng = Prng::new(seed);
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(WINDOWS[usize::try_from(seed + 1).unwrap() % WINDOWS.len()])
        .max_frame_size(16_384 + u32::try_from(seed).unwrap() * 1000)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    for _ in 0..EXCHANGES {
        let message = Message::random(&mut prng);
        let mut request = Request::post("http://a.example/echo?x=y").body(()).unwrap();
        request.headers_mut().extend(map(&message.fields));
        let empty = message.body.is_empty() && message.trailers.is_none();
        let (response, mut stream) = client.send_request(request, empty).unwrap();
        let fate = Fate::of(&message);
        if let Some(fate) = fate.filter(|fate| fate.by_client) {
            stream.send_data(Bytes::copy_from_slice(&message.body[..fate.after]), false).unwrap();
            // Some of it is on its way, or all, or nothing.
            for _ in 0..prng.below(30) {
                tokio::task::yield_now().await;
            }
            stream.send_reset(fate.reason());
            client = client.ready().await.unwrap();
            continue;
        }
        if !empty {
            let end = message.trailers.is_none();
            stream.send_data(Bytes::copy_from_slice(&message.body), end).unwrap();
            if let Some(trailers) = &message.trailers {
                stream.send_trailers(map(trailers)).unwrap();
            }
        }
        let response = response.await;
        if let Some(fate) = fate {
            assert_eq!(response.unwrap_err().reason(), Some(fate.reason()));
            client = client.ready().await.unwrap();
            continue;
        }
        let response = response.unwrap();
        let (head, body) = response.into_parts();
        assert_eq!(head.status, 200);
        let mut echoed = Message { fields: unmap(&head.headers), ..Message::default() };
        collect(&mut echoed, body, None).await.unwrap();
        assert_eq!(echoed, message);
        client = client.ready().await.unwrap();
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

/// The crate's server sends back what it is sent.
async fn crate_server(io: DuplexStream, seed: u64) {
    let mut server = h2::server::Builder::new()
        .initial_window_size(WINDOWS[usize::try_from(seed + 1).unwrap() % WINDOWS.len()])
        .max_frame_size(16_384 + u32::try_from(seed).unwrap() * 1000)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    while let Some(request) = server.accept().await {
        let (request, mut respond) = request.unwrap();
        tokio::spawn(async move {
            let (head, body) = request.into_parts();
            let mut message = Message { fields: unmap(&head.headers), ..Message::default() };
            let fate = Fate::of(&message);
            let cut = fate.filter(|fate| !fate.by_client).map(|fate| fate.after);
            match (collect(&mut message, body, cut).await, fate) {
                (Ok(()), None) => {}
                (Ok(()), Some(fate)) => return respond.send_reset(fate.reason()),
                (Err(error), fate) => {
                    return assert_eq!(error.reason(), fate.map(Fate::reason), "{error}");
                }
            }
            let mut response = Response::new(());
            response.headers_mut().extend(map(&message.fields));
            let mut stream = respond.send_response(response, false).unwrap();
            let end = message.trailers.is_none();
            stream.send_data(Bytes::from(message.body), end).unwrap();
            if let Some(trailers) = &message.trailers {
                stream.send_trailers(map(trailers)).unwrap();
            }
        });
    }
}

/// Takes the rest of a message, or more than `cut` bytes of its body.
async fn collect(
    message: &mut Message,
    mut stream: RecvStream,
    cut: Option<usize>,
) -> Result<(), h2::Error> {
    while let Some(bytes) = stream.data().await {
        let bytes = bytes?;
        stream.flow_control().release_capacity(bytes.len())?;
        message.body.extend_from_slice(&bytes);
        if cut.is_some_and(|cut| message.body.len() > cut) {
            return Ok(());
        }
    }
    message.trailers = stream.trailers().await?.map(|map| unmap(&map));
    Ok(())
}

/// Our client sends messages, several at once, and expects each of them back.
async fn our_client(mut ours: Ours, seed: u64) {
    let mut prng = Prng::new(seed + 100);
    let mut sent: BTreeMap<StreamId, Message> = BTreeMap::new();
    let mut done = 0;
    // The crate never opens the window again of a stream that took more than its SETTINGS allow
    // before they were known.
    while !ours.connection.is_established() {
        assert_eq!(ours.turn().await, Some(Vec::new()));
    }
    while done < EXCHANGES {
        while sent.len() < 5 && done + sent.len() < EXCHANGES && ours.connection.can_open() {
            let message = Message::random(&mut prng);
            let head: [(&[u8], &[u8]); 4] = [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", b"/"),
                (b":authority", b"a"),
            ];
            let empty = message.body.is_empty() && message.trailers.is_none();
            let id = ours.connection.open(&block(&head, &message.fields), empty).unwrap();
            if !empty {
                ours.queue(id, &message);
            }
            sent.insert(id, message);
        }
        for (id, message) in ours.turn().await.expect("the server stays") {
            assert_eq!(Some(message), sent.remove(&id), "{id}");
            done += 1;
        }
        for (id, code, by_peer) in std::mem::take(&mut ours.cut) {
            let fate = Fate::of(&sent.remove(&id).unwrap()).unwrap();
            assert_eq!((code, by_peer), (fate.code, !fate.by_client), "{id}");
            done += 1;
        }
    }
    ours.connection.go_away(ErrorCode::NO_ERROR, StreamId(0));
    ours.connection.check();
    assert!(ours.connection.is_idle());
    assert_eq!(ours.connection.unreleased(), 0);
}

/// Our server sends back what it is sent.
async fn echo(mut ours: Ours) {
    while let Some(messages) = ours.turn().await {
        ours.cut.clear();
        for (id, message) in messages {
            let head = block(&[(b":status", b"200")], &message.fields);
            ours.connection.send_headers(id, &head, false).unwrap();
            ours.queue(id, &message);
        }
    }
    assert!(ours.connection.is_idle());
    assert_eq!(ours.connection.unreleased(), 0);
}

/// Our engine on a pipe.
struct Ours {
    connection: Connection,
    is_server: bool,
    io: DuplexStream,
    prng: Prng,
    now: u64,
    incoming: BTreeMap<StreamId, Message>,
    /// Bodies and trailers that are not sent yet.
    outgoing: BTreeMap<StreamId, (VecDeque<u8>, Option<List>)>,
    /// Streams that are given up when their body is sent.
    leaving: BTreeMap<StreamId, ErrorCode>,
    /// Streams that were reset: why, and whether the peer did it.
    cut: Vec<(StreamId, ErrorCode, bool)>,
}

impl Ours {
    fn new(role: Role, config: Config, io: DuplexStream, seed: u64) -> Ours {
        let now = 1_000_000_000_000;
        let connection = Connection::new(role, config, Instant::from_nanos(now));
        let (incoming, outgoing) = (BTreeMap::new(), BTreeMap::new());
        let prng = Prng::new(seed);
        let (leaving, cut) = (BTreeMap::new(), Vec::new());
        let is_server = role == Role::Server;
        Ours { connection, is_server, io, prng, now, incoming, outgoing, leaving, cut }
    }

    fn queue(&mut self, id: StreamId, message: &Message) {
        let mut body: VecDeque<u8> = message.body.iter().copied().collect();
        let mut trailers = message.trailers.clone();
        if let Some(fate) = Fate::of(message).filter(|fate| fate.by_client) {
            body.truncate(fate.after);
            trailers = None;
            self.leaving.insert(id, fate.code);
        }
        self.outgoing.insert(id, (body, trailers));
    }

    /// Sends what may be sent, reads once, and gives the messages that became whole. None: the end.
    async fn turn(&mut self) -> Option<Vec<(StreamId, Message)>> {
        while self.send() {
            let out = std::mem::take(self.connection.outgoing());
            self.io.write_all(&out).await.unwrap();
        }
        let out = std::mem::take(self.connection.outgoing());
        self.io.write_all(&out).await.unwrap();
        if !self.cut.is_empty() {
            return Some(Vec::new());
        }
        let most = if self.prng.one_in(3) { 10 } else { 20_000 };
        let mut buf = vec![0; 1 + usize::try_from(self.prng.below(most)).unwrap()];
        let len = self.io.read(&mut buf).await.unwrap();
        if len == 0 {
            return None;
        }
        self.now += 1_000_000;
        let mut input = &buf[..len];
        let mut whole = Vec::new();
        loop {
            let received = self.connection.receive(input, Instant::from_nanos(self.now)).unwrap();
            self.connection.check();
            let Some(event) = received.event else { return Some(whole) };
            if let Some(id) = self.note(event, input) {
                whole.push((id, self.incoming.remove(&id).unwrap()));
            }
            input = &input[received.consumed..];
        }
    }

    /// Takes an event in. Gives the stream if its message is whole.
    fn note(&mut self, event: Event, input: &[u8]) -> Option<StreamId> {
        match event {
            Event::Headers { id, end_stream, kind } => {
                let fields = self.connection.fields().regular();
                let mut list: List = fields
                    .map(|(name, value)| {
                        (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())
                    })
                    .collect();
                list.sort();
                match kind {
                    HeadersKind::Head => {
                        let message = Message { fields: list, ..Message::default() };
                        self.incoming.insert(id, message);
                    }
                    HeadersKind::Trailers => {
                        self.incoming.get_mut(&id).unwrap().trailers = Some(list);
                    }
                    HeadersKind::Informational => unreachable!(),
                }
                end_stream.then_some(id)
            }
            Event::Data { id, start, len, end_stream } => {
                let bytes = &input[start..start + usize::try_from(len).unwrap()];
                let message = self.incoming.get_mut(&id).unwrap();
                message.body.extend_from_slice(bytes);
                self.connection.release(id, len);
                let fate = Fate::of_server(message).filter(|_| self.is_server);
                let fate = fate.filter(|fate| message.body.len() > fate.after);
                if let Some(fate) = fate {
                    self.connection.reset(id, fate.code);
                    self.incoming.remove(&id);
                    return None;
                }
                end_stream.then_some(id)
            }
            Event::Reset { id, code, by_peer } => {
                self.incoming.remove(&id);
                self.outgoing.remove(&id);
                self.cut.push((id, code, by_peer));
                None
            }
            _ => None,
        }
    }

    /// Sends a part of each body. True if there is more that could be sent.
    fn send(&mut self) -> bool {
        let Ours { connection, prng, leaving, cut, .. } = self;
        self.outgoing.retain(|id, (body, trailers)| {
            let room = usize::try_from(connection.capacity(*id)).unwrap();
            let most = usize::try_from(prng.below(40_000)).unwrap();
            let part: Vec<u8> = body.drain(..body.len().min(room).min(most)).collect();
            let last = body.is_empty();
            let leaves = leaving.get(id).copied();
            let ends = last && trailers.is_none() && leaves.is_none();
            if !part.is_empty() || ends {
                connection.send_data(*id, &part, ends).unwrap();
            }
            if let (true, Some(trailers)) = (last, trailers) {
                connection.send_headers(*id, &block(&[], trailers), true).unwrap();
            }
            if let (true, Some(code)) = (last, leaves) {
                connection.reset(*id, code);
                cut.push((*id, code, false));
            }
            connection.check();
            !last
        });
        self.outgoing.keys().any(|id| self.connection.capacity(*id) > 0)
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_mins(1), test).await.expect("in time") })
}
