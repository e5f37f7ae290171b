//! What all inhabitants of a world share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use otus::io::gather::Gather;
use otus::io::sim::{Sim, SimSocket};
use otus::io::{Io, IoError, Socket};
use otus::protocol::h2::connection::engine::Connection;

use crate::ledger::Ledger;
use crate::web::Doors;

/// What can be relied on in this world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    /// The network loses nothing and delays little.
    pub is_calm: bool,
    /// Endpoints do what they are asked.
    pub is_honest: bool,
}

impl Weather {
    /// Nothing can go wrong: every request of an honest client succeeds.
    pub fn is_quiet(self) -> bool {
        self.is_calm && self.is_honest
    }
}

/// A world with its book.
pub struct Town {
    pub sim: Sim,
    pub weather: Weather,
    pub ledger: Ledger,
    /// Where the gateway listens.
    pub gates: Vec<SocketAddr>,
    /// A unary call ends within this time ...
    pub call_timeout: Duration,
    /// ... and an upload without progress within this.
    pub stream_timeout: Duration,
    /// Gaps between requests stay below half of this.
    pub idle_timeout: Duration,
    /// The generation that all shards are known to run.
    pub generation: Cell<u64>,
    /// What is asked of requests that are forwarded.
    pub doors: Doors,
    /// Requests behind the narrow door, as endpoints see them.
    pub behind: Cell<u32>,
    /// Requests for the narrow door whose clients wait, now and at most.
    pub asking: Cell<(u32, u32)>,
    /// The gateway has been told to stop.
    pub draining: Cell<bool>,
    /// It was told so while clients were busy.
    pub was_drained_early: Cell<bool>,
    /// Clients that have not finished.
    pub clients: Cell<usize>,
    /// Bytes of calls that endpoints have received.
    pub taken: Cell<u64>,
    /// What happened how often.
    pub met: RefCell<BTreeMap<&'static str, u64>>,
}

impl Town {
    pub fn met(&self, what: &'static str) {
        *self.met.borrow_mut().entry(what).or_insert(0) += 1;
    }

    /// A client begins to ask for something behind the narrow door, or has its answer.
    pub fn ask_narrow(&self, begins: bool) {
        let (now, most) = self.asking.get();
        let now = if begins { now + 1 } else { now - 1 };
        self.asking.set((now, most.max(now)));
    }

    pub async fn sleep(&self, time: Duration) {
        self.sim.sleep_until(self.sim.now() + time).await;
    }

    /// Connects from a host of one's own, as often as it takes within reason.
    pub async fn connect(&self, host: IpAddr, gate: SocketAddr) -> Option<SimSocket> {
        let sim = self.sim.on_host(host);
        for _ in 0..4 {
            let deadline = sim.now() + Duration::from_secs(20);
            match sim.connect(gate, otus::io::SocketOptions::default(), deadline).await {
                Ok(socket) => return Some(socket),
                Err(_) if self.draining.get() => return None,
                Err(error) => assert!(!self.weather.is_calm, "no connection: {error:?}"),
            }
            self.sleep(Duration::from_millis(500)).await;
        }
        None
    }

    pub async fn write(&self, socket: &SimSocket, bytes: &[u8]) -> Result<(), IoError> {
        self.write_within(socket, bytes, crate::response::PATIENCE).await
    }

    pub async fn write_within(
        &self,
        socket: &SimSocket,
        bytes: &[u8],
        time: Duration,
    ) -> Result<(), IoError> {
        let mut out = Gather::new();
        out.push(bytes);
        socket.write(out, self.sim.now() + time).await.0
    }
}

/// What an engine has to send, which it has no more then.
pub fn outgoing(engine: &RefCell<Connection>) -> Gather {
    let mut out = Gather::new();
    let mut engine = engine.borrow_mut();
    out.push(engine.outgoing());
    engine.outgoing().clear();
    out
}
