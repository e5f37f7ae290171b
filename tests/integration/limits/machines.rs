//! Several gateways that share a limit through a real server of Redis.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use otus::snapshot::server::IoDriver;

use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::redis::{Redis, Slow};
use crate::support::tls::{Authority, Files};

use super::gateway;

/// A gateway that shares limits through `store`: each route of its own, by what is done without it.
fn node(io: IoDriver, store: SocketAddr, rate: &str) -> Gateway {
    let route = |name: &str| {
        format!(
            "[[route]]\nid = \"{name}\"\nmatch = {{ path = \"/{name}\" }}\nreply = 204\n\
             rate_limit = {{ {rate}, shared = true, on_failure = \"{name}\", by = \"route\" }}\n"
        )
    };
    let routes = ["local", "open", "closed"].map(route).concat();
    gateway(io, &format!("[rate_store]\naddress = \"{store}\"\n{routes}")).0
}

fn admitted(gateway: &Gateway, path: &str, count: usize) -> usize {
    let mut client = gateway.client();
    (0..count).filter(|_| client.get(path).status == 204).count()
}

#[test]
fn two_machines_together_admit_a_lease_each_more_than_the_rule_at_most() {
    on_both_drivers(|io| {
        let Some(redis) = Redis::start() else { return };
        let rate = "rate = \"30/m\", burst = 40, lease = 3";
        let nodes = [(); 2].map(|()| node(io, redis.address, rate));
        let begun = Instant::now();
        let found: usize = std::thread::scope(|scope| {
            let ask = |node| scope.spawn(move || admitted(node, "/local", 60));
            let threads = nodes.each_ref().map(ask);
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        let regained = usize::try_from(begun.elapsed().as_secs() / 2).unwrap();
        println!("{found} of 40 with leases of 3 on two machines");
        // A request that finds no lease waits for the store: none is refused that is allowed.
        assert!((40..=40 + 6 + 1 + regained).contains(&found), "{found}");
        // Who comes later knows it from the store, but for its own lease.
        let third = node(io, redis.address, rate);
        let late = admitted(&third, "/local", 30);
        assert!(late <= 4 + regained, "{late}");
        for node in nodes {
            node.is_clean();
        }
    });
}

#[test]
fn without_the_store_each_does_as_its_rule_says_and_afterwards_they_count_together_again() {
    on_both_drivers(|io| {
        let Some(redis) = Redis::start() else { return };
        let address = redis.address;
        let rate = "rate = \"6/m\", burst = 5, lease = 2";
        let node = node(io, address, rate);
        assert_eq!(node.client().get("/closed").status, 204);
        drop(redis);
        // Killed: it is noticed at the latest when it is next asked whether it is there.
        let refused = eventually("the store is missed", || {
            Some(node.client().get("/closed")).filter(|reply| reply.status == 503)
        });
        assert_eq!(refused.json()["code"], "limits_unavailable");
        assert_eq!(admitted(&node, "/open", 20), 20);
        let alone = admitted(&node, "/local", 20);
        assert!((5..=6).contains(&alone), "{alone}");
        // Restarted, it has forgotten everything; the machine has not, and tells it.
        let redis = Redis::at(address).unwrap();
        eventually("the store is found again", || {
            (node.client().get("/closed").status != 503).then_some(())
        });
        let other = self::node(io, redis.address, rate);
        let late = eventually("what was spent alone is told", || {
            let left = other.client().get("/local");
            (left.status == 429).then_some(left)
        });
        assert!(late.field("retry-after").is_some());
        node.is_clean();
    });
}

#[test]
fn no_request_waits_longer_for_a_slow_store_than_it_may() {
    on_both_drivers(|io| {
        let Some(redis) = Redis::start() else { return };
        let slow = Slow::to(redis.address);
        let rate = "rate = \"1/m\", burst = 30, lease = 2";
        let node = node(io, slow.address, rate);
        assert_eq!(admitted(&node, "/local", 2), 2);
        slow.delay(Duration::from_millis(150));
        // Slower than patience (50 ms) and faster than what counts as gone (400 ms): each request
        // beyond the lease waits for a while and is admitted alone.
        let begun = Instant::now();
        assert_eq!(admitted(&node, "/local", 6), 6);
        println!("six requests took {:?}", begun.elapsed());
        slow.delay(Duration::from_secs(30));
        // Slower still: it counts as gone, and nobody waits any more.
        eventually("the store is given up", || {
            (node.client().get("/closed").status == 503).then_some(())
        });
        assert!(admitted(&node, "/local", 60) <= 30);
        node.is_clean();
    });
}

#[test]
fn a_store_that_speaks_tls_is_believed_if_its_certificate_is_good() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = authority.leaf("redis", &["127.0.0.1"]);
    // With the name that all others have it would be its own issuer, for OpenSSL.
    let own = authority.leaf_with("own", &["gateway"], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "gateway");
    });
    on_both_drivers(|io| {
        let Some((_redis, store)) = Redis::sealed(&files, &authority.file()) else { return };
        let node = |authority: &Authority, own: Option<&Files>| {
            let own = own.map_or_else(String::new, |own| {
                let (cert, key) = (own.cert.display(), own.key.display());
                format!("tls.cert = \"{cert}\"\ntls.key = \"{key}\"\n")
            });
            let ca = authority.file();
            let ca = ca.display();
            let text = format!(
                "[rate_store]\naddress = \"{store}\"\ntls.on = true\ntls.ca = \"{ca}\"\n{own}\
                 [[route]]\nid = \"r\"\nreply = 204\nrate_limit = {{ rate = \"5/h\", burst = 4, \
                 lease = 1, shared = true, on_failure = \"closed\", by = \"route\" }}\n"
            );
            gateway(io, &text).0
        };
        let first = node(&authority, Some(&own));
        eventually("the store answers", || (first.client().get("/").status == 204).then_some(()));
        let second = node(&authority, Some(&own));
        let all: usize = [&first, &second, &first, &second, &first, &second, &first, &second]
            .map(|node| usize::from(node.client().get("/").status == 204))
            .iter()
            .sum();
        assert!((1..=3 + 2).contains(&all), "{all} more than the first");
        // Who is somebody else, and who does not show who it is, is no store of ours.
        for node in [node(&stranger, Some(&own)), node(&authority, None)] {
            for _ in 0..5 {
                assert_eq!(node.client().get("/").status, 503);
            }
        }
    });
}
