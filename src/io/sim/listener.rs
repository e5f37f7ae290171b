//! Listening addresses, and how connections come to be.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::{IoError, Listener, Socket};

use super::core::{Core, Shared};
use super::faults::{FaultKind, below, count};
use super::link::Link;
use super::socket::SimSocket;
use super::trace::{Act, Call, End, What};
use super::wait::{Unfinished, reach};

/// First wait before a connect that got no answer is tried again; it doubles (RFC 6298 §2: one
/// second).
const SYN_WAIT: Duration = Duration::from_secs(1);

/// How the world finds a listener.
pub(super) type Registered = Weak<Inner>;

/// Implements [`Listener`]. Several may share an address: each connection goes to any of them.
#[derive(Clone)]
pub struct SimListener {
    inner: Rc<Inner>,
}

pub(super) struct Inner {
    shared: Rc<Shared>,
    address: SocketAddr,
    queue: RefCell<VecDeque<SimSocket>>,
    acceptor: RefCell<Option<Waker>>,
    cancelled: Cell<bool>,
    busy: Cell<Option<Call>>,
}

impl SimListener {
    /// Listens; port zero is any free one.
    pub(super) fn open(shared: &Rc<Shared>, mut address: SocketAddr) -> Self {
        let mut core = shared.core.borrow_mut();
        if address.port() == 0 {
            address.set_port(core.any_port());
        }
        let inner = Rc::new(Inner {
            shared: Rc::clone(shared),
            address,
            queue: RefCell::default(),
            acceptor: RefCell::default(),
            cancelled: Cell::new(false),
            busy: Cell::new(None),
        });
        core.write(What::Listening(address));
        core.listeners.entry(address).or_default().push(Rc::downgrade(&inner));
        SimListener { inner }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Connections that nobody accepted die with the queue, also where others share the address.
        for socket in self.queue.borrow_mut().drain(..) {
            socket.reset_on_close();
        }
        let mut core = self.shared.core.borrow_mut();
        if let Some(listeners) = core.listeners.get_mut(&self.address) {
            listeners.retain(|listener| listener.strong_count() > 0);
            if listeners.is_empty() {
                core.listeners.remove(&self.address);
            }
        }
    }
}

impl Inner {
    fn take(&self) -> Option<Result<(SimSocket, SocketAddr), IoError>> {
        let mut queue = self.queue.borrow_mut();
        let mut core = self.shared.core.borrow_mut();
        let core = &mut *core;
        queue.front()?;
        if core.faults.accept_exhausted.happens(&mut core.prng) {
            core.met(FaultKind::AcceptExhausted, 0);
            return Some(Err(IoError::Exhausted));
        }
        let socket = queue.pop_front()?;
        core.act(socket.connection(), End::Server, Act::Accepted, 0);
        let address = socket.peer_address();
        Some(Ok((socket, address)))
    }
}

impl Listener for SimListener {
    type Socket = SimSocket;

