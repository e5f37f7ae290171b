//! Honest clients of HTTP/2: many requests at once, on our own engine in the other role.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use otus::io::buffer::{Buffer, BufferPool};
use otus::io::race::race;
use otus::io::sim::SimSocket;
use otus::io::{Io, IoError, Socket};
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::{Event as H2Event, HeadersKind};
use otus::protocol::h2::frame::{ErrorCode, StreamId};
use otus::proxy::event::Event;

use crate::client::{Style, judge};
use crate::dice::{Dice, size};
use crate::ledger::Kind;
use crate::request::Wire;
use crate::response::PATIENCE;
use crate::stream::{Parsed, Stream};
use crate::town::{Town, outgoing};

const HOUR: Duration = Duration::from_hours(1);

/// How the answer to a head that has not come whole in time begins.
const LATE: &[u8] = b"HTTP/1.1 408 ";

/// One connection.
struct Line {
    town: Rc<Town>,
    socket: SimSocket,
    /// Its windows are so small that long answers are not for it.
    is_narrow: bool,
    pool: BufferPool,
    engine: RefCell<Connection>,
    /// How what the gateway says begins.
    beginning: RefCell<Vec<u8>>,
    /// The engine has something to write.
    flush: Event,
    streams: RefCell<BTreeMap<StreamId, (Rc<Stream>, bool)>>,
    is_dead: Cell<bool>,
    /// Requests under way.
    running: Cell<usize>,
    /// Tasks of the connection that have not ended.
    tasks: Cell<usize>,
    /// A request or a task of the connection has ended.
    change: Event,
    /// Requests that are still to be made.
    left: RefCell<Vec<Wire>>,
}

/// Makes requests on one connection; returns those that are still to be made.
pub async fn talk(
    town: &Rc<Town>,
    mut dice: Dice,
    socket: SimSocket,
    wires: Vec<Wire>,
    style: Style,
) -> Vec<Wire> {
    // With a window of a few bytes each of its updates counts. Who is answered at length is let
    // go then, and that must not keep others waiting.
    let is_narrow = dice.one_in(4) && !wires.iter().any(Wire::is_counted);
    let config = Config {
        initial_window: if is_narrow { 200 } else { dice.pick(&[5000, 65_535, 1 << 20]) },
        connection_window: dice.pick(&[65_535, 1 << 20]),
        frame_max: dice.pick(&[16_384, 1 << 20]),
        header_table: dice.pick(&[0, 4096]),
        keep_alive: None,
        ..Config::client()
    };
    let line = Rc::new(Line {
        town: Rc::clone(town),
        socket,
        is_narrow,
        pool: BufferPool::default(),
        engine: RefCell::new(Connection::new(Role::Client, config, town.sim.now())),
        beginning: RefCell::default(),
        flush: Event::default(),
        streams: RefCell::default(),
        is_dead: Cell::new(false),
        running: Cell::new(0),
        tasks: Cell::new(2),
        change: Event::default(),
        left: RefCell::default(),
    });
    line.flush.raise();
    town.sim.spawn(read(Rc::clone(&line)));
    town.sim.spawn(write(Rc::clone(&line)));
    let at_once = if style.pipelines { dice.count(1, 8) } else { 1 };
    for wire in wires {
        let most = u64::try_from(style.gap_max.as_millis()).unwrap();
        if line.running.get() == 0 && !line.is_over() {
            town.sleep(dice.millis(0, most)).await;
        }
        while line.running.get() >= at_once && !line.is_over() {
            line.wait().await;
        }
        if line.is_over() || !line.engine.borrow().can_open() {
            line.left.borrow_mut().push(wire);
            continue;
        }
        line.running.set(line.running.get() + 1);
        town.sim.spawn(ask(Rc::clone(&line), wire, style, dice.fork()));
    }
    while line.running.get() > 0 {
        line.wait().await;
    }
    line.die();
    while line.tasks.get() > 0 {
        line.wait().await;
    }
    line.left.take()
}

impl Line {
    /// Whether nothing more can be asked here.
    fn is_over(&self) -> bool {
        self.is_dead.get() || self.engine.borrow().is_going_away()
    }

    /// Waits until something has ended; a goodbye is noticed within a second.
    async fn wait(&self) {
        let until = self.town.sim.now() + Duration::from_secs(1);
        race(self.change.wait(), self.town.sim.sleep_until(until)).await;
    }

    fn die(&self) {
        self.is_dead.set(true);
        self.change.raise();
        self.socket.cancel();
        self.flush.raise();
        for (stream, _) in std::mem::take(&mut *self.streams.borrow_mut()).into_values() {
            stream.is_gone.set(true);
            stream.news.raise();
        }
    }

