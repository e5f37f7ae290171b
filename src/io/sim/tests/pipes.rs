//! Bytes that pass through a pipe, in worlds good and bad.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::limits::PIPES_MAX;
use crate::io::Pipe;
use crate::io::sim::{PipeBook, Rule, SimPipe};

use super::*;

/// Three ends: a sender's, a relay's two, and a receiver's.
async fn chain(sim: &Sim) -> (SimSocket, (SimSocket, SimSocket), SimSocket) {
    let listener = sim.listen("127.0.0.1:9000".parse().unwrap());
    let (sender, from, _first) = pair(sim).await;
    let to = connect(sim, listener.address()).await.unwrap();
    let (receiver, _) = listener.accept().await.unwrap();
    (sender, (from, to), receiver)
}

fn bytes(sim: &Sim, len: usize) -> Vec<u8> {
    let mut all = vec![0; len];
    sim.prng().fill(&mut all);
    all
}

/// Moves what comes, each part behind `head`, until the end.
async fn relay(
    sim: &Sim,
    (from, to): (SimSocket, SimSocket),
    head: &[u8],
) -> Result<usize, IoError> {
    let mut prng = sim.prng();
    let mut parts = 0;
    loop {
        let pipe = sim.pipe().ok_or(IoError::Exhausted)?;
        let max = 1 + usize::try_from(prng.below(10_000)).unwrap();
        let (result, mut pipe) = from.splice_in(pipe, max, sim.now() + MINUTE).await;
        if result? == 0 {
            to.shutdown_write();
            return Ok(parts);
        }
        while !pipe.is_empty() {
            let len = 1 + usize::try_from(prng.below(pipe.len().try_into().unwrap())).unwrap();
            let mut out = Gather::new();
            out.push(head);
            let (result, back);
            (result, back, pipe) =
                to.splice_out(out, pipe, len, true, sim.now() + 10 * MINUTE).await;
            assert_eq!(back.len(), head.len());
            result?;
            parts += 1;
        }
    }
}

fn in_pieces() -> Faults {
    Faults {
        short_read: Chance::one_in(2),
        short_write: Chance::one_in(2),
        late_read: Chance::one_in(4),
        late_write: Chance::one_in(4),
        late_max: Duration::from_millis(20),
        delay_max: Duration::from_millis(4),
        buffer_min: 1,
        ..Faults::none()
    }
}

#[test]
fn bytes_pass_a_pipe_intact_and_in_order_whatever_the_pieces() {
    for seed in 0..50 {
        run(seed, in_pieces(), |sim| async move {
            let (sender, ends, receiver) = chain(&sim).await;
            let sent = bytes(&sim, 40_001);
            let copy = sent.clone();
            sim.spawn(async move {
                write(&sender, &copy, Instant::NEVER).await.unwrap();
                sender.shutdown_write();
            });
            let inside = sim.clone();
            sim.spawn(async move {
                relay(&inside, ends, b"").await.unwrap();
            });
            assert_eq!(read_all(&receiver, Instant::NEVER).await, (sent, Ok(())));
        });
    }
}

#[test]
fn what_goes_before_arrives_before() {
    run(3, in_pieces(), |sim| async move {
        let (sender, ends, receiver) = chain(&sim).await;
        sim.spawn(async move {
            write(&sender, &[b'.'; 5000], Instant::NEVER).await.unwrap();
            sender.shutdown_write();
        });
        let inside = sim.clone();
        let parts = Rc::new(Cell::new(0));
        let told = Rc::clone(&parts);
        sim.spawn(async move { told.set(relay(&inside, ends, b"head").await.unwrap()) });
        let (got, end) = read_all(&receiver, Instant::NEVER).await;
        let heads = got.windows(4).filter(|four| four == b"head").count();
        assert_eq!((heads, got.len(), end), (parts.get(), 5000 + 4 * heads, Ok(())));
        assert!(got.starts_with(b"head."));
    });
}

#[test]
fn only_empty_pipes_come_home() {
    let mut world = World::new(1);
    let sim = world.handle();
    let body = async move {
        let (sender, (from, to), _receiver) = chain(&sim).await;
        write(&sender, b"0123456789", Instant::NEVER).await.unwrap();
        let (result, pipe) = from.splice_in(sim.pipe().unwrap(), 4, Instant::NEVER).await;
        assert_eq!((result, pipe.len()), (Ok(4), 4));
        drop(pipe);
        let (result, pipe) = from.splice_in(sim.pipe().unwrap(), 99, Instant::NEVER).await;
        assert_eq!((result, pipe.len()), (Ok(6), 6));
        let sent = to.splice_out(Gather::new(), pipe, 6, false, Instant::NEVER).await;
        assert_eq!((sent.0, sent.2.len()), (Ok(()), 0));
    };
    world.block_on(body, MINUTE).unwrap();
    assert_eq!(world.pipes(), PipeBook { out: 0, home: 1, closed: 1 });
}

