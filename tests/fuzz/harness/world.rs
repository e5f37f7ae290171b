//! A production shard in the simulated world, between one client and one endpoint that answers
//! everything. What must hold of any connection is checked here.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use otus::base::bug;
use otus::config::load::load;
use otus::config::source::Source;
use otus::io::buffer::BufferPool;
use otus::io::gather::Gather;
use otus::io::sim::{Sim, SimListener, SimSocket, World};
use otus::io::{Io, Listener, Socket, SocketOptions};
use otus::message::head::RequestHead;
use otus::observe::access_log;
use otus::observe::counters::{Counter, ShardCounters};
use otus::protocol::h1::body::{BodyDecoder, BodyEvent};
use otus::protocol::h1::request::{HeadLimits, Progress, RequestParser};
use otus::proxy::context::Context;
use otus::shard::mailbox::{Letter, mailbox};
use otus::shard::{self, Grace};
use otus::snapshot::Snapshot;

const GATE: &str = "10.0.0.1:8090";
const BACK: &str = "10.1.0.1:7000";
/// Longer than all timeouts together.
const PATIENCE: Duration = Duration::from_mins(20);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const SETTINGS: &str = r#"
server = { sign = "0123456789abcdef", session = false }
security.mode = "sign"
[upstreams.back]
endpoints = ["10.1.0.1:7000"]
[[route]]
id = "own"
match = { path = "/own" }
reply = 204
[[route]]
id = "all"
upstream = "back"
"#;

static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let (path, text) = ("settings.toml".to_owned(), SETTINGS.to_owned());
    let (config, _) = load(Source { path, text, ..Source::default() }).expect("good settings");
    let (snapshot, _) = config
        .compile(1, &|_, port| Ok(vec![([10, 1, 0, 1], port).into()]))
        .expect("good settings");
    Arc::new(snapshot)
});

/// A request as the endpoint got it: method, target and body.
pub type Got = (String, String, Vec<u8>);

/// What a client sent bytes for.
pub struct Outcome {
    /// All that the gateway wrote to the client, which it closed.
    pub answers: Vec<u8>,
    /// What the endpoint was asked.
    pub asked: Vec<Got>,
}

/// Sends `pieces` on one connection, says that nothing follows, and reads to the end. Then the
/// shard drains, and nothing may be left.
pub fn visit(pieces: &[&[u8]]) -> Outcome {
    let mut world = World::new(7);
    let sim = world.handle();
    let counters = ShardCounters::new();
    let reader = counters.reader();
    let (log, _records) = access_log::ring();
    let (gate, back): (SocketAddr, SocketAddr) = (GATE.parse().unwrap(), BACK.parse().unwrap());
    let (bell, ear) = sim.bell().expect("a bell");
    let (postbox, letters) = mailbox(bell);
    let home = sim.on_host(gate.ip());
    let cx = Context::new(home, 0, Arc::clone(&SNAPSHOT), counters, log);
    let (shard, listener) = (Rc::clone(&cx), sim.listen(gate));
    let ended = Rc::new(Cell::new(false));
    let end = Rc::clone(&ended);
    sim.spawn(async move {
        shard::run(shard, vec![listener], letters, ear).await;
        end.set(true);
    });
    let asked = Rc::new(RefCell::new(Vec::new()));
    let service = sim.on_host(back.ip()).listen(back);
    sim.spawn(serve(sim.clone(), service.clone(), Rc::clone(&asked)));
    let answers = Rc::new(RefCell::new(None));
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    sim.spawn(client(sim.clone(), gate, pieces, Rc::clone(&answers)));
    world.run_for(PATIENCE);

    let answers = answers.borrow_mut().take().expect("the connection ends");
    assert_eq!(reader.get(Counter::Panics) + cx.gate.panics() + cx.upkeep.panics(), 0);
    assert_eq!(cx.gate.inside(), 0, "connections are left");
    for (begun, over) in [
        (Counter::ConnectionsAccepted, Counter::ConnectionsClosed),
        (Counter::RequestsStarted, Counter::RequestsEnded),
        (Counter::UpstreamConnectionsOpened, Counter::UpstreamConnectionsClosed),
    ] {
        assert_eq!(reader.get(begun), reader.get(over), "{begun:?} and {over:?}");
    }
    assert_eq!(cx.buffers.out(), 0, "buffers are out");
    assert_eq!(bug::met(), 0, "bugs were met");
    let grace = Grace { exchanges: Duration::ZERO, uploads: Duration::ZERO };
    assert!(postbox.post(Letter::Drain { grace }).is_ok());
    service.cancel();
    world.run_for(PATIENCE);
    assert!(ended.get(), "the shard ends");
    assert_eq!((world.tasks(), world.sockets()), (0, 0), "tasks and sockets are left");
    drop(cx);
    Outcome { answers, asked: asked.take() }
}

