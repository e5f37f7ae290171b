//! Single exchanges: they mean what they mean over HTTP/1.

use std::time::Duration;

use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::h2::Client;
use crate::support::proxy::start;

use super::before;

#[test]
fn one_port_speaks_both_versions() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let (_address, _count) = backend.serve(|seen, _| {
            let text = format!("{} {}", seen.method, seen.target);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
        });
        let client = Client::connect(gateway.address);
        for _ in 0..3 {
            assert_eq!(client.get("/a?b").text(), "GET /a?b");
            assert_eq!(gateway.client().get("/c").text(), "GET /c");
        }
        gateway.is_clean();
    });
}

#[test]
fn where_only_http1_is_spoken_the_preface_is_refused() {
    on_both_drivers(|io| {
        let (gateway, _backend) = before(io, "listener.protocols = [\"http/1.1\"]");
        let mut client = gateway.client();
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(client.reply().status, 505);
    });
}

#[test]
fn a_preface_behind_a_request_is_no_preface() {
    on_both_drivers(|io| {
        let (gateway, _backend) = before(io, "");
        let mut client = gateway.client();
        assert_eq!(client.get("/here").status, 204);
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(client.reply().status, 505);
    });
}

#[test]
fn a_request_whose_end_is_known_to_be_empty_goes_on_without_chunks() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        for (method, fields, later, length) in [
            // It says itself that nothing follows: its end is waited for.
            ("POST", &[("content-length", "0")][..], Duration::from_millis(100), Some("0")),
            ("DELETE", &[("content-length", "0")], Duration::from_millis(100), Some("0")),
            ("POST", &[("content-length", "0")], Duration::ZERO, Some("0")),
        ] {
            let mut call = client.begin(method, "/x", fields, false);
            std::thread::sleep(later);
            call.send(&[], true).unwrap();
            let (mut visit, seen) = backend.asked();
            assert_eq!(seen.field("content-length"), length, "{method} {later:?}");
            assert_eq!(seen.field("transfer-encoding"), None, "{method} {later:?}");
            visit.send("HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(call.reply().status, 200);
        }
        // Trailers have to be passed on in chunks.
        let mut call = client.begin("POST", "/x", &[("content-length", "0")], false);
        call.end(&[("x-sum", "1")]);
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("transfer-encoding"), Some("chunked"));
        assert_eq!(visit.chunks_and_trailers(), (Vec::new(), vec!["x-sum: 1".to_owned()]));
        visit.send("HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(call.reply().status, 200);
        // Content in spite of that is a fault of the client, and nobody is asked.
        let mut call = client.begin("POST", "/x", &[("content-length", "0")], false);
        call.send(b"x", true).unwrap();
        assert!(call.try_reply().is_err());
        assert!(backend.is_unvisited());
        gateway.is_clean();
    });
}

#[test]
fn heads_are_translated_both_ways() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let fields = [("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2")];
        let mut call = client.begin("GET", "/p?q", &fields, true);
        let (mut visit, seen) = backend.asked();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/p?q"));
        assert_eq!(seen.field("host"), Some("h2.test"));
        assert_eq!(seen.field("cookie"), Some("a=1; b=2"));
        assert_eq!(seen.field("x-one"), Some("1"));
        assert_eq!((seen.field("te"), seen.field("connection")), (None, None));
        assert_eq!(seen.field("via"), Some("2 otus"));
        assert_eq!((seen.field("content-length"), seen.field("transfer-encoding")), (None, None));
        visit.send(
            "HTTP/1.1 201 Made\r\nX-Upper: V\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
             Keep-Alive: timeout=5\r\nSet-Cookie: s=1\r\nSet-Cookie: t=2\r\nContent-Length: 2\r\n\
             \r\nok",
        );
        let reply = call.reply();
        assert_eq!((reply.status, reply.text().as_str()), (201, "ok"));
        assert_eq!(reply.field("x-upper"), Some("V"));
        assert_eq!(reply.field("content-length"), Some("2"));
        for name in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
            assert_eq!(reply.field(name), None);
        }
        assert_eq!(reply.fields.get_all("set-cookie").iter().count(), 2);
        assert_eq!(reply.field("x-request-id"), seen.field("x-request-id"));
        gateway.is_clean();
    });
}

#[test]
fn bodies_arrive_as_they_were_sent() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let body = data::bytes(300_000);
        let length = body.len().to_string();
        let mut call = client.begin("POST", "/", &[("content-length", &length)], false);
        call.send(&body, true).unwrap();
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("content-length"), Some("300000"));
        assert!(visit.exactly(body.len()) == body);
        visit.answer("1");
        assert_eq!(call.reply().text(), "1");
        for body in [&body[..], &body[..1], &[]] {
            let mut call = client.begin("POST", "/", &[], false);
            call.send(body, true).unwrap();
            let seen = visit.request();
            // Whether it is known at once that nothing follows is a matter of time.
            if !body.is_empty() || seen.field("transfer-encoding").is_some() {
                assert_eq!(seen.field("transfer-encoding"), Some("chunked"));
                assert!(visit.chunks() == body);
            }
            visit.answer("2");
            assert_eq!(call.reply().text(), "2");
        }
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 1);
        gateway.is_clean();
    });
}