    fn receive(&self, buffer: &mut Buffer) {
        let now = self.town.sim.now();
        let missing = LATE.len().saturating_sub(self.beginning.borrow().len());
        self.beginning.borrow_mut().extend(buffer.filled().iter().take(missing));
        while !self.is_dead.get() {
            let received = self.engine.borrow_mut().receive(buffer.filled(), now);
            let received = match received {
                Ok(received) => received,
                // A preface that has not come whole in time may have been anything.
                Err(_) if LATE.starts_with(&self.beginning.borrow()) => return self.die(),
                Err(error) => {
                    let said = String::from_utf8_lossy(buffer.filled());
                    panic!("the gateway broke HTTP/2: {error:?} at {said:?}")
                }
            };
            if let Some(event) = received.event {
                self.handle(event, buffer.filled());
            }
            buffer.consume(received.consumed);
            self.engine.borrow().check();
            if received.event.is_none() {
                return;
            }
        }
    }

    fn handle(&self, event: H2Event, bytes: &[u8]) {
        let find = |id: StreamId| self.streams.borrow().get(&id).cloned();
        match event {
            H2Event::Headers { id, kind, end_stream } => {
                let Some((stream, is_head)) = find(id) else { return };
                let fields = self.fields();
                match kind {
                    HeadersKind::Informational => {
                        let is_hint = fields.iter().any(|(name, _)| name == "link");
                        assert!(is_hint, "an interim answer to nobody: {fields:?}");
                    }
                    HeadersKind::Head => stream.head(fields),
                    HeadersKind::Trailers => stream.trailers(fields),
                }
                if end_stream {
                    stream.end(is_head);
                }
                stream.news.raise();
            }
            H2Event::Data { id, start, len, end_stream } => {
                let data = &bytes[start..start + size(u64::from(len))];
                self.engine.borrow_mut().release(id, len);
                let Some((stream, is_head)) = find(id) else { return };
                stream.data(data);
                if end_stream {
                    stream.end(is_head);
                    stream.news.raise();
                }
            }
            H2Event::Reset { id, by_peer, code } => {
                assert!(by_peer, "the gateway broke HTTP/2 on a stream: {code:?}");
                let Some((stream, _)) = find(id) else { return };
                stream.reset.set(Some(code));
                stream.news.raise();
            }
            H2Event::Writable { .. } => {
                for (stream, _) in self.streams.borrow().values() {
                    stream.news.raise();
                }
            }
            _ => {}
        }
    }

    fn fields(&self) -> Vec<(String, String)> {
        let engine = self.engine.borrow();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        engine.fields().iter().map(|(name, value)| (text(name), text(value))).collect()
    }
}

async fn read(line: Rc<Line>) {
    let town = Rc::clone(&line.town);
    while !line.is_dead.get() {
        match line.socket.readable(town.sim.now() + HOUR).await {
            Ok(()) => {}
            Err(IoError::TimedOut) => continue,
            Err(_) => break,
        }
        let (result, mut buffer) = line.socket.read(line.pool.small(), town.sim.now()).await;
        match result {
            Ok(len) if len > 0 => line.receive(&mut buffer),
            Err(IoError::TimedOut) => {}
            _ => break,
        }
        line.flush.raise();
    }
    line.die();
    line.tasks.set(line.tasks.get() - 1);
    line.change.raise();
}

async fn write(line: Rc<Line>) {
    loop {
        line.flush.wait().await;
        if line.is_dead.get() {
            break;
        }
        let out = outgoing(&line.engine);
        if !out.is_empty() {
            let (result, _) = line.socket.write(out, line.town.sim.now() + HOUR).await;
            if result.is_err() {
                line.die();
                break;
            }
        }
    }
    line.tasks.set(line.tasks.get() - 1);
    line.change.raise();
}

