//! What TCP lets its users see.

use std::collections::BTreeSet;

use super::*;
use crate::base::limits;

#[test]
fn after_a_half_close_the_other_half_goes_on() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        write(&client, b"question", Instant::NEVER).await.unwrap();
        assert!(!server.is_peer_gone());
        client.shutdown_write();
        assert_eq!(read_all(&server, Instant::NEVER).await, (b"question".to_vec(), Ok(())));
        assert!(server.is_peer_gone() && !client.is_peer_gone());
        write(&server, b"answer", Instant::NEVER).await.unwrap();
        drop(server);
        assert_eq!(read_all(&client, Instant::NEVER).await, (b"answer".to_vec(), Ok(())));
        assert_eq!(write(&client, b"more", Instant::NEVER).await, Err(IoError::Closed));
    });
}

#[test]
fn the_end_is_known_behind_bytes_that_were_not_read() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        write(&client, b"x", Instant::NEVER).await.unwrap();
        client.shutdown_write();
        sim.sleep_until(sim.now() + MINUTE).await;
        assert!(server.is_peer_gone());
        assert_eq!(read_all(&server, Instant::NEVER).await, (b"x".to_vec(), Ok(())));
    });
}

#[test]
fn a_socket_that_resets_on_close_does() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        server.reset_on_close();
        drop(server);
        assert_eq!(client.readable(Instant::NEVER).await, Ok(()));
        assert!(client.is_peer_gone());
        assert_eq!(read_some(&client, Instant::NEVER).await, Err(IoError::Reset));
        assert_eq!(write(&client, b"x", Instant::NEVER).await, Err(IoError::Closed));
    });
}

#[test]
fn closing_on_unread_bytes_is_a_reset() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        write(&client, b"x", Instant::NEVER).await.unwrap();
        server.readable(Instant::NEVER).await.unwrap();
        drop(server);
        assert_eq!(read_some(&client, Instant::NEVER).await, Err(IoError::Reset));
    });
}

#[test]
fn bytes_for_a_closed_socket_are_answered_with_a_reset() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        drop(server);
        assert_eq!(read_some(&client, Instant::NEVER).await, Ok(vec![]));
        assert_eq!(write(&client, b"x", Instant::NEVER).await, Ok(()));
        sim.sleep_until(sim.now() + MINUTE).await;
        assert_eq!(write(&client, b"x", Instant::NEVER).await, Err(IoError::Reset));
    });
}

#[test]
fn a_reset_may_take_what_was_not_read_with_it() {
    for (reset_queue_lost, want) in [(Chance::NEVER, &b"x"[..]), (Chance::ALWAYS, b"")] {
        run(1, Faults { reset_queue_lost, ..Faults::none() }, move |sim| async move {
            let (client, server, _listener) = pair(&sim).await;
            write(&server, b"x", Instant::NEVER).await.unwrap();
            client.readable(Instant::NEVER).await.unwrap();
            server.reset_on_close();
            drop(server);
            sim.sleep_until(sim.now() + MINUTE).await;
            let got = read_all(&client, Instant::NEVER).await;
            assert_eq!(got, (want.to_vec(), Err(IoError::Reset)));
        });
    }
}

#[test]
fn a_reset_that_was_told_is_told_again() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        server.reset_on_close();
        drop(server);
        sim.sleep_until(sim.now() + MINUTE).await;
        assert_eq!(write(&client, b"x", Instant::NEVER).await, Err(IoError::Reset));
        assert_eq!(read_some(&client, Instant::NEVER).await, Err(IoError::Reset));
    });
}

#[test]
fn a_peer_that_does_not_read_stops_the_writer() {
    let faults = Faults { buffer_min: 1000, buffer_max: 1000, ..Faults::none() };
    run(1, faults, |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        let deadline = sim.now() + MINUTE;
        assert_eq!(write(&client, &[7; 5000], deadline).await, Err(IoError::TimedOut));
        assert_eq!(sim.now(), deadline);
        let (got, end) = read_all(&server, sim.now() + MINUTE).await;
        assert_eq!((got.len(), end), (1000, Err(IoError::TimedOut)));
        assert_eq!(write(&client, &[7; 1000], deadline + MINUTE).await, Ok(()));
    });
}

