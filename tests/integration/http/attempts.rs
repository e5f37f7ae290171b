//! A request reaches a back end at most once, unless it may be repeated.

use std::time::Duration;

use crate::support::backend::{Backend, asked_of, nobody};
use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::proxy::{ALL, answered, before_one, before_two, start, upstream};

/// Longer than the gateway needs to send a request again.
const MOMENT: Duration = Duration::from_millis(300);
const QUICK: &str = "retry = { attempts = 4, backoff = \"10ms\" }";

#[test]
fn a_post_whose_connection_dies_is_not_sent_again() {
    on_both_drivers(|io| {
        let (gateway, backends) = before_two(io, QUICK);
        for reset in [false, true] {
            for (field, body) in [
                ("Content-Length: 5", "hello"),
                ("Transfer-Encoding: chunked", "1\r\nx\r\n0\r\n\r\n"),
            ] {
                let mut client = gateway.client();
                client.head("POST", "/", &[field]);
                client.send(body);
                let (_, mut visit, seen) = asked_of(&backends);
                assert_eq!(seen.method, "POST");
                if reset {
                    visit.reset();
                } else {
                    visit.exactly(body.len());
                    drop(visit);
                }
                assert_eq!(client.reply().status, 502);
                std::thread::sleep(MOMENT);
                assert!(backends.iter().all(Backend::is_unvisited), "it came again");
            }
        }
        assert_eq!(gateway.metric("otus_retries_total"), 0);
        gateway.is_clean();
    });
}

#[test]
fn a_get_whose_connection_ends_without_a_byte_goes_to_another_endpoint() {
    on_both_drivers(|io| {
        let (gateway, backends) = before_two(io, QUICK);
        for reset in [false, true] {
            let mut client = gateway.client();
            client.head("GET", "/x", &[]);
            let (first, visit, _) = asked_of(&backends);
            if reset {
                visit.reset();
            } else {
                drop(visit);
            }
            let (second, mut visit, seen) = asked_of(&backends);
            assert_ne!(first, second);
            assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/x"));
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine");
            assert_eq!(client.reply().text(), "fine");
        }
        assert_eq!(gateway.metric("otus_retries_total"), 2);
        gateway.is_clean();
    });
}

#[test]
fn a_put_of_which_a_part_was_used_is_not_sent_again() {
    on_both_drivers(|io| {
        let (gateway, backends) = before_two(io, QUICK);
        let mut client = gateway.client();
        client.head("PUT", "/", &["Content-Length: 5"]);
        client.send("hel");
        let (_, mut visit, _) = asked_of(&backends);
        assert_eq!(visit.exactly(3), b"hel");
        drop(visit);
        assert_eq!(client.reply().status, 502);
        std::thread::sleep(MOMENT);
        assert!(backends.iter().all(Backend::is_unvisited), "it came again");
        gateway.is_clean();
    });
}

#[test]
fn a_refused_connection_passes_the_request_on_whatever_its_method() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let more = "balance = \"round_robin\"\noutlier = { failures = 0 }";
        let config = upstream(&[nobody(), backend.address], more);
        let gateway = start(io, &format!("{config}{ALL}"));
        for (method, field, body) in [
            ("GET", "X-A: 1", ""),
            ("POST", "Content-Length: 5", "hello"),
            ("POST", "Content-Length: 0", ""),
            ("POST", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
            ("PATCH", "X-A: 1", ""),
        ] {
            // Of two in a row one meets the endpoint that refuses.
            for _ in 0..2 {
                let mut client = gateway.client();
                client.head(method, "/", &[field, "Connection: close"]);
                client.send(body);
                let (mut visit, seen) = backend.asked();
                assert_eq!(seen.method, method);
                visit.exactly(body.len());
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                assert_eq!(client.reply().status, 200, "{method} {field}");
            }
        }
        assert!(gateway.metric("otus_retries_total") >= 5);
        gateway.is_clean();
    });
}

#[test]
fn attempts_are_bounded() {
    on_both_drivers(|io| {
        let (gateway, backends) =
            before_two(io, "retry = { attempts = 3, backoff = \"1ms\", budget = 1.0 }");
        let mut client = gateway.client();
        client.head("GET", "/", &[]);
        for _ in 0..3 {
            drop(asked_of(&backends));
        }
        let reply = client.reply();
        assert_eq!(reply.status, 502);
        assert_eq!(reply.json()["code"], "upstream_closed");
        assert!(reply.keeps());
        std::thread::sleep(MOMENT);
        assert!(backends.iter().all(Backend::is_unvisited), "a fourth attempt was made");
        gateway.is_clean();
    });
}

