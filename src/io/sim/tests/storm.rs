//! Many clients of an echo, in all weathers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::prng::Prng;
use crate::io::Pipe;
use crate::io::sim::{FaultKind, PipeBook, SimPipe};

use super::*;

/// How exchanges ended.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    whole: u32,
    cut: u32,
    unconnected: u32,
}

/// Sends back what comes, with one read and one write at a time, or through a pipe.
async fn serve(sim: Sim, socket: SimSocket, pool: BufferPool) {
    let mut buffer = pool.large();
    let mut prng = sim.prng();
    loop {
        if prng.one_in(2)
            && let Some(pipe) = sim.pipe()
        {
            match pass_on(&sim, &socket, pipe, &mut prng).await {
                Ok(0) => return,
                Ok(_) => continue,
                Err(_) => return socket.reset_on_close(),
            }
        }
        let (result, filled) = socket.read(buffer, sim.now() + MINUTE).await;
        match result {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => return socket.reset_on_close(),
        }
        let mut out = Gather::new();
        let (from, len) = (filled.position(), filled.len());
        out.set_payload(filled);
        out.push_payload(from..from + len);
        let (result, mut out) = socket.write(out, sim.now() + MINUTE).await;
        buffer = out.take_payload().unwrap();
        buffer.clear();
        if result.is_err() {
            return socket.reset_on_close();
        }
    }
}

/// Sends back what comes next, in two parts.
async fn pass_on(
    sim: &Sim,
    socket: &SimSocket,
    pipe: SimPipe,
    prng: &mut Prng,
) -> Result<usize, IoError> {
    let max = 1 + usize::try_from(prng.below(8_000)).unwrap();
    let (result, mut pipe) = socket.splice_in(pipe, max, sim.now() + MINUTE).await;
    let len = result?;
    assert!(len == pipe.len() && len <= max);
    let first = usize::try_from(prng.below(u64::try_from(len).unwrap() + 1)).unwrap();
    for part in [first, len - first] {
        let (result, head);
        (result, head, pipe) =
            socket.splice_out(Gather::new(), pipe, part, false, sim.now() + MINUTE).await;
        assert!(head.is_empty());
        result?;
    }
    assert!(pipe.is_empty());
    Ok(len)
}

async fn accept(sim: Sim, listener: SimListener, pool: BufferPool) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => sim.spawn(serve(sim.clone(), socket, pool.clone())),
            Err(IoError::Exhausted) => sim.sleep_until(sim.now() + Duration::from_millis(10)).await,
            Err(_) => return,
        }
    }
}

/// One client: sends `len` bytes, reads them back, and is sure that none is wrong, twice or
/// invented. A rude one may leave half-way.
async fn ask(sim: Sim, len: usize, rude: bool, tally: Rc<RefCell<Tally>>, pool: BufferPool) {
    let Ok(socket) = connect(&sim, address()).await else {
        tally.borrow_mut().unconnected += 1;
        return;
    };
    let mut sent = vec![0; len];
    sim.prng().fill(&mut sent);
    let (writer, bytes, inside) = (socket.clone(), sent.clone(), sim.clone());
    sim.spawn(async move {
        if write(&writer, &bytes, inside.now() + 10 * MINUTE).await.is_ok() {
            writer.shutdown_write();
        }
    });
    let mut got = Vec::new();
    let mut prng = sim.prng();
    let clean = loop {
        if prng.one_in(2) && socket.readable(sim.now() + MINUTE).await.is_err() {
            break false;
        }
        let (result, buffer) = socket.read(pool.small(), sim.now() + MINUTE).await;
        got.extend_from_slice(buffer.filled());
        match result {
            Ok(0) => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
        if rude && prng.one_in(500) {
            socket.cancel();
        }
    };
    socket.cancel();
    assert!(sent.starts_with(&got), "bytes intact, in order, none invented");
    let mut tally = tally.borrow_mut();
    if clean && got.len() == sent.len() {
        tally.whole += 1;
    } else {
        tally.cut += 1;
    }
}

/// Runs `clients` clients to their end and checks that the world is empty then.
pub(super) fn echo(world: &mut World, clients: usize) -> u32 {
    let (tally, pool) = (Rc::new(RefCell::new(Tally::default())), BufferPool::default());
    let sim = world.handle();
    let listener = sim.listen(address());
    sim.spawn(accept(sim.clone(), listener.clone(), pool.clone()));
    let mut prng = sim.prng();
    let rude = world.faults().short_read != Chance::NEVER;
    for _ in 0..clients {
        let len = usize::try_from(prng.below(20_000)).unwrap();
        sim.spawn(ask(sim.clone(), len, rude, Rc::clone(&tally), pool.clone()));
    }
    world.run_for(30 * MINUTE);
    listener.cancel();
    drop(listener);
    world.run_for(30 * MINUTE);
    let tally = *tally.borrow();
    let ended = tally.whole + tally.cut + tally.unconnected;
    assert_eq!(usize::try_from(ended).unwrap(), clients, "{tally:?}");
    let left = (world.tasks(), world.sockets(), pool.out(), world.pipes().out);
    assert_eq!(left, (0, 0, 0, 0), "{tally:?}");
    tally.whole
}

#[test]
fn in_good_weather_every_echo_is_whole() {
    for seed in 0..10 {
        assert_eq!(echo(&mut World::new(seed), 50), 50);
    }
}

#[test]
fn in_a_storm_bytes_are_intact_or_visibly_cut() {
    let mut met = BTreeMap::new();
    let (mut whole, mut pipes) = (0, PipeBook::default());
    for seed in 0..60 {
        let mut world = World::new(seed);
        let faults = Faults::draw(&mut Prng::new(seed));
        world.set_faults(faults);
        whole += echo(&mut world, 20);
        pipes.home += world.pipes().home;
        pipes.closed += world.pipes().closed;
        for (kind, times) in world.faults_met() {
            *met.entry(kind).or_insert(0) += times;
        }
    }
    assert!(whole > 300, "{whole} of 1200");
    assert!(pipes.home > 0 && pipes.closed > 0, "{pipes:?}");
    // These take what only other tests do.
    let elsewhere = [
        FaultKind::HostLost,
        FaultKind::CalendarJump,
        FaultKind::MovedDespiteTimeout,
        FaultKind::ClockJump,
        FaultKind::Suspended,
    ];
    met.retain(|kind, _| !elsewhere.contains(kind));
    let missed: Vec<_> = met.iter().filter(|(_, times)| **times == 0).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
