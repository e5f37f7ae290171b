//! Back ends that are silent, slow, or not there.

use std::time::{Duration, Instant};

use crate::support::backend::{Backend, nobody};
use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::proxy::{ALL, asking, before_one, start, upstream};

const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\n";

/// Runs something that must not take long.
#[track_caller]
fn soon<T>(what: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = what();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    result
}

/// The gateway serves on.
#[track_caller]
fn check_next(gateway: &Gateway, backend: &Backend) {
    let mut client = gateway.client();
    client.head("GET", "/next", &[]);
    let (mut visit, seen) = backend.asked();
    assert_eq!(seen.target, "/next");
    visit.answer("next");
    assert_eq!(client.reply().text(), "next");
    visit.half_close();
    gateway.is_clean();
}

#[track_caller]
fn check_504(client: &mut Client) {
    let reply = soon(|| client.reply());
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert_eq!(reply.field("content-type"), Some("application/problem+json"));
    assert_eq!(reply.field("proxy-status"), Some("otus; error=http_response_timeout"));
    assert!(reply.keeps());
}

#[test]
fn silence_is_504() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "first_byte_timeout = \"300ms\"");
        let mut client = gateway.client();
        for (method, field, body, part) in [
            ("GET", "X-A: 1", "", ""),
            ("POST", "Content-Length: 5", "hello", ""),
            ("GET", "X-A: 1", "", "HTTP/1.1 200 OK\r\nContent-Le"),
        ] {
            client.head(method, "/", &[field]);
            client.send(body);
            let (mut visit, _) = backend.asked();
            visit.send(part);
            check_504(&mut client);
            visit.closed();
        }
        assert_eq!(gateway.metric("otus_retries_total"), 0);
        check_next(&gateway, &backend);
    });
}

#[test]
fn interim_answers_do_not_put_off_the_end() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "first_byte_timeout = \"500ms\"");
        let (mut client, mut visit) = asking(&gateway, &backend);
        let began = Instant::now();
        let reply = loop {
            // The last of them may meet a connection that is closed.
            let _ = std::io::Write::write_all(&mut visit.stream, EARLY_HINTS);
            let reply = client.reply();
            if reply.status != 103 {
                break reply;
            }
            assert!(began.elapsed() < SOON, "it is put off again and again");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(reply.status, 504);
        check_next(&gateway, &backend);
    });
}

#[test]
fn refusal_is_502() {
    on_both_drivers(|io| {
        let gateway = start(io, &format!("{}{ALL}", upstream(&[nobody()], "")));
        for _ in 0..2 {
            let reply = gateway.client().ask("POST", "/", &[], b"hello");
            assert_eq!(reply.field("proxy-status"), Some("otus; error=connection_refused"));
            assert_eq!(
                (reply.status, reply.field("content-type")),
                (502, Some("application/problem+json"))
            );
        }
        gateway.is_clean();
    });
}

#[test]
fn the_total_time_ends_a_wait() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "total_timeout = \"400ms\"");
        let (mut client, mut visit) = asking(&gateway, &backend);
        check_504(&mut client);
        visit.closed();
        // An upload that never ends is an exchange as well.
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 1000"]);
        client.send("abc");
        let (mut visit, _) = backend.asked();
        let reply = soon(|| client.reply());
        assert_eq!((reply.status, reply.keeps()), (504, false));
        visit.closed();
        check_next(&gateway, &backend);
    });
}

#[test]
fn the_total_time_ends_an_answer_that_never_does() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "total_timeout = \"500ms\"");
        let (mut client, mut visit) = asking(&gateway, &backend);
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let sending = std::thread::spawn(move || {
            let chunk = data::chunked(&data::bytes(100_000), &[100_000]);
            let chunk = chunk[..chunk.len() - 5].to_vec();
            while std::io::Write::write_all(&mut visit.stream, &chunk).is_ok() {}
        });
        assert_eq!(client.try_reply(true).unwrap().status, 200);
        soon(|| {
            while let Ok(chunk) = client.try_chunk() {
                assert!(chunk.is_some(), "it looks whole");
            }
        });
        soon(|| sending.join().unwrap());
        check_next(&gateway, &backend);
    });
}

#[test]
fn silence_in_the_middle_of_an_answer_cuts_it() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "idle_timeout = \"300ms\"");
        for head in ["Content-Length: 10", "Transfer-Encoding: chunked", "X-Until: close"] {
            let (mut client, mut visit) = asking(&gateway, &backend);
            visit.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nab\r\n"));
            let reply = soon(|| client.try_reply(false));
            assert!(reply.is_err(), "{head}: {reply:?}");
            visit.closed();
        }
        check_next(&gateway, &backend);
    });
}

#[test]
fn a_back_end_that_takes_no_more_of_a_body_is_504() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "idle_timeout = \"300ms\"");
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 100000000"]);
        let (mut visit, _) = backend.asked();
        let mut sender = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            let chunk = data::bytes(1 << 20);
            (0..90).all(|_| std::io::Write::write_all(&mut sender, &chunk).is_ok())
        });
        let reply = soon(|| client.reply());
        assert_eq!((reply.status, reply.keeps()), (504, false));
        visit.closed();
        sending.join().unwrap();
        check_next(&gateway, &backend);
    });
}

#[test]
fn a_route_may_be_less_patient_than_its_upstream() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let route = "[[route]]\nid = \"hasty\"\nmatch = { prefix = \"/hasty\" }\nupstream = \"a\"\n\
                     timeouts = { first_byte = \"200ms\" }\n";
        let gateway = start(io, &format!("{}{ALL}{route}", upstream(&[backend.address], "")));
        let mut client = gateway.client();
        client.head("GET", "/hasty/x", &[]);
        let (_visit, _) = backend.asked();
        check_504(&mut client);
        client.head("GET", "/x", &[]);
        let (mut visit, _) = backend.asked();
        std::thread::sleep(Duration::from_millis(400));
        visit.answer("at last");
        assert_eq!(client.reply().text(), "at last");
        gateway.is_clean();
    });
}

#[test]
fn a_client_that_sends_no_more_of_a_body_is_408_and_its_request_is_given_up() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let timeouts = "[timeouts]\nbody_idle = \"300ms\"\n";
        let config = format!("{timeouts}{}{ALL}", upstream(&[backend.address], ""));
        let gateway = start(io, &config);
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 10"]);
        client.send("abc");
        let (mut visit, _) = backend.asked();
        let reply = soon(|| client.reply());
        assert_eq!((reply.status, reply.keeps()), (408, false));
        visit.closed();
        check_next(&gateway, &backend);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let timeouts = "[timeouts]\nwrite = \"300ms\"\n";
        let config = format!("{timeouts}{}{ALL}", upstream(&[backend.address], ""));
        let gateway = start(io, &config);
        let (_client, mut visit) = asking(&gateway, &backend);
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        soon(|| visit.push(&data::bytes(1 << 20), Duration::from_secs(1)));
        soon(|| visit.closed());
        assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 0);
        check_next(&gateway, &backend);
    });
}
