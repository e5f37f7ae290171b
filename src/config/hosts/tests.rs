//! Facts about hosts files as operators write them.

use std::fs;

use crate::config::load::load;
use crate::config::source::{HostsFile, Source, leave};
use crate::message::head::Method;
use crate::route::rule::{Facts, Headers};
use crate::route::select::Scratch;
use crate::snapshot::Snapshot;
use crate::snapshot::route::{Action, Route};
use crate::snapshot::upstream::HostField;

const YAML: &str = include_str!("../../../config/hosts.example.yaml");
const TOML: &str = r#"
[redirects]
"old.example.com" = "https://www.example.com"
[[routes."api.example.com"]]
prefix = "/v1/chat"
backend = "http://127.0.0.1:8000"
rewrite = "/api/chat"
[[routes."api.example.com"]]
prefix = "/"
backend = "http://127.0.0.1:8001"
[subdomains]
"apps.example.com" = "http://127.0.0.1:8002"
"#;

fn source(name: &str, text: &str) -> Source {
    let hosts = HostsFile { path: name.to_owned(), text: text.to_owned() };
    Source { path: "s.toml".to_owned(), hosts: Some(hosts), ..Source::default() }
}

#[track_caller]
fn compiled(name: &str, text: &str) -> Snapshot {
    let (config, notes) = load(source(name, text)).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(notes.is_empty(), "{notes:?}");
    config.compile(1, &leave).unwrap().0
}

fn route<'a>(snapshot: &'a Snapshot, host: &str, path: &str) -> Option<&'a Route> {
    let facts = Facts {
        host: host.as_bytes(),
        path: path.as_bytes(),
        method: Method::Get,
        method_text: b"GET",
        headers: Headers::default(),
    };
    let found = snapshot.routes.table().select(&facts, &mut Scratch::default()).ok()?.found;
    snapshot.routes.get(found.route)
}

#[test]
fn yaml_and_toml_say_the_same() {
    for (name, text) in [("h.yaml", YAML), ("h.toml", TOML)] {
        let snapshot = compiled(name, text);
        let id = |host: &str, path: &str| route(&snapshot, host, path).map(|r| r.id.as_str());
        let chat = "hosts:api.example.com/v1/chat";
        assert_eq!(id("api.example.com", "/v1/chat/a"), Some(chat), "{name}");
        assert_eq!(id("api.example.com", "/v1/chatter"), Some("hosts:api.example.com"));
        assert_eq!(id("a.b.apps.example.com", "/x"), Some("hosts:*.apps.example.com"));
        assert_eq!(id("apps.example.com", "/x"), None);
        assert_eq!(id("xapps.example.com", "/x"), None);
        assert_eq!(id("example.com", "/"), None);
        let chat = route(&snapshot, "api.example.com", "/v1/chat").unwrap();
        assert!(matches!(chat.action, Action::Proxy(_)), "{chat:?}");
        let upstream = snapshot.upstreams.iter().find(|u| u.name == "hosts:0:127_0_0_1:8000");
        let upstream = upstream.unwrap();
        assert_eq!(upstream.endpoints[0].address, ([127, 0, 0, 1], 8000).into());
        assert_eq!(upstream.host, HostField::Endpoint);
        assert!(chat.place.starts_with(&format!("{name}:")), "{}", chat.place);
    }
    assert_eq!(route(&compiled("h.toml", TOML), "api.example.com", "/").unwrap().place, "h.toml:9");
}

#[test]
fn a_redirect_keeps_path_and_query() {
    let snapshot = compiled("h.json", "{\"redirects\": {\"A.x\": \"https://b.x/y/\"}}");
    let Action::Redirect(redirect) = &route(&snapshot, "a.x", "/p").unwrap().action else {
        panic!("no redirect");
    };
    let mut out = Vec::new();
    redirect.location(b"/p", Some(b"q=1"), &mut out);
    assert_eq!((redirect.status, out.as_slice()), (301, b"https://b.x/y/p?q=1".as_slice()));
}

#[test]
fn a_prefix_may_be_compared_as_a_string() {
    let text = "routes:\n  a.x:\n  - {prefix: /a, backend: 'http://[::1]', match: string}\n";
    let snapshot = compiled("h.yml", text);
    assert!(route(&snapshot, "a.x", "/ab").is_some());
    assert_eq!(snapshot.upstreams[0].endpoints[0].authority(), "[::1]:80");
}

