//! Fields on their way through.

use std::time::Duration;

use crate::support::backend::{Backend, Seen};
use crate::support::client::{Client, Reply};
use crate::support::gateway::on_both_drivers;
use crate::support::proxy::{ALL, before_one, start, upstream};

const TRUSTED: &str = "server.trusted_peers = [\"127.0.0.0/8\"]\n";

/// Sends GET with these fields; how the back end saw it.
#[track_caller]
fn ask(client: &mut Client, backend: &Backend, fields: &[&str]) -> (Seen, Reply) {
    client.head("GET", "/", fields);
    let (mut visit, seen) = backend.asked();
    visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (seen, client.reply())
}

#[test]
fn fields_about_one_connection_end_there() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let fields = [
            "Connection: keep-alive, x-one,X-Two",
            "Connection: X-Three",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic eA==",
            "TE: trailers",
            "Trailer: X-End",
            "Upgrade: h2c",
            "X-One: 1",
            "X-Two: 2",
            "x-three: 3",
            "X-Four: 4",
        ];
        let (seen, _) = ask(&mut client, &backend, &fields);
        assert_eq!((seen.field("connection"), seen.field("te")), (Some("te"), Some("trailers")));
        for name in [
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "trailer",
            "upgrade",
            "x-one",
            "x-two",
            "x-three",
        ] {
            assert_eq!(seen.field(name), None, "{name}");
        }
        assert_eq!(seen.field("x-four"), Some("4"));
        client.head("GET", "/", &[]);
        let (mut visit, _) = backend.asked();
        visit.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, X-One\r\nX-One: 1\r\n\
             Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nTrailer: X\r\nUpgrade: h2c\r\n\
             Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Four: 4\r\n\r\n",
        );
        let reply = client.reply();
        for name in ["connection", "x-one", "keep-alive", "proxy-connection", "trailer", "upgrade"]
        {
            assert_eq!(reply.field(name), None, "{name}");
        }
        assert_eq!(reply.field("x-four"), Some("4"));
        let cookies = reply.fields.iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        gateway.is_clean();
    });
}

#[test]
fn nobody_can_have_the_fields_stripped_that_matter() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let config = format!("{TRUSTED}{}{ALL}", upstream(&[backend.address], ""));
        let gateway = start(io, &config);
        let mut client = gateway.client();
        client.head(
            "POST",
            "/",
            &[
                "Connection: host, content-length, authorization, cookie, x-forwarded-for",
                "Connection: x-forwarded-proto, x-real-ip, forwarded, x-request-id, via",
                "Content-Length: 2",
                "Authorization: Bearer x",
                "Cookie: a=1",
                "X-Forwarded-For: 192.0.2.1",
                "X-Forwarded-Proto: https",
                "X-Real-IP: 192.0.2.1",
                "Forwarded: for=192.0.2.1",
                "X-Request-Id: own",
                "Via: 1.1 other",
            ],
        );
        client.send("ab");
        let (mut visit, seen) = backend.asked();
        assert_eq!(visit.exactly(2), b"ab");
        visit.answer("");
        assert_eq!(client.reply().status, 200);
        for (name, value) in [
            ("host", "gateway.test"),
            ("content-length", "2"),
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("x-forwarded-for", "192.0.2.1, 127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "192.0.2.1"),
            ("x-request-id", "own"),
            ("via", "1.1 other, 1.1 otus"),
        ] {
            assert_eq!(seen.field(name), Some(value), "{name}");
        }
        gateway.is_clean();
    });
}

const FORWARDING: [&str; 7] = [
    "X-Forwarded-For: 192.0.2.1, 192.0.2.2",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: outside.test",
    "X-Forwarded-Port: 443",
    "X-Real-IP: 192.0.2.1",
    "Forwarded: for=192.0.2.1;proto=https",
    "Forwarded: for=192.0.2.2",
];

#[test]
fn what_a_stranger_says_of_the_client_is_replaced() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let (seen, _) = ask(&mut gateway.client(), &backend, &FORWARDING);
        for (name, value) in [
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
            ("x-forwarded-host", Some("gateway.test")),
            ("x-forwarded-port", None),
            ("x-real-ip", None),
            ("forwarded", Some("for=127.0.0.1;host=\"gateway.test\";proto=http")),
        ] {
            assert_eq!(seen.field(name), value, "{name}");
        }
    });
}

#[test]
fn what_a_trusted_peer_says_of_the_client_is_kept_and_extended() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let config = format!("{TRUSTED}{}{ALL}", upstream(&[backend.address], ""));
        let gateway = start(io, &config);
        let (seen, _) = ask(&mut gateway.client(), &backend, &FORWARDING);
        let own = "for=127.0.0.1;host=\"gateway.test\";proto=http";
        for (name, value) in [
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2, 127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "outside.test"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "192.0.2.1"),
            ("forwarded", &format!("for=192.0.2.1;proto=https, for=192.0.2.2, {own}")),
        ] {
            assert_eq!(seen.field(name), Some(value), "{name}");
        }
        let (seen, _) = ask(&mut gateway.client(), &backend, &[]);
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.field("forwarded"), Some(own));
    });
}