#[test]
fn a_shut_window_stops_the_writer_until_it_opens() {
    run(1, Faults::none(), |sim| async move {
        let (client, server, _listener) = pair(&sim).await;
        server.shut_window(true);
        let deadline = sim.now() + MINUTE;
        assert_eq!(write(&client, &[7; 10], deadline).await, Err(IoError::TimedOut));
        let opener = server.clone();
        let until = sim.now() + MINUTE;
        let waiting = sim.clone();
        sim.spawn(async move {
            waiting.sleep_until(until).await;
            opener.shut_window(false);
        });
        assert_eq!(write(&client, &[7; 10], until + MINUTE).await, Ok(()));
        assert_eq!(sim.now(), until);
        assert_eq!(read_some(&server, until + MINUTE).await, Ok(vec![7; 10]));
    });
}

#[test]
fn nobody_at_the_address_refuses() {
    run(1, Faults::none(), |sim| async move {
        assert_eq!(connect(&sim, address()).await.err(), Some(IoError::Refused));
        let listener = sim.listen(address());
        assert!(connect(&sim, address()).await.is_ok());
        drop(listener);
        assert_eq!(connect(&sim, address()).await.err(), Some(IoError::Refused));
    });
}

#[test]
fn a_listener_on_all_addresses_is_found_on_each() {
    run(1, Faults::none(), |sim| async move {
        let listener = sim.listen("[::]:0".parse().unwrap());
        let port = listener.address().port();
        assert_ne!(port, 0);
        for host in ["127.0.0.1", "10.0.0.1", "::1"] {
            let to = SocketAddr::new(host.parse().unwrap(), port);
            let client = connect(&sim.on_host("10.1.2.3".parse().unwrap()), to).await.unwrap();
            let (_server, from) = listener.accept().await.unwrap();
            assert_eq!(from.ip().to_canonical().to_string(), "10.1.2.3");
            assert_eq!(client.peer_address(), to);
        }
    });
}

#[test]
fn connects_fail_in_every_way_there_is() {
    let fails = |faults: Faults| {
        run(1, faults, |sim| async move {
            let _listener = sim.listen(address());
            let (start, result) = (sim.now(), connect(&sim, address()).await);
            (result.err(), sim.now() - start)
        })
    };
    let (always, none) = (Chance::ALWAYS, Faults::none);
    let refused = fails(Faults { connect_refused: always, ..none() });
    assert_eq!(refused, (Some(IoError::Refused), Duration::from_micros(100)));
    let unreachable = fails(Faults { connect_unreachable: always, ..none() });
    assert_eq!(unreachable.0, Some(IoError::Unreachable));
    let exhausted = fails(Faults { connect_exhausted: always, ..none() });
    assert_eq!(exhausted, (Some(IoError::Exhausted), Duration::ZERO));
    let lost = fails(Faults { connect_lost: always, ..none() });
    assert_eq!(lost, (Some(IoError::TimedOut), MINUTE));
}

#[test]
fn a_full_queue_lets_connects_wait() {
    run(1, Faults { backlog_max: 1, ..Faults::none() }, |sim| async move {
        let listener = sim.listen(address());
        let _first = connect(&sim, address()).await.unwrap();
        let second = connect(&sim, address()).await;
        assert_eq!(second.err(), Some(IoError::TimedOut));
        let _server = listener.accept().await.unwrap();
        let _third = connect(&sim, address()).await.unwrap();
    });
}

#[test]
fn a_silent_link_ends_nothing_but_by_deadlines() {
    let faults = Faults {
        link_lost: Chance::ALWAYS,
        trouble_after_max: Duration::from_nanos(1),
        trouble_bytes_max: 1,
        ..Faults::none()
    };
    for seed in 0..20 {
        run(seed, faults.clone(), |sim| async move {
            let (client, server, _listener) = pair(&sim).await;
            write(&client, b"xy", Instant::NEVER).await.unwrap();
            write(&server, b"xy", Instant::NEVER).await.unwrap();
            drop(server);
            let deadline = sim.now() + MINUTE;
            let (got, end) = read_all(&client, deadline).await;
            assert!(got.len() <= 1, "nothing arrives after the first byte");
            assert_eq!((end, sim.now()), (Err(IoError::TimedOut), deadline));
            assert!(!client.is_peer_gone());
        });
    }
}

