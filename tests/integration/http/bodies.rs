//! Where messages end, on both sides.

use crate::support::backend::Visit;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::proxy::{asking, before_one};

/// A request of HTTP/1.0.
fn old(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: old.test\r\n{more}\r\n")
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn request_bodies_arrive_as_they_were_sent() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let body = data::bytes(300_000);
        client.head("POST", "/", &["Content-Length: 300000"]);
        client.send(&body);
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("content-length"), Some("300000"));
        assert_eq!(seen.field("transfer-encoding"), None);
        assert!(visit.exactly(body.len()) == body);
        visit.answer("1");
        assert_eq!(client.reply().text(), "1");
        for (body, sizes) in [(&body[..], &[1, 7, 300][..]), (&body, &[100_000]), (&[], &[1])] {
            client.head("POST", "/", &["Transfer-Encoding: chunked"]);
            client.send(data::chunked(body, sizes));
            let seen = visit.request();
            assert_eq!(seen.field("transfer-encoding"), Some("chunked"));
            assert_eq!(seen.field("content-length"), None);
            assert!(visit.chunks() == body);
            visit.answer("2");
            assert_eq!(client.reply().text(), "2");
        }
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

#[test]
fn answers_arrive_as_they_were_sent() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let body = data::bytes(300_000);
        client.head("GET", "/", &[]);
        let (mut visit, _) = backend.asked();
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        visit.send(&body);
        assert!(client.reply().body == body);
        for (body, sizes) in [(&body[..], &[1, 7, 300][..]), (&body, &[100_000]), (&[], &[1])] {
            client.head("GET", "/", &[]);
            visit.request();
            visit.send(CHUNKED);
            visit.send(data::chunked(body, sizes));
            let reply = client.reply();
            assert_eq!(reply.field("transfer-encoding"), Some("chunked"));
            assert_eq!(reply.field("content-length"), None);
            assert!(reply.body == body);
        }
        client.head("GET", "/", &[]);
        visit.request();
        visit.answer("");
        assert_eq!(client.reply().field("content-length"), Some("0"));
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

/// Around what passes through a pipe and what is copied, and over what a pipe takes.
#[test]
fn large_answers_arrive_as_they_were_sent_and_leave_both_connections_in_use() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let mut visit: Option<Visit> = None;
        for len in [131_071, 131_072, 200_000, (1 << 20) + 1, (5 << 20) + 7] {
            let body = data::bytes(len);
            for piece in [len, 20_000] {
                client.head("GET", "/", &[]);
                let visit = visit.get_or_insert_with(|| backend.accept());
                visit.request();
                visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n"));
                let rest = std::thread::scope(|scope| {
                    scope.spawn(|| body.chunks(piece).for_each(|piece| visit.send(piece)));
                    client.reply().body
                });
                assert!(rest == body, "{len} in pieces of {piece}");
            }
        }
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

/// What was in a pipe when an answer was cut reaches nobody else.
#[test]
fn a_large_answer_that_is_cut_never_looks_whole() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let body = data::bytes(1 << 20);
        for end in [drop::<Visit>, Visit::reset] {
            for is_read in [true, false] {
                let mut client = gateway.client();
                client.head("GET", "/", &[]);
                let (mut visit, _) = backend.asked();
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n");
                visit.send(&body);
                end(visit);
                if is_read {
                    let reply = client.try_reply(false);
                    assert!(reply.is_err(), "{reply:?}");
                } else {
                    client.reset();
                }
                let mut next = gateway.client();
                next.head("GET", "/", &[]);
                let (mut visit, _) = backend.asked();
                let whole = vec![b'x'; 300_000];
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
                visit.send(&whole);
                assert!(next.reply().body == whole);
            }
        }
        gateway.is_clean();
    });
}

#[test]
fn answers_without_a_body_say_what_they_said() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("HEAD", "/", &[]);
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
        assert_eq!(client.reply_to_head().field("content-length"), Some("12345"));
        client.head("HEAD", "/", &[]);
        visit.request();
        visit.send(CHUNKED);
        let reply = client.reply_to_head();
        assert_eq!((reply.status, reply.field("content-length")), (200, None));
        client.head("GET", "/", &[]);
        visit.request();
        visit.send("HTTP/1.1 204 No Content\r\n\r\n");
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("content-length")), (204, None));
        client.head("GET", "/", &[]);
        visit.request();
        visit.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n");
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("content-length")), (304, Some("77")));
        assert_eq!(reply.field("etag"), Some("\"a\""));
        client.head("GET", "/", &[]);
        visit.request();
        visit.answer("next");
        assert_eq!(client.reply().text(), "next");
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

#[test]
fn a_body_that_ends_with_its_connection_is_chunked_for_a_client_that_knows_chunks() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
            client.head("GET", "/", &[]);
            let (mut visit, _) = backend.asked();
            visit.send(head);
            visit.send("to the end");
            drop(visit);
            let reply = client.reply();
            assert_eq!(reply.field("transfer-encoding"), Some("chunked"));
            assert_eq!(reply.text(), "to the end");
            assert!(reply.keeps());
        }
        gateway.is_clean();
    });
}

