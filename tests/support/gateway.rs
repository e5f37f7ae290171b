//! A gateway in this process, as `otus start` runs it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use otus::control::{self, Load, Stopper};
use otus::io::uring;
use otus::snapshot::Snapshot;
use otus::snapshot::secret::Secret;
use otus::snapshot::server::{IoDriver, Workers};

use super::client::Client;
use super::journal::{PATIENCE, eventually};
use super::page::Page;

/// What the gateway signs its calls with.
pub(crate) const SIGN: &str = "0123456789abcdef";

/// Runs a test on each driver. Where the kernel refuses `io_uring`, that half is left out, and said.
pub(crate) fn on_both_drivers(test: impl Fn(IoDriver)) {
    match uring::probe() {
        Ok(()) => {
            println!("driver: io_uring");
            test(IoDriver::IoUring);
        }
        Err(error) => println!("driver: io_uring is left out, the kernel refuses it: {error}"),
    }
    println!("driver: epoll");
    test(IoDriver::Epoll);
}

/// One shard on `io`, no access log, and statuses that mean what they mean elsewhere.
pub(crate) fn snapshot(io: IoDriver) -> Snapshot {
    let mut snapshot = Snapshot::minimal();
    snapshot.server.io = io;
    snapshot.server.workers = Workers::Count(1);
    snapshot.observe.access_log = None;
    snapshot.gufo.legacy_status = false;
    snapshot.gufo.sign = Secret::new(SIGN);
    snapshot
}

/// A gateway that runs. Dropping it stops it at once.
pub(crate) struct Gateway {
    /// That of its first listener.
    pub(crate) address: SocketAddr,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) stopper: Stopper,
    page: Page,
    thread: Option<JoinHandle<ExitCode>>,
}

impl Gateway {
    /// Starts one with [`snapshot`] as `change` leaves it.
    pub(crate) fn start(io: IoDriver, change: impl FnOnce(&mut Snapshot)) -> Self {
        let mut snapshot = snapshot(io);
        change(&mut snapshot);
        Gateway::load(Box::new(move |generation| {
            let mut next = snapshot.clone();
            next.generation = generation;
            Ok(next)
        }))
    }

    /// Starts one whose configuration `load` makes.
    pub(crate) fn load(load: Load) -> Self {
        let mut gateway = control::start(load).unwrap();
        let addresses = gateway.addresses().to_vec();
        let address = addresses[0];
        let page = Page { admin: gateway.admin_address().unwrap() };
        let metrics_address = gateway.metrics_address();
        let stopper = gateway.stopper();
        let thread = Some(std::thread::spawn(move || gateway.run()));
        Gateway { address, addresses, metrics_address, stopper, page, thread }
    }

    /// A client that is connected to it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Waits for its end; how it ended and how long that took.
    pub(crate) fn ended(&mut self) -> (ExitCode, Duration) {
        let began = Instant::now();
        let thread = self.thread.take().unwrap();
        eventually("the gateway ends", || thread.is_finished().then_some(()));
        (thread.join().unwrap(), began.elapsed())
    }

    /// Stops it and waits for the end of all its connections.
    pub(crate) fn finish(mut self) {
        self.stopper.stop();
        assert_eq!(self.ended().0, ExitCode::SUCCESS);
    }
}

/// Its metrics are read from it as if they were its own.
impl Deref for Gateway {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopper.stop();
        self.stopper.stop();
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
