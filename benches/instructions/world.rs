//! One exchange from its client's first byte to its answer's last, on the simulated io: a production
//! shard with a client and an endpoint that know one message each. The world is counted as well.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use otus::io::buffer::{Buffer, BufferPool};
use otus::io::gather::Gather;
use otus::io::sim::{Sim, SimListener, SimSocket, World};
use otus::io::{Io, Listener, Socket, SocketOptions};
use otus::observe::access_log;
use otus::observe::counters::ShardCounters;
use otus::protocol::grpc::frame::prefix;
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::Event;
use otus::protocol::h2::hpack::encode::Block;
use otus::proxy::context::Context;
use otus::route::pattern::PathPattern;
use otus::route::rule::Rule;
use otus::shard;
use otus::shard::mailbox::{Postbox, mailbox};
use otus::snapshot::Snapshot;
use otus::snapshot::route::{Route, Routes};

use crate::gufo::{BODY, response};
use crate::h1::REQUEST;
use crate::ledger::Ledger;

const GATE: &str = "10.0.0.1:8090";
const ENDPOINT: &str = "10.1.0.1:7000";
const MINUTE: Duration = Duration::from_mins(1);
/// What ends the content of every answer here.
const END: &[u8] = b"}";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
Content-Length: 27\r\nCache-Control: no-store\r\n\r\n{\"order\":4711,\"items\":[17]}";

/// A forwarded request, and a call of a module.
pub(crate) fn run(ledger: &mut Ledger) {
    let endpoint: SocketAddr = ENDPOINT.parse().expect("an address");
    let mut snapshot = Snapshot::minimal();
    let upstream = snapshot.add_http_upstream("orders", &[endpoint]);
    let rule = Rule::of_path(PathPattern::prefix("/").expect("a pattern"));
    snapshot.routes = Routes::new(vec![(rule, Route::to_upstream("orders", upstream))]);
    exchange(ledger, "exchange: GET forwarded over HTTP/1.1", snapshot, REQUEST, |sim, socket| {
        sim.clone().spawn(serve_http(sim, socket));
    });

    let mut snapshot = Snapshot::minimal();
    snapshot.add_module("echo", endpoint);
    let head = format!(
        "POST /api/v3/echo/echo HTTP/1.1\r\nHost: gateway.example\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    let request = [head.as_bytes(), BODY].concat();
    exchange(ledger, "exchange: JSON call into gRPC", snapshot, &request, |sim, socket| {
        sim.clone().spawn(serve_calls(sim, socket));
    });
}

/// Counts one exchange after the other, all on one connection.
fn exchange(
    ledger: &mut Ledger,
    name: &str,
    snapshot: Snapshot,
    request: &[u8],
    serve: fn(Sim, SimSocket),
) {
    let mut world = World::new(7);
    let sim = world.handle();
    let endpoint = sim.listen(ENDPOINT.parse().expect("an address"));
    let _postbox = gateway(&sim, snapshot);
    sim.spawn(accept(sim.clone(), endpoint, serve));
    let gate = GATE.parse().expect("an address");
    let from = sim.on_host("10.2.0.1".parse().expect("an address"));
    let deadline = sim.now() + MINUTE;
    let connect = async move { from.connect(gate, SocketOptions::default(), deadline).await };
    let socket = world.block_on(connect, MINUTE).expect("in time").expect("a connection");
    let request: Rc<[u8]> = request.into();
    let pool = Rc::new(BufferPool::default());
    ledger.case(name, || {
        let (sim, socket) = (sim.clone(), socket.clone());
        let (request, pool) = (Rc::clone(&request), Rc::clone(&pool));
        let ask = async move {
            write(&sim, &socket, &request).await;
            let mut buffer = pool.small();
            while !buffer.filled().ends_with(END) {
                buffer = read(&sim, &socket, buffer).await;
            }
            buffer.filled().starts_with(b"HTTP/1.1 200 ")
        };
        assert_eq!(world.block_on(ask, MINUTE), Ok(true), "the exchange failed");
    });
    drop((sim, socket));
    // Tasks hold each other; the program ends soon.
    std::mem::forget(world);
}

/// A shard as `otus start` runs one. It hears of its end when the postbox is dropped.
fn gateway(sim: &Sim, snapshot: Snapshot) -> Postbox<otus::io::sim::SimBell> {
    let gate: SocketAddr = GATE.parse().expect("an address");
    let (log, records) = access_log::ring();
    let (bell, ear) = sim.bell().expect("a bell");
    let (postbox, letters) = mailbox(bell);
    let home = sim.on_host(gate.ip());
    let cx = Context::new(home, 0, Arc::new(snapshot), ShardCounters::new(), log);
    let listeners = vec![sim.listen(gate)];
    sim.spawn(async move {
        let _records = records;
        shard::run(cx, listeners, letters, ear).await;
    });
    postbox
}

async fn accept(sim: Sim, listener: SimListener, serve: fn(Sim, SimSocket)) {
    while let Ok((socket, _)) = listener.accept().await {
        serve(sim.clone(), socket);
    }
}

async fn write(sim: &Sim, socket: &SimSocket, bytes: &[u8]) {
    let mut out = Gather::new();
    out.push(bytes);
    socket.write(out, sim.now() + MINUTE).await.0.expect("written");
}

async fn read(sim: &Sim, socket: &SimSocket, buffer: Buffer) -> Buffer {
    socket.readable(sim.now() + MINUTE).await.expect("in time");
    let (result, buffer) = socket.read(buffer, sim.now() + MINUTE).await;
    assert!(result.is_ok_and(|len| len > 0), "the connection ended");
    buffer
}

/// Answers whatever ends as a head does.
async fn serve_http(sim: Sim, socket: SimSocket) {
    let pool = BufferPool::default();
    loop {
        let mut buffer = pool.small();
        while !buffer.filled().ends_with(b"\r\n\r\n") {
            buffer = read(&sim, &socket, buffer).await;
        }
        write(&sim, &socket, ANSWER).await;
    }
}

/// Answers calls as soon as they have ended.
async fn serve_calls(sim: Sim, socket: SimSocket) {
    let head = Block::new().status(200).field(b"content-type", b"application/grpc").into_vec();
    let trailers = Block::new().field(b"grpc-status", b"0").into_vec();
    let message = response();
    let len = u32::try_from(message.len()).expect("short");
    let message = [&prefix(len)[..], &message].concat();
    let mut engine = Connection::new(Role::Server, Config::server(), sim.now());
    let pool = BufferPool::default();
    let mut buffer = pool.small();
    loop {
        let received = engine.receive(buffer.filled(), sim.now()).expect("valid");
        buffer.consume(received.consumed);
        match received.event {
            Some(Event::Data { id, len, end_stream, .. }) => {
                engine.release(id, len);
                if end_stream {
                    engine.send_headers(id, &head, false).expect("open");
                    engine.send_data(id, &message, false).expect("room");
                    engine.send_headers(id, &trailers, true).expect("open");
                }
            }
            Some(_) => {}
            None => {
                let out = std::mem::take(engine.outgoing());
                if !out.is_empty() {
                    write(&sim, &socket, &out).await;
                }
                buffer.compact();
                buffer = read(&sim, &socket, buffer).await;
            }
        }
    }
}
