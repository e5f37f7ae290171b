use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use otus::snapshot::server::IoDriver;

use crate::support::backend::{Backend, Visit};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;

use super::{gateway, limit_now, spread};

/// A gateway before one back end, whose breaker the first failure opens for a moment.
fn before_one(io: IoDriver, more: &str) -> (Gateway, Backend) {
    let backend = Backend::listen();
    let text = format!(
        "[upstreams.u]\nendpoints = [\"{}\"]\nretry = {{ attempts = 1 }}\n\
         outlier = {{ failures = 0 }}\n[[route]]\nid = \"b\"\nupstream = \"u\"\n\
         circuit_breaker = {{ failures = 1, open = \"50ms\"{more} }}\n",
        backend.address
    );
    (gateway(io, &text).0, backend)
}

#[test]
fn a_breaker_opens_lets_one_probe_through_and_closes() {
    on_both_drivers(|io| {
        let status = Arc::new(AtomicU16::new(500));
        let own = Arc::clone(&status);
        let (address, asked) = Backend::listen().serve(move |_, _| {
            let status = own.load(Ordering::SeqCst);
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
        });
        let text = format!(
            "[upstreams.u]\nendpoints = [\"{address}\"]\nretry = {{ attempts = 1 }}\n\
             outlier = {{ failures = 0 }}\n[[route]]\nid = \"b\"\nupstream = \"u\"\nerrors = \"3x\"\n\
             circuit_breaker = {{ failures = 3, open = \"300ms\" }}\n"
        );
        let (gateway, _) = gateway(io, &text);
        let ask = || gateway.client().get("/x");
        // A success between starts the count anew.
        status.store(404, Ordering::SeqCst);
        assert_eq!(ask().status, 404);
        status.store(500, Ordering::SeqCst);
        assert_eq!([(); 3].map(|()| ask().status), [500; 3]);
        let reached = asked.load(Ordering::SeqCst);
        let refused = ask();
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
        assert_eq!(
            refused.text(),
            "{\"error\":\"circuit_open\",\"message\":\"upstream temporarily unavailable\",\
             \"route\":\"b\"}"
        );
        assert_eq!(asked.load(Ordering::SeqCst), reached, "the upstream is left alone");
        // The probe fails, and it is open again; the next one does well, and it is closed.
        let probed = eventually("a probe", || Some(ask()).filter(|reply| reply.status == 500));
        assert_eq!(probed.status, 500);
        assert_eq!(ask().status, 503);
        status.store(200, Ordering::SeqCst);
        eventually("it closes", || (ask().status == 200).then_some(()));
        assert_eq!([(); 5].map(|()| ask().status), [200; 5]);
        gateway.is_clean();
    });
}

#[test]
fn clients_that_leave_open_no_breaker_and_keep_no_probe() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let leave = || {
            let mut client = gateway.client();
            client.head("GET", "/x", &[]);
            let (mut visit, _) = backend.asked();
            client.reset();
            visit.closed();
        };
        (0..3).for_each(|_| leave());
        let fail = || {
            let mut client = gateway.client();
            client.head("GET", "/x", &[]);
            drop(backend.asked());
            assert_eq!(client.reply().status, 502);
        };
        fail();
        let reply = gateway.client().get("/x");
        assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("circuit_open")));
        std::thread::sleep(Duration::from_millis(60));
        leave(); // That was the probe.
        let mut client = gateway.client();
        let mut visit = eventually("another probe", || {
            client = gateway.client();
            client.head("GET", "/x", &[]);
            let mut visit = eventually("an answer", || {
                let refused = !client.is_quiet_for(Duration::from_millis(20));
                backend.visitor().map(Some).or(refused.then_some(None))
            })?;
            visit.try_request().map(|_| visit)
        });
        visit.send(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.reply().status, 200);
        gateway.is_clean();
    });
}

#[test]
fn a_probe_is_told_of_by_the_head_of_its_answer() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("GET", "/x", &[]);
        drop(backend.asked());
        assert_eq!(client.reply().status, 502);
        std::thread::sleep(Duration::from_millis(60));
        let mut events = gateway.client();
        events.head("GET", "/events", &[]);
        let (mut stream, _) = backend.asked();
        stream.send("HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\nevent");
        assert_eq!(events.reply_to_head().status, 200);
        // Its body has no end, and the breaker is closed.
        let mut client = gateway.client();
        client.head("GET", "/x", &[]);
        let (mut visit, _) = backend.asked();
        visit.send(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.reply().status, 200);
        drop(stream);
        drop(events);
        gateway.is_clean();
    });
}

#[test]
fn both_shards_together_let_exactly_as_many_probes_through_as_there_may_be() {
    const PROBES: usize = 3;
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, &format!(", probes = {PROBES}"));
        for round in 0..4 {
            let mut client = gateway.client();
            client.head("GET", "/x", &[]);
            drop(backend.asked()); // No answer: it opens.
            assert_eq!(client.reply().status, 502);
            std::thread::sleep(Duration::from_millis(60));
            let before = spread(&gateway);
            let (mut probes, mut visits) = ask_at_once(&gateway, &backend, PROBES);
            let after = spread(&gateway);
            assert!((0..2).all(|shard| after[shard] > before[shard]), "both shards were asked");
            // A probe of which nothing was learned leaves its place to exactly one other.
            drop(probes.remove(0));
            let gone = eventually("its visit ends", || {
                visits.iter_mut().position(|visit| !visit.is_quiet_for(Duration::from_millis(5)))
            });
            drop(visits.remove(gone));
            eventually("its place is free", || {
                let under_way = limit_now(&gateway, "circuit_breaker", "half_open_in_flight");
                (under_way == 2).then_some(())
            });
            let (more, others) = ask_at_once(&gateway, &backend, 1);
            probes.extend(more);
            visits.extend(others);
            // One success closes it, whichever shard it is of; what the others say is late.
            let (last, late) = visits.split_last_mut().unwrap();
            last.send("HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            eventually("one is answered", || {
                probes
                    .iter_mut()
                    .any(|probe| !probe.is_quiet_for(Duration::from_millis(5)))
                    .then_some(())
            });
            for visit in late {
                visit.send("HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            let mut statuses: Vec<_> =
                probes.iter_mut().map(|probe| probe.reply().status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 500, 500], "round {round}");
            let mut client = gateway.client();
            client.head("GET", "/x", &[]);
            let (mut visit, _) = backend.asked();
            visit.send("HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().status, 200);
        }
        gateway.is_clean();
    });
}

/// Sends 24 requests at once, of which so many have to reach the back end, and all others are
/// refused. Returns those that are under way.
fn ask_at_once(gateway: &Gateway, backend: &Backend, passed: usize) -> (Vec<Client>, Vec<Visit>) {
    let mut clients: Vec<_> = (0..24).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.head("GET", "/x", &[]);
    }
    let visits: Vec<_> = (0..passed).map(|_| backend.asked().0).collect();
    eventually("all others are refused", || {
        clients.retain_mut(|client| {
            if client.is_quiet_for(Duration::from_millis(5)) {
                return true;
            }
            let reply = client.reply();
            assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("circuit_open")));
            false
        });
        (clients.len() == passed).then_some(())
    });
    assert!(backend.is_unvisited(), "no more than that");
    (clients, visits)
}
