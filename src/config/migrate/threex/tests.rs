//! Facts about migrated files.

use super::*;
use crate::config::load::load;
use crate::config::source::{Source, leave};
use crate::snapshot::Snapshot;

/// With every key that routes and servers have.
const WHOLE: &str = "\
server:
  addr: \"127.0.0.1:8080\"
  trusted_proxies: [\"10.1.2.3/8\", \"192.0.2.1\"]
  read_header_timeout_seconds: 5
  read_timeout_seconds: 15
  idle_timeout: 60s
  max_header_bytes: 1048576
  max_body_bytes: 2048
  colour: blue
routes:
  - name: users
    match:
      path_prefix: /api/users/
    upstream: http://127.0.0.1:9001
    strip_prefix: /api/users
  - name: orders
    match: { path_prefix: /api/orders }
    upstream: http://orders.test/base/
    strip_prefix: /api
  - name: more
    match: { path_prefix: /more/ }
    upstream: http://127.0.0.1:9001/?x=1
transport:
  dial_timeout_seconds: 3
";

#[track_caller]
fn compiled(text: &str) -> (Snapshot, Migrated) {
    let migrated = migrate("gateway.yaml", text).unwrap_or_else(|flaws| panic!("{flaws:?}"));
    let (path, text) = ("settings.toml".to_owned(), migrated.text.clone());
    let source = Source { path, text, ..Source::default() };
    let (config, _) = load(source).unwrap_or_else(|faults| panic!("{faults}\n{}", migrated.text));
    let (snapshot, _) = config.compile(1, &leave).unwrap_or_else(|faults| panic!("{faults}"));
    (snapshot, migrated)
}

#[track_caller]
fn fate<'a>(migrated: &'a Migrated, key: &str) -> (usize, &'a Fate) {
    let entry = migrated.report.entries.iter().find(|entry| entry.key == key);
    let entry = entry.unwrap_or_else(|| panic!("{key}: {}", migrated.report));
    (entry.line, &entry.fate)
}

#[test]
fn a_whole_file_becomes_settings_that_hold() {
    let (snapshot, _) = compiled(WHOLE);
    let server = &snapshot.server;
    assert_eq!(server.listeners[0].address, "127.0.0.1:8080".parse().unwrap());
    let trusted: Vec<_> = server.trusted_peers.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "192.0.2.1/32"]);
    assert_eq!(snapshot.timeouts.head, Duration::from_secs(5));
    assert_eq!(snapshot.timeouts.idle, Duration::from_mins(1));
    assert_eq!(snapshot.routes.list().len(), 3);
    assert_eq!(snapshot.upstreams.len(), 2, "one for each place, not for each route");
    assert_eq!(snapshot.upstreams[0].connect_timeout, Duration::from_secs(3));
    for route in snapshot.routes.list() {
        let policies = route.policies.as_ref().unwrap();
        assert_eq!(policies.front.as_ref().unwrap().body_max, Some(2048));
    }
}

#[test]
fn each_key_is_told_of_once_with_its_line() {
    let (_, migrated) = compiled(WHOLE);
    let renamed = |to: &str| Fate::Renamed(to.to_owned());
    assert_eq!(fate(&migrated, "server.max_body_bytes"), (8, &renamed("route.max_body")));
    assert_eq!(fate(&migrated, "routes[0].match.path_prefix").0, 13);
    assert_eq!(fate(&migrated, "routes[0].strip_prefix"), (15, &renamed("route.strip_prefix")));
    assert_eq!(fate(&migrated, "routes[1].strip_prefix").1, &renamed("route.rewrite"));
    for key in ["server.colour", "server.read_timeout_seconds", "server.max_header_bytes"] {
        assert!(matches!(fate(&migrated, key).1, Fate::Unsupported(_)), "{key}");
    }
    assert!(matches!(fate(&migrated, "routes[1].match.path_prefix").1, Fate::Changed(..)));
    assert!(matches!(fate(&migrated, "routes[2].upstream").1, Fate::Changed(..)));
    let mut keys: Vec<_> = migrated.report.entries.iter().map(|entry| &entry.key).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all, "{}", migrated.report);
    let shown = migrated.report.to_string();
    assert!(shown.contains("9  not supported server.colour: this key is not known"), "{shown}");
}

