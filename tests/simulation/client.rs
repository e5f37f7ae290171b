//! Honest clients: they send whole requests, wait for answers, and believe nothing.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::base::time::Instant;
use otus::io::race::race;
use otus::io::sim::SimSocket;
use otus::io::{Io, IoError, Socket};
use otus::proxy::event::Event;
use serde_json::Value;

use crate::dice::{Dice, hash, number};
use crate::ledger::{Exchange, File, Kind};
use crate::request::Wire;
use crate::response::{PATIENCE, Reader, Response, Silence};
use crate::town::Town;

/// Between the moment of a deadline and the answer that says so.
const SLACK: Duration = Duration::from_secs(2);

/// How a client behaves.
#[derive(Clone, Copy)]
pub struct Style {
    /// Sends the next request before the answer to the last one.
    pub pipelines: bool,
    /// Pause between two pieces of a request.
    pub pause: Duration,
    /// Pause between two requests, at most.
    pub gap_max: Duration,
}

/// One connection, as its reader and its writer know it.
struct Link {
    socket: SimSocket,
    /// Requests of which something may have been sent.
    started: Cell<usize>,
    /// Requests for whose body the gateway has asked.
    asked: Cell<usize>,
    answered: Cell<usize>,
    /// The reader has seen the end.
    is_over: Cell<bool>,
    written_at: RefCell<Vec<Instant>>,
    /// For the writer: one of the above has changed.
    news: Event,
    /// For the reader: the writer has ended.
    written: Event,
}

/// Makes its requests, on as many connections as that takes. `talk` makes them on one, in its
/// version of HTTP.
pub async fn run(
    town: Rc<Town>,
    mut dice: Dice,
    host: IpAddr,
    mut wires: Vec<Wire>,
    style: Style,
    talk: impl AsyncFn(&Rc<Town>, Dice, SimSocket, Vec<Wire>, Style) -> Vec<Wire>,
) {
    for _ in 0..12 {
        if wires.is_empty() || town.draining.get() {
            break;
        }
        let gate = dice.pick(&town.gates);
        let Some(socket) = town.connect(host, gate).await else { break };
        wires = talk(&town, dice.fork(), socket, wires, style).await;
    }
    let gave_up = !wires.is_empty() && town.weather.is_calm && !town.draining.get();
    assert!(!gave_up, "{} requests were never answered", wires.len());
    town.clients.set(town.clients.get() - 1);
}

/// Makes requests on one connection; returns those that are still to be made.
pub async fn talk(
    town: &Rc<Town>,
    dice: Dice,
    socket: SimSocket,
    wires: Vec<Wire>,
    style: Style,
) -> Vec<Wire> {
    let link = Rc::new(Link {
        socket: socket.clone(),
        started: Cell::new(0),
        asked: Cell::new(0),
        answered: Cell::new(0),
        is_over: Cell::new(false),
        written_at: RefCell::default(),
        news: Event::default(),
        written: Event::default(),
    });
    let wires = Rc::new(wires);
    town.sim.spawn(write_all(Rc::clone(town), Rc::clone(&link), Rc::clone(&wires), style, dice));
    let closes = read_all(town, &link, &wires, style).await;
    link.is_over.set(true);
    link.news.raise();
    socket.cancel();
    link.written.wait().await;
    // What follows the announcement of a close is not looked at, and may be asked again.
    let from = if closes { link.answered.get() } else { link.started.get() };
    let left = wires[from..].to_vec();
    for wire in &left {
        assert!(!wire.exchange.was_seen(), "a request behind a close was served");
    }
    left
}

