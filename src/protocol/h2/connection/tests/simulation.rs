//! A client engine and a server engine over two wires, from a seed: bytes arrive intact and in
//! order, or their stream was reset; windows come home; all streams end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{fields, request, response};
use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::engine::Connection;
use crate::protocol::h2::connection::event::{Event, HeadersKind};
use crate::protocol::h2::frame::{ErrorCode, StreamId, to_usize};

const SEEDS: u64 = 60;

#[test]
fn bytes_arrive_intact_whatever_the_cuts_and_windows() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..1500 {
            world.step();
        }
        world.finish();
    }
}

/// What one side has done on one stream.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts of a stream, each on its own")]
struct Progress {
    /// Bytes of our body that are not sent.
    left: u64,
    sent: u64,
    received: u64,
    head_sent: bool,
    all_sent: bool,
    all_received: bool,
    /// Either side has reset it.
    reset: bool,
}

struct Side {
    name: &'static str,
    connection: Connection,
    /// What the other side has not read yet.
    wire: Vec<u8>,
    streams: BTreeMap<StreamId, Progress>,
    /// Received and not yet released.
    held: Vec<(StreamId, u32)>,
    completed: u32,
}

struct World {
    seed: u64,
    prng: Prng,
    now: Instant,
    client: Side,
    server: Side,
}

impl World {
    fn new(seed: u64) -> World {
        let mut prng = Prng::new(seed);
        let now = Instant::from_nanos(1_000_000_000);
        let window = |prng: &mut Prng| 1 + u32::try_from(prng.below(200_000)).unwrap();
        let client = Config {
            initial_window: window(&mut prng),
            connection_window: window(&mut prng),
            header_table: 4096,
            ..Config::client()
        };
        let server = Config {
            initial_window: window(&mut prng),
            connection_window: window(&mut prng),
            frame_max: if prng.one_in(2) { 16_384 } else { 100_000 },
            streams_max: 1 + u32::try_from(prng.below(20)).unwrap(),
            ..Config::server()
        };
        World {
            seed,
            now,
            client: Side::new("client", Role::Client, client, now),
            server: Side::new("server", Role::Server, server, now),
            prng,
        }
    }

    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(self.prng.below(50));
        let World { prng, now, client, server, seed } = self;
        let (side, other) = if prng.one_in(2) { (client, server) } else { (server, client) };
        match prng.below(20) {
            0 | 1 => side.open(prng),
            2..8 => side.send(prng),
            8..10 => side.release(prng),
            10 if prng.one_in(10) => side.reset(prng, other),
            11 if prng.one_in(10) => {
                let window = |prng: &mut Prng| 1 + u32::try_from(prng.below(300_000)).unwrap();
                let _ = side.connection.set_windows(window(prng), window(prng));
            }
            12 => {
                let _ = side.connection.tick(*now);
            }
            13 if prng.one_in(4) => {
                let window = |prng: &mut Prng| u32::try_from(prng.below(300_000)).unwrap();
                side.connection.widen(window(prng), window(prng));
            }
            _ => side.receive(prng, other, *now),
        }
        side.flush();
        side.connection.check();
        assert_eq!(side.connection.failed, None, "seed {seed} {}", side.name);
    }

    /// No further streams; everything under way comes to its end.
    fn finish(&mut self) {
        let mut turns = 0;
        while !self.is_over() {
            turns += 1;
            assert!(turns < 200_000, "seed {}: no end", self.seed);
            self.now = self.now + Duration::from_millis(1);
            let World { prng, now, client, server, .. } = self;
            for _ in 0..2 {
                client.send(prng);
                server.send(prng);
            }
            client.release(prng);
            server.release(prng);
            client.receive(prng, server, *now);
            server.receive(prng, client, *now);
            client.connection.check();
            server.connection.check();
        }
        for side in [&self.client, &self.server] {
            assert_eq!(side.connection.unreleased(), 0, "seed {} {}", self.seed, side.name);
            assert!(side.completed > 0, "seed {}: nothing was whole", self.seed);
        }
    }

    fn is_over(&self) -> bool {
        [&self.client, &self.server]
            .iter()
            .all(|side| side.connection.is_idle() && side.wire.is_empty() && side.held.is_empty())
    }
}

impl Side {
    fn new(name: &'static str, role: Role, config: Config, now: Instant) -> Side {
        let mut side = Side {
            name,
            connection: Connection::new(role, config, now),
            wire: Vec::new(),
            streams: BTreeMap::new(),
            held: Vec::new(),
            completed: 0,
        };
        side.flush();
        side
    }

    fn flush(&mut self) {
        self.wire.append(self.connection.outgoing());
    }

    fn open(&mut self, prng: &mut Prng) {
        if !self.connection.can_open() {
            return;
        }
        let left = if prng.one_in(3) { 0 } else { prng.below(100_000) };
        let id = self.connection.open(&request(), left == 0).unwrap();
        let progress =
            Progress { left, head_sent: true, all_sent: left == 0, ..Progress::default() };
        self.streams.insert(id, progress);
    }

