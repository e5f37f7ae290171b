//! Uploads into a gRPC service, and calls of it.

use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::Client;
use crate::support::service::Service;
use otus::snapshot::server::IoDriver;

const PATH: &str = "/api/v3/storage/upload";

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
    });
    (gateway, service)
}

#[test]
fn bodies_of_any_size_arrive_whole() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let client = Client::connect(gateway.address);
        for len in [0, 10, 65_537, 262_145, (5 << 20) + 1] {
            let (mark, body) = (service.journal.mark(), data::bytes(len));
            let reply = client.send("PUT", PATH, &[("x-filename", "a.iso")], &body);
            assert_eq!(reply.status, 200, "{}", reply.text());
            let stored = service.journal.stored(mark);
            assert_eq!(stored.files.len(), 1);
            assert_eq!(stored.files[0].sha256, data::sha256(&body));
            assert!(reply.field("access-control-allow-origin").is_some());
        }
        gateway.is_clean();
    });
}

#[test]
fn many_at_once_share_a_connection() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let client = Client::connect(gateway.address);
        let mark = service.journal.mark();
        let bodies: Vec<Vec<u8>> = (0..8).map(|number| data::bytes(200_000 + number)).collect();
        let mut calls: Vec<_> = bodies
            .iter()
            .map(|_| client.begin("PUT", PATH, &[("x-filename", "f")], false))
            .collect();
        // Piece by piece in turn, so that the frames of all lie in the same reads.
        for at in (0..200_000).step_by(10_000) {
            for (call, body) in calls.iter_mut().zip(&bodies) {
                call.send(&body[at..at + 10_000], false).unwrap();
            }
        }
        for (call, body) in calls.iter_mut().zip(&bodies) {
            call.send(&body[200_000..], true).unwrap();
        }
        for call in &mut calls {
            assert_eq!(call.reply().status, 200);
        }
        let mut want: Vec<String> = bodies.iter().map(|body| data::sha256(body)).collect();
        let mut got: Vec<String> = service.journal.since(mark).iter().filter_map(stored).collect();
        want.sort();
        got.sort();
        assert_eq!(got, want);
        gateway.is_clean();
    });
}

fn stored(event: &crate::support::journal::Event) -> Option<String> {
    match event {
        crate::support::journal::Event::Stored(upload) => Some(upload.files[0].sha256.clone()),
        _ => None,
    }
}

#[test]
fn a_multipart_body_is_taken_apart() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let client = Client::connect(gateway.address);
        let (mark, first) = (service.journal.mark(), data::bytes(100_000));
        let body = data::multipart(&[("a", &first), ("b", b"second")]);
        let fields = [("content-type", data::MULTIPART.split_once(": ").unwrap().1)];
        assert_eq!(client.send("PUT", PATH, &fields, &body).status, 200);
        assert_eq!(service.journal.stored(mark).files.len(), 2);
        gateway.is_clean();
    });
}

#[test]
fn a_call_brings_its_arguments() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let client = Client::connect(gateway.address);
        let mark = service.journal.mark();
        let reply = client.send("POST", "/api/v3/storage/x", &[], br#"{"a":"b"}"#);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(service.journal.called(mark).param.as_deref(), Some("x"));
        gateway.is_clean();
    });
}