#[test]
fn the_budget_bounds_retries() {
    on_both_drivers(|io| {
        let more = "retry = { attempts = 2, backoff = \"1ms\", budget = 0.0 }\n\
                    outlier = { failures = 0 }";
        let gateway = start(io, &format!("{}{ALL}", upstream(&[nobody(), nobody()], more)));
        let mut client = gateway.client();
        for _ in 0..30 {
            let reply = client.get("/");
            assert_eq!((reply.status, &reply.json()["code"]), (502, &"connect_refused".into()));
        }
        assert_eq!(gateway.metric("otus_retries_total"), 10, "what it may make at once");
        assert_eq!(gateway.metric("otus_retries_denied_total"), 20);
        gateway.is_clean();
    });
}

#[test]
fn a_pooled_connection_that_was_closed_costs_a_get_nothing() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "retry = { attempts = 1 }");
        let (mut client, mut visit) = answered(&gateway, &backend);
        for (number, reset) in [(2, false), (3, true)] {
            // Closed while it is idle.
            if reset {
                visit.reset();
            } else {
                drop(visit);
            }
            client.head("GET", &format!("/{number}"), &[]);
            let seen;
            (visit, seen) = backend.asked();
            assert_eq!(seen.target, format!("/{number}"));
            visit.answer("x");
            assert_eq!(client.reply().text(), "x");
        }
        for reset in [false, true] {
            // Closed as the request arrives.
            client.head("GET", "/late", &[]);
            assert_eq!(visit.request().target, "/late");
            if reset {
                visit.reset();
            } else {
                drop(visit);
            }
            let seen;
            (visit, seen) = backend.asked();
            assert_eq!(seen.target, "/late");
            visit.answer("late");
            assert_eq!(client.reply().text(), "late");
        }
        assert_eq!(gateway.metric("otus_retries_total"), 0);
        gateway.is_clean();
    });
}

#[test]
fn a_pooled_connection_that_closes_costs_no_other_than_a_safe_request_a_second_sending() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (mut client, mut visit) = answered(&gateway, &backend);
        client.head("POST", "/2", &["Content-Length: 2"]);
        client.send("ab");
        assert_eq!(visit.request().method, "POST");
        assert_eq!(visit.exactly(2), b"ab");
        drop(visit);
        assert_eq!(client.reply().status, 502);
        std::thread::sleep(MOMENT);
        assert!(backend.is_unvisited(), "it came again");
        gateway.is_clean();
    });
}

#[test]
fn connections_that_endpoints_close_while_idle_do_not_set_them_aside() {
    on_both_drivers(|io| {
        let more = "outlier = { failures = 1 }";
        let (gateway, backends) = before_two(io, more);
        let mut client = gateway.client();
        for _ in 0..2 {
            client.head("GET", "/", &[]);
            let (index, mut visit, _) = asked_of(&backends);
            visit.answer("1");
            client.reply();
            // The other one takes the next request.
            client.head("GET", "/", &[]);
            let (_, mut other, _) = asked_of(&backends);
            other.answer("2");
            client.reply();
            client.head("GET", "/", &[]);
            visit.request();
            drop(visit);
            let (again, mut visit, _) = asked_of(&backends);
            assert_eq!(again, index);
            visit.answer("3");
            client.reply();
            client.head("GET", "/", &[]);
            other.request();
            other.answer("4");
            client.reply();
            drop((visit, other));
        }
        assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 0);
        gateway.is_clean();
    });
}

#[test]
fn what_follows_a_body_that_could_not_be_sent_is_not_lost() {
    on_both_drivers(|io| {
        let more = "transport = { send_buffer = \"4KiB\", receive_buffer = \"4KiB\" }\n\
                    retry = { attempts = 1 }";
        let (gateway, backend) = before_one(io, more);
        let mut client = gateway.client();
        let body = data::bytes(200_000);
        client.head("POST", "/", &["Content-Length: 200000", "Expect: 100-continue"]);
        assert_eq!(client.reply().status, 100);
        let mut all = body;
        all.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
        client.send(&all);
        let (visit, _) = backend.asked();
        std::thread::sleep(MOMENT); // Until the gateway waits for room.
        visit.reset();
        let reply = client.reply();
        assert_eq!(reply.status, 502);
        if reply.keeps() {
            let (mut visit, seen) = backend.asked();
            assert_eq!(seen.target, "/next");
            visit.answer("next");
            assert_eq!(client.reply().text(), "next");
        }
        gateway.is_clean();
    });
}

#[test]
fn nobody_is_asked_for_a_body_that_no_endpoint_takes() {
    on_both_drivers(|io| {
        let gateway = start(io, &format!("{}{ALL}", upstream(&[nobody(), nobody()], QUICK)));
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 5", "Expect: 100-continue"]);
        let reply = client.reply();
        assert_eq!((reply.status, reply.keeps()), (502, false));
        gateway.is_clean();
    });
}
