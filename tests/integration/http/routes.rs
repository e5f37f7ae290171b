//! Which route a request takes, and what is done with it.

use std::net::SocketAddr;

use crate::support::backend::{Backend, ok};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::proxy::start;

use otus::snapshot::server::IoDriver;

/// A back end that says its name and the target that it was asked for.
fn named(name: &'static str) -> SocketAddr {
    let answer = move |seen: &crate::support::backend::Seen, _: &[u8]| {
        ok(&format!("{name} {} {}", seen.method, seen.target)).into_bytes()
    };
    Backend::listen().serve(answer).0
}

/// Routes with one upstream each.
fn gateway(io: IoDriver, routes: &[(&'static str, &str)]) -> Gateway {
    let text = routes.iter().map(|(name, keys)| {
        let upstream = format!("[upstreams.{name}]\nendpoints = [\"{}\"]\n", named(name));
        format!("{upstream}[[route]]\nid = \"{name}\"\nupstream = \"{name}\"\n{keys}\n")
    });
    let text: String = text.collect();
    start(io, &text)
}

fn ask(client: &mut Client, method: &str, host: &str, path: &str, more: &str) -> Reply {
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
    client.reply()
}

#[test]
fn the_most_specific_host_wins() {
    on_both_drivers(|io| {
        let gateway = gateway(
            io,
            &[
                ("any", ""),
                ("suffix", "match = { host = \"*.example.com\" }"),
                ("longer", "match = { host = \"*.b.example.com\" }"),
                ("exact", "match = { host = [\"www.example.com\", \"example.com\"] }"),
            ],
        );
        let mut client = gateway.client();
        for (host, want) in [
            ("www.example.com", "exact"),
            ("WWW.Example.COM:8080", "exact"),
            ("example.com", "exact"),
            ("a.example.com", "suffix"),
            ("a.c.example.com", "suffix"),
            ("a.b.example.com", "longer"),
            ("example.org", "any"),
            ("badexample.com", "any"),
            ("127.0.0.1", "any"),
        ] {
            let reply = ask(&mut client, "GET", host, "/x", "");
            assert_eq!(reply.text(), format!("{want} GET /x"), "{host}");
        }
    });
}

#[test]
fn the_most_specific_path_wins() {
    on_both_drivers(|io| {
        let gateway = gateway(
            io,
            &[
                ("root", "match = { prefix = \"/\" }"),
                ("prefix", "match = { prefix = \"/a\" }"),
                ("exact", "match = { path = \"/a/b\" }"),
                ("param", "match = { path = \"/users/{id}\" }"),
                ("literal", "match = { path = \"/users/me\" }"),
            ],
        );
        let mut client = gateway.client();
        for (path, want) in [
            ("/", "root /"),
            ("/ab", "root /ab"),
            ("/a", "prefix /a"),
            ("/a/c/d?q=1", "prefix /a/c/d?q=1"),
            ("/a/b", "exact /a/b"),
            ("/a/b/c", "prefix /a/b/c"),
            ("/users/7", "param /users/7"),
            ("/users/me", "literal /users/me"),
            ("/users/7/x", "root /users/7/x"),
            ("/a//b", "exact /a/b"),
            ("/%61/b", "exact /a/b"),
        ] {
            let (name, target) = want.split_once(' ').unwrap();
            let reply = ask(&mut client, "GET", "h", path, "");
            assert_eq!(reply.text(), format!("{name} GET {target}"), "{path}");
        }
    });
}

#[test]
fn a_method_that_no_route_takes_is_405_and_told_which_do() {
    on_both_drivers(|io| {
        let gateway = gateway(
            io,
            &[
                ("read", "match = { path = \"/x\", methods = [\"GET\", \"HEAD\"] }"),
                ("write", "match = { path = \"/x\", methods = [\"PUT\"] }"),
            ],
        );
        let mut client = gateway.client();
        assert_eq!(ask(&mut client, "GET", "h", "/x", "").text(), "read GET /x");
        let put = ask(&mut client, "PUT", "h", "/x", "Content-Length: 0\r\n");
        assert_eq!(put.text(), "write PUT /x");
        let reply = ask(&mut client, "DELETE", "h", "/x", "");
        assert_eq!((reply.status, reply.keeps()), (405, true));
        let mut allow: Vec<_> = reply.field("allow").unwrap().split(", ").collect();
        allow.sort_unstable();
        assert_eq!(allow, ["GET", "HEAD", "PUT"]);
        let reply = ask(&mut client, "GET", "h", "/y", "");
        assert_eq!((reply.status, reply.field("allow")), (404, None));
        for method in ["TRACE", "CONNECT"] {
            let mut client = gateway.client();
            let target = if method == "CONNECT" { "h:80" } else { "/x" };
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: h:80\r\n\r\n"));
            let status = client.reply().status;
            assert!([400, 405, 501].contains(&status), "{method}: {status}");
        }
    });
}

#[test]
fn a_refused_method_has_its_own_name_in_the_metrics() {
    on_both_drivers(|io| {
        let gateway = gateway(io, &[("read", "match = { path = \"/x\", methods = [\"GET\"] }")]);
        let mut client = gateway.client();
        client.head("TRACE", "/x", &[]);
        assert_eq!(client.reply().status, 405);
        let page = gateway.metrics();
        let told =
            page.lines().any(|line| line.contains("method_not_allowed") && line.ends_with(" 1"));
        assert!(told, "{page}");
    });
}

#[test]
fn fields_choose_routes() {
    on_both_drivers(|io| {
        let gateway = gateway(
            io,
            &[
                ("any", ""),
                ("two", "match = { headers = { x-version = \"2\" } }"),
                ("some", "match = { headers = { x-debug = \"*\" } }"),
            ],
        );
        let mut client = gateway.client();
        for (more, want) in [
            ("", "any"),
            ("X-Version: 2\r\n", "two"),
            ("X-Version: 3\r\n", "any"),
            ("x-debug: \r\n", "some"),
            ("X-Debug: y\r\n", "some"),
        ] {
            let reply = ask(&mut client, "GET", "h", "/", more);
            assert_eq!(reply.text(), format!("{want} GET /"), "{more}");
        }
    });
}

#[test]
fn paths_are_rewritten() {
    on_both_drivers(|io| {
        let gateway = gateway(
            io,
            &[
                ("strip", "match = { prefix = \"/api\" }\nstrip_prefix = \"/api\""),
                ("rewrite", "match = { path = \"/users/{id}\" }\nrewrite = \"/v2/u/{id}\""),
                ("prefix", "match = { path = \"/old/{*rest}\" }\nrewrite = \"/new\""),
            ],
        );
        let mut client = gateway.client();
        for (path, want) in [
            ("/api/x/y?a=%20b", "strip GET /x/y?a=%20b"),
            ("/api", "strip GET /"),
            ("/api?q", "strip GET /?q"),
            ("/users/a%20b?x", "rewrite GET /v2/u/a%20b?x"),
            ("/old/a/b", "prefix GET /new/a/b"),
        ] {
            assert_eq!(ask(&mut client, "GET", "h", path, "").text(), want, "{path}");
        }
    });
}

#[test]
fn redirects_and_replies_are_ours() {
    on_both_drivers(|io| {
        let gateway = start(
            io,
            "[[route]]\nid = \"out\"\nmatch = { host = \"old.example.com\" }\n\
             redirect = { to = \"https://example.com\", status = 301 }\n\
             [[route]]\nid = \"here\"\nmatch = { prefix = \"/a\" }\nstrip_prefix = \"/a\"\n\
             redirect = { to = \"\" }\n\
             [[route]]\nid = \"no\"\nmatch = { prefix = \"/internal\" }\nreply = 403\n\
             [[route]]\nid = \"gone\"\nmatch = { prefix = \"/empty\" }\nreply = 204\n",
        );
        let mut client = gateway.client();
        let mut check = |host: &str, path: &str, status: u16, location: Option<&str>| {
            let reply = ask(&mut client, "GET", host, path, "");
            assert_eq!((reply.status, reply.field("location")), (status, location), "{path}");
            assert!(reply.keeps());
        };
        check("old.example.com", "/x/y?a=1&b", 301, Some("https://example.com/x/y?a=1&b"));
        check("old.example.com", "/", 301, Some("https://example.com/"));
        check("h", "/a/b?c", 308, Some("/b?c"));
        check("h", "/internal/x", 403, None);
        check("h", "/empty", 204, None);
        check("h", "/else", 404, None);
        // A target that a browser takes for another host is not given out.
        let reply = ask(&mut client, "GET", "h", "/a//evil.test/x", "");
        assert!(!reply.field("location").unwrap_or("").starts_with("//"), "{reply:?}");
        let reply = ask(&mut client, "GET", "h", "/a/%2Fevil.test/x", "");
        assert!(!reply.field("location").unwrap_or("").starts_with("//"), "{reply:?}");
    });
}

#[test]
fn a_path_that_is_odd_is_400() {
    on_both_drivers(|io| {
        let gateway = gateway(io, &[("all", "")]);
        let mut client = gateway.client();
        for path in [
            "/..",
            "/a/../../b",
            "/%2e%2e/x",
            "/a%00b",
            "/a%0d%0ab",
            "/%zz",
            "/%c0%af",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a;b",
            "/%252e%252e/",
        ] {
            let reply = ask(&mut client, "GET", "h", path, "");
            assert_eq!(reply.status, 400, "{path}: {}", reply.text());
            if !reply.keeps() {
                client = gateway.client();
            }
        }
        assert_eq!(
            ask(&mut client, "GET", "h", "/a//b?x=/../%2f", "").text(),
            "all GET /a/b?x=/../%2f"
        );
        gateway.is_clean();
    });
}

#[test]
fn the_path_policy_is_that_of_the_route() {
    on_both_drivers(|io| {
        let gateway = gateway(
            io,
            &[
                ("strict", ""),
                ("decode", "match = { prefix = \"/d\" }\npath_policy = \"decode\""),
                ("pass", "match = { prefix = \"/p\" }\npath_policy = \"passthrough\""),
            ],
        );
        let mut client = gateway.client();
        assert_eq!(ask(&mut client, "GET", "h", "/d/a%2fb;c", "").text(), "decode GET /d/a/b");
        assert_eq!(ask(&mut client, "GET", "h", "/p/a%2fb;c", "").text(), "pass GET /p/a%2Fb;c");
        assert_eq!(ask(&mut client, "GET", "h", "/p/a%2f..%2f..%2fx", "").status, 400);
        assert_eq!(ask(&mut client, "GET", "h", "/x/a%2fb", "").status, 400);
    });
}

#[test]
fn a_request_about_the_server_itself_is_answered() {
    on_both_drivers(|io| {
        let gateway = gateway(io, &[("all", "")]);
        let mut client = gateway.client();
        let reply = ask(&mut client, "OPTIONS", "h", "*", "");
        assert!(reply.status < 500, "{}", reply.status);
        assert_eq!(ask(&mut gateway.client(), "GET", "h", "*", "").status, 400);
        gateway.is_clean();
    });
}
