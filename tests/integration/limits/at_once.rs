use std::io::Write;
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;

use super::{gateway, limit_now, spread};

fn waiting(gateway: &Gateway) -> u64 {
    limit_now(gateway, "concurrency", "waiting")
}

const OK: &[u8] = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

#[test]
fn places_are_counted_over_both_shards_and_given_back() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n\
             outlier = {{ failures = 0 }}\n[[route]]\nid = \"slow\"\nupstream = \"u\"\n\
             errors = \"3x\"\nconcurrency = {{ max_in_flight = 3 }}\n",
            backend.address
        );
        let (gateway, _) = gateway(io, &text);
        for round in 0..2 {
            let mut clients: Vec<_> = (0..3).map(|_| gateway.client()).collect();
            let mut visits = Vec::new();
            for client in &mut clients {
                client.head("GET", "/x", &[]);
                visits.push(backend.asked().0);
            }
            // Wherever it is, another one has no place.
            for _ in 0..8 {
                let reply = gateway.client().get("/x");
                assert_eq!(reply.status, 503, "round {round}");
                assert_eq!(
                    reply.text(),
                    "{\"error\":\"too_busy\",\"message\":\"route is at max concurrency\",\
                     \"route\":\"slow\",\"max_in_flight\":3}"
                );
            }
            assert!(backend.is_unvisited());
            // One is answered, one leaves, one loses its back end: all give their places back.
            let left = clients.pop().unwrap();
            drop(left);
            visits[0].send(OK);
            assert_eq!(clients[0].reply().status, 200);
            drop(visits);
            assert_eq!(clients[1].reply().status, 502);
            eventually("a place is free", || {
                let mut client = gateway.client();
                client.head("GET", "/x", &[]);
                eventually("an answer", || {
                    if let Some(mut visit) = backend.visitor()
                        && visit.try_request().is_some()
                    {
                        let _ = visit.stream.write_all(OK); // It may be of one that left.
                    }
                    (!client.is_quiet_for(Duration::from_millis(10))).then_some(())
                });
                (client.reply().status == 200).then_some(())
            });
        }
        gateway.is_clean();
    });
}

#[test]
fn who_waits_in_the_queue_is_served_when_a_place_is_free() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n\
             outlier = {{ failures = 0 }}\n[[route]]\nid = \"q\"\nupstream = \"u\"\n\
             concurrency = {{ max_in_flight = 1, queue = 1, queue_timeout = \"30s\" }}\n",
            backend.address
        );
        let (gateway, _) = gateway(io, &text);
        let (mut first, mut second) = (gateway.client(), gateway.client());
        first.head("GET", "/1", &[]);
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.target, "/1");
        second.head("GET", "/2", &[]);
        // The queue holds one: the next is refused as soon as that one is in it.
        eventually("the queue is full", || (waiting(&gateway) == 1).then_some(()));
        let refused = gateway.client().get("/3");
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
        assert_eq!(refused.json()["code"], "too_busy");
        visit.send(OK);
        assert_eq!(first.reply().status, 200);
        let (mut visit, seen) = backend.asked();
        visit.send(OK);
        assert_eq!(seen.target, "/2");
        assert_eq!(second.reply().status, 200);
        gateway.is_clean();
    });
}

#[test]
fn those_in_the_queue_are_served_in_the_order_in_which_they_came_over_both_shards() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n\
             outlier = {{ failures = 0 }}\n[[route]]\nid = \"q\"\nupstream = \"u\"\n\
             concurrency = {{ max_in_flight = 1, queue = 16, queue_timeout = \"60s\" }}\n",
            backend.address
        );
        let (gateway, _) = gateway(io, &text);
        let mut first = gateway.client();
        first.head("GET", "/first", &[]);
        let (mut visit, _) = backend.asked();
        // Where connections land is the kernel's choice: enough of them land on both shards.
        let mut clients = Vec::new();
        for number in 0..12 {
            let mut client = gateway.client();
            client.head("GET", &format!("/{number}"), &[]);
            clients.push(Some(client));
            eventually("it waits", || (waiting(&gateway) == number + 1).then_some(()));
        }
        assert!(spread(&gateway).iter().all(|taken| *taken > 0), "{:?}", spread(&gateway));
        // Two of them leave, one by its end and one by a reset: nobody waits for them.
        drop(clients[3].take());
        clients[7].take().unwrap().reset();
        eventually("they are gone", || (waiting(&gateway) == 10).then_some(()));
        visit.send(OK);
        assert_eq!(first.reply().status, 200);
        for (number, client) in clients.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            let (mut visit, seen) = backend.asked();
            assert_eq!(seen.target, format!("/{number}"));
            assert!(backend.is_unvisited(), "one at a time");
            visit.send(OK);
            assert_eq!(client.reply().status, 200);
        }
        assert_eq!(waiting(&gateway), 0);
        gateway.is_clean();
    });
}

#[test]
fn who_has_waited_long_enough_is_refused_and_leaves_the_queue() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n\
             outlier = {{ failures = 0 }}\n[[route]]\nid = \"q\"\nupstream = \"u\"\n\
             concurrency = {{ max_in_flight = 1, queue = 3, queue_timeout = \"20ms\" }}\n",
            backend.address
        );
        let (gateway, _) = gateway(io, &text);
        let mut first = gateway.client();
        first.head("GET", "/1", &[]);
        let (mut visit, _) = backend.asked();
        let refused = gateway.client().get("/2");
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
        assert_eq!((refused.json()["code"].as_str(), waiting(&gateway)), (Some("too_busy"), 0));
        visit.send(OK);
        assert_eq!(first.reply().status, 200);
        let mut third = gateway.client();
        third.head("GET", "/3", &[]);
        let (mut visit, _) = backend.asked();
        visit.send(OK);
        assert_eq!(third.reply().status, 200);
        gateway.is_clean();
    });
}

#[test]
fn one_client_has_no_more_places_than_its_own() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n\
             outlier = {{ failures = 0 }}\n[[route]]\nid = \"c\"\nupstream = \"u\"\n\
             concurrency = {{ max_in_flight = 5, per_client = 1 }}\n",
            backend.address
        );
        let (gateway, _) = gateway(io, &text);
        let mut mine = gateway.client();
        mine.head("GET", "/x", &["X-Forwarded-For: 192.0.2.1"]);
        let (mut visit, _) = backend.asked();
        let ask = |address: &str| {
            let field = format!("X-Forwarded-For: {address}");
            gateway.client().ask("GET", "/x", &[&field], b"").status
        };
        assert_eq!(ask("192.0.2.1"), 503);
        let mut other = gateway.client();
        other.head("GET", "/x", &["X-Forwarded-For: 192.0.2.2"]);
        let (mut second, _) = backend.asked();
        second.send(OK);
        assert_eq!(other.reply().status, 200);
        visit.send(OK);
        assert_eq!(mine.reply().status, 200);
        gateway.is_clean();
    });
}