type Answers = Rc<RefCell<Option<Vec<u8>>>>;

async fn client(sim: Sim, gate: SocketAddr, pieces: Vec<Vec<u8>>, answers: Answers) {
    let sim = sim.on_host([10, 2, 0, 1].into());
    let late = sim.now() + PATIENCE;
    let socket = sim.connect(gate, SocketOptions::default(), late).await.expect("a connection");
    let writer = socket.clone();
    let own = sim.clone();
    sim.spawn(async move {
        for piece in pieces {
            let mut out = Gather::new();
            out.push(&piece);
            if writer.write(out, late).await.0.is_err() {
                return;
            }
            own.sleep_until(own.now() + Duration::from_millis(1)).await;
        }
        writer.shutdown_write();
    });
    let pool = BufferPool::new(4096);
    let mut all = Vec::new();
    loop {
        let (result, buffer) = socket.read(pool.large(), late).await;
        match result {
            Ok(1..) => all.extend(buffer.filled()),
            // What was sent behind the last request may be answered with a reset.
            Ok(0) | Err(_) => break,
        }
    }
    socket.cancel();
    *answers.borrow_mut() = Some(all);
}

async fn serve(sim: Sim, listener: SimListener, asked: Rc<RefCell<Vec<Got>>>) {
    while let Ok((socket, _)) = listener.accept().await {
        sim.spawn(answer(sim.clone(), socket, Rc::clone(&asked)));
    }
}

/// Answers each request that is whole. What the gateway writes is well-formed.
async fn answer(sim: Sim, socket: SimSocket, asked: Rc<RefCell<Vec<Got>>>) {
    let pool = BufferPool::new(4096);
    let mut bytes = Vec::new();
    loop {
        let (result, buffer) = socket.read(pool.large(), sim.now() + PATIENCE).await;
        if !matches!(result, Ok(1..)) {
            return;
        }
        bytes.extend(buffer.filled());
        while let Some((got, len)) = whole(&bytes) {
            bytes.drain(..len);
            asked.borrow_mut().push(got);
            let mut out = Gather::new();
            out.push(ANSWER);
            if socket.write(out, sim.now() + PATIENCE).await.0.is_err() {
                return;
            }
        }
    }
}

/// The request at the front, if it is whole. One of HTTP/1.0 may have no authority: its `host` is
/// empty then (RFC 9112 §3.2), which we would take from nobody else.
fn whole(bytes: &[u8]) -> Option<(Got, usize)> {
    const EMPTY: &[u8] = b"\r\nhost: \r\n";
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let Some(at) = bytes[..head].windows(EMPTY.len()).position(|text| text == EMPTY) else {
        return whole_with_host(bytes);
    };
    let at = at + EMPTY.len() - 2;
    let (got, len) = whole_with_host(&[&bytes[..at], b"a", &bytes[at..]].concat())?;
    Some((got, len - 1))
}

fn whole_with_host(bytes: &[u8]) -> Option<(Got, usize)> {
    let mut head = RequestHead::default();
    // The gateway adds fields of its own to as many as it takes.
    let limits = HeadLimits { bytes: 1 << 16, fields: 200, ..HeadLimits::default() };
    let parsed = RequestParser::new(limits).parse(bytes, &mut head);
    let Ok(Progress::Done { len }) = parsed else {
        assert_eq!(parsed, Ok(Progress::NeedMore), "{}", bytes.escape_ascii());
        return None;
    };
    let (mut body, mut at) = (Vec::new(), len);
    let mut decoder = BodyDecoder::new(head.framing, u64::MAX);
    while !decoder.is_done() {
        let step = decoder.decode(&bytes[at..]).expect("a body as we would read it");
        if let BodyEvent::Data { start, len } = step.event {
            body.extend_from_slice(&bytes[at + start..at + start + len]);
        }
        at += step.consumed;
        if step.event == BodyEvent::NeedMore {
            return None;
        }
    }
    let text = |span: otus::message::head::Span| {
        String::from_utf8(span.of(bytes).to_vec()).expect("heads are ASCII")
    };
    Some(((text(head.method_text), text(head.target), body), at))
}
