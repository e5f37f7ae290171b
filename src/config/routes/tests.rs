//! Facts about routes and upstreams as operators write them.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::config::load::load;
use crate::config::source::Source;
use crate::message::head::Method;
use crate::message::path::PathPolicy;
use crate::route::rule::{Facts, Headers};
use crate::route::select::Scratch;
use crate::snapshot::Snapshot;
use crate::snapshot::dns::{Dns, Family, Origin};
use crate::snapshot::upstream::{HashKey, HealthKind, HostField, Protocol};
use crate::upstream::balance::Balance;

const UPSTREAM: &str = "upstreams.a.endpoints = \"127.0.0.1:1\"\n";
/// What the Gufo surface needs.
const GUFO: &str = "server = { sign = \"0123456789abcdef\", session = false }\n\
                    security.mode = \"sign\"\nmicroservices.m = { host = \"::1\", port = 1 }\n";

fn source(text: &str) -> Source {
    let (path, text) = ("s.toml".to_owned(), text.to_owned());
    Source { path, text, ..Source::default() }
}

/// Knows one name.
fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "two" => Ok(vec![([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], port).into()]),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "nobody has this name")),
    }
}

#[track_caller]
fn compiled(text: &str) -> Snapshot {
    let (config, notes) = load(source(text)).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(notes.is_empty(), "{notes:?}");
    config.compile(1, &resolve).unwrap().0
}

/// `line code message` of the only fault.
#[track_caller]
fn fault(text: &str) -> String {
    let faults = load(source(text)).expect_err("no fault was found");
    assert_eq!(faults.list().len(), 1, "{faults}");
    let line = faults.list()[0].line();
    line.trim_start_matches("s.toml:").to_owned()
}

/// The name of the route that a request takes.
fn route<'a>(snapshot: &'a Snapshot, method: &str, host: &str, path: &str) -> Option<&'a Route> {
    let facts = Facts {
        host: host.as_bytes(),
        path: path.as_bytes(),
        method: Method::of(method.as_bytes()),
        method_text: method.as_bytes(),
        headers: Headers::default(),
    };
    let mut scratch = Scratch::default();
    let found = snapshot.routes.table().select(&facts, &mut scratch).ok()?.found;
    snapshot.routes.get(found.route)
}

