//! Reload and drain.

use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otus::snapshot::Snapshot;
use otus::snapshot::server::{IoDriver, Workers};

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{self, Gateway, on_both_drivers};
use crate::support::journal::{PATIENCE, SOON, eventually};
use crate::support::service::Service;

const PATH: &str = "/api/v3/storage/upload";
/// Bytes of the uploads that are in flight while something happens.
const BYTES: usize = 4 << 20;

/// What the next load gives.
type Next = Arc<Mutex<Result<Snapshot, String>>>;

/// A gateway that loads what `Next` says.
fn start(io: IoDriver, change: impl FnOnce(&mut Snapshot)) -> (Gateway, Next) {
    let mut snapshot = gateway::snapshot(io);
    change(&mut snapshot);
    let next: Next = Arc::new(Mutex::new(Ok(snapshot)));
    let shared = Arc::clone(&next);
    let gateway = Gateway::load(Box::new(move |generation| {
        let mut snapshot = shared.lock().unwrap().clone()?;
        snapshot.generation = generation;
        Ok(snapshot)
    }));
    (gateway, next)
}

/// An upload of [`BYTES`] of which half is sent, and the service has begun it.
fn half_an_upload(gateway: &Gateway, service: &Service, body: &[u8]) -> Client {
    let mark = service.journal.mark();
    let mut client = gateway.client();
    client.head("PUT", PATH, &[&format!("Content-Length: {}", body.len())]);
    client.send(&body[..body.len() / 2]);
    service.journal.begun(mark);
    client
}

/// Sends the other half, and checks that all of it arrived.
#[track_caller]
fn finish(client: &mut Client, body: &[u8]) -> bool {
    client.send(&body[body.len() / 2..]);
    let reply = client.reply();
    assert_eq!(reply.data()["files"][0]["sha256"], data::sha256(body), "{}", reply.text());
    reply.keeps()
}

#[test]
fn a_reload_reaches_every_shard_while_an_upload_goes_on() {
    on_both_drivers(|io| {
        let (old, new) = (Service::start(), Service::start());
        let (gateway, next) = start(io, |snapshot| {
            snapshot.server.workers = Workers::Count(2);
            snapshot.add_module("storage", old.address);
        });
        let body = data::bytes(BYTES);
        let mut uploads: Vec<Client> =
            (0..8).map(|_| half_an_upload(&gateway, &old, &body)).collect();
        // The next generation knows nothing of the old service.
        let mut snapshot = gateway::snapshot(io);
        snapshot.server.workers = Workers::Count(2);
        snapshot.add_module("other", new.address);
        *next.lock().unwrap() = Ok(snapshot);
        gateway.stopper.reload();
        eventually("both shards run generation 2", || {
            let page = gateway.metrics();
            let runs =
                |shard| page.contains(&format!("otus_shard_generation{{shard=\"{shard}\"}} 2\n"));
            (runs(0) && runs(1) && page.contains("otus_config_generation 2\n")).then_some(())
        });
        for _ in 0..16 {
            let mut client = gateway.client();
            assert_eq!(client.get("/api/v3/other/x").status, 200);
            assert_eq!(client.get("/api/v3/storage/x").status, 404);
        }
        for client in &mut uploads {
            assert!(finish(client, &body), "the connection serves on");
            assert_eq!(client.get("/api/v3/other/x").status, 200, "by the new generation");
        }
        eventually("connections to the old service are closed", || {
            (gateway.metric("otus_upstream_connections_open") <= 2).then_some(())
        });
        gateway.is_clean();
    });
}

#[test]
fn a_reload_keeps_connections_to_services_that_stay() {
    on_both_drivers(|io| {
        let service = Service::start();
        let (gateway, _next) =
            start(io, |snapshot| _ = snapshot.add_module("storage", service.address));
        for generation in 2..5 {
            assert_eq!(gateway.client().get("/api/v3/storage/x").status, 200);
            gateway.stopper.reload();
            gateway.wait_metric("otus_config_generation", generation);
        }
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
    });
}

