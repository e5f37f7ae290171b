//! Bodies over a link that is slow, loses packets and lets them overtake each other.

use std::thread::JoinHandle;
use std::time::Duration;

use otus::snapshot::server::IoDriver;

use crate::support::backend::Backend;
use crate::support::client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::Client;
use crate::support::journal::eventually;
use crate::support::link;
use crate::support::proxy::{ALL, snapshot, upstream};
use crate::support::service::Service;

const PATH: &str = "/api/v3/storage/upload";

#[test]
fn uploads_over_a_bad_link_arrive_whole() {
    let bad = ["--rtt", "8", "--rate", "200", "--loss", "0.01", "--reorder", "0.01", "--seed", "7"];
    link::over(&bad, "h2::link::uploads_over_a_bad_link_arrive_whole", || {
        on_both_drivers(|io| {
            let service = Service::start();
            let gateway = Gateway::start(io, |snapshot| {
                snapshot.add_module("storage", service.address);
                snapshot.server.listeners[0].address = link::LISTEN;
            });
            let address = link::far(gateway.address);
            let body = data::bytes((3 << 20) + 1);
            for version in [1, 2] {
                let mark = service.journal.mark();
                if version == 1 {
                    let reply = client::Client::connect(address).put(PATH, &[], &body);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                } else {
                    let client = Client::connect(address);
                    let reply = client.send("PUT", PATH, &[("x-filename", "f")], &body);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                }
                let stored = service.journal.stored(mark);
                assert_eq!(stored.files[0].sha256, data::sha256(&body), "HTTP/{version}");
            }
            gateway.is_clean();
        });
    });
}

/// Takes a body of HTTP/1.1 in chunks to its end, and says how much came of it.
fn swallow(backend: Backend) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let (mut visit, _) = backend.asked();
        let len = visit.chunks().len();
        visit.answer("whole");
        len
    })
}

/// What the shard has lent to its clients.
fn lent(gateway: &Gateway) -> u64 {
    gateway.metric("otus_http2_window_lent_bytes")
}

/// An upload of 12 MiB over a link of 20 ms; the most that was lent meanwhile, and the gateway with
/// its client.
fn most_lent(io: IoDriver, keys: &str) -> (u64, Gateway, Client) {
    let backend = Backend::listen();
    let text = format!("{keys}\n{}{ALL}", upstream(&[backend.address], ""));
    let mut snapshot = snapshot(io, &text);
    snapshot.server.listeners[0].address = link::LISTEN;
    let gateway = Gateway::start(io, |own| *own = snapshot);
    let client = Client::connect(link::far(gateway.address));
    let taken = swallow(backend);
    let body = data::bytes(12 << 20);
    let most = std::thread::scope(|scope| {
        let sending = scope.spawn(|| client.send("POST", "/", &[], &body));
        let mut most = 0;
        while !sending.is_finished() {
            most = most.max(lent(&gateway));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(sending.join().unwrap().text(), "whole");
        most
    });
    assert_eq!(taken.join().unwrap(), body.len());
    (most, gateway, client)
}

#[test]
fn windows_grow_for_clients_that_are_far_away() {
    let name = "h2::link::windows_grow_for_clients_that_are_far_away";
    link::over(&["--rtt", "20", "--mtu", "9000"], name, || {
        on_both_drivers(|io| {
            let (most, gateway, client) = most_lent(io, "");
            assert!(most >= 256 * 1024, "{most} bytes were lent");
            assert!(most <= 15 << 20, "{most} bytes are more than a connection may have");
            client.leave();
            eventually("all that was lent is back", || (lent(&gateway) == 0).then_some(()));
            gateway.is_clean();
        });
    });
}

#[test]
fn windows_grow_no_further_than_memory_allows() {
    let name = "h2::link::windows_grow_no_further_than_memory_allows";
    link::over(&["--rtt", "20", "--mtu", "9000"], name, || {
        on_both_drivers(|io| {
            let (most, gateway, _client) =
                most_lent(io, "listener.http2.window_budget = \"300KiB\"");
            assert!((1..=300 * 1024).contains(&most), "{most} bytes were lent");
            gateway.is_clean();
            let (most, gateway, _client) = most_lent(io, "listener.http2.window_budget = \"0B\"");
            assert_eq!(most, 0);
            gateway.is_clean();
            let (most, gateway, _client) =
                most_lent(io, "listener.http2.stream_window_max = \"512KiB\"");
            assert!((1..=256 * 1024).contains(&most), "{most} bytes were lent");
            gateway.is_clean();
        });
    });
}

/// Takes a body in chunks, and stands still for a moment after each 4 MiB.
fn hesitate(backend: Backend) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut visit, seen) = backend.asked();
        let whole: usize = seen.field("content-length").unwrap().parse().unwrap();
        let mut body = Vec::new();
        while body.len() < whole {
            body.extend(visit.exactly((whole - body.len()).min(4 << 20)));
            std::thread::sleep(Duration::from_millis(200));
        }
        visit.answer("whole");
        body
    })
}

#[test]
fn windows_that_shrank_under_a_slow_service_still_let_all_through() {
    let name = "h2::link::windows_that_shrank_under_a_slow_service_still_let_all_through";
    link::over(&["--rtt", "20", "--mtu", "9000", "--loss", "0.001"], name, || {
        on_both_drivers(|io| {
            let backend = Backend::listen();
            let mut snapshot = snapshot(io, &format!("{}{ALL}", upstream(&[backend.address], "")));
            snapshot.server.listeners[0].address = link::LISTEN;
            let gateway = Gateway::start(io, |own| *own = snapshot);
            let client = Client::connect(link::far(gateway.address));
            let taken = hesitate(backend);
            let body = data::bytes(24 << 20);
            let length = body.len().to_string();
            let reply = client.send("POST", "/", &[("content-length", &length)], &body);
            assert_eq!(reply.text(), "whole");
            assert!(taken.join().unwrap() == body);
            // The length was known, so nothing is owed to a client that stays.
            eventually("what was lent is back", || (lent(&gateway) == 0).then_some(()));
            gateway.is_clean();
        });
    });
}
