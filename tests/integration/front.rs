//! What comes before all else on a route: CORS, hosts, addresses, sizes, what browsers are told.

use std::fs;

use otus::snapshot::server::IoDriver;

use crate::support::backend::Backend;
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::proxy::{NEEDED, start, try_compiled, upstream};
use otus::config::source::Source;

const TRUSTED: &str = "server.trusted_peers = [\"127.0.0.0/8\"]\n";
const CORS: &str = "[cors.app]\norigins = [\"https://app.test\", \"https://*.b.test\"]\n\
    methods = [\"GET\", \"PUT\"]\nheaders = [\"Authorization\"]\nexpose = [\"X-Total\"]\n\
    credentials = true\nmax_age = \"10m\"\n";

/// Everything goes to one back end, on a route with more keys.
fn before(io: IoDriver, first: &str, keys: &str, tables: &str) -> (Gateway, Backend) {
    let backend = Backend::listen();
    let route = format!("[[route]]\nid = \"all\"\nupstream = \"a\"\n{keys}\n");
    let upstream = upstream(&[backend.address], "");
    (start(io, &format!("{first}{upstream}{tables}{route}")), backend)
}

/// Asks, and lets the back end answer with these fields.
fn ask(client: &mut Client, backend: &Backend, fields: &[&str], answer: &str) -> Reply {
    client.head("GET", "/x", fields);
    let (mut visit, _) = backend.asked();
    visit
        .send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n{answer}\r\n"));
    client.reply()
}

fn values<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
    let found = reply.fields.iter().filter(|(field, _)| field == name);
    found.map(|(_, value)| value.as_str()).collect()
}

/// Why a configuration is refused.
#[track_caller]
fn faults(text: &str) -> String {
    let source = Source {
        path: "settings.toml".to_owned(),
        text: format!("{NEEDED}{text}"),
        ..Source::default()
    };
    try_compiled(IoDriver::Epoll, source, 1).expect_err("it is refused")
}

#[test]
fn a_preflight_is_answered_by_the_gateway_and_not_by_the_back_end() {
    on_both_drivers(|io| {
        let keys =
            "cors = \"app\"\nmatch = { methods = [\"GET\", \"PUT\"] }\ndeny = [\"127.0.0.0/8\"]";
        let (gateway, backend) = before(io, "", keys, CORS);
        let mut client = gateway.client();
        let asked = ["Origin: https://app.test", "Access-Control-Request-Method: PUT"];
        client.head("OPTIONS", "/x", &asked);
        let reply = client.reply();
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        for (name, want) in [
            ("access-control-allow-origin", "https://app.test"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "Authorization"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(reply.field(name), Some(want), "{name}");
        }
        assert!(reply.field("vary").unwrap().starts_with("Origin, "));
        // An origin that is not listed learns nothing, and a wildcard does not hold its own name.
        for origin in ["https://evil.test", "https://b.test", "null", "https://app.test.evil.test"]
        {
            let asked = [&format!("Origin: {origin}"), "Access-Control-Request-Method: PUT"];
            client.head("OPTIONS", "/x", &asked);
            let reply = client.reply();
            assert_eq!(reply.status, 403, "{origin}");
            assert!(!reply.fields.iter().any(|(name, _)| name.starts_with("access-control-")));
            assert_eq!(reply.json()["code"], "origin_refused");
        }
        assert!(backend.is_unvisited());
        // Without both fields it is an ordinary request; here none that the route takes.
        client.head("OPTIONS", "/x", &["Origin: https://app.test"]);
        assert_eq!(client.reply().status, 405);
        // What the preflight was for is refused, in a way that the page can read.
        client.head("GET", "/x", &["Origin: https://x.b.test"]);
        let reply = client.reply();
        assert_eq!(reply.status, 403);
        assert_eq!(reply.field("access-control-allow-origin"), Some("https://x.b.test"));
    });
}

#[test]
fn only_the_gateway_speaks_cors() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "", "cors = \"app\"", CORS);
        let mut client = gateway.client();
        let theirs = "Access-Control-Allow-Origin: *\r\naccess-control-allow-credentials: true\r\n\
                      Access-Control-X: 1\r\nVary: Accept\r\n";
        let reply = ask(&mut client, &backend, &["Origin: https://app.test"], theirs);
        assert_eq!(values(&reply, "access-control-allow-origin"), ["https://app.test"]);
        assert_eq!(values(&reply, "access-control-allow-credentials"), ["true"]);
        assert_eq!(values(&reply, "access-control-expose-headers"), ["X-Total"]);
        assert_eq!(values(&reply, "vary"), ["Accept", "Origin"]);
        assert_eq!(reply.field("access-control-x"), None);
        for fields in [&["Origin: https://evil.test"][..], &[]] {
            let reply = ask(&mut client, &backend, fields, theirs);
            assert_eq!(reply.status, 200);
            assert!(!reply.fields.iter().any(|(name, _)| name.starts_with("access-control-")));
            assert_eq!(values(&reply, "vary"), ["Accept", "Origin"]);
        }
        // A route without CORS leaves it to the back end.
        let (gateway, backend) = before(io, "", "", "");
        let reply = ask(&mut gateway.client(), &backend, &["Origin: https://a.test"], theirs);
        assert_eq!(values(&reply, "access-control-allow-origin"), ["*"]);
    });
}