#[test]
fn a_bad_configuration_keeps_the_old_one() {
    on_both_drivers(|io| {
        let service = Service::start();
        let (gateway, next) =
            start(io, |snapshot| _ = snapshot.add_module("storage", service.address));
        let good = next.lock().unwrap().clone();
        assert_eq!(gateway.metric("otus_config_last_reload_successful"), 1);
        *next.lock().unwrap() = Err("settings.toml:1:1: unknown key".to_owned());
        gateway.stopper.reload();
        eventually("the failure is told", || {
            (gateway.metric("otus_config_last_reload_successful") == 0).then_some(())
        });
        assert_eq!(gateway.metric("otus_config_generation"), 1);
        assert_eq!(gateway.metric("otus_shard_generation"), 1);
        assert_eq!(gateway.client().get("/api/v3/storage/x").status, 200);
        *next.lock().unwrap() = good;
        gateway.stopper.reload();
        gateway.wait_metric("otus_config_generation", 2);
        assert_eq!(gateway.metric("otus_config_last_reload_successful"), 1);
    });
}

#[test]
fn a_configuration_that_does_not_load_starts_nothing() {
    let load = otus::control::start(Box::new(|_| Err("settings.toml:1:1: unknown key".to_owned())));
    assert_eq!(load.err().as_deref(), Some("settings.toml:1:1: unknown key"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = otus::control::start(Box::new(move |_| {
        let mut snapshot = gateway::snapshot(IoDriver::Epoll);
        snapshot.server.listeners[0].address = address;
        Ok(snapshot)
    }));
    let error = error.err().unwrap();
    assert!(error.contains(&address.to_string()) && error.contains("main"), "{error}");
}

/// Whether the address takes no connection: refused, or ended without a word.
fn is_closed(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_err()
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    on_both_drivers(|io| {
        let service = Service::start();
        let (mut gateway, _next) =
            start(io, |snapshot| _ = snapshot.add_module("storage", service.address));
        let body = data::bytes(BYTES);
        let mut idle = gateway.client();
        assert!(idle.get("/api/v3/storage/x").keeps());
        let mut upload = half_an_upload(&gateway, &service, &body);
        assert_eq!(Client::connect(gateway.admin).get("/readyz").status, 200);
        gateway.stopper.stop();
        eventually("new connections are refused", || is_closed(gateway.address).then_some(()));
        assert!(idle.closed() < PATIENCE, "idle connections end");
        assert_eq!(Client::connect(gateway.admin).get("/readyz").status, 503);
        assert_eq!(Client::connect(gateway.admin).get("/healthz").status, 200);
        assert!(!finish(&mut upload, &body), "its answer closes the connection");
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn a_drain_lets_a_call_finish() {
    on_both_drivers(|io| {
        let service = Service::start();
        let (mut gateway, _next) = start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
            snapshot.gufo.modules_mut()[0].timeout = Duration::from_millis(600);
        });
        let mut client = gateway.client();
        client.head("GET", "/api/v3/storage/sleep", &[]);
        service.journal.called(0);
        gateway.stopper.stop();
        let reply = client.reply();
        assert_eq!((reply.status, reply.keeps()), (504, false));
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn what_outlasts_its_grace_is_cut_off() {
    on_both_drivers(|io| {
        let service = Service::start();
        let (mut gateway, _next) = start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
            snapshot.server.shutdown_grace = Duration::from_millis(100);
            snapshot.server.upload_grace = Duration::from_secs(2);
        });
        let body = data::bytes(BYTES);
        let mut upload = half_an_upload(&gateway, &service, &body);
        let mut call = gateway.client();
        call.head("GET", "/api/v3/storage/sleep", &[]);
        service.journal.called(0);
        let began = Instant::now();
        gateway.stopper.stop();
        call.closed();
        let call_took = began.elapsed();
        upload.closed();
        let upload_took = began.elapsed();
        assert!(call_took < Duration::from_millis(1900), "{call_took:?}");
        assert!(upload_took > Duration::from_millis(1900), "{upload_took:?}");
        let (code, took) = gateway.ended();
        assert_eq!(code, ExitCode::from(3), "something was cut off");
        assert!(took < SOON, "{took:?}");
    });
}

#[test]
fn a_second_stop_ends_at_once() {
    on_both_drivers(|io| {
        let service = Service::start();
        let (mut gateway, _next) =
            start(io, |snapshot| _ = snapshot.add_module("storage", service.address));
        let body = data::bytes(BYTES);
        let _upload = half_an_upload(&gateway, &service, &body);
        gateway.stopper.stop();
        eventually("it drains", || {
            (Client::connect(gateway.admin).get("/readyz").status == 503).then_some(())
        });
        gateway.stopper.stop();
        let (code, took) = gateway.ended();
        assert_eq!(code, ExitCode::from(3));
        assert!(took < SOON, "{took:?}");
    });
}
