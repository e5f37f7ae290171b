//! The executor, the clock and the replay.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::prng::Prng;
use crate::io::sim::{Pause, Why};

use super::*;

#[test]
fn ready_tasks_run_in_any_order() {
    let orders: BTreeSet<Vec<u32>> = (0..100)
        .map(|seed| {
            let mut world = World::new(seed);
            let order = Rc::new(RefCell::new(Vec::new()));
            for n in 0..3 {
                let order = Rc::clone(&order);
                world.handle().spawn(async move { order.borrow_mut().push(n) });
            }
            assert_eq!(world.run_for(MINUTE), Pause::Idle);
            assert_eq!(world.tasks(), 0);
            order.take()
        })
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_yield_lets_all_that_is_ready_run_first() {
    for seed in 0..200 {
        run(seed, Faults::none(), |sim| async move {
            let ran = Rc::new(RefCell::new(0));
            for _ in 0..10 {
                let ran = Rc::clone(&ran);
                sim.spawn(async move { *ran.borrow_mut() += 1 });
            }
            sim.yield_now().await;
            assert_eq!(*ran.borrow(), 10);
        });
    }
}

#[test]
fn one_that_yields_for_ever_starves_nobody() {
    run(1, Faults { turn_max: Duration::from_micros(1), ..Faults::none() }, |sim| async move {
        let inside = sim.clone();
        sim.spawn(async move {
            loop {
                inside.yield_now().await;
            }
        });
        sim.sleep_until(sim.now() + Duration::from_millis(1)).await;
    });
}

#[test]
fn the_clock_jumps_to_the_next_deadline() {
    let mut world = World::new(1);
    let start = world.now();
    let sim = world.handle();
    world.handle().spawn(async move { sim.sleep_until(sim.now() + 5 * MINUTE).await });
    assert_eq!(world.run_for(MINUTE), Pause::Reached);
    assert_eq!((world.now() - start, world.tasks()), (MINUTE, 1));
    assert_eq!(world.run_for(10 * MINUTE), Pause::Idle);
    assert_eq!((world.now() - start, world.tasks()), (11 * MINUTE, 0));
    assert!(world.steps() < 5);
}

#[test]
fn what_cannot_end_is_told_apart() {
    let mut world = World::new(1);
    let never = world.block_on(std::future::pending::<()>(), MINUTE).unwrap_err();
    assert_eq!((never.why, never.tasks), (Why::Deadlock, 1));
    let sim = world.handle();
    let late = async move { sim.sleep_until(sim.now() + 2 * MINUTE).await };
    assert_eq!(world.block_on(late, MINUTE).unwrap_err().why, Why::Limit);
    let sim = world.handle();
    let circles = async move {
        loop {
            sim.yield_now().await;
        }
    };
    assert_eq!(world.block_on::<()>(circles, MINUTE).unwrap_err().why, Why::Circles);
}

#[test]
fn a_panic_of_a_task_is_a_panic_of_the_test() {
    let failed = std::panic::catch_unwind(|| {
        run(7, Faults::none(), |sim| async move {
            let (client, _server, _listener) = pair(&sim).await;
            sim.note("before the fall", 902);
            write(&client, b"x", Instant::NEVER).await.unwrap();
            panic!("fell");
        });
    });
    assert_eq!(*failed.unwrap_err().downcast::<&str>().unwrap(), "fell");
}

#[test]
fn the_trace_tells_what_happened() {
    let mut world = World::new(1);
    let sim = world.handle();
    let talk = async move {
        let (client, server, _listener) = pair(&sim).await;
        write(&client, b"hello", Instant::NEVER).await.unwrap();
        read_some(&server, Instant::NEVER).await.unwrap();
        sim.note("exchange", 902);
    };
    world.block_on(talk, MINUTE).unwrap();
    let want = "     0.000000  127.0.0.1      listens on 127.0.0.1:8090
     0.000000  127.0.0.1      connects to 127.0.0.1:8090
     0.000100  127.0.0.1      connected (connection 1 to 127.0.0.1)
     0.000100  127.0.0.1      accepted (connection 1 from 127.0.0.1)
     0.000100  127.0.0.1      sent 5 (connection 1 to 127.0.0.1)
     0.000150  127.0.0.1      received 5 (connection 1 from 127.0.0.1)
     0.000150  127.0.0.1      exchange 902
";
    let text = world.trace(100);
    assert!(text.starts_with(want), "{text}");
    assert_eq!(world.trace(1).lines().count(), 1);
}

#[test]
fn the_calendar_moves_without_the_clock() {
    let mut world = World::new(1);
    let sim = world.handle();
    assert_eq!(sim.unix_now().to_string(), "2026-01-01T00:00:00.000Z");
    world.run_for(MINUTE);
    assert_eq!(sim.unix_now().to_string(), "2026-01-01T00:01:00.000Z");
    let before = sim.now();
    world.move_calendar(2 * MINUTE, true);
    assert_eq!(sim.unix_now().to_string(), "2025-12-31T23:59:00.000Z");
    world.set_faults(Faults { calendar_jump: Chance::ALWAYS, ..Faults::none() });
    assert_ne!(sim.unix_now(), sim.unix_now());
    assert_eq!(sim.now(), before);
}

#[test]
fn secrets_and_generators_come_from_the_seed() {
    let draw = |seed| {
        let sim = World::new(seed).handle();
        let mut secret = [0; 16];
        sim.secret(&mut secret);
        (secret, sim.prng().next_u64(), sim.prng().next_u64())
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1).0, draw(2).0);
    assert_ne!(draw(1).1, draw(1).2);
}