#[test]
fn paths_become_what_they_became_before() {
    let (snapshot, _) = compiled(WHOLE);
    for (path, want) in [
        ("/api/users/7", Some((0, "/7"))),
        ("/api/users/", Some((0, "/"))),
        ("/api/users", None),
        ("/api/orders", Some((1, "/base/orders"))),
        ("/api/orders/7", Some((1, "/base/orders/7"))),
        ("/api/ordersx", None),
        ("/more/x", Some((2, "/more/x"))),
        ("/other", None),
    ] {
        let facts = crate::route::rule::Facts {
            host: b"any.test",
            path: path.as_bytes(),
            method: crate::message::head::Method::Delete,
            method_text: b"DELETE",
            headers: crate::route::rule::Headers { fields: &[], bytes: b"" },
        };
        let found = snapshot.routes.table().find(&facts).map(|found| {
            let mut out = Vec::new();
            let route = snapshot.routes.get(found.route).unwrap();
            route.rewrite.apply(path.as_bytes(), &found, &mut out).unwrap();
            (found.route.index(), String::from_utf8(out).unwrap())
        });
        let want = want.map(|(index, path)| (index, path.to_owned()));
        assert_eq!(found, want, "{path}");
    }
}

#[test]
fn what_the_other_gateway_refused_is_refused() {
    let route = "routes:\n  - {name: a, match: {path_prefix: /a}, upstream: 'http://a.test'}\n";
    let server = "server: {addr: ':80'}\n";
    for (text, want) in [
        (route.to_owned(), "0 `server.addr` is missing"),
        (format!("server: {{addr: ''}}\n{route}"), "1 `server.addr` is empty"),
        (format!("server: {{addr: '80'}}\n{route}"), "1 `server.addr` is no address"),
        (server.to_owned(), "0 there are no routes"),
        (format!("{server}{route}{}", &route[8..]), "4 two routes have the name \"a\""),
        (format!("{server}{}", route.replace("/a", "a")), "3 `path_prefix` does not begin"),
        (format!("{server}{}", route.replace("http:", "ftp:")), "3 `upstream` is no URL"),
        (format!("{server}{}", route.replace("name: a, ", "")), "3 a route has no `name`"),
        (format!("{server}{route}  - &x {{}}\n"), "4 anchors are not read"),
        (format!("{server}{route}rate_limit: {{backend: memcached}}\n"), "4 unknown back end"),
    ] {
        let flaws = migrate("gateway.yaml", &text).expect_err(&text);
        let told = format!("{} {}", flaws[0].line, flaws[0].message);
        assert!(told.starts_with(want), "{told}, not {want}:\n{text}");
    }
}

/// A server, and a route `a` with these keys.
fn with(auth: &str, keys: &str) -> String {
    format!(
        "server: {{addr: ':80'}}\n{auth}routes:\n  - name: a\n    match: {{path_prefix: /a}}\n    \
         upstream: http://127.0.0.1:9001\n{keys}"
    )
}

