//! Streams as they are, clients that read slowly, and clients that leave.

use std::time::{Duration, Instant};

use otus::snapshot::server::IoDriver;

use crate::support::backend::{Backend, Visit, asked_of};
use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::{SOON, eventually};
use crate::support::proxy::{ALL, asking, before_one, before_two, snapshot, upstream};

const LEAVE: [fn(Client); 2] = [drop::<Client>, Client::reset];
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A client leaves; the back end is told in time.
#[track_caller]
fn check(gateway: &Gateway, mut visit: Visit, client: Client, leave: fn(Client)) {
    let began = Instant::now();
    leave(client);
    visit.closed();
    assert!(began.elapsed() < SOON, "closed after {:?}", began.elapsed());
    gateway.is_clean();
    eventually("no connection to the back end is open", || {
        (gateway.metric("otus_upstream_connections_open") == 0).then_some(())
    });
}

#[test]
fn events_arrive_one_by_one() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for head in [
            EVENTS.to_owned(),
            EVENTS.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ] {
            let mut client = gateway.client();
            client.head("GET", "/events", &["Accept: text/event-stream"]);
            let (mut visit, _) = backend.asked();
            visit.send(&head);
            let reply = client.try_reply(true).unwrap();
            assert_eq!(reply.field("content-type"), Some("text/event-stream"), "the head, at once");
            for number in 0..50 {
                let event = format!("data: {number}\n\n");
                if head.contains("chunked") {
                    visit.send(format!("{:x}\r\n{event}\r\n", event.len()));
                } else {
                    visit.send(&event);
                }
                assert_eq!(client.try_chunk().unwrap().unwrap(), event.as_bytes());
            }
            if head.contains("chunked") {
                visit.send("0\r\n\r\n");
            } else {
                drop(visit);
            }
            assert_eq!(client.try_chunk().unwrap(), None);
        }
        gateway.is_clean();
    });
}

#[test]
fn leaving_while_the_answer_is_waited_for_is_told() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for leave in LEAVE {
            let (client, visit) = asking(&gateway, &backend);
            check(&gateway, visit, client, leave);
            let mut client = gateway.client();
            client.head("POST", "/", &["Content-Length: 5"]);
            client.send("hello");
            let (mut visit, _) = backend.asked();
            visit.exactly(5);
            check(&gateway, visit, client, leave);
        }
    });
}

#[test]
fn leaving_in_the_middle_of_an_answer_is_told() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for leave in LEAVE {
            let (mut client, mut visit) = asking(&gateway, &backend);
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
            assert_eq!(client.try_reply(true).unwrap().status, 200);
            check(&gateway, visit, client, leave);
            // And while nothing moves, because the client does not read.
            let (client, mut visit) = asking(&gateway, &backend);
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            visit.push(&data::bytes(1 << 20), Duration::from_millis(300));
            check(&gateway, visit, client, leave);
        }
    });
}

#[test]
fn leaving_idle_events_is_told() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for leave in LEAVE {
            let (mut client, mut visit) = asking(&gateway, &backend);
            visit.send(EVENTS);
            assert_eq!(client.try_reply(true).unwrap().status, 200);
            check(&gateway, visit, client, leave);
        }
    });
}

#[test]
fn leaving_an_upload_is_told() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for leave in LEAVE {
            for (field, body) in
                [("Content-Length: 100", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")]
            {
                let mut client = gateway.client();
                client.head("POST", "/", &[field]);
                client.send(body);
                let (visit, _) = backend.asked();
                check(&gateway, visit, client, leave);
            }
        }
        // While the back end takes no more.
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 1000000000"]);
        client.push(&data::bytes(1 << 20), Duration::from_millis(300));
        let (visit, _) = backend.asked();
        check(&gateway, visit, client, Client::reset);
    });
}

#[test]
fn a_request_that_is_cut_never_looks_whole() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("POST", "/", &["Transfer-Encoding: chunked"]);
        client.send("3\r\nabc\r\n");
        let (mut visit, _) = backend.asked();
        assert_eq!(visit.line(), "3");
        assert_eq!(visit.exactly(5), b"abc\r\n");
        client.half_close();
        assert_eq!(client.reply().status, 400);
        assert!(visit.try_request().is_none(), "no last chunk came");
        // A body that is wrong is neither.
        let mut client = gateway.client();
        client.head("POST", "/", &["Transfer-Encoding: chunked"]);
        client.send("3\r\nabcdef\r\n");
        assert_eq!(client.reply().status, 400);
        let mut visit = backend.accept();
        visit.closed();
        gateway.is_clean();
    });
}