    /// Sends a bit on any stream: a head, DATA in one of two ways, or trailers.
    fn send(&mut self, prng: &mut Prng) {
        self.flush();
        let open = |progress: &Progress| !progress.all_sent && !progress.reset;
        let ids: Vec<_> =
            self.streams.iter().filter(|entry| open(entry.1)).map(|entry| *entry.0).collect();
        let Some(id) = any(&ids, prng) else { return };
        let (id, progress) = (*id, self.streams.get_mut(id).unwrap());
        let connection = &mut self.connection;
        if !progress.head_sent {
            progress.head_sent = true;
            connection.send_headers(id, &response(200, &[]), false).unwrap();
            return;
        }
        let room = u64::from(connection.capacity(id).min(connection.max_frame_size()));
        let len = prng.below(room + 1).min(progress.left);
        let end = len == progress.left && prng.one_in(2);
        let payload: Vec<u8> =
            (progress.sent..progress.sent + len).map(|place| byte(id, place)).collect();
        if len > 0 || end {
            if prng.one_in(2) {
                connection.send_data(id, &payload, end).unwrap();
            } else {
                let len = u32::try_from(len).unwrap();
                let head = connection.data_header(id, len, end).unwrap();
                self.wire.append(connection.outgoing());
                self.wire.extend_from_slice(&head);
                self.wire.extend_from_slice(&payload);
            }
        }
        progress.left -= len;
        progress.sent += len;
        if progress.left == 0 && !end {
            connection.send_headers(id, &fields(&[("t", "v")]), true).unwrap();
        }
        progress.all_sent = progress.left == 0;
        self.flush();
    }

    fn release(&mut self, prng: &mut Prng) {
        if self.held.is_empty() {
            return;
        }
        let (id, len) = self.held.swap_remove(place(self.held.len(), prng));
        self.connection.release(id, len);
        self.flush();
    }

    fn reset(&mut self, prng: &mut Prng, other: &mut Side) {
        let ids: Vec<_> = self.streams.keys().copied().collect();
        if let Some(id) = any(&ids, prng) {
            self.connection.reset(*id, ErrorCode::CANCEL);
            for side in [self, other] {
                side.streams.entry(*id).or_default().reset = true;
            }
        }
    }

    /// Reads some of what the other side has written, in pieces.
    fn receive(&mut self, prng: &mut Prng, other: &mut Side, now: Instant) {
        let most = if prng.one_in(3) { 20 } else { 70_000 };
        let len = usize::try_from(prng.below(most + 1)).unwrap().min(other.wire.len());
        let bytes: Vec<u8> = other.wire.drain(..len).collect();
        let mut input = bytes.as_slice();
        loop {
            let received = self.connection.receive(input, now).unwrap();
            self.connection.check();
            if let Some(event) = received.event {
                self.note(event, input, prng);
            }
            input = &input[received.consumed..];
            if received.event.is_none() {
                break;
            }
        }
        self.flush();
    }

    fn note(&mut self, event: Event, input: &[u8], prng: &mut Prng) {
        match event {
            Event::Headers { id, end_stream, kind } => {
                let left = prng.below(50_000);
                let first = || Progress { left, ..Progress::default() };
                let progress = self.streams.entry(id).or_insert_with(first);
                assert!(!progress.all_received);
                progress.all_received = end_stream;
                assert_eq!(
                    kind == HeadersKind::Trailers,
                    self.connection.fields().len() == 1 && end_stream
                );
            }
            Event::Data { id, start, len, end_stream } => {
                let progress = self.streams.get_mut(&id).unwrap();
                assert!(!progress.all_received);
                for seen in &input[start..start + to_usize(len)] {
                    assert_eq!(*seen, byte(id, progress.received), "{id} {}", progress.received);
                    progress.received += 1;
                }
                progress.all_received = end_stream;
                if len > 0 {
                    self.held.push((id, len));
                }
            }
            Event::Reset { id, code, .. } => {
                assert!(matches!(code, ErrorCode::CANCEL | ErrorCode::REFUSED_STREAM));
                self.streams.entry(id).or_default().reset = true;
            }
            Event::GoAway { .. } | Event::HeadTooLarge { .. } => unreachable!(),
            _ => {}
        }
        self.completed += u32::from(matches!(
            event,
            Event::Headers { end_stream: true, .. } | Event::Data { end_stream: true, .. }
        ));
    }
}

/// Any of `ids`.
fn any<'a>(ids: &'a [StreamId], prng: &mut Prng) -> Option<&'a StreamId> {
    ids.get(place(ids.len(), prng))
}

/// A place in a list of `len`.
fn place(len: usize, prng: &mut Prng) -> usize {
    usize::try_from(prng.below(u64::try_from(len).unwrap())).unwrap()
}

/// The byte at a place of a stream's body, the same in both directions.
fn byte(id: StreamId, place: u64) -> u8 {
    u8::try_from((place + u64::from(id.0) * 31) % 251).unwrap()
}