/// Reads one answer for each request. True: the gateway announced its close.
async fn read_all(town: &Town, link: &Link, wires: &[Wire], style: Style) -> bool {
    let mut reader = Reader::new(link.socket.clone());
    for (index, wire) in wires.iter().enumerate() {
        let response = match read_one(town, link, &mut reader, index, wire).await {
            Ok(response) => response,
            Err(silence) => {
                let id = &wire.exchange.id;
                let mut is_fair = !town.weather.is_calm || town.draining.get();
                let is_orderly = silence == Silence::Cut && reader.partial().is_some();
                assert!(is_fair || !is_orderly, "{id}: an answer that was cut ends in good order");
                if let Kind::Forward(visit) = &wire.exchange.kind {
                    is_fair |= !town.weather.is_honest;
                    if let Some((response, body)) = reader.partial() {
                        visit.judge_partial(town, id, response, body);
                    }
                }
                assert!(
                    is_fair,
                    "{id} got no answer but {silence:?} on {:?}",
                    link.socket.connection()
                );
                return false;
            }
        };
        assert!(index < link.started.get(), "an answer without a request");
        let written = link.written_at.borrow().get(index).copied();
        let since = if style.pipelines { None } else { written };
        judge(town, wire, &response, since);
        link.answered.set(index + 1);
        link.news.raise();
        if response.closes() {
            let end = reader.end(town.sim.now() + PATIENCE).await;
            let is_late = end == Silence::Failed(IoError::TimedOut);
            assert!(!(is_late && town.weather.is_calm), "a close was announced and did not come");
            return true;
        }
        assert!(!wire.closes, "the client asked to close and was not heard");
    }
    false
}

async fn read_one(
    town: &Town,
    link: &Link,
    reader: &mut Reader,
    index: usize,
    wire: &Wire,
) -> Result<Response, Silence> {
    loop {
        let response = reader.next(wire.head(), town.sim.now() + PATIENCE).await?;
        if response.status >= 200 {
            return Ok(response);
        }
        if response.status != 100 {
            let is_hint = response.status == 103 && response.field("link") == Some("</a>");
            let is_forward = matches!(wire.exchange.kind, Kind::Forward(_));
            assert!(is_hint && is_forward && !wire.is_old, "{} to nobody", response.status);
            continue;
        }
        assert!(wire.expects && link.asked.get() <= index, "100 that nobody waited for");
        link.asked.set(index + 1);
        link.news.raise();
    }
}

async fn write_all(
    town: Rc<Town>,
    link: Rc<Link>,
    wires: Rc<Vec<Wire>>,
    style: Style,
    mut dice: Dice,
) {
    for (index, wire) in wires.iter().enumerate() {
        if !style.pipelines {
            while link.answered.get() < index && !link.is_over.get() {
                link.news.wait().await;
            }
            if index > 0 {
                let most = u64::try_from(style.gap_max.as_millis()).unwrap();
                town.sleep(dice.millis(0, most)).await;
            }
        }
        if link.is_over.get() {
            break;
        }
        link.started.set(index + 1);
        if let Kind::Forward(visit) = &wire.exchange.kind {
            visit.begin(&town);
        }
        if !wire.shut.is_zero() {
            town.met("windows that were shut for a while");
            link.socket.shut_window(true);
            town.sim.spawn(open_later(Rc::clone(&town), link.socket.clone(), wire.shut));
        }
        if write_one(&town, &link, wire, index, style, &mut dice).await.is_none() {
            break;
        }
        link.written_at.borrow_mut().push(town.sim.now());
    }
    link.written.raise();
}

async fn open_later(town: Rc<Town>, socket: SimSocket, time: Duration) {
    town.sleep(time).await;
    socket.shut_window(false);
}

async fn write_one(
    town: &Town,
    link: &Link,
    wire: &Wire,
    index: usize,
    style: Style,
    dice: &mut Dice,
) -> Option<()> {
    let (head, body) = wire.bytes.split_at(wire.head_len);
    if wire.expects && !body.is_empty() && dice.one_in(2) {
        write_pieces(town, link, head, style, dice).await?;
        let until = town.sim.now() + Duration::from_secs(1);
        while link.asked.get() <= index && town.sim.now() < until {
            if link.answered.get() > index || link.is_over.get() {
                return None;
            }
            race(link.news.wait(), town.sim.sleep_until(until)).await;
        }
        return write_pieces(town, link, body, style, dice).await;
    }
    write_pieces(town, link, &wire.bytes, style, dice).await
}