#[test]
fn a_reset_half_way_ends_the_calls_and_closes_the_pipe() {
    let mut closed = 0;
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.set_faults(Faults {
            link_reset: Chance::ALWAYS,
            trouble_bytes_max: 30_000,
            ..in_pieces()
        });
        let sim = world.handle();
        let body = async move {
            let (sender, ends, receiver) = chain(&sim).await;
            let sent = bytes(&sim, 100_000);
            let copy = sent.clone();
            let inside = sim.clone();
            sim.spawn(async move {
                if write(&sender, &copy, inside.now() + 10 * MINUTE).await.is_ok() {
                    sender.shutdown_write();
                }
            });
            let inside = sim.clone();
            sim.spawn(async move {
                let _ = relay(&inside, ends, b"").await;
            });
            let (got, _) = read_all(&receiver, sim.now() + MINUTE).await;
            assert!(sent.starts_with(&got));
        };
        world.block_on(body, 60 * MINUTE).unwrap();
        world.run_for(60 * MINUTE);
        assert_eq!((world.tasks(), world.sockets(), world.pipes().out), (0, 0, 0));
        closed += world.pipes().closed;
    }
    assert!(closed > 0);
}

#[test]
fn a_cancel_half_way_says_what_had_moved() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        seen.insert(run(seed, in_pieces(), |sim| async move {
            let (sender, (from, to), receiver) = chain(&sim).await;
            let (canceller, both) = (from.clone(), to.clone());
            let inside = sim.clone();
            sim.spawn(async move {
                inside.sleep_until(inside.now() + Duration::from_millis(3)).await;
                canceller.cancel();
                both.cancel();
            });
            sim.spawn(async move {
                let _ = write(&sender, &[1; 5000], Instant::NEVER).await;
                let _ = read_all(&sender, Instant::NEVER).await;
            });
            sim.spawn(async move {
                let _ = read_all(&receiver, Instant::NEVER).await;
            });
            let (result, pipe) = from.splice_in(sim.pipe().unwrap(), 5000, Instant::NEVER).await;
            let Ok(len) = result else {
                assert_eq!((result, pipe.len()), (Err(IoError::Cancelled), 0));
                return "cancelled in";
            };
            assert_eq!(len, pipe.len());
            let (result, _, pipe) =
                to.splice_out(Gather::new(), pipe, len, false, Instant::NEVER).await;
            match result {
                Ok(()) => assert!(pipe.is_empty()),
                Err(error) => assert_eq!(error, IoError::Cancelled),
            }
            if result.is_ok() { "moved" } else { "cancelled out" }
        }));
    }
    assert_eq!(seen.len(), 3, "all ways out are taken: {seen:?}");
}

#[test]
fn pipes_are_refused_by_chance_and_bounded_always() {
    run(1, Faults::none(), |sim| async move {
        let pipes: Vec<SimPipe> = (0..PIPES_MAX).map(|_| sim.pipe().unwrap()).collect();
        assert!(sim.pipe().is_none());
        drop(pipes);
        assert!(sim.pipe().is_some());
    });
    run(1, Faults { pipe_refused: Chance::ALWAYS, ..Faults::none() }, |sim| async move {
        assert!(sim.pipe().is_none());
    });
}

#[test]
fn a_pipe_in_use_takes_nothing_and_gives_no_more_than_it_has() {
    let mut world = World::new(1);
    world.tolerate_violations();
    let sim = world.handle();
    let body = async move {
        let (sender, (from, to), _receiver) = chain(&sim).await;
        write(&sender, b"0123456789", Instant::NEVER).await.unwrap();
        let (_, pipe) = from.splice_in(sim.pipe().unwrap(), 4, Instant::NEVER).await;
        let (result, pipe) = from.splice_in(pipe, 4, Instant::NEVER).await;
        assert!(result.is_err());
        let sent = to.splice_out(Gather::new(), pipe, 5, false, Instant::NEVER).await;
        assert!(sent.0.is_err());
    };
    world.block_on(body, MINUTE).unwrap();
    let rules: Vec<Rule> = world.violations().iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [Rule::PipeInUse, Rule::PipeTooShort]);
}
