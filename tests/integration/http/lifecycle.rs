//! Reload and drain, of connections to back ends and of exchanges.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::backend::{Backend, ok};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::proxy::{
    ALL, answered, asking, before_one, snapshot, start_to_reload, upstream,
};

#[test]
fn a_reload_keeps_connections_to_endpoints_that_stay() {
    on_both_drivers(|io| {
        let (address, count) = Backend::listen().serve(|_, _| ok("x").into_bytes());
        let (gateway, _next) = start_to_reload(io, &format!("{}{ALL}", upstream(&[address], "")));
        for generation in 2..5 {
            assert_eq!(gateway.client().get("/").status, 200);
            gateway.stopper.reload();
            gateway.wait_metric("otus_shard_generation", generation);
        }
        assert_eq!(gateway.client().get("/").status, 200);
        assert_eq!(count.load(Ordering::SeqCst), 4);
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

#[test]
fn a_reload_breaks_no_exchange_in_flight() {
    on_both_drivers(|io| {
        let (old, new) = (Backend::listen(), Backend::listen());
        let (gateway, next) =
            start_to_reload(io, &format!("{}{ALL}", upstream(&[old.address], "")));
        let mut idle = gateway.client();
        idle.head("GET", "/", &[]);
        let (mut pooled, _) = old.asked();
        let mut upload = gateway.client();
        upload.head("POST", "/", &["Content-Length: 6"]);
        upload.send("abc");
        let (mut upload_visit, _) = old.asked();
        let mut events = gateway.client();
        events.head("GET", "/", &[]);
        let (mut events_visit, _) = old.asked();
        events_visit.send("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(events.try_reply(true).unwrap().status, 200);
        pooled.answer("1");
        assert_eq!(idle.reply().text(), "1");
        *next.lock().unwrap() = snapshot(io, &format!("{}{ALL}", upstream(&[new.address], "")));
        gateway.stopper.reload();
        gateway.wait_metric("otus_shard_generation", 2);
        idle.head("GET", "/new", &[]);
        let (mut visit, seen) = new.asked();
        assert_eq!(seen.target, "/new");
        visit.answer("2");
        assert_eq!(idle.reply().text(), "2");
        upload.send("def");
        assert_eq!(upload_visit.exactly(6), b"abcdef");
        upload_visit.answer("3");
        assert_eq!(upload.reply().text(), "3");
        events_visit.send("4");
        assert_eq!(events.try_chunk().unwrap().unwrap(), b"4");
        drop(events_visit);
        assert_eq!(events.try_chunk().unwrap(), None);
        // Nobody needs these any more.
        pooled.closed();
        upload_visit.closed();
        gateway.is_clean();
    });
}

#[test]
fn a_drain_lets_exchanges_finish() {
    on_both_drivers(|io| {
        let (mut gateway, backend) = before_one(io, "");
        let mut idle = gateway.client();
        let (mut client, mut visit) = asking(&gateway, &backend);
        let mut upload = gateway.client();
        upload.head("POST", "/", &["Content-Length: 6"]);
        upload.send("abc");
        let (mut upload_visit, _) = backend.asked();
        let (mut begun, mut begun_visit) = asking(&gateway, &backend);
        begun_visit.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
        assert_eq!(begun.try_reply(true).unwrap().status, 200);
        assert_eq!(begun.try_exactly(3).unwrap(), b"abc");
        gateway.stopper.stop();
        // The control thread says that it drains before the shard has heard of it.
        idle.closed();
        visit.answer("done");
        let reply = client.reply();
        assert_eq!((reply.text().as_str(), reply.keeps()), ("done", false));
        upload.send("def");
        assert_eq!(upload_visit.exactly(6), b"abcdef");
        upload_visit.answer("done");
        let reply = upload.reply();
        assert_eq!((reply.text().as_str(), reply.keeps()), ("done", false));
        begun_visit.send("def");
        assert_eq!(begun.try_exactly(3).unwrap(), b"def");
        for client in [&mut client, &mut upload, &mut begun] {
            client.closed();
        }
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn idle_connections_to_endpoints_are_closed_in_time() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "pool = { idle = \"300ms\" }");
        let (mut client, mut visit) = answered(&gateway, &backend);
        assert!(visit.closed() < SOON);
        client.head("GET", "/", &[]);
        let (mut visit, _) = backend.asked();
        visit.answer("2");
        assert_eq!(client.reply().text(), "2");
        gateway.is_clean();
    });
}

#[test]
fn no_more_idle_connections_are_kept_than_was_said() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "pool = { connections = 1 }");
        let mut pairs: Vec<_> = (0..5).map(|_| asking(&gateway, &backend)).collect();
        for (client, visit) in &mut pairs {
            visit.answer("x");
            assert_eq!(client.reply().text(), "x");
        }
        let [(_, kept), beyond @ .., (client, last)] = pairs.as_mut_slice() else { panic!() };
        last.closed();
        // Four times as many are kept for a moment, and used again.
        client.head("GET", "/", &[]);
        beyond[2].1.request();
        beyond[2].1.answer("y");
        assert_eq!(client.reply().text(), "y");
        assert!(backend.is_unvisited());
        for (_, visit) in beyond {
            visit.closed();
        }
        assert!(kept.is_quiet_for(Duration::from_millis(50)));
        gateway.is_clean();
    });
}

#[test]
fn a_drain_cuts_an_answer_without_end_after_its_grace() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let mut snapshot = snapshot(io, &format!("{}{ALL}", upstream(&[backend.address], "")));
        snapshot.server.shutdown_grace = Duration::from_millis(1500);
        let mut gateway = Gateway::start(io, |own| *own = snapshot);
        let (mut client, mut visit) = asking(&gateway, &backend);
        visit.send("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(client.try_reply(true).unwrap().status, 200);
        gateway.stopper.stop();
        visit.send("during");
        assert_eq!(client.try_chunk().unwrap().unwrap(), b"during");
        assert!(client.try_chunk().is_err(), "it is cut, and does not look whole");
        visit.closed();
        assert_eq!(gateway.ended().0, ExitCode::from(3));
    });
}
