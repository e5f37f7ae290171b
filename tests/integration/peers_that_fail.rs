//! Services that are down, stall, break the protocol or say no: the client is told what the table of
//! reasons says, in time, and the next upload works.

use std::time::{Duration, Instant};

use h2::Reason;
use otus::snapshot::Snapshot;
use otus::snapshot::server::IoDriver;

use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::rude::{Rude, Rudeness};
use crate::support::service::Service;

const PATH: &str = "/api/v3/storage/upload";
/// Without progress of a stream, in these tests.
const STREAM_TIMEOUT: Duration = Duration::from_secs(1);

/// A module `storage` at this address, with short timeouts.
fn module(snapshot: &mut Snapshot, address: std::net::SocketAddr) {
    let id = snapshot.add_module("storage", address);
    snapshot.upstreams[id.index()].retry.attempts_max = 1;
    let module = &mut snapshot.gufo.modules_mut()[0];
    module.stream_timeout = STREAM_TIMEOUT;
    module.timeout = STREAM_TIMEOUT;
}

/// The first upload meets the rudeness and is answered so; the next one is served.
#[track_caller]
fn check(io: IoDriver, rudeness: Rudeness, status: u16, error: &str) {
    let rude = Rude::start(rudeness);
    let gateway = Gateway::start(io, |snapshot| module(snapshot, rude.address));
    let body = data::bytes(3 << 20);
    let began = Instant::now();
    let reply = gateway.client().put(PATH, &[], &body);
    assert_eq!(reply.status, status, "{rudeness:?}: {}", reply.text());
    let told = reply.field("proxy-status").unwrap_or("otus; error=none");
    assert_eq!(told, format!("otus; error={error}"), "{rudeness:?}");
    assert!(began.elapsed() < STREAM_TIMEOUT + SOON, "{rudeness:?}: {:?}", began.elapsed());
    let reply = gateway.client().put(PATH, &[], &body);
    assert_eq!(reply.status, 200, "after {rudeness:?}: {}", reply.text());
    assert_eq!(reply.data()["served"], true);
    let reply = gateway.client().get("/api/v3/storage/x");
    assert_eq!(reply.status, 200, "after {rudeness:?}: {}", reply.text());
    gateway.is_clean();
}

#[test]
fn a_reset_is_told() {
    on_both_drivers(|io| {
        for reason in [
            Reason::INTERNAL_ERROR,
            Reason::CANCEL,
            Reason::ENHANCE_YOUR_CALM,
            Reason::REFUSED_STREAM,
            // RFC 9113 §8.1 allows it only behind a whole answer, and there was none.
            Reason::NO_ERROR,
        ] {
            check(io, Rudeness::Reset(reason), 502, "connection_terminated");
        }
    });
}

#[test]
fn a_peer_that_dies_is_told() {
    on_both_drivers(|io| check(io, Rudeness::Die, 502, "connection_terminated"));
}

#[test]
fn a_peer_that_disowns_the_stream_is_told() {
    on_both_drivers(|io| {
        check(io, Rudeness::Disown, 502, "connection_terminated");
        check(io, Rudeness::Quit, 502, "connection_terminated");
    });
}

#[test]
fn a_peer_that_speaks_something_else_is_told() {
    on_both_drivers(|io| {
        check(io, Rudeness::Http1, 502, "http_protocol_error");
        check(io, Rudeness::Nonsense, 502, "http_protocol_error");
        check(io, Rudeness::NotGrpc, 500, "http_request_error");
    });
}

#[test]
fn a_peer_that_never_speaks_is_told_in_time() {
    on_both_drivers(|io| check(io, Rudeness::Mute, 504, "http_response_timeout"));
}

#[test]
fn a_goodbye_lets_the_upload_finish_and_the_next_use_a_new_connection() {
    on_both_drivers(|io| {
        let rude = Rude::start(Rudeness::Goodbye);
        let gateway = Gateway::start(io, |snapshot| module(snapshot, rude.address));
        let body = data::bytes(3 << 20);
        for count in 1..=3 {
            let reply = gateway.client().put(PATH, &[], &body);
            assert_eq!(reply.status, 200, "upload {count}: {}", reply.text());
        }
        assert!(gateway.metric("otus_upstream_connections_opened_total") == 2);
        gateway.is_clean();
    });
}