    async fn accept(&self) -> Result<(SimSocket, SocketAddr), IoError> {
        let inner = &*self.inner;
        let call = Unfinished::alone(&inner.shared, Call::Accept, 0, &inner.busy);
        let result = poll_fn(|cx| {
            if let Some(result) = inner.take() {
                return Poll::Ready(result);
            }
            if inner.cancelled.get() {
                self.refuse_from_now_on();
                return Poll::Ready(Err(IoError::Cancelled));
            }
            *inner.acceptor.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        call.finish();
        result
    }

    fn cancel(&self) {
        self.inner.cancelled.set(true);
        if let Some(waker) = self.inner.acceptor.borrow_mut().take() {
            waker.wake();
        }
    }

    fn address(&self) -> SocketAddr {
        self.inner.address
    }
}

impl SimListener {
    /// As the real one: a cancelled listener whose queue is empty refuses, though clones of it
    /// live.
    fn refuse_from_now_on(&self) {
        let own = Rc::as_ptr(&self.inner);
        let mut core = self.inner.shared.core.borrow_mut();
        if let Some(listeners) = core.listeners.get_mut(&self.inner.address) {
            listeners.retain(|listener| !std::ptr::eq(listener.as_ptr(), own));
        }
    }
}

/// What became of a connect when it was sent out.
enum Fate {
    Goes,
    Refused,
    Lost,
    Unreachable,
}

/// Opens a connection from `host`.
pub(super) async fn connect(
    shared: &Rc<Shared>,
    host: IpAddr,
    address: SocketAddr,
    deadline: Instant,
) -> Result<SimSocket, IoError> {
    let call = Unfinished::new(shared, Call::Connect);
    let result = try_connect(shared, host, address, deadline).await;
    call.finish();
    result
}

async fn try_connect(
    shared: &Rc<Shared>,
    host: IpAddr,
    address: SocketAddr,
    deadline: Instant,
) -> Result<SimSocket, IoError> {
    let (fate, client) = {
        let mut core = shared.core.borrow_mut();
        core.write(What::Connecting(address));
        (draw_fate(&mut core)?, client_address(&mut core, host, address))
    };
    let mut wait = SYN_WAIT;
    loop {
        travel(shared, deadline).await?;
        match fate {
            Fate::Lost => reach(shared, Instant::NEVER, deadline).await?,
            Fate::Refused => return refused(shared, address, deadline).await,
            Fate::Unreachable => {
                travel(shared, deadline).await?;
                return Err(IoError::Unreachable);
            }
            Fate::Goes => {}
        }
        match offer(shared, client, address) {
            Offer::Nobody => return refused(shared, address, deadline).await,
            Offer::NoAnswer => {
                let again = shared.core.borrow().now + wait;
                reach(shared, again, deadline).await?;
                wait *= 2;
            }
            Offer::Taken(socket) => {
                // If the deadline comes before the answer, the listener has a connection whose
                // client is gone.
                travel(shared, deadline).await?;
                let mut core = shared.core.borrow_mut();
                core.act(socket.connection(), End::Client, Act::Connected, 0);
                return Ok(socket);
            }
        }
    }
}

fn draw_fate(core: &mut Core) -> Result<Fate, IoError> {
    let faults = &core.faults;
    let fates = [
        (faults.connect_exhausted, FaultKind::ConnectExhausted),
        (faults.connect_lost, FaultKind::ConnectLost),
        (faults.connect_refused, FaultKind::ConnectRefused),
        (faults.connect_unreachable, FaultKind::ConnectUnreachable),
    ];
    let Some((_, kind)) = fates.into_iter().find(|(rate, _)| rate.happens(&mut core.prng)) else {
        return Ok(Fate::Goes);
    };
    core.met(kind, 0);
    match kind {
        FaultKind::ConnectExhausted => Err(IoError::Exhausted),
        FaultKind::ConnectLost => Ok(Fate::Lost),
        FaultKind::ConnectRefused => Ok(Fate::Refused),
        _ => Ok(Fate::Unreachable),
    }
}

fn client_address(core: &mut Core, host: IpAddr, address: SocketAddr) -> SocketAddr {
    let host = match (host, address.ip()) {
        (IpAddr::V4(v4), IpAddr::V6(_)) => IpAddr::V6(v4.to_ipv6_mapped()),
        _ => host,
    };
    SocketAddr::new(host, core.any_port())
}

async fn travel(shared: &Shared, deadline: Instant) -> Result<(), IoError> {
    let arrival = {
        let mut core = shared.core.borrow_mut();
        core.now + core.delay()
    };
    reach(shared, arrival, deadline).await
}

async fn refused(
    shared: &Shared,
    address: SocketAddr,
    deadline: Instant,
) -> Result<SimSocket, IoError> {
    travel(shared, deadline).await?;
    shared.core.borrow_mut().write(What::Refused(address));
    Err(IoError::Refused)
}

enum Offer {
    Taken(SimSocket),
    NoAnswer,
    Nobody,
}

/// Knocks at the address.
fn offer(shared: &Rc<Shared>, client: SocketAddr, address: SocketAddr) -> Offer {
    let (found, backlog_max) = {
        let mut core = shared.core.borrow_mut();
        if core.is_cut(client, address) {
            core.met(FaultKind::HostLost, 0);
            return Offer::NoAnswer;
        }
        (find(&mut core, address), core.faults.backlog_max)
    };
    let Some(listener) = found else { return Offer::Nobody };
    if count(listener.queue.borrow().len()) >= u64::from(backlog_max) {
        shared.core.borrow_mut().met(FaultKind::BacklogFull, 0);
        return Offer::NoAnswer;
    }
    let link = Link::open(&mut shared.core.borrow_mut(), client, address);
    let accepted = SimSocket::new(shared, &link, End::Server);
    listener.queue.borrow_mut().push_back(accepted);
    if let Some(waker) = listener.acceptor.borrow_mut().take() {
        waker.wake();
    }
    Offer::Taken(SimSocket::new(shared, &link, End::Client))
}

/// Any listener at the address, or else at its port on all addresses.
fn find(core: &mut Core, address: SocketAddr) -> Option<Rc<Inner>> {
    let all_v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    let all_v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
    for address in [address, all_v4, all_v6] {
        let live: Vec<_> = core.listeners.get(&address).into_iter().flatten().collect();
        let any = below(&mut core.prng, live.len());
        if let Some(listener) = live.get(any).and_then(|listener| listener.upgrade()) {
            return Some(listener);
        }
    }
    None
}