#[test]
fn both_sides_learn_the_id_of_the_request() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let (seen, reply) = ask(&mut client, &backend, &["X-Request-Id: its-own"]);
        assert_eq!(seen.field("x-request-id"), Some("its-own"));
        assert_eq!(reply.field("x-request-id"), Some("its-own"));
        let (seen, reply) = ask(&mut client, &backend, &["X-Request-Id: not harmless"]);
        assert_eq!(seen.field("x-request-id").unwrap().len(), 36);
        assert_eq!(seen.field("x-request-id"), reply.field("x-request-id"));
        let (other, _) = ask(&mut client, &backend, &[]);
        assert_ne!(seen.field("x-request-id"), other.field("x-request-id"));
        client.head("GET", "/", &["X-Request-Id: its-own"]);
        let (mut visit, _) = backend.asked();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: the-service's\r\n\r\n");
        let reply = client.reply();
        let ids = reply.fields.iter().filter(|(name, _)| name == "x-request-id");
        assert_eq!(ids.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["its-own"]);
    });
}

#[test]
fn a_valid_trace_goes_on_and_another_is_begun() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let field = format!("Traceparent: {trace}");
        let (seen, _) = ask(&mut client, &backend, &[&field, "Tracestate: a=1"]);
        assert_eq!(seen.field("traceparent"), Some(trace));
        assert_eq!(seen.field("tracestate"), Some("a=1"));
        for fields in [&[][..], &["Traceparent: 00-0-0-0"]] {
            let (seen, _) = ask(&mut client, &backend, fields);
            let own = seen.field("traceparent").unwrap();
            assert!(own.len() == 55 && own.starts_with("00-") && own != trace, "{own}");
        }
    });
}

#[test]
fn answers_say_which_way_they_came() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        let (seen, reply) = ask(&mut client, &backend, &["Via: 1.0 first", "Via: 1.1 second"]);
        assert_eq!(seen.field("via"), Some("1.0 first, 1.1 second, 1.1 otus"));
        assert_eq!(reply.field("via"), Some("1.1 otus"));
        assert!(reply.field("date").is_some());
        client.head("GET", "/", &[]);
        let (mut visit, _) = backend.asked();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        visit.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVia: 1.1 cache\r\nDate: {date}\r\n\r\n"
        ));
        let reply = client.reply();
        assert_eq!(reply.field("via"), Some("1.1 cache, 1.1 otus"));
        assert_eq!(reply.field("date"), Some(date));
    });
}

#[test]
fn the_host_is_the_one_that_was_chosen() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let endpoint = backend.address.to_string();
        for (more, want) in [
            ("", "gateway.test"),
            ("host = \"client\"", "gateway.test"),
            ("host = \"endpoint\"", &*endpoint),
            ("host = \"inside.test:81\"", "inside.test:81"),
        ] {
            let gateway = start(io, &format!("{}{ALL}", upstream(&[backend.address], more)));
            let (seen, _) = ask(&mut gateway.client(), &backend, &["X-Forwarded-Host: evil.test"]);
            assert_eq!(seen.field("host"), Some(want), "{more}");
            assert_eq!(seen.field("x-forwarded-host"), Some("gateway.test"), "{more}");
        }
    });
}

#[test]
fn an_absolute_target_goes_on_as_a_path_if_it_names_the_host() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        client.send("GET http://own.test/a?b HTTP/1.1\r\nHost: own.test\r\n\r\n");
        let (mut visit, seen) = backend.asked();
        assert_eq!((seen.target.as_str(), seen.field("host")), ("/a?b", Some("own.test")));
        visit.answer("");
        assert_eq!(client.reply().status, 200);
        client.send("GET http://other.test/a?b HTTP/1.1\r\nHost: own.test\r\n\r\n");
        assert_eq!(client.reply().status, 400);
        assert!(visit.is_quiet_for(Duration::from_millis(50)) && backend.is_unvisited());
    });
}

#[test]
fn no_number_of_fields_hides_one_about_the_connection() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let limits = "[limits]\nhead_fields = 128\n";
        let config = format!("{limits}{}{ALL}", upstream(&[backend.address], ""));
        let gateway = start(io, &config);
        for count in [100, 120, 123, 124, 125, 126, 130, 500] {
            let mut client = gateway.client();
            let many: Vec<String> = (0..count).map(|number| format!("X-{number}: 1")).collect();
            let mut fields: Vec<&str> = many.iter().map(String::as_str).collect();
            fields.extend(["Connection: Upgrade, X-Hop", "Upgrade: h2c", "X-Hop: 1"]);
            client.head("GET", "/", &fields);
            if count > 124 {
                assert_eq!(client.reply().status, 431, "{count}");
                continue;
            }
            let (mut visit, seen) = backend.asked();
            for name in ["connection", "upgrade", "x-hop"] {
                assert_eq!(seen.field(name), None, "{count}: {name}");
            }
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().status, 200);
        }
        gateway.is_clean();
    });
}