#[test]
fn answers_arrive_as_they_were_sent() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let body = data::bytes(700_000);
        let mut call = client.begin("GET", "/", &[], true);
        let (mut visit, _) = backend.asked();
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        visit.send(&body);
        assert!(call.reply().body == body);
        for sizes in [&[1, 7, 300][..], &[100_000]] {
            let mut call = client.begin("GET", "/", &[], true);
            visit.request();
            visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            visit.send(data::chunked(&body, sizes));
            let reply = call.reply();
            assert_eq!(reply.field("content-length"), None);
            assert!(reply.body == body);
        }
        let mut call = client.begin("HEAD", "/", &[], true);
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        let reply = call.reply();
        assert_eq!((reply.field("content-length"), reply.body.len()), (Some("7"), 0));
        let mut call = client.begin("GET", "/", &[], true);
        visit.request();
        visit.send("HTTP/1.1 204 Gone\r\n\r\n");
        assert_eq!(call.reply().status, 204);
        let mut call = client.begin("GET", "/", &[], true);
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
        drop(visit);
        assert_eq!(call.reply().text(), "until the end");
        gateway.is_clean();
    });
}

#[test]
fn trailers_pass_both_ways() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        for body in [&b"content"[..], &data::bytes(100_000), b""] {
            let mut call = client.begin("POST", "/", &[("te", "trailers")], false);
            call.send(body, false).unwrap();
            call.end(&[("x-sum", "1"), ("authorization", "Bearer evil")]);
            let (mut visit, seen) = backend.asked();
            assert_eq!(seen.field("te"), Some("trailers"));
            let (content, trailers) = visit.chunks_and_trailers();
            assert!(content == body);
            assert_eq!(trailers, ["x-sum: 1"]);
            // The next upload must not meet the end of this connection.
            let close = "Connection: close\r\nTransfer-Encoding: chunked";
            visit.send(format!("HTTP/1.1 200 OK\r\n{close}\r\n\r\n"));
            if !body.is_empty() {
                visit.send(data::chunked(body, &[50_000]).strip_suffix(b"0\r\n\r\n").unwrap());
            }
            visit.send("0\r\nGrpc-Status: 0\r\nSet-Cookie: late=1\r\n\r\n");
            let reply = call.reply();
            assert!(reply.body == body);
            assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
            drop(visit);
        }
        gateway.is_clean();
    });
}

#[test]
fn interim_answers_are_passed_on_and_a_body_is_asked_for() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let fields = [("expect", "100-continue"), ("content-length", "2")];
        let mut call = client.begin("POST", "/", &fields, false);
        assert_eq!(call.interim().unwrap().status(), 100);
        call.send(b"hi", true).unwrap();
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("expect"), None);
        assert_eq!(visit.exactly(2), b"hi");
        visit.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        let hints = call.interim().unwrap();
        assert_eq!(
            (hints.status().as_u16(), hints.headers()["link"].as_bytes()),
            (103, &b"</a>"[..])
        );
        visit.answer("done");
        assert_eq!(call.reply().text(), "done");
        gateway.is_clean();
    });
}

#[test]
fn answers_of_our_own_are_those_of_http1() {
    on_both_drivers(|io| {
        let gateway = start(
            io,
            "[[route]]\nid = \"away\"\nmatch = { prefix = \"/away\" }\n\
             redirect = { to = \"https://there.test\", status = 307 }\n",
        );
        let client = Client::connect(gateway.address);
        let reply = client.get("/away?x=1");
        assert_eq!(reply.status, 307);
        assert_eq!(reply.field("location"), Some("https://there.test/away?x=1"));
        let reply = client.get("/healthz");
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok\n"));
        let reply = client.get("/nowhere");
        assert_eq!(reply.status, 404);
        assert_eq!(reply.field("content-type"), Some("application/problem+json"));
        assert!(reply.field("x-request-id").is_some() && reply.field("date").is_some());
        assert_eq!(client.send("POST", "/nowhere", &[], &data::bytes(1000)).status, 404);
        gateway.is_clean();
    });
}

#[test]
fn an_answer_that_is_cut_off_is_reset() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let mut call = client.begin("GET", "/", &[], true);
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        drop(visit);
        let error = call.try_reply().unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
        assert_eq!(client.get("/here").status, 204, "the connection goes on");
        gateway.is_clean();
    });
}