#[test]
fn faults_are_told_with_their_places() {
    let yaml = |text: &str, want: &str| check("h.yaml", text, want);
    yaml("a: 1\n", "1:1: OT0102: unknown key `a`");
    yaml("redirects:\n  a.x: b.x\n", "2:8: OT0106: \"b.x\" is not where a client");
    yaml("redirects:\n  a.x: ''\n", "2:8: OT0106: \"\" is not where");
    yaml("redirects:\n  a.x: https://A.x\n", "2:8: OT0106: \"https://A.x\" leads to the same");
    yaml("redirects: {a.x: 'https://b.x', a.x: 'https://c.x'}\n", "1:33: OT0203: `a.x` is written");
    yaml("redirects: [a]\n", "1:12: OT0103: `redirects` is a list");
    yaml("redirects:\n  ä y: https://b.x\n", "2:3: OT0106: \"ä y\" is no host");
    yaml("x: &a [1]\n", "1:4: OT0101: anchors are not read");
    yaml("x: *a\n", "1:4: OT0101: ");
    yaml("x: !t y\n", "1:4: OT0101: tags are not read");
    yaml("[[[[[[[[[a]]]]]]]]]\n", "1:9: OT0105: values lie too deep");
    yaml("a: b: c\n", "1:5: OT0101: ");
    yaml("{}\n--- {}\n", "2:1: OT0101: there is a second document");
    yaml("subdomains: {billing: 'http://a:1'}\n", "1:14: OT0106: \"billing\" is not how");
    yaml("subdomains: {a.x: 'https://a:1'}\n", "1:19: OT0202: \"https://a:1\" is of https");
    yaml("subdomains: {a.x: 'http://a:1/b'}\n", "1:19: OT0106: \"http://a:1/b\" has a path");
    yaml("subdomains: {a.x: 'http://a:0'}\n", "1:19: OT0106: `endpoints`: \"a:0\" is no host");
    yaml("subdomains: {a.x: none}\n", "1:19: OT0204: there is no upstream \"none\"");
    let one = |route: &str| format!("routes:\n  a.x:\n  - {route}\n");
    yaml(&one("{prefix: /a}"), "3:6: OT0201: a route has no `backend`");
    yaml(&one("{backend: 'http://a:1', prefix: a}"), "3:37: OT0106: ");
    yaml(&one("{backend: 'http://a:1', match: x}"), "3:36: OT0106: ");
    yaml(&one("{backend: 'http://a:1', rewrite: a}"), "3:38: OT0106: ");
    yaml(&one("{backend: 'http://a:1', x: a}"), "3:29: OT0102: unknown key `x`");
    let twice = format!("{}redirects: {{a.x: 'https://b.x'}}\n", one("{backend: 'http://a:1'}"));
    yaml(&twice, "2:3: OT0203: \"a.x\" is redirected");
    check("h.toml", "[redirects]\na.x = \"https://b.x\"\n", "2:1: OT0103: the value of `a` is");
    check("h.toml", "[redirects]\n\"a.x\" = 1\n", "2:9: OT0103: the value of `a.x` is a number");
    check("h.toml", "[redirects]\n\"a.x\" =\n", "2:8: OT0101: ");
}

/// `line:column: code: message` of the only fault.
#[track_caller]
fn check(name: &str, text: &str, want: &str) {
    let faults = load(source(name, text)).expect_err("no fault was found");
    assert_eq!(faults.list().len(), 1, "{faults}");
    let line = faults.list()[0].line();
    let (_, told) = line.split_once(':').unwrap();
    assert!(line.starts_with(name) && told.starts_with(want), "{line}\n{faults}");
}

#[test]
fn a_route_that_another_table_has_is_told() {
    let text = "upstreams.a.endpoints = \"127.0.0.1:1\"\n[[route]]\nid = \"own\"\n\
                match.host = \"a.x\"\nupstream = \"a\"\n";
    let hosts = source("h.yaml", "redirects: {a.x: 'https://b.x'}\n");
    let faults = load(Source { text: text.to_owned(), ..hosts }).unwrap_err();
    let want = "h.yaml:1:13: OT0203: the route \"hosts:a.x\" can never match: \"own\" asks";
    assert!(faults.list()[0].line().starts_with(want), "{faults}");
}

#[test]
fn the_file_is_read_again_from_beside_the_settings() {
    let directory = std::env::temp_dir().join(format!("otus-{}-hosts", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let settings = directory.join("settings.toml");
    fs::write(&settings, "hosts.file = \"hosts.yaml\"\n").unwrap();
    let missing = Source::read(&settings).unwrap_err();
    for host in ["a.x", "b.x"] {
        let text = format!("redirects: {{{host}: 'https://c.x'}}\n");
        fs::write(directory.join("hosts.yaml"), text).unwrap();
        let (config, _) = load(Source::read(&settings).unwrap()).unwrap();
        let snapshot = config.compile(1, &leave).unwrap().0;
        assert_eq!(snapshot.routes.list()[0].id, format!("hosts:{host}"));
    }
    fs::remove_dir_all(&directory).unwrap();
    assert!(missing.list()[0].line().contains("hosts.yaml: OT0107: cannot be read"), "{missing}");
}
