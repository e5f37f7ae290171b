//! Shards that have more to do than they can.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::client::{Client, head};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;

use super::gateway;

const ROUTES: &str = "[[route]]\nid = \"s\"\nmatch = { prefix = \"/shed\" }\nreply = 204\n\
                      shed_delay = \"10ms\"\n\
                      [[route]]\nid = \"k\"\nmatch = { path = \"/kept\" }\nreply = 204\n";
/// Threads of clients, connections of each, and requests that each of them sends at once. A shard
/// answers one of each connection in turn: so there are many, and what they send has many fields.
const THREADS: usize = 3;
const CONNECTIONS: usize = 300;
const REQUESTS: usize = 8;
const FIELDS: usize = 60;

/// Sends more and more until it is over; how many were refused.
fn flood(address: SocketAddr, over: &AtomicBool, refused: &AtomicUsize) {
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| Client::connect(address)).collect();
    let requests = head("GET", "/shed", &["x-pad: of no use"; FIELDS]).repeat(REQUESTS);
    while !over.load(Ordering::SeqCst) {
        for client in &mut clients {
            client.send(&requests);
        }
        for client in &mut clients {
            for _ in 0..REQUESTS {
                let reply = client.reply();
                if reply.status != 204 {
                    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
                    assert_eq!(reply.json()["code"], "overloaded");
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// What may not be refused is not, while much is.
#[track_caller]
fn check(gateway: &Gateway, refused: &AtomicUsize) {
    let mut client = gateway.client();
    eventually("requests are refused", || (refused.load(Ordering::SeqCst) > 0).then_some(()));
    let before = refused.load(Ordering::SeqCst);
    eventually("more are, while others are not", || {
        assert_eq!(client.get("/kept").status, 204);
        assert_eq!(client.get("/healthz").status, 200);
        assert_eq!(Client::connect(gateway.admin).get("/healthz").status, 200);
        (refused.load(Ordering::SeqCst) > before + REQUESTS).then_some(())
    });
}

#[test]
fn a_shard_that_runs_late_refuses_what_may_be_refused() {
    on_both_drivers(|io| {
        let (gateway, _) = gateway(io, ROUTES);
        // Both ends of all connections are of this process.
        assert!(otus::io::signals::raise_open_files() > 2500);
        let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| flood(gateway.address, &over, &refused));
            }
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                check(&gateway, &refused);
            }));
            over.store(true, Ordering::SeqCst);
            checked.unwrap_or_else(|why| std::panic::resume_unwind(why));
        });
        let told = gateway.metric("otus_rejected_total{reason=\"overloaded\"}");
        assert!(told >= u64::try_from(refused.load(Ordering::SeqCst)).unwrap());
        // In time again, it refuses nobody.
        let mut client = gateway.client();
        eventually("all is served again", || (client.get("/shed").status == 204).then_some(()));
        gateway.is_clean();
    });
}
