//! Back ends in processes of their own, which are killed: the kernel ends their connections.

use std::time::Duration;

use crate::support::backend::{Backend, Seen, ok};
use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::journal::eventually;
use crate::support::process::{Launch, Peer, Process};
use crate::support::proxy::{ALL, upstream};
use crate::support::service::Service;

/// Bytes of an upload that is under way.
const PART: usize = 2 << 20;
const UPLOAD: &str = "/api/v3/storage/upload";

/// A back end that answers at `/`, says nothing at `/wait`, and too little at `/half`.
fn backend() -> ! {
    let answer = |seen: &Seen, _: &[u8]| match seen.target.as_str() {
        "/wait" => loop {
            std::thread::park();
        },
        "/half" => b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf".to_vec(),
        _ => ok("served").into_bytes(),
    };
    Peer::listens(Backend::listen().serve(answer).0)
}

/// A client that waits for an answer.
fn waiting(gateway: &Process, method: &str, path: &str) -> Client {
    let before = gateway.metric("otus_upstream_connections_open");
    let mut client = gateway.client();
    client.head(method, path, &["Content-Length: 0"]);
    gateway.wait_metric("otus_upstream_connections_open", before + 1);
    client
}

#[test]
fn a_back_end_that_is_killed_in_a_request_is_seen_at_once() {
    if Peer::role().is_some() {
        backend();
    }
    let name = "faults::peers::a_back_end_that_is_killed_in_a_request_is_seen_at_once";
    on_both_drivers(|io| {
        let peer = Peer::start(name, "backend");
        let more = "outlier = { ejection = \"100ms\" }\nretry = { attempts = 1 }";
        let text = format!("{}{ALL}", upstream(&[peer.address], more));
        let gateway = Launch::new(io, &text).start().unwrap();
        let mut post = waiting(&gateway, "POST", "/wait");
        let mut get = waiting(&gateway, "GET", "/wait");
        let mut half = waiting(&gateway, "GET", "/half");
        let mut idle = gateway.client();
        assert_eq!(idle.get("/").text(), "served");
        eventually("half an answer is here", || (half.try_exactly(15).is_ok()).then_some(()));
        peer.kill();
        assert_eq!(post.reply().status, 502);
        assert_eq!(get.reply().status, 502);
        // What was cut is visibly so.
        half.closed();
        // A connection that was kept is not mistaken for one that works.
        assert!(matches!(idle.get("/").status, 502 | 503));
        gateway.is_clean();
    });
}

#[test]
fn what_may_be_repeated_goes_to_an_endpoint_that_lives() {
    if Peer::role().is_some() {
        backend();
    }
    let name = "faults::peers::what_may_be_repeated_goes_to_an_endpoint_that_lives";
    on_both_drivers(|io| {
        let (one, other) = (Peer::start(name, "backend"), Peer::start(name, "backend"));
        let addresses = [one.address, other.address];
        let text = format!("{}{ALL}", upstream(&addresses, "balance = \"round_robin\""));
        let gateway = Launch::new(io, &text).start().unwrap();
        let mut clients: Vec<Client> = (0..8).map(|_| gateway.client()).collect();
        for client in &mut clients {
            assert_eq!(client.get("/").text(), "served");
        }
        one.kill();
        for _ in 0..20 {
            for client in &mut clients {
                assert_eq!(client.get("/").text(), "served");
            }
        }
        assert!(gateway.metric("otus_endpoints_ejected_total") > 0);
        gateway.is_clean();
    });
}

#[test]
fn a_service_that_is_killed_in_an_upload_is_502_and_no_file() {
    if Peer::role().is_some() {
        let service = Service::start();
        Peer::listens(service.address);
    }
    let name = "faults::peers::a_service_that_is_killed_in_an_upload_is_502_and_no_file";
    on_both_drivers(|io| {
        let peer = Peer::start(name, "service");
        let (host, port) = (peer.address.ip(), peer.address.port());
        let text = format!("[microservices.storage]\nhost = \"{host}\"\nport = {port}\n");
        let gateway = Launch::new(io, &text).start().unwrap();
        assert_eq!(gateway.client().put(UPLOAD, &[], &data::bytes(PART)).status, 200);
        let mut client = gateway.client();
        let length = format!("Content-Length: {}", 8 * PART);
        client.head("PUT", UPLOAD, &[&length]);
        client.send(data::bytes(PART));
        eventually("some of it is here", || {
            let sent = gateway.metric("otus_uploads_active");
            (sent == 1).then_some(())
        });
        assert!(client.is_quiet_for(Duration::from_millis(50)));
        peer.kill();
        assert_eq!(client.reply().status, 502);
        client.closed();
        let again = gateway.client().put(UPLOAD, &[], b"x").status;
        assert!(matches!(again, 502 | 503), "{again}");
        gateway.is_clean();
    });
}
