//! Clients that go away: the call to the service is cancelled within a second.

use std::time::{Duration, Instant};

use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::{Event, SOON};
use crate::support::service::Service;

/// How a client leaves.
const LEAVE: [fn(Client); 2] = [drop::<Client>, Client::reset];

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
    });
    (gateway, service)
}

/// A client leaves a call that has begun; the service is told in time, and the gateway serves on.
#[track_caller]
fn check(gateway: &Gateway, service: &Service, client: Client, leave: fn(Client), mark: usize) {
    let began = Instant::now();
    leave(client);
    service.journal.left(mark);
    assert!(began.elapsed() < SOON, "cancelled after {:?}", began.elapsed());
    gateway.is_clean();
    assert_eq!(gateway.client().put("/api/v3/storage/upload", &[], b"next").status, 200);
}

#[test]
fn leaving_an_upload_cancels_its_stream() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        for leave in LEAVE {
            for field in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
                let (mark, mut client) = (service.journal.mark(), gateway.client());
                client.head("PUT", "/api/v3/storage/upload", &[field]);
                client.send("80000\r\n");
                client.send(data::bytes(512 << 10));
                service.journal.begun(mark);
                check(&gateway, &service, client, leave, mark);
            }
        }
    });
}

#[test]
fn leaving_an_upload_that_the_service_stalls_cancels_its_stream() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let (mark, mut client) = (service.journal.mark(), gateway.client());
        client.head("PUT", "/api/v3/storage/stall", &["Content-Length: 100000000"]);
        client.push(&data::bytes(1 << 20), Duration::from_millis(300));
        check(&gateway, &service, client, Client::reset, mark);
        // The end of an orderly client arrives behind its bytes: they must fit into the buffers of
        // gateway and kernel, else nobody but the client's kernel knows of it.
        let (mark, mut client) = (service.journal.mark(), gateway.client());
        client.head("PUT", "/api/v3/storage/stall", &["Content-Length: 100000000"]);
        client.send(data::bytes(150_000));
        service.journal.begun(mark);
        check(&gateway, &service, client, drop, mark);
    });
}

#[test]
fn leaving_an_upload_that_waits_for_its_answer_cancels_its_stream() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        for leave in LEAVE {
            let (mark, mut client) = (service.journal.mark(), gateway.client());
            client.head("PUT", "/api/v3/storage/stall", &["Content-Length: 5"]);
            client.send("hello");
            service.journal.begun(mark);
            check(&gateway, &service, client, leave, mark);
        }
    });
}

#[test]
fn leaving_a_call_cancels_it() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        for leave in LEAVE {
            let (mark, mut client) = (service.journal.mark(), gateway.client());
            client.head("GET", "/api/v3/storage/sleep", &[]);
            service.journal.called(mark);
            check(&gateway, &service, client, leave, mark);
        }
        assert_eq!(gateway.metric("otus_clients_left_total"), 2);
        assert_eq!(gateway.metric("otus_upstream_streams_cancelled_total"), 2);
    });
}

#[test]
fn a_truncated_body_cancels_the_stream_and_is_no_success() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let body = data::bytes(300_000);
        let chunked = data::chunked(&body, &[100_000]);
        let form = data::multipart(&[("a", &body)]);
        for (fields, sent) in [
            (&["Content-Length: 300001"][..], &body[..]),
            (&["Transfer-Encoding: chunked"], &chunked[..chunked.len() - 5]),
            (&["Transfer-Encoding: chunked"], &chunked[..250_000]),
            (&["Content-Length: 400000", data::MULTIPART], &form),
        ] {
            let (mark, mut client) = (service.journal.mark(), gateway.client());
            client.head("PUT", "/api/v3/storage/upload", fields);
            client.send(sent);
            client.half_close();
            assert_eq!(client.reply().status, 400, "{fields:?}");
            let ended = service.journal.wait_for(mark, 2, |event| match event {
                Event::Stored(_) => Some("stored"),
                Event::Left(_) => Some("left"),
                _ => Some("begun"),
            });
            // The form's only file was whole; nothing else was.
            assert!(ended[1] == "left" || fields.len() == 2, "{fields:?}: {ended:?}");
            gateway.is_clean();
        }
    });
}
