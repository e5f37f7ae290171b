//! HTTP/1.1 endpoints with good and bad manners.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::base::time::Instant;
use otus::io::buffer::BufferPool;
use otus::io::sim::{SimListener, SimSocket};
use otus::io::{Io, IoError, Listener, Socket};

use crate::decode::{Coding, Decoder, field, told, value};
use crate::dice::Dice;
use crate::ledger::{Exchange, Kind};
use crate::manner::Manner;
use crate::misdeed::{BAD_HEADS, Facts, Misdeed, Worded, bad_head, spoil_chunks, word};
use crate::town::Town;
use crate::tunnel;
use crate::visit::{Said, Try, Visit, content, difference};
use crate::web::Door;

const HOUR: Duration = Duration::from_hours(1);

/// On a calm day what left before something else came is here by then, and was read.
const LATE: Duration = Duration::from_millis(5);

/// One address with an HTTP service behind it.
pub struct Origin {
    town: Rc<Town>,
    manner: Manner,
    pub address: SocketAddr,
    dice: RefCell<Dice>,
    pool: BufferPool,
    listener: SimListener,
    sockets: RefCell<Vec<SimSocket>>,
}

impl Origin {
    pub fn start(town: &Rc<Town>, address: SocketAddr, manner: Manner, dice: Dice) -> Rc<Self> {
        let origin = Rc::new(Origin {
            town: Rc::clone(town),
            manner,
            address,
            dice: RefCell::new(dice),
            pool: BufferPool::new(8192),
            listener: town.sim.on_host(address.ip()).listen(address),
            sockets: RefCell::default(),
        });
        town.sim.spawn(accept(Rc::clone(&origin)));
        origin
    }

    /// Ends everything.
    pub fn stop(&self) {
        self.listener.cancel();
        for socket in self.sockets.borrow_mut().drain(..) {
            socket.cancel();
        }
    }

    fn millis(&self, max: Duration) -> Duration {
        let max = u64::try_from(max.as_millis()).unwrap();
        self.dice.borrow_mut().millis(0, max)
    }
}

async fn accept(origin: Rc<Origin>) {
    loop {
        match origin.listener.accept().await {
            Ok((socket, _)) => {
                origin.sockets.borrow_mut().push(socket.clone());
                let visitor = Connection {
                    origin: Rc::clone(&origin),
                    socket,
                    bytes: RefCell::default(),
                    is_stale: Cell::new(false),
                    dirty_since: Cell::new(None),
                };
                origin.town.sim.spawn(serve(visitor));
            }
            Err(IoError::Exhausted) => origin.town.sleep(Duration::from_millis(20)).await,
            Err(IoError::Cancelled) => return,
            Err(_) => {} // That connection was gone before it was taken.
        }
    }
}

/// A connection from the gateway.
struct Connection {
    origin: Rc<Origin>,
    socket: SimSocket,
    /// What came and belongs to no message yet.
    bytes: RefCell<Vec<u8>>,
    /// It goes as soon as something comes.
    is_stale: Cell<bool>,
    /// Something was sent that nobody asked for.
    dirty_since: Cell<Option<Instant>>,
}

/// A request whose head has come.
struct Asked {
    id: String,
    is_head: bool,
    exchange: Option<Rc<Exchange>>,
    once: Rc<Try>,
    /// Which try of its exchange it is.
    number: usize,
    fields: Vec<(String, String)>,
}

impl Asked {
    fn visit(&self) -> Option<&Visit> {
        match &self.exchange.as_ref()?.kind {
            Kind::Forward(visit) => Some(visit),
            Kind::Tunnel(_) => None,
            _ => panic!("{} was no request to forward", self.id),
        }
    }

    fn tunnel(&self) -> Option<&Exchange> {
        self.exchange.as_deref().filter(|exchange| matches!(exchange.kind, Kind::Tunnel(_)))
    }
}

