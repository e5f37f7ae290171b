//! Trailer fields on their way through.

use crate::support::backend::Visit;
use crate::support::client::Client;
use crate::support::gateway::on_both_drivers;
use crate::support::proxy::before_one;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End, Set-Cookie, X-Hop\r\n\
    Connection: X-Hop\r\n\r\n2\r\nab\r\n0\r\nX-End:  1 \r\nX-Hop: 2\r\nSet-Cookie: a=b\r\n\r\n";

/// Asks with these fields; the answer's head, and the lines behind its last chunk.
#[track_caller]
fn ask(client: &mut Client, visit: &mut Visit, fields: &[&str]) -> (String, String) {
    client.head("GET", "/", fields);
    let seen = visit.request();
    let told = fields.iter().any(|field| field.to_ascii_lowercase().contains("trailers"));
    assert_eq!(seen.field("te"), told.then_some("trailers"));
    assert_eq!(seen.field("connection"), told.then_some("te"));
    visit.send(ANSWER);
    let mut raw = Vec::new();
    // The end of the answer is the first empty line behind the last chunk.
    let text = loop {
        raw.extend(client.try_exactly(1).unwrap());
        let text = String::from_utf8_lossy(&raw);
        if text.ends_with("\r\n\r\n") && text.contains("\r\n0\r\n") {
            break text.into_owned();
        }
    };
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let end = body.strip_prefix("2\r\nab\r\n0\r\n").unwrap();
    (head.to_owned(), end.to_owned())
}

#[test]
fn trailers_of_answers_reach_clients_that_take_them_and_no_others() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.head("GET", "/", &[]);
        let (mut visit, _) = backend.asked();
        visit.answer("");
        client.reply();
        for te in ["TE: trailers", "TE: gzip;q=0.5, Trailers"] {
            let (head, end) = ask(&mut client, &mut visit, &[te, "Connection: TE"]);
            assert!(head.contains("\r\ntrailer: X-End\r\n"), "{head}");
            assert_eq!(end, "X-End: 1\r\n\r\n");
        }
        for fields in [&[][..], &["TE: gzip"]] {
            let (head, end) = ask(&mut client, &mut visit, fields);
            assert!(!head.contains("\r\ntrailer:"), "{head}");
            assert_eq!(end, "\r\n");
        }
        gateway.is_clean();
    });
}

#[test]
fn trailers_of_requests_reach_the_back_end_but_those_that_lie() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let announced = "Trailer: X-Sum, Authorization, X-Hop";
        client.head("POST", "/", &["Transfer-Encoding: chunked", "Connection: X-Hop", announced]);
        client.send("2\r\nab\r\n0\r\nX-Sum:3\r\nX-Hop: 1\r\nX-Forwarded-For: 192.0.2.1\r\n");
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("trailer"), Some("X-Sum"));
        client.send("Authorization: Basic eA==\r\nX-More: 4\r\n\r\n");
        for line in ["2", "ab", "0", "X-Sum: 3", "X-More: 4", ""] {
            assert_eq!(visit.line(), line);
        }
        visit.answer("1");
        assert_eq!(client.reply().text(), "1");
        client.head("GET", "/", &[]);
        visit.request();
        visit.answer("2");
        assert_eq!(client.reply().text(), "2");
        gateway.is_clean();
    });
}

#[test]
fn trailers_without_end_are_taken_from_nobody() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let many = "X-A: b\r\n".repeat(33);
        let mut client = gateway.client();
        client.head("POST", "/", &["Transfer-Encoding: chunked"]);
        let (visit, _) = backend.asked();
        client.send(format!("0\r\n{many}\r\n"));
        assert_eq!(client.reply().status, 400);
        drop(visit);
        let mut client = gateway.client();
        client.head("GET", "/", &["TE: trailers", "Connection: TE"]);
        let (mut visit, _) = backend.asked();
        visit.send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{many}\r\n"));
        assert_eq!(client.reply().status, 502);
        gateway.is_clean();
    });
}