#[test]
fn a_stalled_service_is_told_in_time() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| module(snapshot, service.address));
        for len in [5, 3 << 20] {
            let began = Instant::now();
            let mark = service.journal.mark();
            let reply = gateway.client().put("/api/v3/storage/stall", &[], &data::bytes(len));
            assert_eq!(reply.status, 504, "{}", reply.text());
            let took = began.elapsed();
            assert!(took >= STREAM_TIMEOUT && took < STREAM_TIMEOUT + SOON, "{took:?}");
            service.journal.left(mark);
        }
        assert_eq!(gateway.client().put(PATH, &[], b"next").status, 200);
        assert!(gateway.metric("otus_upstream_timeouts_total") == 2);
        gateway.is_clean();
    });
}

#[test]
fn a_service_that_is_down_is_told_and_used_again_when_it_is_back() {
    on_both_drivers(|io| {
        let service = Service::start();
        let address = service.address;
        let gateway = Gateway::start(io, |snapshot| module(snapshot, address));
        let body = data::bytes(3 << 20);
        assert_eq!(gateway.client().put(PATH, &[], &body).status, 200);
        let mark = service.journal.mark();
        let mut client = gateway.client();
        client.head("PUT", PATH, &["Content-Length: 3000000"]);
        client.send(&body[..100_000]);
        service.journal.begun(mark);
        drop(service); // In the middle of an upload, which is told ...
        let reply = client.send_aside(&body[100_000..3_000_000]);
        assert_eq!(reply.status, 502, "{}", reply.text());
        let began = Instant::now(); // ... as are those that come later.
        let reply = gateway.client().put(PATH, &[], &body);
        assert_eq!(reply.status, 502, "{}", reply.text());
        assert_eq!(reply.field("proxy-status"), Some("otus; error=connection_refused"));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let _service = Service::start_at(address);
        assert_eq!(gateway.client().put(PATH, &[], &body).status, 200);
        gateway.is_clean();
    });
}

#[test]
fn a_connection_that_died_costs_a_safe_call_nothing() {
    on_both_drivers(|io| {
        let mut service = Service::start();
        let address = service.address;
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("storage", address);
        });
        let mut client = gateway.client();
        for _ in 0..10 {
            assert_eq!(client.get("/api/v3/storage/x").status, 200);
            // The gateway may notice before the next call, or by it.
            drop(service);
            service = Service::start_at(address);
            assert_eq!(client.get("/api/v3/storage/x").status, 200);
        }
        gateway.is_clean();
    });
}

#[test]
fn a_call_is_sent_again_only_if_it_is_safe_or_was_not_looked_at() {
    on_both_drivers(|io| {
        for (rudeness, method, status) in [
            (Rudeness::Die, "GET", 200),
            (Rudeness::Die, "POST", 502),
            (Rudeness::Reset(Reason::REFUSED_STREAM), "POST", 200),
            (Rudeness::Reset(Reason::INTERNAL_ERROR), "GET", 502),
            (Rudeness::Disown, "POST", 200),
            (Rudeness::Quit, "POST", 502),
            (Rudeness::Quit, "GET", 200),
        ] {
            let rude = Rude::start(rudeness);
            let gateway = Gateway::start(io, |snapshot| {
                snapshot.add_module("storage", rude.address);
            });
            let reply = gateway.client().ask(method, "/api/v3/storage/x", &[], b"");
            assert_eq!(reply.status, status, "{method} {rudeness:?}: {}", reply.text());
            gateway.is_clean();
        }
    });
}

#[test]
fn a_service_says_no_in_its_own_words() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| module(snapshot, service.address));
        let body = data::bytes(2 << 20);
        for (path, status) in [
            ("early/507", 507),
            ("early/413", 413),
            ("early", 502),
            ("early/200", 502),
            ("status/7", 403),
            ("status/14", 503),
            ("late/8", 429),
            ("late/13", 500),
        ] {
            let reply = gateway.client().put(&format!("/api/v3/storage/{path}"), &[], &body);
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
        }
        assert_eq!(gateway.client().put(PATH, &[], &body).status, 200);
        gateway.is_clean();
    });
}

#[test]
fn a_stalled_upload_does_not_hold_up_other_calls() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
        });
        let mut stalled = Vec::new();
        for _ in 0..8 {
            let mut client = gateway.client();
            let mark = service.journal.mark();
            client.head("PUT", "/api/v3/storage/stall", &["Content-Length: 10000000"]);
            client.send(data::bytes(100_000));
            service.journal.begun(mark);
            stalled.push(client);
        }
        for _ in 0..20 {
            assert_eq!(gateway.client().get("/api/v3/storage/x").status, 200);
            assert_eq!(gateway.client().put(PATH, &[], &data::bytes(200_000)).status, 200);
        }
        drop(stalled);
        gateway.is_clean();
    });
}
