//! Facts about how modules are found, as operators write it.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::config::load::load;
use crate::config::source::Source;
use crate::gufo::dialect::Dialect;
use crate::snapshot::Snapshot;

const NEEDED: &str = "server.sign = \"0123456789abcdef\"\nsecurity.mode = \"sign\"\n";
const PLACED: &str =
    "microservices.masterservice.host = \"10.0.0.1\"\nmicroservices.masterservice.port = 5300\n";

fn source(text: &str) -> Source {
    let (path, text) = ("s.toml".to_owned(), format!("{NEEDED}{text}"));
    Source { path, text, ..Source::default() }
}

#[track_caller]
fn compiled(text: &str) -> Snapshot {
    let (config, notes) = load(source(text)).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(notes.is_empty(), "{notes:?}");
    let resolve = |_: &str, port| Ok(vec![SocketAddr::from(([10, 9, 9, 9], port))]);
    config.compile(1, &resolve).unwrap().0
}

/// The message of the only fault.
#[track_caller]
fn fault(text: &str) -> String {
    let faults = load(source(text)).expect_err("no fault was found");
    assert_eq!(faults.list().len(), 1, "{faults}");
    faults.list()[0].message.clone()
}

#[test]
fn a_master_is_asked_where_one_is_on_and_known_unless_the_mode_says_otherwise() {
    let on = format!("server.masterservice = true\n{PLACED}");
    let session = "server.session = false\n";
    for (text, want) in [
        (on.clone(), true),
        (format!("{session}{PLACED}"), false),
        (format!("{session}server.masterservice = false\n{PLACED}"), false),
        (format!("server.registry_mode = \"master\"\n{PLACED}"), true),
        (format!("{session}server.registry_mode = \"static\"\n{on}"), false),
    ] {
        let snapshot = compiled(&text);
        assert_eq!(snapshot.gufo.registry.is_some(), want, "{text}");
        assert_eq!(snapshot.gufo.module(b"masterservice").unwrap().dialect, Dialect::A);
    }
}

#[test]
fn a_table_without_a_place_says_how_a_found_module_is_called() {
    let text = format!(
        "server.masterservice = true\nserver.region = \"eu\"\nserver.sysdir = \"/var/otus\"\n\
         masterregistry.ttl = 30\nmasterregistry.stale_max = \"1h\"\n{PLACED}\
         [microservices.users]\ndialect = \"c\"\ntype = \"internal\"\nretry.attempts = 2\n\
         [microservices.own]\nhost = \"10.0.0.2\"\nport = 1\n"
    );
    let snapshot = compiled(&text);
    let registry = snapshot.gufo.registry.as_ref().unwrap();
    let [users] = &registry.templates[..] else { panic!("{registry:?}") };
    assert_eq!((&*users.module.name, users.module.dialect), ("users", Dialect::C));
    assert!(users.module.internal && users.upstream.retry.attempts_max == 2);
    assert_eq!(registry.general.module.dialect, Dialect::B);
    assert_eq!((&*registry.home.region, &*registry.home.group), ("eu", ""));
    assert_eq!(registry.file.as_deref(), Some(std::path::Path::new("/var/otus/registry.json")));
    assert_eq!(registry.rules.ttl, Duration::from_secs(30));
    assert_eq!(registry.rules.refresh, Duration::from_secs(30));
    assert_eq!(registry.rules.stale_max, Duration::from_hours(1));
    assert!(registry.finds_session);
    assert_eq!(snapshot.gufo.modules().len(), 2);
    assert!(snapshot.gufo.is_unplaced(b"users") && !snapshot.gufo.is_unplaced(b"own"));
}

#[test]
fn several_masters_keep_their_order() {
    let text = "server.masterservice = true\n[microservices.masterservice]\n\
         hosts = [\"10.0.0.9:5300\", \"master.eu:5300\", \"10.0.0.1:5300\"]\n";
    let snapshot = compiled(text);
    let module = snapshot.gufo.module(b"masterservice").unwrap();
    let upstream = snapshot.upstream(module.upstream).unwrap();
    let ranks = |shares: Vec<Share>| shares.iter().map(|share| share.rank).collect::<Vec<_>>();
    let endpoints = upstream.endpoints.iter().map(|endpoint| endpoint.share);
    assert_eq!(ranks(endpoints.collect()), [0, 1, 2]);
    assert_eq!(ranks(upstream.shares.clone()), [0, 1, 2]);
}

#[test]
fn what_is_wrong_about_masters_is_told() {
    for (text, want) in [
        ("server.masterservice = true", "the masterservice is on, and has no host and port"),
        ("server.registry_mode = \"master\"", "the masterservice is on, and has no host and port"),
        ("microservices.masterservice.hosts = [\"x\"]", "`hosts`: \"x\" is no host with a port"),
        ("microservices.masterservice.hosts = []", "`hosts` is empty"),
        (
            "microservices.masterservice = { hosts = [\"a:1\"], host = \"a\", port = 1 }",
            "the masterservice has `hosts`, and another address as well",
        ),
        ("masterregistry.stale_max = \"10s\"", "`ttl` is longer than `stale_max`"),
    ] {
        assert_eq!(fault(&format!("server.session = false\n{text}\n")), want, "{text}");
    }
}