/// Makes one request.
async fn ask(line: Rc<Line>, wire: Wire, style: Style, mut dice: Dice) {
    let town = Rc::clone(&line.town);
    let parsed = Parsed::of(&wire);
    match &wire.exchange.kind {
        Kind::Forward(visit) => visit.begin(&town),
        Kind::Tunnel(tunnel) => tunnel.born.set(town.generation.get()),
        _ => {}
    }
    let is_bare = !parsed.has_body;
    let opened = line.engine.borrow_mut().open(&parsed.block, is_bare);
    match opened {
        Ok(id) => {
            let stream = Rc::new(Stream::default());
            if wire.is_head {
                line.engine.borrow_mut().expect_no_body(id);
            }
            let entry = (Rc::clone(&stream), wire.is_head);
            line.streams.borrow_mut().insert(id, entry);
            line.flush.raise();
            let leaves = wire.may_leave() && dice.one_in(12);
            let until = if leaves { dice.millis(0, 400) } else { 2 * PATIENCE };
            let exchange = async {
                if !is_bare {
                    send(&line, id, &stream, &parsed, style, &mut dice).await;
                }
                if let Kind::Tunnel(tunnel) = &wire.exchange.kind {
                    tunnel.is_finished.set(stream.is_sent.get());
                }
                let until = town.sim.now() + PATIENCE;
                while !stream.is_over() && town.sim.now() < until {
                    race(stream.news.wait(), town.sim.sleep_until(until)).await;
                }
            };
            race(exchange, town.sleep(until)).await;
            line.streams.borrow_mut().remove(&id);
            if stream.is_over() {
                settle(&line, wire, &stream);
            } else if leaves {
                town.met("streams that their clients cancelled");
                wire.exchange.is_cut.set(!is_bare && !stream.is_sent.get());
                line.engine.borrow_mut().reset(id, ErrorCode::CANCEL);
                line.flush.raise();
            } else {
                line.die(); // It fell silent.
                settle(&line, wire, &stream);
            }
        }
        Err(_) => line.left.borrow_mut().push(wire),
    }
    line.running.set(line.running.get() - 1);
    line.change.raise();
}

async fn send(
    line: &Line,
    id: StreamId,
    stream: &Stream,
    parsed: &Parsed,
    style: Style,
    dice: &mut Dice,
) {
    let mut rest = &parsed.body[..];
    let piece_max = dice.log(rest.len()).max(rest.len() / 50).max(1);
    while !rest.is_empty() {
        if stream.is_over() {
            return;
        }
        let room = size(u64::from(line.engine.borrow().capacity(id)));
        let len = dice.count(1, piece_max).min(rest.len()).min(room);
        if len == 0 {
            let until = line.town.sim.now() + PATIENCE;
            race(stream.news.wait(), line.town.sim.sleep_until(until)).await;
            if line.town.sim.now() >= until {
                return;
            }
            continue;
        }
        let (piece, later) = rest.split_at(len);
        rest = later;
        let is_last = rest.is_empty() && parsed.trailers.is_none();
        if line.engine.borrow_mut().send_data(id, piece, is_last).is_err() {
            return;
        }
        stream.is_sent.set(is_last);
        line.flush.raise();
        if !style.pause.is_zero() && !rest.is_empty() {
            line.town.sleep(style.pause).await;
        }
    }
    if parsed.body.is_empty() && parsed.trailers.is_none() {
        let _ = line.engine.borrow_mut().send_data(id, &[], true);
        stream.is_sent.set(true);
        line.flush.raise();
    }
    if let Some(block) = &parsed.trailers {
        let _ = line.engine.borrow_mut().send_headers(id, block, true);
        stream.is_sent.set(true);
        line.flush.raise();
    }
}

/// What became of a request.
fn settle(line: &Line, wire: Wire, stream: &Stream) {
    let town = &line.town;
    let id = &wire.exchange.id;
    if stream.is_whole.get() {
        let response = stream.answer.take().unwrap();
        town.met("answers over HTTP/2");
        return judge(town, &wire, &response, None);
    }
    if stream.reset.get() == Some(ErrorCode::REFUSED_STREAM) {
        assert!(!wire.exchange.was_seen(), "{id} was refused and forwarded");
        return line.left.borrow_mut().push(wire);
    }
    let mut is_fair = !town.weather.is_calm || town.draining.get();
    if let Some(response) = &*stream.answer.borrow() {
        match &wire.exchange.kind {
            Kind::Forward(visit) => visit.judge_partial(town, id, response, &response.body),
            Kind::Tunnel(tunnel) => tunnel.judge(id, response, &response.body, false),
            Kind::Relay(relay) => relay.judge(town, id, response, false),
            _ => {}
        }
    }
    let ends_anyhow =
        matches!(wire.exchange.kind, Kind::Call { .. } | Kind::Upload { .. } | Kind::Local);
    is_fair |= !ends_anyhow && !town.weather.is_honest;
    if let Kind::Forward(visit) = &wire.exchange.kind {
        is_fair |= line.is_narrow && visit.is_long();
    }
    assert!(is_fair, "{id} got no answer on its stream: {:?}", stream.reset.get());
}