#[test]
fn a_star_with_credentials_is_a_fault_of_the_configuration() {
    let text = |cors: &str| {
        format!(
            "[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n[cors.c]\n{cors}\n\
             [[route]]\nid = \"x\"\nupstream = \"a\"\ncors = \"c\"\n\
             [[route]]\nid = \"y\"\nupstream = \"a\"\ncors = \"c\"\nmatch = {{ prefix = \"/y\" }}\n"
        )
    };
    for (cors, want) in [
        ("origins = [\"*\"]\ncredentials = true", "with `credentials = true`"),
        ("origins = [\"null\"]\ncredentials = true", "with `credentials = true`"),
        ("origins = [\"a.test\"]", "\"a.test\" cannot be listed"),
        ("max_age = \"1m\"", "lists no `origins`"),
    ] {
        let told = faults(&text(cors));
        assert!(told.contains(want) && told.contains("settings.toml:"), "{told}");
        assert_eq!(told.matches(want).count(), 1, "told once for both routes: {told}");
    }
    let dangling = "[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n\
                    [[route]]\nid = \"x\"\nupstream = \"a\"\ncors = \"c\"\n";
    assert!(faults(dangling).contains("there is no [cors.c]"));
}

#[test]
fn browsers_are_told_to_be_careful_in_every_answer() {
    on_both_drivers(|io| {
        let table = "[security_headers.strict]\nframe = \"DENY\"\ncsp = \"default-src 'self'\"\n\
                     referrer = \"no-referrer\"\nhsts = \"730d\"\nhsts_subdomains = true\n";
        let keys = "security_headers = \"strict\"\ndeny = [\"192.0.2.0/24\"]";
        let (gateway, backend) = before(io, TRUSTED, keys, table);
        let mut client = gateway.client();
        let theirs = "X-Frame-Options: ALLOWALL\r\nReferrer-Policy: unsafe-url\r\nX-Own: 1\r\n";
        let reply = ask(&mut client, &backend, &[], theirs);
        assert_eq!(values(&reply, "x-frame-options"), ["DENY"]);
        assert_eq!(values(&reply, "referrer-policy"), ["no-referrer"]);
        assert_eq!(values(&reply, "x-content-type-options"), ["nosniff"]);
        assert_eq!(values(&reply, "content-security-policy"), ["default-src 'self'"]);
        assert_eq!(values(&reply, "x-own"), ["1"]);
        assert_eq!(reply.field("strict-transport-security"), None);
        // Over TLS, which a proxy that is trusted may have spoken; refusals say it too.
        let fields = ["X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1"];
        client.head("GET", "/", &fields);
        let reply = client.reply();
        assert_eq!(reply.status, 403);
        let hsts = "max-age=63072000; includeSubDomains";
        assert_eq!(reply.field("strict-transport-security"), Some(hsts));
        assert_eq!(reply.field("x-frame-options"), Some("DENY"));
    });
}

#[test]
fn clients_are_known_by_the_address_that_trusted_proxies_tell() {
    on_both_drivers(|io| {
        let file = std::env::temp_dir().join(format!("otus-front-{}-{io:?}", std::process::id()));
        fs::write(&file, "# partners\n203.0.113.0/24\n\n2001:db8::/32 # six\n").unwrap();
        let keys = format!(
            "allow = [\"10.0.0.0/8\"]\nallow_file = \"{}\"\ndeny = [\"10.6.0.0/16\"]",
            file.display()
        );
        let (gateway, backend) = before(io, TRUSTED, &keys, "");
        let mut client = gateway.client();
        for (address, served) in [
            ("10.1.1.1", true),
            ("203.0.113.9", true),
            ("2001:db8::1", true),
            ("::ffff:10.1.1.1", true),
            ("10.6.1.1", false),
            ("::ffff:10.6.1.1", false),
            ("11.0.0.1", false),
            ("2001:db9::1", false),
        ] {
            let field = format!("X-Forwarded-For: {address}");
            if served {
                assert_eq!(ask(&mut client, &backend, &[&field], "").status, 200, "{address}");
            } else {
                client.head("GET", "/", &[&field]);
                let reply = client.reply();
                assert_eq!(reply.status, 403, "{address}");
                assert_eq!(reply.json()["code"], "address_refused");
            }
        }
        // Nobody who is not trusted can say that he is somebody else.
        let (gateway, backend) = before(io, "", "allow = [\"10.0.0.0/8\"]", "");
        let mut client = gateway.client();
        client.head("GET", "/", &["X-Forwarded-For: 10.1.1.1"]);
        assert_eq!(client.reply().status, 403);
        assert!(backend.is_unvisited());
        fs::remove_file(&file).unwrap();
    });
}