#[test]
fn who_may_call_and_how_often_is_asked_as_before() {
    let secret = "a-secret-of-thirty-two-bytes-now";
    let auth = format!("auth: {{mode: hmac, hmac_secret: {secret}}}\n");
    let keys = "    auth_required: true\n    \
                rate_limit: {enabled: true, rps: 2.5, burst: 7, scope: user}\n    \
                concurrency: {max_in_flight: 3}\n    \
                circuit_breaker: {enabled: true, failure_threshold: 4, open_seconds: 9}\n";
    let (snapshot, migrated) = compiled(&with(&auth, keys));
    assert!(!migrated.report.to_string().contains(secret));
    assert_eq!(migrated.report.unsupported(), 0, "{}", migrated.report);
    assert_eq!(snapshot.auth.profiles[0].name, "main");
    let policies = snapshot.routes.list()[0].policies.as_ref().unwrap();
    assert_eq!(policies.errors, crate::policy::set::Errors::ThreeX);
    let asked = policies.auth.as_ref().unwrap();
    assert_eq!((asked.profiles.as_slice(), asked.anonymous), (&[0][..], false));
    let limit = policies.limit.as_ref().unwrap();
    assert_eq!(limit.rates[0].rule.rate.to_string(), "2.5/s");
    assert_eq!(limit.rates[0].rule.burst, 7);
    assert_eq!(limit.concurrency.as_ref().unwrap().max_in_flight, 3);
    let breaker = limit.breaker.as_ref().unwrap();
    assert_eq!((breaker.failures, breaker.open, breaker.probes), (4, Duration::from_secs(9), 1));
}

#[test]
fn what_is_off_is_left_out_and_said() {
    let keys = "    auth_required: false\n    rate_limit: {enabled: false, rps: 0, burst: 0}\n    \
                circuit_breaker: {enabled: false, failure_threshold: 4}\n    \
                concurrency: {max_in_flight: 0}\n";
    let (snapshot, migrated) = compiled(&with("auth: {mode: hmac}\n", keys));
    let policies = snapshot.routes.list()[0].policies.as_ref().unwrap();
    assert!(policies.auth.is_none() && policies.limit.is_none());
    assert!(matches!(fate(&migrated, "routes[0].rate_limit.enabled").1, Fate::Changed(..)));
    assert!(matches!(fate(&migrated, "auth.mode").1, Fate::Unsupported(_)));
}

#[test]
fn limits_that_are_shared_stay_so() {
    let store = "rate_limit: {backend: redis, redis: {addr: '127.0.0.1:6379', db: 2}}\n";
    let keys = "    rate_limit: {enabled: true, rps: 1, burst: 1}\n";
    let (snapshot, migrated) = compiled(&with(store, keys));
    assert!(snapshot.rate_store.is_some());
    let policies = snapshot.routes.list()[0].policies.as_ref().unwrap();
    assert!(policies.limit.as_ref().unwrap().rates[0].rule.sharing.is_some());
    let to = Fate::Renamed("rate_store.address".to_owned());
    assert_eq!(fate(&migrated, "rate_limit.redis.addr").1, &to);
}

#[test]
fn policies_that_the_other_gateway_refused_are_refused() {
    let jwks = "auth: {mode: jwks}\n";
    for (auth, keys, want) in [
        ("auth: {mode: magic}\n", "", "unknown mode of auth"),
        (jwks, "", "`auth.jwks.url` is missing"),
        ("auth: {mode: hmac}\n", "    auth_required: true\n", "`auth.hmac_secret` is missing"),
        ("", "    auth_required: true\n", "a route needs auth, and there is no `auth`"),
        ("", "    auth_required: perhaps\n", "`routes.000000.auth_required` is neither"),
        ("", "    rate_limit: {enabled: true, rps: 0, burst: 1}\n", "`rps` is no number above 0"),
        ("", "    rate_limit: {enabled: true, rps: 1}\n", "`burst` is missing"),
        ("", "    rate_limit: {enabled: true, rps: 1, burst: 1, scope: x}\n", "unknown scope"),
        ("", "    concurrency: {max_in_flight: -1}\n", "`max_in_flight` is no number"),
        (
            "",
            "    circuit_breaker: {enabled: true, open_seconds: 0}\n",
            "`open_seconds` is no number above 0",
        ),
    ] {
        let flaws = migrate("gateway.yaml", &with(auth, keys)).expect_err(want);
        assert!(flaws[0].message.starts_with(want), "{flaws:?}, not {want}");
    }
}