async fn serve(connection: Connection) {
    let origin = Rc::clone(&connection.origin);
    while let Some((asked, decoder)) = connection.head().await {
        if connection.handle(&asked, decoder).await.is_none() {
            break;
        }
    }
    let socket = &connection.socket;
    origin.sockets.borrow_mut().retain(|other| other.connection() != socket.connection());
}

impl Connection {
    /// The next request; `None`: none comes any more.
    async fn head(&self) -> Option<(Asked, Decoder)> {
        let town = &self.origin.town;
        loop {
            let end = self.bytes.borrow().windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.bytes.borrow_mut().drain(..end + 4).collect();
                // Values may hold bytes above ASCII, of rude clients (RFC 9110, 5.5).
                return Some(self.read_head(String::from_utf8_lossy(&head).trim_end()));
            }
            let wait = if self.bytes.borrow().is_empty() { self.origin.manner.idle } else { HOUR };
            self.socket.readable(town.sim.now() + wait).await.ok()?;
            if self.is_stale.get() {
                town.met("connections closed as a request came");
                return None;
            }
            self.receive(wait).await?;
        }
    }

    /// Takes what has come; `None`: nothing more does.
    async fn receive(&self, wait: Duration) -> Option<()> {
        let Origin { town, manner, pool, .. } = &*self.origin;
        if !manner.read_pause.is_zero() {
            town.sleep(manner.read_pause).await;
        }
        let (result, buffer) = self.socket.read(pool.large(), town.sim.now() + wait).await;
        if !matches!(result, Ok(1..)) {
            return None;
        }
        self.bytes.borrow_mut().extend(buffer.filled());
        Some(())
    }

    fn read_head(&self, head: &str) -> (Asked, Decoder) {
        let town = &self.origin.town;
        let dirty = self.dirty_since.get().filter(|_| town.weather.is_calm);
        let is_clean = dirty.is_none_or(|since| town.sim.now() < since + LATE);
        assert!(is_clean, "a request on a connection on which came what nobody asked for");
        let mut lines = head.split("\r\n");
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let [method, path, "HTTP/1.1"] = first[..] else { panic!("no request: {first:?}") };
        let fields: Vec<(String, String)> = lines.map(field).collect();
        assert_eq!(value(&fields, "expect"), None, "the gateway waits for nobody");
        let id = value(&fields, "x-request-id").expect("an id").to_owned();
        let host = value(&fields, "host").expect("a host");
        let generation = host.strip_prefix('g').and_then(|rest| rest.strip_suffix(".test"));
        let generation: u64 = generation.expect("a generation").parse().expect("a number");
        let prefix = format!("/g{generation}/");
        // A mutant may have lost the slash: the route is a prefix of whole segments.
        let is_there = path.starts_with(&prefix) || path.starts_with(&format!("/g{generation}?"));
        assert!(is_there, "{path} in generation {generation}");
        let coding = told(&fields).unwrap_or(Coding::None);
        let once = Try::new(generation);
        let exchange = town.ledger.find(&id);
        let number = match exchange.as_ref().map(|exchange| &exchange.kind) {
            Some(Kind::Forward(visit)) => visit.tries.borrow().len(),
            _ => 0,
        };
        let is_head = method == "HEAD";
        let asked = Asked { id, is_head, exchange, once, number, fields };
        if let Some(visit) = asked.visit() {
            let id = &asked.id;
            assert_eq!(path, format!("{prefix}{id}?of={id}"), "the path of another");
            assert_eq!(method, visit.method, "{id}");
            let is_true = match coding {
                Coding::Length(len) => len == visit.body.len(),
                Coding::None => visit.body.is_empty(),
                Coding::Chunked | Coding::UntilClose => true,
            };
            assert!(is_true, "{id}: {coding:?} for {} bytes", visit.body.len());
            visit.tries.borrow_mut().push(Rc::clone(&asked.once));
            visit.check_so_far(id);
            self.enter(visit);
        }
        town.sim.note("an endpoint got a request", self.socket.connection());
        (asked, Decoder::new(coding))
    }

    /// In a quiet world all that was let in by the narrow door is seen here, and no longer than
    /// the gateway counts it.
    fn enter(&self, visit: &Visit) {
        let town = &self.origin.town;
        if visit.door == Door::Narrow && town.weather.is_quiet() && !town.draining.get() {
            town.behind.set(town.behind.get() + 1);
            let (behind, most) = (town.behind.get(), town.doors.narrow);
            assert!(behind <= most, "{behind} requests were let in at once, {most} may be");
        }
    }

    fn leave(&self, asked: &Asked) {
        if asked.visit().is_some_and(|visit| visit.door == Door::Narrow) {
            self.origin.town.behind.update(|behind| behind.saturating_sub(1));
        }
    }

    /// Takes more of the body; `None`: it will never be whole.
    async fn take(&self, asked: &Asked, decoder: &mut Decoder) -> Option<()> {
        self.receive(HOUR).await?;
        self.feed(asked, decoder);
        Some(())
    }

    fn feed(&self, asked: &Asked, decoder: &mut Decoder) {
        decoder.feed(&mut self.bytes.borrow_mut());
        let is_done = decoder.is_done();
        if let Some(visit) = asked.visit() {
            let (got, want) = (&decoder.body[..], &visit.body[..]);
            let is_true = if is_done { got == want } else { want.starts_with(got) };
            assert!(is_true, "{} arrived as {}", asked.id, difference(got, want));
            let is_own =
                decoder.trailers.iter().all(|(name, value)| name == "x-sum" && value == "1");
            assert!(is_own, "{}: trailers {:?}", asked.id, decoder.trailers);
        }
        asked.once.bytes.set(decoder.body.len());
        asked.once.is_whole.set(is_done);
        // Who answers early reads on, and the next request may be behind the end of the body.
        let is_next = is_done && !asked.once.is_said.get();
        let extra = if is_next { self.bytes.borrow().len() } else { 0 };
        assert_eq!(extra, 0, "{}: bytes behind a request that was not answered", asked.id);
    }

    /// Does what is to be done; `None`: the connection ends.
    async fn handle(&self, asked: &Asked, mut decoder: Decoder) -> Option<()> {
        let town = &self.origin.town;
        let misdeed = self.next_misdeed(&decoder);
        if let Some(exchange) = asked.tunnel() {
            let breaks = misdeed != Misdeed::None;
            self.tunnel(asked, exchange, breaks).await;
            return None;
        }
        town.met(misdeed.name());
        town.sim.note(misdeed.name(), self.socket.connection());
        self.feed(asked, &mut decoder);
        let at = self.origin.dice.borrow_mut().log(100_000);
        while !decoder.is_done() && !misdeed.is_early() {
            if matches!(misdeed, Misdeed::Go | Misdeed::Die | Misdeed::Freeze)
                && decoder.body.len() >= at
            {
                break;
            }
            self.take(asked, &mut decoder).await?;
        }
        match misdeed {
            Misdeed::Go => return None,
            Misdeed::Die => {
                self.socket.reset_on_close();
                return None;
            }
            Misdeed::Silence | Misdeed::Freeze => {
                self.wait_for_end().await;
                return None;
            }
            _ => {}
        }
        town.sleep(self.origin.millis(self.origin.manner.think_max)).await;
        if misdeed.is_false() {
            return self.lie(asked, misdeed).await;
        }
        self.answer(asked, misdeed, &mut decoder).await
    }

    fn next_misdeed(&self, decoder: &Decoder) -> Misdeed {
        let mut dice = self.origin.dice.borrow_mut();
        let times = self.origin.manner.bad_one_in;
        if times == 0 || !dice.one_in(times) {
            return Misdeed::None;
        }
        // Where a body is still to come it matters who answers first.
        if !decoder.is_done() && dice.one_in(4) { Misdeed::Early } else { Misdeed::draw(&mut dice) }
    }

    /// Becomes what the request asks for.
    async fn tunnel(&self, asked: &Asked, exchange: &Exchange, breaks: bool) {
        let Origin { town, manner, .. } = &*self.origin;
        let early = self.bytes.take();
        let mut dice = self.origin.dice.borrow_mut().fork();
        let pauses = (manner.read_pause, manner.piece_pause);
        let generation = asked.once.generation;
        let end = tunnel::End { town, socket: &self.socket, exchange, generation, pauses, breaks };
        end.serve(&mut dice, &asked.fields, &early).await;
    }

    /// Says what must not be believed.
    async fn lie(&self, asked: &Asked, misdeed: Misdeed) -> Option<()> {
        let bytes = if misdeed == Misdeed::Switch {
            let own = format!("x-try: {}\r\nx-echo: {}\r\n", asked.number, asked.id);
            let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n";
            format!("{switch}upgrade: websocket\r\n{own}\r\nhello").into_bytes()
        } else {
            let kind = self.origin.dice.borrow_mut().between(0, BAD_HEADS - 1);
            self.origin.town.sim.note("a bad head of kind", kind);
            bad_head(kind, &asked.id, asked.number)
        };
        self.write(&bytes).await?;
        self.wait_for_end().await;
        None
    }

    async fn answer(&self, asked: &Asked, misdeed: Misdeed, decoder: &mut Decoder) -> Option<()> {
        let town = &self.origin.town;
        let closes = misdeed == Misdeed::EarlyAndGo || self.origin.dice.borrow_mut().one_in(12);
        let Worded { head, mut body, until_close } = self.word(asked, misdeed, closes);
        self.interims(misdeed).await?;
        if misdeed == Misdeed::BadChunk
            && head.windows(7).any(|seven| seven == b"chunked")
            && spoil_chunks(&mut self.origin.dice.borrow_mut(), &mut body)
        {
            town.met("chunks that were spoilt");
            self.write(&[head, body].concat()).await?;
            self.wait_for_end().await;
            return None;
        }
        let mut bytes = [&head[..], &body[..]].concat();
        let cut = match misdeed {
            Misdeed::CutHead => Some((1, head.len() - 1)),
            Misdeed::CutBody if until_close => None,
            Misdeed::CutBody | Misdeed::CutBodyDie | Misdeed::Stall if !body.is_empty() => {
                Some((head.len(), bytes.len() - 1))
            }
            _ => None,
        };
        if let Some((least, most)) = cut {
            let len = self.origin.dice.borrow_mut().count(least, most);
            self.write(&bytes[..len]).await?;
            match misdeed {
                Misdeed::Stall => self.wait_for_end().await,
                Misdeed::CutBodyDie => self.socket.reset_on_close(),
                _ => {}
            }
            return None;
        }
        if misdeed == Misdeed::Extra && !until_close && self.origin.dice.borrow_mut().one_in(2) {
            asked.once.is_said.set(true);
            if town.weather.is_calm && bytes.len() < 8000 {
                // It arrives together with the answer.
                let answer = b"HTTP/1.1 200 OK\r\nx-try: 0\r\nx-echo: nobody\r\n\r\n";
                bytes.extend(answer);
                town.write_within(&self.socket, &bytes, HOUR).await.ok()?;
            } else {
                bytes.extend(self.garbage());
                self.write(&bytes).await?;
            }
            self.dirty_since.set(Some(town.sim.now()));
        } else {
            // All but the last byte first: with that it is said.
            let (front, last) = bytes.split_at(bytes.len() - 1);
            self.write(front).await?;
            asked.once.is_said.set(true);
            self.leave(asked);
            self.write(last).await?;
        }
        self.after(asked, misdeed, closes || until_close, decoder).await
    }

    fn word(&self, asked: &Asked, misdeed: Misdeed, closes: bool) -> Worded {
        let dice = &mut *self.origin.dice.borrow_mut();
        let status = match misdeed {
            Misdeed::Busy => dice.pick(&[502, 503, 504]),
            Misdeed::EarlyAndGo => dice.pick(&[400, 413, 401, 200]),
            _ => dice.pick(&[200, 200, 200, 200, 200, 201, 204, 301, 304, 404, 500]),
        };
        let large = self.origin.manner.body_max;
        let len = match dice.between(0, 5) {
            0 => large - dice.log(large / 2), // Worth a pipe.
            _ => dice.log(30_000),
        };
        let codings = [Coding::Length(len), Coding::Length(len), Coding::Chunked, Coding::Chunked];
        let coding = if dice.one_in(8) { Coding::UntilClose } else { dice.pick(&codings) };
        let has_trailer = coding == Coding::Chunked && dice.one_in(3);
        let Asked { id, is_head, number, .. } = asked;
        let content = content(&format!("{id}/{number}"), len);
        let said = Said { status, body: Rc::clone(&content), has_trailer };
        asked.once.said.replace(Some(said));
        let (is_head, number) = (*is_head, *number);
        let facts =
            Facts { status, id, number, content: &content, has_trailer, is_head, coding, closes };
        word(&facts, dice)
    }

    async fn interims(&self, misdeed: Misdeed) -> Option<()> {
        let count = match misdeed {
            Misdeed::Interims => self.origin.dice.borrow_mut().log(40),
            _ if self.origin.dice.borrow_mut().one_in(8) => 1,
            _ => 0,
        };
        for _ in 0..count {
            let hundred = b"HTTP/1.1 100 Continue\r\n\r\n";
            let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
            let is_hint = self.origin.dice.borrow_mut().one_in(2);
            self.write(if is_hint { &hint[..] } else { &hundred[..] }).await?;
        }
        Some(())
    }

    /// What follows an answer that was given.
    async fn after(
        &self,
        asked: &Asked,
        misdeed: Misdeed,
        closes: bool,
        decoder: &mut Decoder,
    ) -> Option<()> {
        let town = &self.origin.town;
        if closes {
            return None;
        }
        match misdeed {
            Misdeed::Extra => {
                town.sleep(self.origin.millis(Duration::from_millis(50))).await;
                let is_quiet = self.socket.is_quiet(); // No next request has come.
                self.write(self.garbage()).await?;
                self.dirty_since.set(is_quiet.then(|| town.sim.now()));
            }
            Misdeed::Stale => {
                town.sleep(self.origin.millis(Duration::from_millis(50))).await;
                return None;
            }
            Misdeed::HalfClose => {
                self.socket.shutdown_write();
                self.wait_for_end().await;
                return None;
            }
            _ => {}
        }
        while !decoder.is_done() {
            self.take(asked, decoder).await?;
        }
        let times = self.origin.manner.stale_one_in;
        self.is_stale.set(times > 0 && self.origin.dice.borrow_mut().one_in(times));
        Some(())
    }

    /// No answer: that would be believed if it came just after the next request had left.
    fn garbage(&self) -> &'static [u8] {
        self.origin.dice.borrow_mut().pick(&[&b"x"[..], b"0\r\n\r\n"])
    }

    /// Writes in a few pieces.
    async fn write(&self, bytes: &[u8]) -> Option<()> {
        let Origin { town, manner, dice, .. } = &*self.origin;
        let piece_max = dice.borrow_mut().log(bytes.len()).max(bytes.len() / 50).max(1);
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = dice.borrow_mut().count(1, piece_max).min(rest.len());
            let (piece, later) = rest.split_at(len);
            rest = later;
            town.write_within(&self.socket, piece, HOUR).await.ok()?;
            if !manner.piece_pause.is_zero() && !rest.is_empty() {
                town.sleep(manner.piece_pause).await;
            }
        }
        Some(())
    }

    /// Neither reads nor writes until the gateway has gone.
    async fn wait_for_end(&self) {
        while !self.socket.is_peer_gone() {
            self.origin.town.sleep(Duration::from_millis(500)).await;
        }
    }
}
