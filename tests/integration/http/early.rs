//! Answers that begin while the request is still on its way, and interim ones.

use std::time::Duration;

use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::proxy::before_one;

const REFUSAL: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large";

#[test]
fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for field in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
            for (closes, reads) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut client = gateway.client();
                client.head("POST", "/", &[field]);
                let mut sender = client.stream.try_clone().unwrap();
                let sending = std::thread::spawn(move || {
                    let chunk = data::chunked(&data::bytes(1 << 20), &[1 << 20]);
                    let chunk = &chunk[..chunk.len() - 5];
                    // It fails as soon as the gateway has had enough.
                    (0..90).all(|_| std::io::Write::write_all(&mut sender, chunk).is_ok())
                });
                let (mut visit, _) = backend.asked();
                if reads {
                    visit.exactly(3 << 20);
                } else {
                    std::thread::sleep(Duration::from_millis(50)); // Until its buffers are full.
                }
                visit.send(REFUSAL);
                let mut visit = Some(visit);
                if closes {
                    visit = None;
                } else if reads {
                    visit.as_mut().unwrap().closed();
                }
                let reply = client.reply();
                let case = format!("{field} closes: {closes} reads: {reads}");
                assert_eq!((reply.status, reply.text().as_str()), (413, "too large"), "{case}");
                assert!(!reply.keeps(), "{case}");
                sending.join().unwrap();
                client.closed();
                drop(visit);
            }
        }
        gateway.is_clean();
    });
}

#[test]
fn an_early_answer_of_300_or_more_ends_the_upload() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for status in [302, 401, 413, 500, 503] {
            let mut client = gateway.client();
            client.head("POST", "/", &["Content-Length: 100"]);
            client.send("some");
            let (mut visit, _) = backend.asked();
            assert_eq!(visit.exactly(4), b"some");
            visit.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nend"));
            let reply = client.reply();
            assert_eq!((reply.status, reply.text().as_str()), (status, "end"));
            visit.closed();
            client.closed();
        }
        gateway.is_clean();
    });
}

#[test]
fn an_answer_that_begins_early_and_the_upload_go_on_together() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for length in [None, Some(1_280_000)] {
            let mut client = gateway.client();
            let field = match length {
                None => "Transfer-Encoding: chunked".to_owned(),
                Some(length) => format!("Content-Length: {length}"),
            };
            client.head("POST", "/echo", &[&field]);
            let (mut visit, _) = backend.asked();
            visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let head = client.try_reply(true).unwrap();
            assert_eq!((head.status, head.field("transfer-encoding")), (200, Some("chunked")));
            for number in 0..20u8 {
                let piece = vec![number; 64_000];
                if length.is_none() {
                    client.send("fa00\r\n");
                }
                client.send(&piece);
                let mut got = Vec::new();
                while got.len() < piece.len() {
                    got.extend(if length.is_none() {
                        let size = usize::from_str_radix(&visit.line(), 16).unwrap();
                        let data = visit.exactly(size);
                        visit.exactly(2);
                        data
                    } else {
                        visit.exactly(piece.len())
                    });
                    if length.is_none() && got.len() == piece.len() {
                        client.send("\r\n");
                    }
                }
                assert!(got == piece);
                visit.send(format!("{:x}\r\n", got.len()));
                visit.send(&got);
                visit.send("\r\n");
                let mut back = Vec::new();
                while back.len() < piece.len() {
                    back.extend(client.try_chunk().unwrap().unwrap());
                }
                assert!(back == piece);
            }
            if length.is_none() {
                client.send("0\r\n\r\n");
                assert_eq!(visit.chunks(), b"");
            }
            visit.send("0\r\n\r\n");
            assert_eq!(client.try_chunk().unwrap(), None);
        }
        gateway.is_clean();
    });
}

#[test]
fn an_upload_keeps_an_answer_alive_that_waits_for_it() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "idle_timeout = \"1500ms\"");
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 30"]);
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(client.try_reply(true).unwrap().status, 200);
        for _ in 0..10 {
            client.send("abc");
            assert_eq!(visit.exactly(3), b"abc");
            std::thread::sleep(Duration::from_millis(200));
        }
        visit.send("2\r\nok\r\n0\r\n\r\n");
        assert_eq!(client.try_chunk().unwrap().unwrap(), b"ok");
        assert_eq!(client.try_chunk().unwrap(), None);
        gateway.is_clean();
    });
}

#[test]
fn an_interim_answer_passes_while_the_body_is_still_being_sent() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        for round in 0..2 {
            client.head("POST", "/", &["Content-Length: 10"]);
            client.send("12345");
            let mut visit = backend.accept();
            visit.request();
            assert_eq!(visit.exactly(5), b"12345");
            visit.send("HTTP/1.1 100 Continue\r\n\r\n");
            visit.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n");
            visit.send("Connection: x-hop\r\nX-Hop: 1\r\n\r\n");
            let reply = client.reply();
            assert_eq!((reply.status, reply.field("link")), (103, Some("</style.css>")));
            assert_eq!(reply.field("x-hop"), None);
            client.send("67890");
            assert_eq!(visit.exactly(5), b"67890");
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
            let reply = client.reply();
            assert_eq!((reply.text().as_str(), reply.keeps()), ("done", true), "{round}");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_answer() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.send("GET / HTTP/1.0\r\n\r\n");
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        visit.answer("done");
        assert_eq!(client.reply().text(), "done");
        gateway.is_clean();
    });
}

#[test]
fn asking_for_the_body_is_between_the_client_and_the_gateway() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 5", "Expect: 100-continue"]);
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("expect"), None);
        assert_eq!(client.reply().status, 100);
        client.send("hello");
        assert_eq!(visit.exactly(5), b"hello");
        visit.send("HTTP/1.1 100 Continue\r\n\r\n");
        visit.answer("done");
        assert_eq!(client.reply().text(), "done", "there is no second 100");
        gateway.is_clean();
    });
}

#[test]
fn what_follows_a_refused_upload_is_never_done() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 10"]);
        client.send("12345");
        let (mut visit, _) = backend.asked();
        visit.send(REFUSAL);
        assert_eq!(client.reply().status, 413);
        client.send("67890GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
        client.closed();
        assert!(backend.is_unvisited() && visit.closed() < Duration::from_secs(5));
        gateway.is_clean();
    });
}
