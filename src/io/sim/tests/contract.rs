//! What callers may rely on, and what they must not do.

use std::collections::BTreeSet;

use crate::io::race::race;
use crate::io::sim::{Call, Rule};
use crate::io::{Bell, Ear};

use super::*;

/// Rules that `body` breaks.
fn broken<F: Future<Output = ()> + 'static>(body: impl FnOnce(Sim) -> F) -> Vec<Rule> {
    let mut world = World::new(1);
    world.tolerate_violations();
    world.block_on(body(world.handle()), MINUTE).unwrap();
    world.violations().iter().map(|violation| violation.rule).collect()
}

/// Begins a call, lets it wait and drops it.
async fn drop_half_way(sim: &Sim, call: impl Future) {
    race(call, sim.sleep_until(sim.now() + Duration::from_secs(1))).await;
}

#[test]
fn a_read_dropped_while_it_waits_is_a_violation() {
    let rules = broken(|sim| async move {
        let (client, _server, _listener) = pair(&sim).await;
        drop_half_way(&sim, read_some(&client, Instant::NEVER)).await;
    });
    assert_eq!(rules, [Rule::Dropped(Call::Read)]);
}

#[test]
fn a_write_dropped_while_it_waits_is_a_violation() {
    let rules = broken(|sim| async move {
        let (client, _server, _listener) = pair(&sim).await;
        let much = vec![0; 1 << 20];
        drop_half_way(&sim, write(&client, &much, Instant::NEVER)).await;
    });
    assert_eq!(rules, [Rule::Dropped(Call::Write)]);
}

#[test]
fn an_accept_or_connect_dropped_while_it_waits_is_a_violation() {
    let rules = broken(|sim| async move {
        let listener = sim.listen(address());
        drop_half_way(&sim, listener.accept()).await;
        let nowhere = connect(&sim, address());
        race(nowhere, sim.sleep_until(sim.now() + Duration::from_nanos(1))).await;
    });
    assert_eq!(rules, [Rule::Dropped(Call::Accept), Rule::Dropped(Call::Connect)]);
}

#[test]
fn what_moves_no_bytes_may_be_dropped() {
    let rules = broken(|sim| async move {
        let (client, _server, _listener) = pair(&sim).await;
        drop_half_way(&sim, client.readable(Instant::NEVER)).await;
        let (_bell, ear) = sim.bell().unwrap();
        drop_half_way(&sim, ear.listen()).await;
        drop_half_way(&sim, sim.sleep_until(Instant::NEVER)).await;
        // A call that never began moved nothing either.
        drop(read_some(&client, Instant::NEVER));
    });
    assert_eq!(rules, []);
}

#[test]
fn two_calls_in_one_direction_are_a_violation() {
    let rules = broken(|sim| async move {
        let (client, _server, _listener) = pair(&sim).await;
        let deadline = sim.now() + Duration::from_secs(1);
        let reading = async { read_some(&client, deadline).await.is_err() };
        let other = client.clone();
        sim.spawn(async move {
            let _ = other.readable(deadline).await;
        });
        assert!(reading.await);
    });
    assert!(matches!(rules[..], [Rule::Overlapped(_, _)]), "{rules:?}");
}

#[test]
fn a_read_without_room_is_a_violation() {
    let rules = broken(|sim| async move {
        let (client, _server, _listener) = pair(&sim).await;
        let mut full = BufferPool::default().small();
        full.fill(full.room());
        let _ = client.read(full, sim.now()).await;
    });
    assert_eq!(rules, [Rule::NoRoom]);
}

#[test]
fn a_violation_stops_the_run_where_it_happens() {
    let failed = std::panic::catch_unwind(|| {
        run(1, Faults::none(), |sim| async move {
            let listener = sim.listen(address());
            drop_half_way(&sim, listener.accept()).await;
        });
    });
    let text = failed.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("Accept was dropped while it waited"), "{text}");
}

#[test]
fn one_may_read_while_another_writes() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        let writer = client.clone();
        sim.spawn(async move {
            write(&writer, &vec![1; 1 << 20], Instant::NEVER).await.unwrap();
            writer.shutdown_write();
        });
        sim.spawn(async move {
            let (got, end) = read_all(&server, Instant::NEVER).await;
            assert_eq!((got.len(), end), (1 << 20, Ok(())));
        });
        assert_eq!(read_all(&client, Instant::NEVER).await, (vec![], Ok(())));
    });
}

