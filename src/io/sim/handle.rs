//! The handle that tasks of a simulated world hold.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use crate::base::prng::Prng;
use crate::base::time::{Instant, UnixTime};
use crate::io::{Io, IoError, SocketOptions};

use super::bell::{self, SimBell, SimEar};
use super::core::Shared;
use super::listener::{self, SimListener};
use super::pipe::{self, SimPipe};
use super::socket::SimSocket;
use super::tasks::Crew;
use super::trace::What;
use super::wait;

/// Implements [`Io`] in a simulated world, as one of its hosts. Socket options change nothing here.
#[derive(Clone)]
pub struct Sim {
    shared: Rc<Shared>,
    host: IpAddr,
    crew: Crew,
}

impl Sim {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        Sim { shared: Rc::clone(shared), host: Ipv4Addr::LOCALHOST.into(), crew: 0 }
    }

    /// A handle whose connections come from `host`.
    #[must_use]
    pub fn on_host(&self, host: IpAddr) -> Self {
        Sim { shared: Rc::clone(&self.shared), host, crew: self.crew }
    }

    /// A handle whose tasks, and those that they start, share a thread that may be made to wait:
    /// see [`World::suspend`](super::World::suspend). Of number zero are all that never are.
    #[must_use]
    pub fn in_crew(&self, crew: u32) -> Self {
        Sim { shared: Rc::clone(&self.shared), host: self.host, crew }
    }

    /// Listens at an address; port zero is any free one. Several listeners may share an address,
    /// as with `SO_REUSEPORT`.
    #[must_use]
    pub fn listen(&self, address: SocketAddr) -> SimListener {
        SimListener::open(&self.shared, address)
    }

    /// A generator of one's own, seeded by the world's.
    #[must_use]
    pub fn prng(&self) -> Prng {
        Prng::new(self.shared.core.borrow_mut().prng.next_u64())
    }

    /// Calls a host by a name, in the trace.
    pub fn name(&self, host: IpAddr, name: &str) {
        self.shared.core.borrow_mut().trace.name(host, name);
    }

    /// Writes into the trace.
    pub fn note(&self, text: &'static str, number: u64) {
        self.shared.core.borrow_mut().write(What::Note(text, number));
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sim({})", self.host)
    }
}

impl Io for Sim {
    type Socket = SimSocket;
    type Pipe = SimPipe;
    type Listener = SimListener;
    type Ear = SimEar;
    type Bell = SimBell;

    fn now(&self) -> Instant {
        self.shared.core.borrow().now
    }

    fn lately(&self) -> Instant {
        self.now()
    }

    fn unix_now(&self) -> UnixTime {
        self.shared.core.borrow_mut().unix_now()
    }

    fn secret(&self, out: &mut [u8]) {
        self.shared.core.borrow_mut().secrets.fill(out);
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.shared.spawned.borrow_mut().push((self.crew, Box::pin(task)));
    }

    async fn sleep_until(&self, deadline: Instant) {
        wait::sleep_until(&self.shared, deadline).await;
    }

    async fn yield_now(&self) {
        wait::yield_now(&self.shared).await;
    }

    async fn connect(
        &self,
        address: SocketAddr,
        _options: SocketOptions,
        deadline: Instant,
    ) -> Result<SimSocket, IoError> {
        listener::connect(&self.shared, self.host, address, deadline).await
    }

    fn pipe(&self) -> Option<SimPipe> {
        pipe::lend(&self.shared)
    }

    fn bell(&self) -> Result<(SimBell, SimEar), IoError> {
        Ok(bell::pair())
    }
}