#[test]
fn a_list_that_cannot_be_read_is_a_fault_and_lets_nobody_in() {
    let with = |file: &str| {
        faults(&format!(
            "[upstreams.a]\nendpoints = [\"127.0.0.1:1\"]\n[[route]]\nid = \"x\"\n\
             upstream = \"a\"\ndeny_file = \"{file}\"\n"
        ))
    };
    assert!(with("/nowhere/list").contains("`deny_file`: /nowhere/list cannot be read"));
    let file = std::env::temp_dir().join(format!("otus-front-{}-broken", std::process::id()));
    fs::write(&file, "10.0.0.0/8\n10.0.0.1/8\n").unwrap();
    let told = with(&file.display().to_string());
    assert!(told.contains(":2: this is no range of addresses"), "{told}");
    fs::remove_file(&file).unwrap();
}

#[test]
fn other_hosts_are_misdirected_and_plain_requests_are_sent_to_tls() {
    on_both_drivers(|io| {
        let keys = "allowed_hosts = [\"a.test\", \"*.b.test\"]\nhttps = \"redirect\"";
        let (gateway, backend) = before(io, TRUSTED, keys, "");
        let mut client = gateway.client();
        let mut get = |method: &str, path: &str, host: &str, more: &str| {
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
            client.reply()
        };
        for host in ["evil.test", "b.test", "a.test.evil.test"] {
            let reply = get("GET", "/", host, "");
            assert_eq!((reply.status, &reply.json()["code"]), (421, &"host_refused".into()));
        }
        let reply = get("GET", "/x?y=%20", "A.test:8080", "");
        assert_eq!(reply.status, 301);
        assert_eq!(reply.field("location"), Some("https://A.test/x?y=%20"));
        let reply = get("POST", "/x", "c.b.test", "Content-Length: 0\r\n");
        assert_eq!((reply.status, reply.field("location")), (308, Some("https://c.b.test/x")));
        let (plain, _backend) = before(io, "", "https = \"redirect\"", "");
        let mut nobody = plain.client();
        nobody.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(nobody.reply().status, 421, "there is no host to send it to");
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n");
        backend.asked().0.answer("");
        assert_eq!(client.reply().status, 200);
    });
}

#[test]
fn a_route_has_limits_of_its_own() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "", "max_body = \"10B\"\nmax_head = \"1KiB\"", "");
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 11"]);
        let reply = client.reply();
        assert_eq!((reply.status, &reply.json()["code"]), (413, &"body_too_large".into()));
        let mut client = gateway.client();
        client.head("GET", "/", &[&format!("X-Long: {}", "x".repeat(1024))]);
        let reply = client.reply();
        assert_eq!((reply.status, &reply.json()["code"]), (431, &"head_too_large".into()));
        assert!(backend.is_unvisited());
        let mut client = gateway.client();
        client.head("POST", "/", &["Content-Length: 10"]);
        client.send("0123456789");
        let (mut visit, _) = backend.asked();
        assert_eq!(visit.exactly(10), b"0123456789");
        visit.answer("");
        assert_eq!(client.reply().status, 200);
        // A length that is not announced is counted as it passes.
        let mut client = gateway.client();
        client.head("POST", "/", &["Transfer-Encoding: chunked"]);
        client.send("5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n");
        assert_eq!(client.reply().status, 413);
    });
}

#[test]
fn clients_of_three_x_are_told_what_they_know() {
    on_both_drivers(|io| {
        let keys = "max_body = \"10B\"\nerrors = \"3x\"\nmatch.prefix = \"/x\"";
        let first = "server.errors = \"3x\"\nserver.request_id = \"hex24\"\n";
        let (gateway, backend) = before(io, first, keys, "");
        drop(backend);
        let mut client = gateway.client();
        let reply = client.get("/none/x");
        assert_eq!((reply.status, reply.text().as_str()), (404, "404 page not found\n"));
        let id = reply.field("x-request-id").unwrap();
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!(id.len() == 24 && id.bytes().all(is_digit), "{id}");
        let reply = client.get("/x");
        let told = (reply.status, reply.text());
        assert_eq!(told, (502, r#"{"error":"bad_gateway"}"#.to_owned()));
        assert_eq!(reply.field("content-type"), Some("application/json"));
        client.head("POST", "/x", &["Content-Length: 11"]);
        let reply = client.reply();
        let told = (reply.status, reply.text());
        assert_eq!(told, (413, r#"{"error":"request_too_large","max_bytes":10}"#.to_owned()));
    });
}
