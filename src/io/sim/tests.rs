//! The simulated world, tested as a world: what TCP promises, what the contract of io promises,
//! and that a seed replays.

mod contract;
mod network;
mod pipes;
mod storm;
mod time;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::buffer::BufferPool;
use crate::io::gather::Gather;
use crate::io::{Io, IoError, Listener, Socket, SocketOptions};

use super::{Chance, Faults, Sim, SimListener, SimSocket, World};

const MINUTE: Duration = Duration::from_mins(1);

fn address() -> SocketAddr {
    "127.0.0.1:8090".parse().unwrap()
}

/// Runs `body` in a world of its own with these faults.
#[track_caller]
fn run<T: 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    faults: Faults,
    body: impl FnOnce(Sim) -> F,
) -> T {
    let mut world = World::new(seed);
    world.set_faults(faults);
    let result = world.block_on(body(world.handle()), 60 * MINUTE);
    result.unwrap_or_else(|stuck| panic!("seed {seed}: {stuck}"))
}

async fn connect(sim: &Sim, to: SocketAddr) -> Result<SimSocket, IoError> {
    sim.connect(to, SocketOptions::default(), sim.now() + MINUTE).await
}

/// Both ends of a connection, and the listener.
async fn pair(sim: &Sim) -> (SimSocket, SimSocket, SimListener) {
    let listener = sim.listen(address());
    let client = connect(sim, address()).await.unwrap();
    let (server, from) = listener.accept().await.unwrap();
    assert_eq!(from, server.peer_address());
    (client, server, listener)
}

async fn write(socket: &SimSocket, bytes: &[u8], deadline: Instant) -> Result<(), IoError> {
    let mut out = Gather::new();
    out.push(bytes);
    let (result, out) = socket.write(out, deadline).await;
    assert_eq!(out.len(), bytes.len());
    result
}

/// Reads until the end, an error or the deadline.
async fn read_all(socket: &SimSocket, deadline: Instant) -> (Vec<u8>, Result<(), IoError>) {
    let pool = BufferPool::default();
    let mut all = Vec::new();
    loop {
        let (result, buffer) = socket.read(pool.small(), deadline).await;
        all.extend_from_slice(buffer.filled());
        match result {
            Ok(0) => return (all, Ok(())),
            Ok(len) => assert_eq!(len, buffer.len()),
            Err(error) => return (all, Err(error)),
        }
    }
}

async fn read_some(socket: &SimSocket, deadline: Instant) -> Result<Vec<u8>, IoError> {
    let pool = BufferPool::default();
    let (result, buffer) = socket.read(pool.small(), deadline).await;
    result.map(|_| buffer.filled().to_vec())
}
