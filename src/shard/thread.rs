//! A shard on a thread of its own, pinned to its core.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};

use crate::gufo::registry::Wanted;
use crate::io::Io;
use crate::io::uring::{Driver, Ring, RingBell, RingListener, run as run_ring};
use crate::observe::access_log::LogSender;
use crate::observe::counters::ShardCounters;
use crate::observe::span::Tell;
use crate::proxy::context::Context;
use crate::proxy::embedded::CallAsk;
use crate::proxy::exit::Exit;
use crate::proxy::policy::keys::KeyAsk;
use crate::snapshot::Snapshot;

use super::mailbox::{Mailbox, Postbox, mailbox};

/// What a shard is started with.
pub struct Spec {
    /// Its number, from 0.
    pub number: u16,
    /// The core it is pinned to; `None`: wherever the kernel puts it.
    pub core: Option<usize>,
    /// What carries its waits.
    pub driver: Driver,
    /// Connections of clients for which there are descriptors, and as many for endpoints.
    pub room: u32,
    /// Its sockets, one for each listener of the configuration.
    pub listeners: Vec<TcpListener>,
    /// What it runs first.
    pub snapshot: Arc<Snapshot>,
    /// Where it counts.
    pub counters: ShardCounters,
    /// Where it tells about exchanges.
    pub log: LogSender,
    /// Where it asks for keys of tokens, by the name of their source.
    pub key_asks: Sender<KeyAsk>,
    /// Where it asks for modules that it does not know.
    pub module_asks: Sender<Wanted>,
    /// Where it says that somebody asked for the end of the gateway.
    pub exits: Sender<Exit>,
    /// Who is told of exchanges beside the log.
    pub tell: Option<Tell>,
    /// Where it asks for calls, if the program has a transport of its own.
    pub call_asks: Option<Sender<CallAsk>>,
}

/// A shard that runs.
pub struct Shard {
    /// Ends with the number of connections that were cut off.
    thread: JoinHandle<u32>,
}

impl Shard {
    /// Whether its thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end; returns how many connections were cut off. A shard that panicked counts
    /// as one.
    pub fn join(self) -> u32 {
        self.thread.join().unwrap_or(1)
    }
}

/// Starts a shard and waits until it serves. The error says what the kernel refused.
pub fn start(spec: Spec) -> std::io::Result<(Shard, Postbox<RingBell>)> {
    let (ready, started) = bounded(1);
    let name = format!("otus-shard-{}", spec.number);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = spec.core {
            core_affinity::set_for_current(core_affinity::CoreId { id: core });
        }
        let failed = ready.clone();
        let driver = spec.driver;
        run_ring(driver, |ring| serve(ring, spec, ready)).unwrap_or_else(|error| {
            let _ = failed.send(Err(error));
            0
        })
    })?;
    match started.recv() {
        Ok(Ok(postbox)) => Ok((Shard { thread }, postbox)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(std::io::Error::other("the shard ended before it served")),
    }
}

async fn serve(ring: Ring, spec: Spec, ready: Sender<std::io::Result<Postbox<RingBell>>>) -> u32 {
    match prepare(&ring, spec) {
        Ok((cx, listeners, mailbox, ear, postbox)) => {
            let _ = ready.send(Ok(postbox));
            super::run(cx, listeners, mailbox, ear).await
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            0
        }
    }
}

type Parts = (Rc<Context<Ring>>, Vec<RingListener>, Mailbox, <Ring as Io>::Ear, Postbox<RingBell>);

fn prepare(ring: &Ring, spec: Spec) -> std::io::Result<Parts> {
    let listeners: Vec<RingListener> = spec
        .listeners
        .into_iter()
        .map(|listener| RingListener::new(ring, listener))
        .collect::<Result<_, _>>()?;
    let (bell, ear) =
        ring.bell().map_err(|error| std::io::Error::other(format!("no bell: {error:?}")))?;
    let (postbox, mailbox) = mailbox(bell);
    ring.busy_poll(spec.snapshot.server.busy_poll);
    let cx = Context::new(ring.clone(), spec.number, spec.snapshot, spec.counters, spec.log);
    cx.room.set(spec.room);
    let _ = cx.key_asks.set(spec.key_asks);
    let _ = cx.seekers.asks.set(spec.module_asks);
    let _ = cx.exits.set(spec.exits);
    if let Some(asks) = spec.call_asks {
        let _ = cx.call_asks.set(asks);
    }
    if let Some(tell) = spec.tell {
        let _ = cx.tell.set(tell);
    }
    Ok((cx, listeners, mailbox, ear, postbox))
}
