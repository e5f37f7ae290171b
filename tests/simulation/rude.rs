//! Clients that nobody wishes for. The gateway owes them little, but it has to get rid of them.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::io::sim::SimSocket;
use otus::io::{Io, IoError, Socket};

use crate::client;
use crate::dice::{Dice, size};
use crate::ledger::{Kind, Ledger};
use crate::request::{self, Mix, Sizes, Wire};
use crate::response::{PATIENCE, Reader, Silence};
use crate::town::Town;

const SMALL: Sizes =
    Sizes { file_max: 60_000, bulk_max: 20_000, mix: Mix::Both, doors: false, streams: false };

/// Does one rude thing.
pub async fn run(town: Rc<Town>, mut dice: Dice, host: IpAddr, id: String) {
    let gate = dice.pick(&town.gates);
    if let Some(socket) = town.connect(host, gate).await {
        match dice.between(0, 9) {
            0..=3 => vanish(&town, &mut dice, &socket, id).await,
            4 => trickle_head(&town, &socket).await,
            5 => trickle_body(&town, &mut dice, &socket, id).await,
            6 => await_end(&town, &mut Reader::new(socket)).await,
            7 => garbage(&town, &mut dice, &socket).await,
            8 => mutant(&town, &mut dice, &socket, id).await,
            _ => deaf(&town, &mut dice, &socket, &id).await,
        }
    }
    town.clients.set(town.clients.get() - 1);
}

/// Stops somewhere in a request, in one of the ways in which clients go.
async fn vanish(town: &Town, dice: &mut Dice, socket: &SimSocket, id: String) {
    town.met("clients that vanished");
    let wire = request::draw(dice, &town.ledger, id, SMALL, false);
    let len = wire.bytes.len();
    let within = dice.count(1, len);
    let cut = dice.pick(&[wire.head_len, within, len - 1, len]).clamp(1, len);
    wire.exchange.is_cut.set(cut < len);
    if town.write(socket, &wire.bytes[..cut]).await.is_err() {
        return;
    }
    town.sleep(dice.millis(0, 300)).await;
    match dice.between(0, 3) {
        0 => socket.reset_on_close(),
        1 => socket.cancel(),
        2 => {
            socket.shutdown_write();
            read_one(town, socket, &wire).await;
        }
        _ => read_one(town, socket, &wire).await,
    }
}

/// Reads what may come to one request, and then the end.
async fn read_one(town: &Town, socket: &SimSocket, wire: &Wire) {
    let mut reader = Reader::new(socket.clone());
    while let Ok(response) = reader.next(wire.head(), town.sim.now() + PATIENCE).await {
        if response.status >= 200 {
            let is_forward = matches!(wire.exchange.kind, Kind::Forward(_));
            if response.status == 200 || is_forward && response.field("x-try").is_some() {
                client::judge(town, wire, &response, None);
            }
            return await_end(town, &mut reader).await;
        }
    }
}

/// The gateway ends the connection by itself, sooner or later.
async fn await_end(town: &Town, reader: &mut Reader) {
    let end = reader.end(town.sim.now() + PATIENCE).await;
    let is_late = end == Silence::Failed(IoError::TimedOut);
    assert!(!(is_late && town.weather.is_calm), "a connection was never closed");
}

/// Reads any number of answers and waits for the end.
async fn read_any(town: &Town, socket: &SimSocket) {
    let mut reader = Reader::new(socket.clone());
    let silence = loop {
        match reader.next(None, town.sim.now() + PATIENCE).await {
            Ok(response) => assert!((100..600).contains(&response.status)),
            Err(silence) => break silence,
        }
    };
    let is_late = silence == Silence::Failed(IoError::TimedOut);
    assert!(!(is_late && town.weather.is_calm), "a connection was never closed");
}