#[test]
fn a_cancelled_read_says_what_had_moved() {
    let faults = Faults {
        late_read: Chance::one_in(2),
        late_max: Duration::from_millis(20),
        delay_max: Duration::from_millis(4),
        ..Faults::none()
    };
    let pool = BufferPool::default();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let pool = pool.clone();
        seen.insert(run(seed, faults.clone(), |sim| async move {
            let (client, server, _listener) = pair(&sim).await;
            let canceller = client.clone();
            let inside = sim.clone();
            sim.spawn(async move {
                inside.sleep_until(inside.now() + Duration::from_millis(2)).await;
                canceller.cancel();
            });
            sim.spawn(async move {
                let _ = write(&server, b"0123456789", Instant::NEVER).await;
                assert_eq!(read_all(&server, Instant::NEVER).await.0, b"");
            });
            let (result, buffer) = client.read(pool.small(), Instant::NEVER).await;
            match result {
                Ok(len) => assert_eq!(buffer.filled(), &b"0123456789"[..len]),
                Err(error) => assert_eq!((error, buffer.len()), (IoError::Cancelled, 0)),
            }
            sim.sleep_until(sim.now() + MINUTE).await;
            assert_eq!(read_some(&client, Instant::NEVER).await, Err(IoError::Cancelled));
            assert_eq!(write(&client, b"x", Instant::NEVER).await, Err(IoError::Cancelled));
            result.is_ok()
        }));
    }
    assert_eq!(seen.len(), 2, "both ways out are taken");
    assert_eq!(pool.out(), 0);
}

#[test]
fn a_read_that_is_out_of_time_when_bytes_come_may_go_either_way() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        seen.insert(run(seed, Faults::none(), |sim| async move {
            let (client, server, _listener) = pair(&sim).await;
            write(&server, b"0123456789", Instant::NEVER).await.unwrap();
            let arrival = sim.now() + Duration::from_micros(50);
            let first = read_some(&client, arrival).await;
            assert_eq!(sim.now(), arrival);
            match first {
                Ok(got) => assert_eq!(got, b"0123456789"),
                // What was not read is still there.
                Err(IoError::TimedOut) => {
                    assert_eq!(read_some(&client, arrival).await, Ok(b"0123456789".to_vec()));
                    return false;
                }
                Err(error) => panic!("{error:?}"),
            }
            true
        }));
    }
    assert_eq!(seen.len(), 2, "both ways out are taken");
}

#[test]
fn a_cancelled_write_ends() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        let canceller = client.clone();
        let inside = sim.clone();
        sim.spawn(async move {
            inside.sleep_until(inside.now() + Duration::from_secs(2)).await;
            canceller.cancel();
        });
        let much = vec![0; 1 << 20];
        assert_eq!(write(&client, &much, Instant::NEVER).await, Err(IoError::Cancelled));
        drop(client);
        let (got, end) = read_all(&server, Instant::NEVER).await;
        assert_eq!((got.len(), end), (256 * 1024, Ok(())));
    });
}

#[test]
fn a_cancelled_accept_ends_and_stays_so() {
    run(1, Faults::none(), |sim| async move {
        let listener = sim.listen(address());
        let canceller = listener.clone();
        sim.spawn(async move { canceller.cancel() });
        assert_eq!(listener.accept().await.err(), Some(IoError::Cancelled));
        assert_eq!(listener.accept().await.err(), Some(IoError::Cancelled));
    });
}

#[test]
fn a_failed_accept_leaves_the_connection_in_the_queue() {
    let faults = Faults { accept_exhausted: Chance::one_in(2), ..Faults::none() };
    run(3, faults, |sim| async move {
        let listener = sim.listen(address());
        let _client = connect(&sim, address()).await.unwrap();
        let mut failed = 0;
        while let Err(error) = listener.accept().await {
            assert_eq!(error, IoError::Exhausted);
            failed += 1;
        }
        assert!(failed < 64);
    });
}

#[test]
fn rings_that_nobody_heard_count_as_one() {
    run(1, Faults::none(), |sim| async move {
        let (bell, ear) = sim.bell().unwrap();
        bell.ring();
        bell.clone().ring();
        ear.listen().await;
        let inside = sim.clone();
        let start = sim.now();
        sim.spawn(async move {
            inside.sleep_until(inside.now() + MINUTE).await;
            bell.ring();
        });
        ear.listen().await;
        assert_eq!(sim.now() - start, MINUTE);
    });
}
