//! Facts about the snapshot as a whole.

use std::net::SocketAddr;
use std::time::Duration;

use super::gufo::UploadRoute;
use super::server::Workers;
use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn the_minimal_snapshot_listens_on_loopback_at_any_port() {
    let snapshot = Snapshot::minimal();
    let [listener] = snapshot.server.listeners.as_slice() else { panic!("one listener") };
    assert_eq!(listener.address, address(0));
    assert_eq!(snapshot.server.admin, Some(address(0)));
    assert!(snapshot.gufo.modules().is_empty());
    assert!(!snapshot.gufo.sign.matches(b""));
}

#[test]
fn modules_are_found_by_name_and_keep_their_upstream() {
    let mut snapshot = Snapshot::minimal();
    for (name, port) in [("storage", 1), ("echo", 2), ("session_eu", 3), ("a", 4)] {
        snapshot.add_module(name, address(port));
    }
    for (name, port) in
        [("a", 4), ("echo", 2), ("session-eu", 3), ("session_eu", 3), ("storage", 1)]
    {
        let (index, module) = snapshot.gufo.find(name.as_bytes()).unwrap();
        assert_eq!(snapshot.gufo.modules()[index], *module);
        let upstream = snapshot.upstream(module.upstream).unwrap();
        assert_eq!(upstream.endpoints[0].address, address(port), "{name}");
    }
    for name in ["", "stor", "storage2", "Storage", "session eu"] {
        assert_eq!(snapshot.gufo.module(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn a_module_of_the_same_name_is_replaced() {
    let mut snapshot = Snapshot::minimal();
    snapshot.add_module("a-b", address(1));
    let second = snapshot.add_module("a_b", address(2));
    assert_eq!(snapshot.gufo.modules().len(), 1);
    assert_eq!(snapshot.gufo.module(b"a-b").unwrap().upstream, second);
}

#[test]
fn an_upload_route_covers_its_path_and_what_lies_below() {
    let mut snapshot = Snapshot::minimal();
    let route = |id: &str, path: &str| UploadRoute {
        id: id.to_owned(),
        path: path.to_owned(),
        module: "storage".to_owned(),
        param: "upload".to_owned(),
    };
    snapshot.gufo.upload_routes = vec![route("in", "/in"), route("all", "/")];
    for (path, want) in [("/in", "in"), ("/in/x", "in"), ("/inn", "all"), ("/", "all")] {
        let found = snapshot.gufo.upload_route(path.as_bytes()).map(|r| r.id.as_str());
        assert_eq!(found, Some(want), "{path}");
    }
    snapshot.gufo.upload_routes.truncate(1);
    assert_eq!(snapshot.gufo.upload_route(b"/inn"), None);
}

#[test]
fn an_authority_has_brackets_round_ipv6() {
    let mut snapshot = Snapshot::minimal();
    snapshot.add_module("four", address(80));
    snapshot.add_module("six", "[::1]:80".parse().unwrap());
    let authorities: Vec<_> =
        snapshot.upstreams.iter().map(|upstream| upstream.endpoints[0].authority()).collect();
    assert_eq!(authorities, ["127.0.0.1:80", "[::1]:80"]);
}

#[test]
fn a_diff_names_what_needs_a_restart_and_nothing_else() {
    let old = Snapshot::minimal();
    let mut new = old.clone();
    new.timeouts.idle = Duration::from_secs(1);
    new.add_module("storage", address(1));
    assert!(diff::restart_keys(&old, &new).is_empty());
    new.server.workers = Workers::Count(3);
    new.server.admin = None;
    assert_eq!(diff::restart_keys(&old, &new), ["server.admin", "server.workers"]);
}
