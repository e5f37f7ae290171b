//! Clients of HTTP/2 that nobody wishes for: they flood, hold windows shut, stop within frames, and
//! break every rule. Each is let go in the end, and none gets a byte that its windows do not allow.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::base::time::Instant;
use otus::io::buffer::BufferPool;
use otus::io::sim::SimSocket;
use otus::io::{Io, IoError, Socket};
use otus::protocol::h2::frame::{self, ErrorCode, FrameHead, Kind, PREFACE};
use otus::protocol::h2::hpack::encode;

use crate::dice::{Dice, number, size};
use crate::relay::PREFIX;
use crate::response::PATIENCE;
use crate::town::Town;

/// More than any limit lets through at once.
const FLOOD: usize = 9000;
/// Frames of a flood that leave together.
const BATCH: usize = 100;

/// What is repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flood {
    Pings,
    Settings,
    Empties,
    Resets,
    Priorities,
    Unknown,
    SmallWindows,
    Late,
    Continuations,
    Faults,
}

/// Does one rude thing.
pub async fn run(town: Rc<Town>, mut dice: Dice, host: IpAddr, id: String) {
    let gate = dice.pick(&town.gates);
    if let Some(socket) = town.connect(host, gate).await {
        let window = dice.pick(&[0, 1, 100, 65_535]);
        let mut raw = Raw::new(&town, socket, &id, window);
        if raw.greet(&mut dice).await.is_some() {
            raw.act(&mut dice).await;
        }
    }
    town.clients.set(town.clients.get() - 1);
}

/// A connection on which frames are written by hand.
struct Raw<'a> {
    town: &'a Town,
    socket: SimSocket,
    pool: BufferPool,
    id: &'a str,
    /// What came and is no whole frame yet.
    bytes: Vec<u8>,
    /// Streams that were opened.
    last: u32,
    /// What each stream may still get, and all together.
    window: u32,
    rooms: BTreeMap<u32, i64>,
    room: i64,
    is_over: bool,
    greeted: bool,
    /// When it came.
    begun: Instant,
    /// A call of gRPC is open, which may be silent for an hour.
    may_stay: bool,
}

impl<'a> Raw<'a> {
    fn new(town: &'a Town, socket: SimSocket, id: &'a str, window: u32) -> Self {
        Raw {
            town,
            socket,
            pool: BufferPool::new(8192),
            id,
            bytes: Vec::new(),
            last: 0,
            window,
            rooms: BTreeMap::new(),
            room: 65_535,
            is_over: false,
            greeted: false,
            begun: town.sim.now(),
            may_stay: false,
        }
    }

    /// The preface and the settings, or only some of it.
    async fn greet(&mut self, dice: &mut Dice) -> Option<()> {
        let mut out = PREFACE.to_vec();
        let initial = [&[0, 4][..], &self.window.to_be_bytes()].concat();
        frame::write(&mut out, Kind::Settings, 0, 0, &initial);
        if dice.one_in(10) {
            self.town.met("half prefaces");
            out.truncate(dice.count(1, out.len() - 1));
            self.say(&out).await;
            self.wait_for_end().await;
            return None;
        }
        self.say(&out).await.then_some(())
    }

    async fn act(&mut self, dice: &mut Dice) {
        match dice.between(0, 9) {
            0..=3 => self.flood(dice).await,
            4 => self.shut(dice).await,
            5 => self.stop_within(dice).await,
            6 => self.trickle().await,
            7 => self.hoard(dice).await,
            8 => self.break_rules(dice).await,
            _ => self.mutate(dice).await,
        }
    }

    /// Appends a request; the stream is opened.
    fn ask(&mut self, out: &mut Vec<u8>, line: (&str, &str), ends: bool) -> u32 {
        self.last += if self.last == 0 { 1 } else { 2 };
        let id = format!("rude-{}-{}", self.id, self.last);
        let mut block = Vec::new();
        let (method, path) = line;
        for (name, text) in [
            (":method", method),
            (":scheme", "http"),
            (":path", path),
            (":authority", "gateway.test"),
            ("x-request-id", &id),
        ] {
            encode::field(&mut block, name.as_bytes(), text.as_bytes());
        }
        frame::write_headers(out, self.last, &block, ends, 16_384);
        self.rooms.insert(self.last, i64::from(self.window));
        self.may_stay |= !ends && path.starts_with(PREFIX);
        self.last
    }

