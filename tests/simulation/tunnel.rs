//! What a connection becomes after a 101: bytes both ways that no length frames, until each side has
//! finished. An end that was not meant must not look like one.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::io::buffer::BufferPool;
use otus::io::race::join;
use otus::io::sim::SimSocket;
use otus::io::{Io, Socket};
use otus::protocol::websocket;

use crate::decode::value;
use crate::dice::Dice;
use crate::ledger::{Exchange, Kind};
use crate::response::{PATIENCE, Reader, Response};
use crate::town::Town;
use crate::visit::{content, difference};

const HOUR: Duration = Duration::from_hours(1);

/// A tunnel that is asked for.
pub struct Tunnel {
    /// What the client sends.
    pub up: Rc<[u8]>,
    /// The generation that was in force when the client began to send.
    pub born: Cell<u64>,
    /// The client has sent all of it, and its end.
    pub is_finished: Cell<bool>,
    /// Heads that reached endpoints, in their order.
    pub tries: RefCell<Vec<Rc<Hole>>>,
}

/// A tunnel as an endpoint saw it.
pub struct Hole {
    /// The generation in which it was forwarded.
    pub generation: u64,
    /// What the endpoint sends.
    pub down: Rc<[u8]>,
    /// It has sent all of it, and its end.
    pub is_finished: Cell<bool>,
    /// Bytes that reached it.
    pub bytes: Cell<usize>,
    /// All came, with its end.
    pub is_whole: Cell<bool>,
}

impl Tunnel {
    pub fn new(id: &str, len: usize) -> Tunnel {
        let up = content(&format!("{id}/up"), len);
        let (born, is_finished) = (Cell::new(0), Cell::new(false));
        Tunnel { up, born, is_finished, tries: RefCell::default() }
    }

    /// An endpoint takes it; returns the number of the try.
    fn enter(&self, id: &str, generation: u64, len: usize) -> (usize, Rc<Hole>) {
        let number = self.tries.borrow().len();
        let born = self.born.get();
        assert!(generation >= born, "{id} began in {born} and ran in {generation}");
        let is_one = self.tries.borrow().iter().all(|hole| hole.generation == generation);
        assert!(is_one, "{id} was tried in two generations");
        let hole = Rc::new(Hole {
            generation,
            down: content(&format!("{id}/{number}/down"), len),
            is_finished: Cell::new(false),
            bytes: Cell::new(0),
            is_whole: Cell::new(false),
        });
        self.tries.borrow_mut().push(Rc::clone(&hole));
        (number, hole)
    }

    /// What must hold when all is over.
    pub fn check(&self, id: &str) {
        let tries = self.tries.borrow();
        let entered = tries.iter().filter(|hole| hole.bytes.get() > 0).count();
        assert!(entered <= 1, "what {id} sent came out of {entered} tunnels");
    }

    /// A whole answer over HTTP/2: the tunnel, or that there is none.
    pub fn judge_whole(&self, town: &Town, id: &str, response: &Response) {
        let is_open = response.status == 200;
        let is_fair = !town.weather.is_quiet() || town.draining.get();
        assert!(is_open || is_fair, "{id} got {} instead of a tunnel", response.status);
        self.judge(id, response, if is_open { &response.body } else { &[] }, is_open);
        if is_open {
            town.met("tunnels in streams");
        }
    }

    /// What came to the client, as far as it came. `ends`: with an orderly end.
    pub fn judge(&self, id: &str, response: &Response, body: &[u8], ends: bool) {
        let Some(number) = response.field("x-try") else {
            assert!(response.status >= 400, "{id} got {} from nobody", response.status);
            return;
        };
        assert_eq!(response.field("x-echo"), Some(id), "the tunnel of another");
        let hole = Rc::clone(&self.tries.borrow()[number.parse::<usize>().unwrap()]);
        assert!(hole.down.starts_with(body), "{id}: {}", difference(body, &hole.down));
        if ends {
            assert!(hole.is_finished.get(), "{id}: a tunnel that was cut looks whole");
            assert!(body.len() == hole.down.len(), "{id}: {} bytes are not all", body.len());
        }
    }
}

/// A client with a tunnel over HTTP/1.1.
pub async fn run(town: Rc<Town>, mut dice: Dice, host: IpAddr, exchange: Rc<Exchange>) {
    let gate = dice.pick(&town.gates);
    if let Some(socket) = town.connect(host, gate).await {
        let Kind::Tunnel(tunnel) = &exchange.kind else { unreachable!() };
        visit(&town, &mut dice, &socket, &exchange.id, tunnel).await;
        // Only an end that was said to be one is one.
        if !tunnel.is_finished.get() {
            socket.reset_on_close();
        }
    }
    town.clients.set(town.clients.get() - 1);
}