/// Writes in few enough pieces that no limit of pace is met.
async fn write_pieces(
    town: &Town,
    link: &Link,
    bytes: &[u8],
    style: Style,
    dice: &mut Dice,
) -> Option<()> {
    let mut rest = bytes;
    let piece_max = dice.log(rest.len()).max(rest.len() / 50).max(1);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(dice.count(1, piece_max).min(rest.len()));
        rest = later;
        town.write(&link.socket, piece).await.ok()?;
        if !style.pause.is_zero() && !rest.is_empty() {
            town.sleep(style.pause).await;
        }
    }
    Some(())
}

/// Whether an answer may be. `written`: when the last byte of the request had left.
pub fn judge(town: &Town, wire: &Wire, response: &Response, written: Option<Instant>) {
    let exchange = &wire.exchange;
    let id = &exchange.id;
    exchange.answers.set(exchange.answers.get() + 1);
    town.sim.note("a client got", u64::from(response.status));
    let status = response.status;
    if response.field("x-request-id") != Some(id) {
        // A head that came too slowly is refused before its id is known.
        assert!(status == 408 && !town.weather.is_calm, "{id} got the answer of another");
    }
    if let Some(written) = written.filter(|_| town.weather.is_calm) {
        let most = match exchange.kind {
            Kind::Local => Duration::ZERO,
            Kind::Call { .. } => town.call_timeout,
            Kind::Forward(_) | Kind::Tunnel(_) | Kind::Relay(_) => Duration::from_mins(5),
            // Some bytes wait in buffers on the way, for a service that takes 100 at a time.
            Kind::Upload { .. } => 3 * town.stream_timeout + Duration::from_mins(1),
        };
        let took = town.sim.now() - written;
        assert!(took <= most + SLACK, "{id} was answered with {status} after {took:?}");
    }
    if let Kind::Forward(visit) = &exchange.kind {
        return visit.judge(town, id, response, wire.is_head);
    }
    match &exchange.kind {
        Kind::Tunnel(tunnel) => return tunnel.judge_whole(town, id, response),
        Kind::Relay(relay) => return relay.judge(town, id, response, true),
        _ => {}
    }
    if status != 200 {
        let text = String::from_utf8_lossy(&response.body);
        let asked = String::from_utf8_lossy(&wire.bytes[..wire.head_len]);
        assert!(
            !town.weather.is_quiet() || town.draining.get(),
            "{id} got {status} for {asked:?}: {text}"
        );
        town.met("answers that say no");
        return;
    }
    assert!(!exchange.is_cut.get(), "{id} was cut by its client and answered with 200");
    assert!(exchange.may_succeed(), "{id} got 200, but no endpoint has done it");
    if !wire.is_head && !matches!(exchange.kind, Kind::Local) {
        check_content(exchange, &response.body);
    }
    town.met(match exchange.kind {
        Kind::Local => "local answers",
        Kind::Call { .. } => "calls that succeeded",
        Kind::Upload { .. } => "uploads that succeeded",
        Kind::Forward(_) | Kind::Tunnel(_) | Kind::Relay(_) => "forwards that succeeded",
    });
}

fn check_content(exchange: &Exchange, body: &[u8]) {
    let id = &exchange.id;
    let json: Value = serde_json::from_slice(body).expect("an envelope is JSON");
    let data = &json["data"];
    assert_eq!(data["id"], id.as_str(), "the answer of another exchange");
    match &exchange.kind {
        Kind::Call { mark, .. } => assert_eq!(data["mark"], mark.as_str(), "{id}"),
        Kind::Upload { files } => {
            assert_eq!(data["message"], "PUT streamed successfully", "{id}");
            if let Some(told) = data.get("files") {
                let want: Vec<Value> = files.iter().map(digest).collect();
                assert_eq!(told, &Value::Array(want), "{id}");
            }
        }
        _ => {}
    }
}

/// What a service tells of a file that it has.
pub fn digest(file: &File) -> Value {
    let bytes = number(file.content.len());
    serde_json::json!({"name": file.name, "bytes": bytes, "sum": hash(&file.content).to_string()})
}