#[test]
fn a_client_of_http_1_0_gets_what_it_knows() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for answer in [
            "HTTP/1.1 200 OK\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        ] {
            for more in ["", "Connection: keep-alive\r\n"] {
                let mut client = gateway.client();
                client.send(old("/", more));
                let (mut visit, seen) = backend.asked();
                assert_eq!(seen.target, "/");
                visit.send(answer);
                drop(visit);
                let reply = client.reply();
                assert_eq!(
                    (reply.text().as_str(), reply.field("transfer-encoding")),
                    ("abc", None)
                );
                let keeps = answer.contains("Length") && !more.is_empty();
                assert_eq!(
                    reply.field("connection"),
                    Some(if keeps { "keep-alive" } else { "close" })
                );
                if keeps {
                    client.send(old("/next", ""));
                    let (mut visit, seen) = backend.asked();
                    assert_eq!(seen.target, "/next");
                    visit.answer("next");
                    assert_eq!(client.reply().text(), "next");
                } else {
                    client.closed();
                }
            }
        }
        gateway.is_clean();
    });
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let mut all = String::new();
        for number in 0..20 {
            let method = if number % 2 == 0 { "GET" } else { "POST" };
            let field = if number % 2 == 0 { "X-A: 1" } else { "Content-Length: 4" };
            all += &crate::support::client::head(method, &format!("/{number}"), &[field]);
            all += if number % 2 == 0 { "" } else { "body" };
        }
        client.send(all);
        let mut visit = backend.accept();
        for number in 0..20 {
            let seen = visit.request();
            assert_eq!(seen.target, format!("/{number}"));
            if number % 2 == 1 {
                assert_eq!(visit.exactly(4), b"body");
            }
            visit.answer(&number.to_string());
            assert_eq!(client.reply().text(), number.to_string());
        }
        gateway.is_clean();
    });
}

/// What a back end sends before it closes or resets: answers of which a part is missing.
const TRUNCATED: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n12345",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
];

#[test]
fn an_answer_that_is_cut_never_looks_whole() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for answer in TRUNCATED {
            for end in [drop::<Visit>, Visit::reset] {
                for is_old in [false, true] {
                    let mut client = gateway.client();
                    if is_old {
                        client.send(old("/", ""));
                    } else {
                        client.head("GET", "/", &[]);
                    }
                    let (mut visit, _) = backend.asked();
                    visit.send(answer);
                    std::thread::sleep(std::time::Duration::from_millis(30));
                    end(visit);
                    // A reset may be seen before the answer is: then it is 502.
                    let reply = client.try_reply(false);
                    let is_told = reply.as_ref().map_or(true, |reply| reply.status == 502);
                    assert!(is_told, "{answer:?} to {is_old}: {reply:?}");
                }
            }
        }
        check_next(&gateway, &backend);
    });
}

#[test]
fn a_body_that_ends_with_a_reset_never_looks_whole() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for is_old in [false, true] {
            let mut client = gateway.client();
            if is_old {
                client.send(old("/", ""));
            } else {
                client.head("GET", "/", &[]);
            }
            let (mut visit, _) = backend.asked();
            visit.send("HTTP/1.1 200 OK\r\n\r\n12345");
            std::thread::sleep(std::time::Duration::from_millis(30));
            visit.reset();
            let reply = client.try_reply(false);
            let is_told = reply.as_ref().map_or(true, |reply| reply.status == 502);
            assert!(is_told, "{is_old}: {reply:?}");
        }
        check_next(&gateway, &backend);
    });
}

/// The gateway serves on.
#[track_caller]
fn check_next(gateway: &Gateway, backend: &crate::support::backend::Backend) {
    let mut client = gateway.client();
    client.head("GET", "/next", &[]);
    let (mut visit, seen) = backend.asked();
    assert_eq!(seen.target, "/next");
    visit.answer("next");
    assert_eq!(client.reply().text(), "next");
    gateway.is_clean();
}

#[test]
fn answers_may_come_byte_by_byte() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (mut client, mut visit) = asking(&gateway, &backend);
        let chunked =
            format!("HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n{CHUNKED}3;x=\"y\"\r\nabc\r\n");
        let chunked = chunked + "0\r\nX-Trailer: 1\r\n\r\n";
        for answer in [&chunked[..], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", &chunked] {
            for byte in answer.as_bytes() {
                visit.send([*byte]);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            let mut reply = client.reply();
            if reply.status == 103 {
                reply = client.reply();
            }
            assert_eq!(reply.text(), "abc");
            client.head("GET", "/", &[]);
            visit.request();
        }
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

#[test]
fn many_at_once_get_their_own_answers() {
    on_both_drivers(|io| {
        // It echoes.
        let (address, _) = crate::support::backend::Backend::listen().serve(|seen, body| {
            let path = &seen.target;
            let mut out = Vec::new();
            if path.len() % 2 == 0 {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(body);
            } else {
                out.extend_from_slice(CHUNKED.as_bytes());
                out.extend_from_slice(&data::chunked(body, &[1000, 7, 100_000]));
            }
            out
        });
        let config = crate::support::proxy::upstream(&[address], "");
        let all = crate::support::proxy::ALL;
        let gateway = crate::support::proxy::start(io, &format!("{config}{all}"));
        std::thread::scope(|scope| {
            for thread in 0..16usize {
                let gateway = &gateway;
                scope.spawn(move || {
                    let mut client = gateway.client();
                    for round in 0..40usize {
                        let mut body = data::bytes((thread * 7919 + round * 104_729) % 90_000);
                        body.extend_from_slice(format!("{thread} {round}").as_bytes());
                        let path = format!("/{}", "x".repeat((thread + round) % 5));
                        let reply = client.ask("POST", &path, &[], &body);
                        assert_eq!(reply.status, 200);
                        assert!(reply.body == body, "{thread} {round}");
                        if round % 11 == 10 {
                            client = gateway.client();
                        }
                    }
                });
            }
        });
        assert!(gateway.metric("otus_upstream_connections_opened_total") <= 16);
        gateway.is_clean();
    });
}
