//! Microservices with several endpoints: which of them gets a call, and which is left alone.

use std::net::SocketAddr;

use otus::snapshot::server::IoDriver;

use crate::support::backend::nobody;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::{Client, framed, status};
use crate::support::journal::eventually;
use crate::support::peer::Peer;
use crate::support::proxy::{self, ALL, upstream};
use crate::support::service::Service;

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// A gateway before these endpoints as the microservice `echo`.
fn before(io: IoDriver, endpoints: &[SocketAddr], keys: &str) -> Gateway {
    let list: Vec<_> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    proxy::start(
        io,
        &format!(
            "gufo.strict_legacy_status = false\n[microservices.echo]\nendpoints = [{}]\n{keys}\n",
            list.join(", ")
        ),
    )
}

fn get(gateway: &Gateway) -> u16 {
    gateway.client().get("/api/v3/echo/x").status
}

#[test]
fn calls_go_round_and_pass_over_who_is_not_there() {
    on_both_drivers(|io| {
        let peers = [Peer::start(), Peer::start()];
        let addresses = [peers[0].address, nobody(), peers[1].address];
        let keys = "balance = \"round_robin\"\noutlier.failures = 3\n";
        let gateway = before(io, &addresses, keys);
        let mut client = gateway.client();
        for _ in 0..12 {
            let reply = client.ask("POST", "/api/v3/echo/x", &[], b"{}");
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        assert_eq!(peers[0].calls() + peers[1].calls(), 12);
        assert!(peers[0].calls() >= 4 && peers[1].calls() >= 4);
        assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 1);
        gateway.is_clean();
    });
}

#[test]
fn uploads_are_spread_as_well() {
    on_both_drivers(|io| {
        let services = [Service::start(), Service::start()];
        let addresses = [services[0].address, services[1].address];
        let gateway = before(io, &addresses, "balance = \"round_robin\"\n");
        let mut client = gateway.client();
        let marks = [services[0].journal.mark(), services[1].journal.mark()];
        for _ in 0..2 {
            let reply = client.put("/api/v3/echo/x", &["X-Filename: a"], &data::bytes(100_000));
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        for (service, mark) in services.iter().zip(marks) {
            assert_eq!(service.journal.stored(mark).files[0].bytes, 100_000);
        }
        gateway.is_clean();
    });
}

#[test]
fn who_says_that_it_is_unavailable_is_set_aside() {
    on_both_drivers(|io| {
        let peers = [Peer::start(), Peer::start()];
        let addresses = [peers[0].address, peers[1].address];
        let keys = "balance = \"round_robin\"\noutlier = { failures = 2, ejection = \"1h\", \
                    ejection_max = \"1h\" }\n";
        let gateway = before(io, &addresses, keys);
        let mut client = gateway.client();
        peers[0].set_status(14);
        let mut statuses = Vec::new();
        for _ in 0..10 {
            statuses.push(client.ask("POST", "/api/v3/echo/x", &[], b"{}").status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 2, "{statuses:?}");
        assert_eq!((peers[0].calls(), peers[1].calls()), (2, 8));
        // What a service makes of a request says nothing about it.
        peers[1].set_status(5);
        assert_eq!(client.get("/api/v3/echo/x").status, 404);
        assert_eq!(peers[1].calls(), 9);
        gateway.is_clean();
    });
}

#[test]
fn calls_that_are_passed_through_notice_it_too() {
    on_both_drivers(|io| {
        let peers = [Peer::start(), Peer::start()];
        let addresses = [peers[0].address, peers[1].address];
        let keys = "protocol = \"grpc\"\nbalance = \"round_robin\"\noutlier = { failures = 2, \
                    ejection = \"1h\", ejection_max = \"1h\" }\n";
        let gateway = proxy::start(io, &format!("{}{ALL}", upstream(&addresses, keys)));
        peers[0].set_status(14);
        let client = Client::connect(gateway.address);
        for _ in 0..10 {
            let mut call = client.begin("POST", "/Reverse/Do", &CALL, false);
            // It may be answered before all was sent.
            let _ = call.send(&framed(b""), true);
            let _ = status(&call.reply());
        }
        assert_eq!((peers[0].calls(), peers[1].calls()), (2, 8));
        gateway.is_clean();
    });
}

#[test]
fn who_does_not_serve_gets_no_calls_until_it_does() {
    on_both_drivers(|io| {
        let peers = [Peer::start(), Peer::start()];
        let addresses = [peers[0].address, peers[1].address];
        let keys = "balance = \"round_robin\"\nhealth = { kind = \"grpc\", interval = \"100ms\", \
                    rise = 1, fall = 1 }\n";
        let gateway = before(io, &addresses, keys);
        let healthy = |peer: &Peer| {
            gateway.metric(&format!("otus_endpoint_healthy{{endpoint=\"{}\"}}", peer.address))
        };
        eventually("both are well", || (peers.iter().map(healthy).sum::<u64>() == 2).then_some(()));
        peers[0].set_healthy(false);
        eventually("one is left alone", || {
            let before = peers[0].calls();
            (0..4).for_each(|_| assert_eq!(get(&gateway), 200));
            (peers[0].calls() == before).then_some(())
        });
        assert_eq!((healthy(&peers[0]), healthy(&peers[1])), (0, 1));
        peers[1].set_healthy(false);
        eventually("none is left", || (get(&gateway) == 503).then_some(()));
        peers[0].set_healthy(true);
        eventually("one is back", || (get(&gateway) == 200).then_some(()));
        gateway.is_clean();
    });
}