    /// The same frame again and again.
    async fn flood(&mut self, dice: &mut Dice) {
        use Flood::*;
        let kinds = [
            Pings,
            Settings,
            Empties,
            Resets,
            Priorities,
            Unknown,
            SmallWindows,
            Late,
            Continuations,
            Faults,
        ];
        let kind = dice.pick(&kinds);
        self.town.met("floods over HTTP/2");
        self.town
            .sim
            .note("a flood of kind", number(kinds.iter().position(|k| *k == kind).unwrap()));
        let mut out = Vec::new();
        let stream = match kind {
            Empties | SmallWindows => self.ask(&mut out, ("POST", "/w/flood"), false),
            Late => {
                let stream = self.ask(&mut out, ("POST", "/w/flood"), false);
                frame::write_reset(&mut out, stream, ErrorCode::CANCEL);
                stream
            }
            Continuations => {
                frame::write(&mut out, Kind::Headers, 0, 1, &[]);
                1
            }
            _ => 0,
        };
        for _ in 0..FLOOD / BATCH {
            for _ in 0..BATCH {
                self.one_of(kind, stream, &mut out);
            }
            if !self.say(&out).await {
                return;
            }
            out.clear();
            // Time is what limits count: there must be little of it.
            self.town.sleep(Duration::from_millis(1)).await;
        }
        self.hear_now();
        self.town.sleep(Duration::from_secs(10)).await;
        self.hear_now();
        let is_open = !self.is_over && self.town.weather.is_calm;
        assert!(!is_open, "a flood of {kind:?} was let through");
    }

    fn one_of(&mut self, kind: Flood, stream: u32, out: &mut Vec<u8>) {
        match kind {
            Flood::Pings => frame::write_ping(out, *b"any time", false),
            Flood::Settings => frame::write(out, Kind::Settings, 0, 0, &[]),
            Flood::Empties | Flood::Late => frame::write(out, Kind::Data, 0, stream, &[]),
            Flood::Resets => {
                let stream = self.ask(out, ("GET", "/w/flood"), true);
                frame::write_reset(out, stream, ErrorCode::CANCEL);
            }
            Flood::Priorities => frame::write(out, Kind::Priority, 0, 1, &[0, 0, 0, 0, 7]),
            Flood::Unknown => frame::write(out, Kind::Unknown(0x77), 0xff, 0, b"?"),
            Flood::SmallWindows => {
                frame::write_window_update(out, stream, 1);
                *self.rooms.entry(stream).or_default() += 1;
            }
            Flood::Continuations => frame::write(out, Kind::Continuation, 0, stream, &[]),
            // A length that is not kept: the gateway has to reset each of them.
            Flood::Faults => {
                let stream = self.ask(out, ("G T", "/w/flood"), true);
                debug_assert!(stream > 0);
            }
        }
    }

    /// Asks for much, and opens no window; or reads nothing.
    async fn shut(&mut self, dice: &mut Dice) {
        self.town.met("windows that stay shut");
        let mut out = Vec::new();
        for _ in 0..dice.count(1, 100) {
            let path = dice.pick(&["/api/v3/echo/r?big=1", "/w/big", "/sim.Relay/big"]);
            self.ask(&mut out, ("GET", path), true);
        }
        self.say(&out).await;
        if dice.one_in(2) {
            return self.wait_for_end().await;
        }
        let start = self.town.sim.now();
        while !self.socket.is_peer_gone() {
            self.town.sleep(Duration::from_secs(1)).await;
            if self.is_late(start) {
                return;
            }
        }
    }

    /// Stops within a frame.
    async fn stop_within(&mut self, dice: &mut Dice) {
        self.town.met("half frames");
        let mut out = Vec::new();
        let stream = self.ask(&mut out, ("POST", "/w/half"), false);
        frame::write(&mut out, Kind::Data, 0, stream, &vec![b'x'; dice.count(1, 16_384)]);
        let from = if dice.one_in(2) { 1 } else { out.len() / 2 };
        out.truncate(dice.count(from, out.len() - 1));
        self.say(&out).await;
        if dice.one_in(3) {
            self.socket.shutdown_write();
        }
        self.wait_for_end().await;
    }

    /// A header block that never ends, slowly.
    async fn trickle(&mut self) {
        self.town.met("slow heads over HTTP/2");
        let mut out = Vec::new();
        frame::write(&mut out, Kind::Headers, 0, 1, b"\x82");
        let (start, mut places) = (self.town.sim.now(), 0);
        while self.say(&out).await {
            self.town.sleep(Duration::from_millis(700)).await;
            self.hear_now();
            out.clear();
            match places % 10 {
                0 => out.extend(
                    FrameHead { len: 9, kind: Kind::Continuation, flags: 0, stream: 1 }.encode(),
                ),
                _ => out.push(0x82),
            }
            places += 1;
            if self.is_over || self.is_late(start) {
                return;
            }
        }
    }

    /// Opens as many streams as it can, and more, and leaves them so.
    async fn hoard(&mut self, dice: &mut Dice) {
        self.town.met("hoards of streams");
        let mut out = Vec::new();
        for _ in 0..dice.count(1, 300) {
            let path = dice.pick(&["/w/hoard", "/api/v3/store/f/x", "/sim.Relay/hoard"]);
            let stream = self.ask(&mut out, ("PUT", path), false);
            if dice.one_in(2) {
                frame::write(&mut out, Kind::Data, 0, stream, &[b'x'; 100]);
            }
        }
        self.say(&out).await;
        self.wait_for_end().await;
    }