/// What one exchange may hold.
const HELD_BYTES: usize = 1 << 20;
/// Buffers of the kernel on the way, both ends of both connections, doubled as Linux does.
const KERNEL_BYTES: usize = 4 * 2 * 64 * 1024;

fn narrow(io: IoDriver, backend: &Backend) -> Gateway {
    let sizes = "transport = { send_buffer = \"64KiB\", receive_buffer = \"64KiB\" }";
    let mut snapshot = snapshot(io, &format!("{}{ALL}", upstream(&[backend.address], sizes)));
    let listener = &mut snapshot.server.listeners[0].transport;
    (listener.send_buffer, listener.receive_buffer) = (Some(64 * 1024), Some(64 * 1024));
    Gateway::start(io, |own| *own = snapshot)
}

#[test]
fn a_client_that_does_not_read_stops_the_back_end() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = narrow(io, &backend);
        let mut visits = Vec::new();
        for _ in 0..4 {
            let mut client = Client::connect_narrow(gateway.address, 64 * 1024);
            client.head("GET", "/", &[]);
            let (mut visit, _) = backend.asked();
            socket2::SockRef::from(&visit.stream).set_send_buffer_size(64 * 1024).unwrap();
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let sent = visit.push(&data::bytes(1 << 20), Duration::from_millis(500));
            assert!(sent >= 64 * 1024, "the buffers were not used: {sent}");
            assert!(sent <= HELD_BYTES + KERNEL_BYTES, "{sent} bytes were taken");
            visits.push((client, visit));
        }
        for (mut client, mut visit) in visits {
            assert_eq!(client.try_reply(true).unwrap().status, 200);
            let got = client.try_exactly(400_000).unwrap();
            assert!(got[..] == data::bytes(1 << 20)[..400_000]);
            // It goes on.
            visit.send("more");
            client.reset();
        }
        gateway.is_clean();
    });
}

#[test]
fn a_back_end_that_does_not_read_stops_the_client() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = narrow(io, &backend);
        let mut client = Client::connect_narrow(gateway.address, 64 * 1024);
        client.head("POST", "/", &["Content-Length: 16777216"]);
        let body = data::bytes(16 << 20);
        let (mut visit, _) = backend.asked();
        let sent = client.push(&body, Duration::from_millis(500));
        // The receive buffer of the back end is the kernel's to tune: up to 6 MiB by default.
        assert!(sent <= HELD_BYTES + KERNEL_BYTES + (8 << 20), "{sent} bytes were taken");
        let rest = body[sent..].to_vec();
        let mut sender = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            std::io::Write::write_all(&mut sender, &rest).unwrap();
        });
        assert!(visit.exactly(body.len()) == body);
        sending.join().unwrap();
        visit.answer("all of it");
        assert_eq!(client.reply().text(), "all of it");
        gateway.is_clean();
    });
}

#[test]
fn clients_that_leave_or_stall_say_nothing_of_the_endpoint() {
    on_both_drivers(|io| {
        let more = "outlier = { failures = 1 }\ntotal_timeout = \"1500ms\"";
        let (gateway, backends) = before_two(io, more);
        let begin = |method: &str, field: &str, body: &str| {
            let mut client = gateway.client();
            client.head(method, "/", &[field]);
            client.send(body);
            let (_, visit, _) = asked_of(&backends);
            (client, visit)
        };
        for leave in LEAVE {
            for (field, body) in
                [("Content-Length: 9", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")]
            {
                let (client, mut visit) = begin("POST", field, body);
                leave(client);
                visit.closed();
            }
            let (client, mut visit) = begin("GET", "X-A: 1", "");
            leave(client);
            visit.closed();
            let (client, mut visit) = begin("GET", "X-A: 1", "");
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
            leave(client);
            visit.closed();
        }
        let (mut client, mut visit) = begin("POST", "Transfer-Encoding: chunked", "3\r\nabc\r\n");
        client.send("no size");
        assert_eq!(client.reply().status, 400);
        visit.closed();
        // One sends, the other reads no more; the total time ends both.
        let (mut client, mut visit) = begin("POST", "Content-Length: 9", "abc");
        assert_eq!(client.reply().status, 504);
        visit.closed();
        let (client, mut visit) = begin("GET", "X-A: 1", "");
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        visit.push(&data::bytes(1 << 20), Duration::from_millis(500));
        visit.closed();
        drop(client);
        gateway.is_clean();
        assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 0);
    });
}