/// Sends a head that never ends.
async fn trickle_head(town: &Town, socket: &SimSocket) {
    town.met("slow heads");
    let start = town.sim.now();
    let mut bytes =
        b"GET /api/v3/echo HTTP/1.1\r\nhost: a\r\n".iter().chain(b"x: yz\r\n".iter().cycle());
    while town.write(socket, &[*bytes.next().unwrap()]).await.is_ok() && !socket.is_peer_gone() {
        town.sleep(Duration::from_millis(200)).await;
        let took = town.sim.now() - start;
        assert!(took < PATIENCE || !town.weather.is_calm, "a head may take for ever");
        if took > PATIENCE {
            return;
        }
    }
    read_any(town, socket).await;
}

/// Sends a body that never ends, too slowly.
async fn trickle_body(town: &Town, dice: &mut Dice, socket: &SimSocket, id: String) {
    town.met("slow bodies");
    let line = dice.pick(&["PUT /api/v3/store/f/x", "POST /api/v3/echo", "POST /drop"]);
    let head = format!(
        "{line} HTTP/1.1\r\nhost: a\r\nx-request-id: rude-{id}\r\ncontent-length: 90000\r\n\r\n"
    );
    let start = town.sim.now();
    let mut bytes = head.into_bytes();
    while town.write(socket, &bytes).await.is_ok() && !socket.is_peer_gone() {
        town.sleep(Duration::from_secs(1)).await;
        let took = town.sim.now() - start;
        assert!(took < PATIENCE || !town.weather.is_calm, "a body may take for ever");
        if took > PATIENCE {
            return;
        }
        bytes = vec![b'x'; dice.count(1, 30)];
    }
    read_any(town, socket).await;
}

async fn garbage(town: &Town, dice: &mut Dice, socket: &SimSocket) {
    town.met("garbage");
    let mut bytes = vec![0; dice.count(1, 3000)];
    if dice.one_in(2) {
        dice.prng().fill(&mut bytes);
    } else {
        for byte in &mut bytes {
            *byte = dice.pick(b"GET / HTP1.\r\n:ab");
        }
    }
    if town.write(socket, &bytes).await.is_ok() {
        read_any(town, socket).await;
    }
}

/// A request with a few bytes changed, lost or doubled. It is in no book: what it means is open.
async fn mutant(town: &Town, dice: &mut Dice, socket: &SimSocket, id: String) {
    town.met("mutants");
    let book = Ledger::default();
    let mut wires =
        (0..9).map(|n| request::draw(dice, &book, format!("rude-{id}-{n}"), SMALL, false));
    let Some(wire) = wires.find(|wire| !wire.is_head) else { return };
    drop(wires);
    let mut bytes = wire.bytes;
    for _ in 0..dice.count(1, 4) {
        let at = size(dice.prng().below(wire.head_len as u64 + 60)).min(bytes.len() - 1);
        match dice.between(0, 3) {
            0 => bytes[at] ^= 1 << dice.between(0, 7),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, dice.pick(b"\r\n :,;0aZ\0\xff")),
            _ => {
                let double = bytes[at..bytes.len().min(at + 20)].to_vec();
                bytes.splice(at..at, double);
            }
        }
    }
    // A method that became HEAD or so would change how its answer is read.
    if bytes.starts_with(b"HEAD") {
        return;
    }
    if town.write(socket, &bytes).await.is_ok() {
        if dice.one_in(2) {
            socket.shutdown_write();
        }
        read_any(town, socket).await;
    }
}

/// Asks for much and reads nothing.
async fn deaf(town: &Town, dice: &mut Dice, socket: &SimSocket, id: &str) {
    town.met("deaf clients");
    for n in 0..dice.count(1, 200) {
        let head = format!(
            "GET /api/v3/echo/r?big=1 HTTP/1.1\r\nhost: a\r\nx-request-id: rude-{id}-{n}\r\n\r\n"
        );
        if town.write(socket, head.as_bytes()).await.is_err() {
            break;
        }
    }
    let start = town.sim.now();
    while !socket.is_peer_gone() {
        town.sleep(Duration::from_secs(1)).await;
        if town.sim.now() - start > PATIENCE {
            assert!(!town.weather.is_calm, "a deaf client was never let go");
            return;
        }
    }
}