    /// One thing that must not be.
    async fn break_rules(&mut self, dice: &mut Dice) {
        self.town.met("broken rules of HTTP/2");
        let mut out = Vec::new();
        let stream = self.ask(&mut out, ("POST", "/w/rules"), false);
        match dice.between(0, 11) {
            0 => frame::write(&mut out, Kind::Data, 0, 0, b"x"),
            1 => frame::write(&mut out, Kind::Data, 0, 99, b"x"),
            2 => frame::write_headers(&mut out, 2, b"\x82", true, 16_384),
            3 => frame::write(&mut out, Kind::Settings, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            4 => frame::write(&mut out, Kind::Settings, 0, 5, &[]),
            5 => frame::write(&mut out, Kind::WindowUpdate, 0, stream, &[0; 4]),
            6 => frame::write(&mut out, Kind::WindowUpdate, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            7 => frame::write(&mut out, Kind::PushPromise, 4, stream, &[0, 0, 0, 2]),
            8 => frame::write(&mut out, Kind::Headers, 4, stream + 2, b"\xff\xff\xff\xff\xff"),
            9 => frame::write(&mut out, Kind::Data, frame::PADDED, stream, &[200, 1]),
            10 => frame::write(&mut out, Kind::Continuation, 4, stream, b"\x82"),
            // More than any window allows, without waiting for one.
            _ => (0..400).for_each(|_| frame::write(&mut out, Kind::Data, 0, stream, &[7; 16_384])),
        }
        self.say(&out).await;
        self.wait_for_end().await;
    }

    /// A few requests with some bytes changed.
    async fn mutate(&mut self, dice: &mut Dice) {
        self.town.met("mutants over HTTP/2");
        let mut out = Vec::new();
        for _ in 0..dice.count(1, 5) {
            let stream = self.ask(&mut out, ("PUT", "/w/mutant"), false);
            frame::write(
                &mut out,
                Kind::Data,
                frame::END_STREAM,
                stream,
                &vec![b'x'; dice.log(3000)],
            );
        }
        for _ in 0..dice.count(1, 4) {
            let at = size(dice.prng().below(number(out.len())));
            match dice.between(0, 2) {
                0 => out[at] ^= 1 << dice.between(0, 7),
                1 => drop(out.remove(at)),
                _ => out.insert(at, dice.pick(b"\x00\x01\x7f\xff ")),
            }
        }
        // What windows it opens by chance is not known.
        self.window = u32::MAX;
        self.say(&out).await;
        self.wait_for_end().await;
    }

    /// Sends bytes, and reads what is there; false: the connection is gone.
    async fn say(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.chunks(20_000) {
            // Nobody may be there any more, and no word of it have come through.
            let is_late = self.town.sim.now() - self.begun >= PATIENCE;
            self.is_over |= is_late && !self.town.weather.is_calm;
            if self.is_over || self.town.write(&self.socket, piece).await.is_err() {
                self.is_over = true;
                return false;
            }
            self.hear_now();
        }
        !self.is_over
    }

    fn hear_now(&mut self) {
        let mut buffer = self.pool.large();
        while !self.is_over {
            match self.socket.try_read(&mut buffer) {
                None => return,
                Some(Ok(1..)) => self.take(buffer.filled()),
                Some(_) => self.is_over = true,
            }
            buffer = self.pool.large();
        }
    }

    /// Reads until the gateway closes, which it does sooner or later.
    async fn wait_for_end(&mut self) {
        let start = self.town.sim.now();
        while !self.is_over {
            let until = start + PATIENCE;
            let (result, buffer) = self.socket.read(self.pool.large(), until).await;
            match result {
                Ok(1..) => self.take(buffer.filled()),
                Err(IoError::TimedOut) if self.is_late(start) => return,
                _ => return,
            }
        }
    }

    fn is_late(&self, start: Instant) -> bool {
        let is_late = self.town.sim.now() - start >= PATIENCE;
        let is_fair = !self.town.weather.is_calm || self.may_stay;
        assert!(!is_late || is_fair, "a rude client was never let go");
        is_late
    }

    /// Frames of the gateway: within what this client allows.
    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        if !self.greeted && self.bytes.starts_with(b"HTTP/1.1 ") {
            return; // What had come by then was no preface.
        }
        while let Some(bytes) = self.bytes.first_chunk() {
            let head = FrameHead::parse(bytes);
            assert!(head.len <= 16_384, "a frame of {} bytes", head.len);
            let end = 9 + size(u64::from(head.len));
            if self.bytes.len() < end {
                return;
            }
            assert!(self.greeted || head.kind == Kind::Settings, "{:?} came first", head.kind);
            self.greeted = true;
            assert!(head.kind != Kind::PushPromise, "a push");
            let is_own = head.stream % 2 == u32::from(head.stream > 0);
            assert!(is_own, "{:?} on stream {}", head.kind, head.stream);
            if head.kind == Kind::Data && self.window < u32::MAX {
                let len = i64::from(head.len);
                let room = self.rooms.get_mut(&head.stream).expect("a stream that was opened");
                *room -= len;
                self.room -= len;
                let is_within = *room >= 0 && self.room >= 0;
                assert!(is_within, "{len} bytes of DATA for which there is no window");
            }
            self.bytes.drain(..end);
        }
    }
}