#[test]
fn a_seed_replays_to_the_byte() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.set_faults(Faults::draw(&mut Prng::new(seed)));
        super::storm::echo(&mut world, 10);
        (world.trace(10_000), world.digest(), world.steps())
    };
    let mut digests = BTreeSet::new();
    for seed in 0..20 {
        let first = run(seed);
        assert_eq!(first, run(seed), "seed {seed}");
        digests.insert(first.1);
    }
    assert_eq!(digests.len(), 20, "other seeds, other runs");
}

#[test]
fn a_crew_that_is_suspended_runs_later_and_nobody_else_waits() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.set_faults(Faults { spurious_wake: Chance::one_in(3), ..Faults::none() });
        let ticks = Rc::new(RefCell::new([0; 2]));
        for crew in 0..2 {
            let (sim, ticks) = (world.handle().in_crew(crew), Rc::clone(&ticks));
            let place = usize::try_from(crew).unwrap();
            let inside = sim.clone();
            sim.spawn(async move {
                for _ in 0..100 {
                    inside.yield_now().await;
                    inside.sleep_until(inside.now() + Duration::from_secs(1)).await;
                    ticks.borrow_mut()[place] += 1;
                }
            });
        }
        world.run_for(Duration::from_millis(10_500));
        world.suspend(1);
        world.run_for(Duration::from_secs(10));
        assert_eq!(*ticks.borrow(), [20, 10], "seed {seed}");
        world.resume(1);
        world.run_for(Duration::from_millis(1));
        assert_eq!(*ticks.borrow(), [20, 11], "seed {seed}");
        world.run_for(100 * MINUTE);
        assert_eq!((*ticks.borrow(), world.tasks()), ([100, 100], 0), "seed {seed}");
    }
}

#[test]
fn a_clock_that_jumps_makes_all_due_at_once() {
    let mut world = World::new(1);
    let sim = world.handle();
    let start = world.now();
    let heard = Rc::new(RefCell::new(Vec::new()));
    for seconds in [1, 2, 30] {
        let (sim, heard) = (sim.clone(), Rc::clone(&heard));
        let inside = sim.clone();
        sim.spawn(async move {
            inside.sleep_until(start + Duration::from_secs(seconds)).await;
            heard.borrow_mut().push(inside.now() - start);
        });
    }
    world.run_for(Duration::from_millis(500));
    world.jump(Duration::from_secs(10));
    world.run_for(Duration::from_secs(30));
    let late = Duration::from_millis(10_500);
    assert_eq!(*heard.borrow(), [late, late, Duration::from_secs(30)]);
}