async fn visit(town: &Town, dice: &mut Dice, socket: &SimSocket, id: &str, tunnel: &Tunnel) {
    let handshake = if dice.one_in(2) {
        "upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        "upgrade: x-sim\r\n"
    };
    let head = format!(
        "GET /w/{id}?of={id} HTTP/1.1\r\nhost: gateway.test\r\nx-request-id: {id}\r\n\
         connection: upgrade\r\n{handshake}\r\n"
    );
    tunnel.born.set(town.generation.get());
    if town.write(socket, head.as_bytes()).await.is_err() {
        return;
    }
    let mut reader = Reader::new(socket.clone());
    let answer = reader.next(None, town.sim.now() + PATIENCE).await;
    let is_fair = !town.weather.is_quiet() || town.draining.get();
    let response = match answer {
        Ok(response) if response.status == 101 => response,
        Ok(response) => {
            assert!(is_fair, "{id} got {} instead of a tunnel", response.status);
            return tunnel.judge(id, &response, &[], false);
        }
        Err(silence) => return assert!(is_fair, "{id} got no tunnel but {silence:?}"),
    };
    town.met("tunnels");
    let breaks = dice.one_in(6).then(|| dice.count(0, tunnel.up.len()));
    let ends = Side {
        is_broken: Cell::new(false),
        town,
        socket,
        said: &tunnel.up,
        is_finished: &tunnel.is_finished,
    };
    let (early, mut writer) = (reader.rest(), dice.fork());
    let listen = async {
        let mut got = early;
        let is_end = ends.hear(&mut got, Duration::ZERO, |_| {}).await;
        tunnel.judge(id, &response, &got, is_end);
        is_end
    };
    let (is_said, is_heard) = join(ends.say(&mut writer, breaks, Duration::ZERO), listen).await;
    assert!(is_fair || breaks.is_some() || is_said && is_heard, "{id}: a tunnel broke");
    if is_said && is_heard {
        town.met("tunnels that ended well");
    }
}

/// The endpoint's end of a tunnel, on a connection whose request has come.
pub struct End<'a> {
    pub town: &'a Town,
    pub socket: &'a SimSocket,
    pub exchange: &'a Exchange,
    pub generation: u64,
    /// Before each read, and between two pieces.
    pub pauses: (Duration, Duration),
    /// It breaks off.
    pub breaks: bool,
}

impl End<'_> {
    /// Switches, and runs it to its end. `early`: what came behind the head.
    pub async fn serve(self, dice: &mut Dice, fields: &[(String, String)], early: &[u8]) {
        let Kind::Tunnel(tunnel) = &self.exchange.kind else { panic!("a tunnel to nowhere") };
        let id = &self.exchange.id;
        let (number, hole) = tunnel.enter(id, self.generation, dice.log(100_000));
        let name = value(fields, "upgrade").expect("what it is to become");
        assert_eq!(value(fields, "connection"), Some("upgrade"), "{id}");
        assert!(early.is_empty(), "{id}: bytes before the tunnel stands");
        let mut head = format!(
            "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: {name}\r\n\
             x-try: {number}\r\nx-echo: {id}\r\n"
        );
        if let Some(key) = value(fields, "sec-websocket-key") {
            let accept = websocket::accept(key.as_bytes());
            head = head + "sec-websocket-accept: " + str::from_utf8(&accept).unwrap() + "\r\n";
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        // Some of what it says comes together with its switch.
        let ahead = if dice.one_in(3) { dice.log(5000).min(hole.down.len()) } else { 0 };
        bytes.extend(&hole.down[..ahead]);
        if self.town.write_within(self.socket, &bytes, HOUR).await.is_err() {
            return;
        }
        let breaks = self.breaks.then(|| dice.count(0, hole.down.len() - ahead));
        let said = &hole.down[ahead..];
        let ends = Side {
            is_broken: Cell::new(false),
            town: self.town,
            socket: self.socket,
            said,
            is_finished: &hole.is_finished,
        };
        let listen = async {
            let mut got = Vec::new();
            let check = |got: &[u8]| {
                assert!(tunnel.up.starts_with(got), "{id}: {}", difference(got, &tunnel.up));
                hole.bytes.set(got.len());
            };
            if ends.hear(&mut got, self.pauses.0, check).await {
                assert!(tunnel.is_finished.get(), "{id}: a tunnel that was cut looks whole");
                assert!(got.len() == tunnel.up.len(), "{id}: {} bytes are not all", got.len());
                hole.is_whole.set(true);
            }
        };
        join(ends.say(dice, breaks, self.pauses.1), listen).await;
        if !hole.is_finished.get() {
            self.socket.reset_on_close();
        }
    }
}

/// One end of a tunnel.
struct Side<'a> {
    /// Something failed: what looks like an end from now on is none.
    is_broken: Cell<bool>,
    town: &'a Town,
    socket: &'a SimSocket,
    said: &'a [u8],
    is_finished: &'a Cell<bool>,
}

impl Side<'_> {
    fn break_off(&self) {
        self.is_broken.set(true);
        self.socket.reset_on_close();
        self.socket.cancel();
    }

    /// Says all, and that it is all; or breaks off after so many bytes. True: all was said.
    async fn say(&self, dice: &mut Dice, breaks: Option<usize>, pause: Duration) -> bool {
        let all = breaks.map_or(self.said, |at| &self.said[..at]);
        let piece_max = dice.log(all.len()).max(all.len() / 50).max(1);
        let mut rest = all;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(dice.count(1, piece_max).min(rest.len()));
            rest = later;
            if self.town.write_within(self.socket, piece, HOUR).await.is_err() {
                self.break_off();
                return false;
            }
            if !pause.is_zero() {
                self.town.sleep(pause).await;
            }
        }
        if breaks.is_some() {
            self.town.met("tunnels that were broken off");
            self.break_off();
            return false;
        }
        self.is_finished.set(true);
        self.socket.shutdown_write();
        true
    }

    /// Takes what comes; true: it came to an orderly end.
    async fn hear(&self, got: &mut Vec<u8>, pause: Duration, mut check: impl FnMut(&[u8])) -> bool {
        let pool = BufferPool::new(8192);
        check(got);
        loop {
            if !pause.is_zero() {
                self.town.sleep(pause).await;
            }
            let until = self.town.sim.now() + HOUR;
            let (result, buffer) = self.socket.read(pool.large(), until).await;
            match result {
                Ok(0) => return !self.is_broken.get(),
                Ok(_) => {
                    got.extend(buffer.filled());
                    check(got);
                }
                Err(_) => {
                    self.break_off(); // Nobody is left to talk to.
                    return false;
                }
            }
        }
    }
}