#[test]
fn who_accepted_a_connection_learns_that_its_peer_is_lost() {
    for link_lost in [Chance::NEVER, Chance::ALWAYS] {
        let faults = Faults {
            link_lost,
            link_half_lost: Chance::ALWAYS,
            trouble_bytes_max: 1,
            trouble_after_max: Duration::from_nanos(1),
            ..Faults::none()
        };
        run(1, faults, |sim| async move {
            let (client, server, _listener) = pair(&sim).await;
            // Some troubles wait for a byte.
            write(&client, b"x", Instant::NEVER).await.unwrap();
            write(&server, b"x", Instant::NEVER).await.unwrap();
            let start = sim.now();
            let (_, end) = read_all(&server, Instant::NEVER).await;
            assert_eq!(end, Err(IoError::Reset));
            assert!(sim.now() - start <= limits::CLIENT_LOST_AFTER);
        });
    }
}

#[test]
fn a_host_that_is_found_again_gets_what_was_sent() {
    let mut world = World::new(1);
    let sim = world.handle().on_host("10.0.0.9".parse().unwrap());
    let inside = sim.clone();
    let (client, server, _listener) =
        world.block_on(async move { pair(&inside).await }, MINUTE).unwrap();
    world.lose_host("10.0.0.9".parse().unwrap());
    let inside = sim.clone();
    let (client, server) = world
        .block_on(
            async move {
                write(&client, b"still here", Instant::NEVER).await.unwrap();
                client.shutdown_write();
                let got = read_some(&server, inside.now() + MINUTE).await;
                assert_eq!(got, Err(IoError::TimedOut));
                assert_eq!(connect(&inside, address()).await.err(), Some(IoError::TimedOut));
                (client, server)
            },
            5 * MINUTE,
        )
        .unwrap();
    world.find_host("10.0.0.9".parse().unwrap());
    let got = world.block_on(async move { read_all(&server, Instant::NEVER).await }, MINUTE);
    assert_eq!(got, Ok((b"still here".to_vec(), Ok(()))));
    drop(client);
}

#[test]
fn a_message_is_cut_at_every_byte() {
    let faults = Faults {
        link_reset: Chance::ALWAYS,
        trouble_bytes_max: 16,
        trouble_after_max: Duration::from_nanos(1),
        ..Faults::none()
    };
    let cuts: BTreeSet<usize> = (0..400)
        .map(|seed| {
            run(seed, faults.clone(), |sim| async move {
                let (client, server, _listener) = pair(&sim).await;
                let sent = b"0123456789abcdefghi";
                let _ = write(&client, sent, Instant::NEVER).await;
                let (got, end) = read_all(&server, sim.now() + MINUTE).await;
                assert_eq!(got, sent[..got.len()]);
                assert_eq!(
                    end,
                    Err(if got.len() < 19 { IoError::Reset } else { IoError::TimedOut })
                );
                got.len()
            })
        })
        .collect();
    assert!((0..=16).all(|cut| cuts.contains(&cut)), "{cuts:?}");
}

#[test]
fn listeners_share_an_address_and_lose_their_own_queue() {
    run(1, Faults::none(), |sim| async move {
        let (a, b) = (sim.listen(address()), sim.listen(address()));
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(connect(&sim, address()).await.unwrap());
        }
        drop(a);
        let mut lost = 0;
        for client in &clients {
            match read_some(client, sim.now() + Duration::from_secs(1)).await {
                Err(IoError::Reset) => lost += 1,
                other => assert_eq!(other, Err(IoError::TimedOut)),
            }
        }
        assert!((5..35).contains(&lost), "{lost}");
        b.cancel();
        for _ in lost..40 {
            b.accept().await.unwrap();
        }
        assert_eq!(b.accept().await.err(), Some(IoError::Cancelled));
    });
}