#[test]
fn every_value_of_a_route_reaches_the_snapshot() {
    let snapshot = compiled(
        "upstreams.a = { endpoints = \"127.0.0.1:1\", idle_timeout = \"7s\" }\n\n[[route]]\n\
         id = \"all\"\nmatch = { host = [\"x.com\", \"*.x.com\"], path = \"/u/{id}/{*rest}\", \
         methods = [\"GET\", \"PURGE\"], headers = { X-Version = \"2\", x-any = \"*\" } }\n\
         priority = 3\npath_policy = \"passthrough\"\nrewrite = \"/v/{id}\"\nupstream = \"a\"\n\
         timeouts = { connect = \"1s\", first_byte = \"2s\", total = \"4s\" }\n",
    );
    let [exact, suffix] = snapshot.routes.table().rules() else { panic!("two hosts") };
    assert_eq!(
        (exact.host.to_string(), suffix.host.to_string()),
        ("x.com".into(), "*.x.com".into())
    );
    assert_eq!(exact.path.to_string(), "/u/{id}/{*rest}");
    assert_eq!((exact.methods.text(), exact.priority), ("GET, PURGE".to_owned(), 3));
    assert_eq!(exact.path_policy, PathPolicy::Passthrough);
    let header = |name: &str, value: Option<&str>| HeaderRule {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(exact.headers, [header("x-version", Some("2")), header("x-any", None)]);
    let [first, second] = snapshot.routes.list() else { panic!("two hosts") };
    assert_eq!(first, second);
    assert_eq!((first.id.as_str(), first.place.as_str()), ("all", "s.toml:4"));
    assert_eq!(first.action, Action::Proxy(UpstreamId(0)));
    assert!(matches!(&first.rewrite, Rewrite::Replace(pieces) if pieces.len() == 2));
    let seconds = Duration::from_secs;
    let want = RouteTimeouts {
        connect: seconds(1),
        first_byte: seconds(2),
        idle: seconds(7),
        total: Some(seconds(4)),
    };
    assert_eq!(first.timeouts, want);
}

#[test]
fn every_value_of_an_upstream_reaches_the_snapshot() {
    let snapshot = compiled(
        "[upstreams.a]\nendpoints = [\"two:80\", \"[::1]:81\", \"two:80\"]\nbalance = \"hash\"\n\
         hash_by = \"header:X-User\"\nhost = \"example.com:8080\"\nconnect_timeout = \"1s\"\n\
         total_timeout = \"9s\"\npool = { connections = 2, idle = \"1s\" }\n\
         retry = { attempts = 1 }\noutlier = { failures = 0 }\n\
         health = { kind = \"http\", path = \"/up\", interval = \"1s\" }\n\
         transport = { nodelay = false }\n[upstreams.b]\nendpoints = \"127.0.0.1:1\"\n",
    );
    let [a, b] = snapshot.upstreams.as_slice() else { panic!("two upstreams") };
    let authorities: Vec<_> = a.endpoints.iter().map(|e| (e.authority(), e.address.ip())).collect();
    let ip = |text: &str| text.parse().unwrap();
    let want = [("two:80", "10.0.0.1"), ("two:80", "10.0.0.2"), ("[::1]:81", "::1")];
    assert_eq!(authorities, want.map(|(name, address)| (name.to_owned(), ip(address))));
    assert_eq!((a.protocol, a.balance), (Protocol::Http1, Balance::Hash));
    assert_eq!(a.hash_key, HashKey::Field("x-user".to_owned()));
    assert_eq!(a.host, HostField::Fixed("example.com:8080".to_owned()));
    assert_eq!((a.connect_timeout.as_secs(), a.timeouts.total), (1, Some(Duration::from_secs(9))));
    assert_eq!((a.pool.connections_max, a.retry.attempts_max, a.outlier.failures), (2, 1, 0));
    assert_eq!(a.health.as_ref().unwrap().kind, HealthKind::Http("/up".to_owned()));
    assert!(!a.transport.nodelay);
    let address = "127.0.0.1:1".parse().unwrap();
    let mut want = Snapshot::minimal();
    want.add_http_upstream("b", &[address]);
    assert_eq!(*b, want.upstreams[0], "the defaults are those that code gets");
}

#[test]
fn an_endpoint_that_does_not_resolve_is_warned_of() {
    let (config, _) = load(source("upstreams.a.endpoints = [\"none:1\", \"two:1\"]")).unwrap();
    let (snapshot, notes) = config.compile(1, &resolve).unwrap();
    assert_eq!(snapshot.upstreams[0].endpoints.len(), 2);
    assert_eq!(notes[0].code, Code::Unresolved);
}

#[test]
fn routes_are_proxied_redirected_or_answered() {
    let snapshot = compiled(&format!(
        "{UPSTREAM}[[route]]\nid = \"p\"\nupstream = \"a\"\n\
         [[route]]\nid = \"r\"\nmatch.prefix = \"/r\"\nredirect.to = \"https://x.com/y/\"\n\
         [[route]]\nid = \"s\"\nmatch = {{ path = \"/s\" }}\nredirect = \
         {{ to = \"\", status = 301 }}\n\
         rewrite = \"/t\"\n[[route]]\nid = \"n\"\nmatch = {{ path = \"/n\", kind = \"string\" }}\n\
         reply = 403\n"
    ));
    let action = |path: &str| route(&snapshot, "GET", "h", path).map(|route| route.action.clone());
    assert_eq!(action("/x"), Some(Action::Proxy(UpstreamId(0))));
    assert_eq!(action("/not"), Some(Action::Reply(403)));
    let Some(Action::Redirect(redirect)) = action("/r/z") else { panic!("a redirect") };
    let mut out = Vec::new();
    redirect.location(b"/r/z", Some(b"a=b"), &mut out);
    assert_eq!((out.as_slice(), redirect.status), (&b"https://x.com/y/r/z?a=b"[..], 308));
    let Some(Action::Redirect(redirect)) = action("/s") else { panic!("a redirect") };
    assert_eq!((redirect.to.as_str(), redirect.status), ("", 301));
}

#[test]
fn the_gufo_surface_keeps_its_paths_beside_a_route_for_all() {
    let snapshot = compiled(&format!(
        "{UPSTREAM}{GUFO}[[route]]\nid = \"all\"\nupstream = \"a\"\n\
         [[route]]\nid = \"in\"\npath = \"/in\"\nmodule = \"m\"\n"
    ));
    let action = |path: &str| route(&snapshot, "PUT", "h", path).map(|route| route.action.clone());
    assert_eq!(action("/api/v3/m/x"), Some(Action::Gufo(0)));
    assert_eq!(action("/api/v1"), Some(Action::Gufo(1)));
    assert_eq!(action("/in/x"), Some(Action::Upload(0)));
    assert_eq!(action("/api/v2"), Some(Action::Proxy(UpstreamId(1))));
    // Without routes of its own, an installation of Gufo is as it was.
    assert!(compiled(GUFO).routes.is_empty());
    let upload = "[[route]]\nid = \"in\"\npath = \"/in\"\nmodule = \"m\"\n";
    assert!(compiled(&format!("{GUFO}{upload}")).routes.is_empty());
}

#[test]
fn what_is_wrong_with_a_route_is_told_at_its_place() {
    for (lines, want) in [
        (
            "match.path = \"api\"",
            "4:14: OT0106: `match.path = \"api\"` does not begin with a slash",
        ),
        ("match.path = \"/{a}/{a}\"", "4:14: OT0106: `match.path = \"/{a}/{a}\"` has two"),
        ("match = { path = \"/\", prefix = \"/\" }", "4:32: OT0203: a route has a `path` and"),
        ("match.host = [\"a\", \"b:80\"]", "4:14: OT0106: `host`: \"b:80\" has a port"),
        ("match.methods = \"get\"", "4:17: OT0106: `methods`: \"get\" is no method"),
        ("match = { path = \"/{a}\", kind = \"string\" }", "4:18: OT0106: `match.path"),
        ("path = \"/b\"", "4:8: OT0203: `path` goes with `module`"),
        ("reply = 404", "4:9: OT0203: a route has upstream and reply"),
        ("redirect.to = \"https://b\"", "4:15: OT0203: a route has upstream and redirect.to"),
        ("strip_prefix = \"/b\"", "4:16: OT0106: `strip_prefix = \"/b\"` is not how"),
        ("rewrite = \"/{id}\"", "4:11: OT0106: `rewrite = \"/{id}\"` has a parameter that"),
        ("rewrite = \"/\"\nstrip_prefix = \"/\"", "4:11: OT0203: a route has `strip_prefix` and"),
        ("path_policy = \"lax\"", "4:15: OT0106: `path_policy = \"lax\"` is not one of"),
    ] {
        let text = format!("{UPSTREAM}[[route]]\nid = \"r\"\n{lines}\nupstream = \"a\"\n");
        let got = fault(&text);
        assert!(got.starts_with(want), "{lines}: {got}");
    }
}

#[test]
fn a_route_must_lead_somewhere() {
    let text = |lines: &str| format!("{UPSTREAM}[[route]]\nid = \"r\"\n{lines}\n");
    for (lines, want) in [
        ("match.path = \"/\"", "3:6: OT0201: a route does not say what becomes of its requests"),
        ("upstream = \"b\"", "4:12: OT0204: there is no upstream \"b\""),
        ("upstream = 5", "4:12: OT0103: `upstream = 5` is a whole number"),
        ("redirect.to = \"ftp://b\"", "4:15: OT0106: `redirect.to = \"ftp://b\"` is not where"),
        ("redirect.to = \"https://u@b\"", "4:15: OT0106: `redirect.to"),
        ("redirect.to = \"https://b?c\"", "4:15: OT0106: `redirect.to"),
        ("redirect.to = \"//b\"", "4:15: OT0106: `redirect.to"),
        ("redirect = { to = \"\", status = 304 }", "4:32: OT0106: `redirect.status` is not"),
        ("reply = 99", "4:9: OT0105: `reply"),
        ("upstream = \"a\"\nupgrade = \"h2c\"", "5:11: OT0106: `upgrade`: \"h2c\" would hide"),
    ] {
        let got = fault(&text(lines));
        assert!(got.starts_with(want), "{lines}: {got}");
    }
    let got = fault(&format!("{UPSTREAM}[[route]]\nupstream = \"a\"\n"));
    assert!(got.starts_with("3:12: OT0201: a route has no `id`"), "{got}");
    let gufo = format!("{GUFO}[[route]]\nid = \"r\"\nmodule = \"m\"\nreply = 403\n");
    let got = fault(&gufo);
    assert!(got.starts_with("7:9: OT0203: `reply` does not go with `module`"), "{got}");
}

#[test]
fn a_route_that_can_never_match_is_refused() {
    let first = "[[route]]\nid = \"one\"\nmatch.path = \"/u/{id}\"\nupstream = \"a\"\n";
    let second = "[[route]]\nid = \"two\"\nmatch.path = \"/u/{name}\"\nupstream = \"a\"\n";
    let got = fault(&format!("{UPSTREAM}{first}{second}"));
    assert!(got.contains("the route \"two\" can never match: \"one\" asks for the same"), "{got}");
    let got = fault(&format!("{UPSTREAM}{first}{second}priority = 1\n"));
    assert!(got.contains("the route \"one\" can never match: \"two\" asks for the same"), "{got}");
    compiled(&format!("{UPSTREAM}{first}{second}match.methods = \"GET\"\n"));
    let all = "[[route]]\nid = \"all\"\nupstream = \"a\"\n";
    let upload = "[[route]]\nid = \"up\"\nmodule = \"m\"\n";
    let got = fault(&format!("{UPSTREAM}{GUFO}{all}{upload}"));
    assert!(got.contains("this route can never match: \"all\" asks for the same"), "{got}");
}

#[test]
fn what_is_wrong_with_an_upstream_is_told() {
    for (lines, want) in [
        ("endpoints = []", "2:13: OT0201: `endpoints` is empty"),
        ("endpoints = \"a\"", "2:13: OT0106: `endpoints`: \"a\" is no host with a port"),
        ("endpoints = \"a:0\"", "2:13: OT0106: `endpoints`"),
        ("endpoints = \"http://a:1\"", "2:13: OT0106: `endpoints`"),
        ("balance = \"hash\"", "2:11: OT0201: upstream \"u\" has no endpoints"),
        ("endpoints = \"a:1\"\nhash_by = \"cookie\"", "3:11: OT0106: `hash_by` names no key"),
        ("endpoints = \"a:1\"\nhost = \"a b\"", "3:8: OT0106: `host` is no host"),
        ("endpoints = \"a:1\"\nretry.backoff = \"3s\"", "3:17: OT0203: `backoff` is longer"),
        ("endpoints = \"a:1\"\noutlier.ejection = \"1h\"", "3:20: OT0203: `ejection` is longer"),
    ] {
        let got = fault(&format!("[upstreams.u]\n{lines}\n"));
        assert!(got.starts_with(want), "{lines}: {got}");
    }
    let got = fault(&format!("{GUFO}upstreams.m.endpoints = \"a:1\"\n"));
    assert!(got.contains("there is a microservice \"m\" as well"), "{got}");
}

#[test]
fn ten_thousand_routes_are_read_in_their_order() {
    let mut text = UPSTREAM.to_owned();
    for number in 0..10_001 {
        let _ = write!(
            text,
            "[[route]]\nid = \"r{number}\"\nmatch.path = \"/x\"\nmatch.headers.a = \"{number}\"\n\
             upstream = \"a\"\n"
        );
    }
    let snapshot = compiled(&text);
    let ids: Vec<_> = snapshot.routes.list().iter().map(|route| route.id.clone()).collect();
    assert!(ids.iter().enumerate().all(|(number, id)| *id == format!("r{number}")));
}

#[test]
fn names_are_resolved_later_and_services_have_no_port() {
    let endpoints = "\"10.0.0.1:1\", \"two:2\", \"_a._tcp.x\", \"x.y.:3\"";
    let text = format!("upstreams.a.endpoints = [{endpoints}]");
    let (config, _) = load(source(&text)).unwrap();
    let leave = crate::config::source::leave;
    let (snapshot, notes) = config.compile(1, &leave).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let host = |name: &str, port| Origin::Host { name: name.to_owned(), port };
    let address = "10.0.0.1:1".parse().unwrap();
    let service = Origin::Service("_a._tcp.x".to_owned());
    let want = [Origin::Address(address), host("two", 2), service, host("x.y.", 3)];
    assert_eq!(snapshot.upstreams[0].origins, want);
    let known: Vec<_> = snapshot.upstreams[0].endpoints.iter().map(|e| e.address).collect();
    assert_eq!(known, [address]);
}

#[test]
fn rules_for_names_and_for_proxies_are_read() {
    let snapshot = compiled(
        "server.proxy_protocol = \"required\"\nserver.trusted_peers = [\"10.0.0.0/8\"]\n\
         upstreams.a = { endpoints = [\"127.0.0.1:1\"], send_proxy_protocol = \"v2\" }\n\
         dns = { servers = [\"10.0.0.2\", \"[::1]:5353\"], family = \"ipv4\", min_ttl = \"1s\" }\n",
    );
    assert!(snapshot.server.proxy_protocol && snapshot.upstreams[0].send_proxy_protocol);
    let servers = ["10.0.0.2:53", "[::1]:5353"].map(|text| text.parse().unwrap());
    let min_ttl = Duration::from_secs(1);
    let family = Family::Ipv4;
    let want = Dns { servers: servers.to_vec(), family, min_ttl, ..Dns::default() };
    assert_eq!(snapshot.dns, want, "what is not written is as in code");
    for (text, want) in [
        ("dns.servers = [\"ns.x\"]", "1:15: error[OT0106]: `servers`: \"ns.x\" is no address"),
        ("dns.min_ttl = \"1h\"", "1:15: error[OT0203]: `min_ttl` is longer than `max_ttl`"),
        ("upstreams.a.endpoints = [\"_a._tcp.x:1\", \"_a\"]", "\"_a\" is no host with a port"),
        (
            "server.proxy_protocol = \"required\"",
            "1:25: error[OT0203]: `proxy_protocol = \"required\"`, and nobody is in",
        ),
        (
            "upstreams.a = { endpoints = [\"h:1\"], protocol = \"grpc\", \
             send_proxy_protocol = \"v2\" }",
            "`send_proxy_protocol` does not go with",
        ),
    ] {
        let faults = load(source(text)).expect_err(text).to_string();
        assert!(faults.contains(want), "{faults}");
    }
}
