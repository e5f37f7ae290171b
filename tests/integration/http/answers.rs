//! What back ends send too much, or wrong, reaches nobody else.

use std::time::Duration;

use crate::support::backend::{Backend, Visit};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::proxy::{answered, asking, before_one};

/// Sends the next request of a client, which must come over a new connection and get its own answer.
#[track_caller]
fn check_fresh(gateway: &Gateway, backend: &Backend, client: &mut Client) {
    client.head("GET", "/mine", &[]);
    let (mut visit, seen) = backend.asked();
    assert_eq!(seen.target, "/mine");
    visit.answer("mine");
    assert_eq!(client.reply().text(), "mine");
    visit.half_close();
    gateway.is_clean();
}

const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

#[test]
fn bytes_behind_an_answer_never_become_another() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for (method, head) in [
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 62\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 62\r\n\r\n"),
        ] {
            for pause in [false, true] {
                let mut client = gateway.client();
                client.head(method, "/", &[]);
                let (mut visit, _) = backend.asked();
                if pause {
                    visit.send(head);
                    let reply = client.try_reply(method == "HEAD").unwrap();
                    assert!(reply.keeps(), "{method} {head:?}");
                    visit.send(POISON);
                    // Once more bytes are on their way than time would bring, they have arrived.
                    std::thread::sleep(Duration::from_millis(50));
                } else {
                    visit.send(format!("{head}{POISON}"));
                    let reply = client.try_reply(method == "HEAD").unwrap();
                    assert!(reply.keeps(), "{method} {head:?}");
                }
                check_fresh(&gateway, &backend, &mut client);
            }
        }
    });
}

#[test]
fn a_204_that_claims_a_body_is_the_last_of_its_connection() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for head in [
            "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let (mut client, mut visit) = asking(&gateway, &backend);
            visit.send(head);
            let reply = client.reply();
            if reply.status == 204 {
                assert_eq!(reply.field("content-length"), None);
                assert_eq!(reply.field("transfer-encoding"), None);
            } else {
                assert_eq!(reply.status, 502);
            }
            check_fresh(&gateway, &backend, &mut client);
        }
    });
}

#[test]
fn a_connection_whose_request_was_not_sent_whole_carries_no_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for status in ["200 OK", "409 Conflict"] {
            let mut client = gateway.client();
            client.head("POST", "/", &["Content-Length: 10"]);
            client.send("12345");
            let (mut visit, _) = backend.asked();
            visit.send(format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nearly"));
            let reply = client.reply();
            assert_eq!((reply.text().as_str(), reply.keeps()), ("early", false));
            client.closed();
            visit.closed();
            check_fresh(&gateway, &backend, &mut gateway.client());
        }
    });
}

#[test]
fn a_word_before_any_request_is_no_answer() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (mut client, mut visit) = answered(&gateway, &backend);
        visit.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        std::thread::sleep(Duration::from_millis(50));
        check_fresh(&gateway, &backend, &mut client);
    });
}

/// What a client is told of an answer that is none.
#[track_caller]
fn refused(gateway: &Gateway, backend: &Backend, answer: &[u8]) -> Reply {
    let mut client = gateway.client();
    client.head("GET", "/", &[]);
    let (mut visit, _): (Visit, _) = backend.asked();
    let _ = std::io::Write::write_all(&mut visit.stream, answer);
    let reply = client.reply();
    visit.closed();
    check_fresh(gateway, backend, &mut client);
    reply
}

#[test]
fn an_answer_that_is_no_http_is_502() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let large = format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\n\r\n", "x".repeat(20_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: 1\r\n".repeat(150));
        for answer in [
            "SSH-2.0-OpenSSH_9.6\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 999 Odd\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nabcdef",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            &large,
            &many,
        ] {
            let reply = refused(&gateway, &backend, answer.as_bytes());
            let start = &answer[..answer.len().min(60)];
            assert_eq!(reply.status, 502, "{start:?}: {}", reply.text());
            assert_eq!(reply.field("content-type"), Some("application/problem+json"));
            let proxy_status = reply.field("proxy-status").unwrap();
            assert!(proxy_status.starts_with("otus; error=http_"), "{start:?}: {proxy_status}");
            assert_eq!(reply.json()["status"], 502);
        }
    });
}

#[test]
fn a_chunk_that_is_none_cuts_the_answer() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for chunk in ["xyz\r\n", "-1\r\n", "5 \n12345", "fffffffffffffffff\r\n", "3\r\nabcdef\r\n"]
        {
            let (mut client, mut visit) = asking(&gateway, &backend);
            visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            assert_eq!(client.try_reply(true).unwrap().status, 200);
            assert_eq!(client.try_chunk().unwrap().unwrap(), b"abc");
            visit.send(chunk);
            while let Ok(chunk) = client.try_chunk() {
                assert!(chunk.is_some(), "{chunk:?} looks whole");
            }
            visit.closed();
        }
        check_fresh(&gateway, &backend, &mut gateway.client());
    });
}

#[test]
fn more_interim_answers_than_anybody_needs_are_502() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        for (count, status) in [(16, 200), (17, 502)] {
            let (mut client, mut visit) = asking(&gateway, &backend);
            let mut all = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
            all += "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            visit.send(all);
            let reply = loop {
                let reply = client.reply();
                if reply.status >= 200 {
                    break reply;
                }
                assert_eq!((reply.status, reply.field("link")), (103, Some("</a>")));
            };
            assert_eq!(reply.status, status);
        }
        gateway.is_clean();
    });
}
