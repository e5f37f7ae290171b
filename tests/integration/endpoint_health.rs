//! Active checks: endpoints that are not well get no requests.

use std::collections::BTreeSet;

use crate::support::backend::nobody;
use crate::support::gateway::Gateway;
use crate::support::journal::eventually;
use crate::support::plain::{Plain, gateway, who};

const CHECK: &str = "kind = \"http\"\npath = \"/up\"\ninterval = \"100ms\"\nrise = 1\nfall = 1\n";

/// A gateway before these endpoints, which checks them.
fn checked(endpoints: &[&Plain], check: &str) -> Gateway {
    let addresses: Vec<_> = endpoints.iter().map(|e| format!("\"{}\"", e.address)).collect();
    gateway(&format!(
        "[upstreams.u]\nendpoints = [{}]\nbalance = \"round_robin\"\n[upstreams.u.health]\n{check}",
        addresses.join(", ")
    ))
}

/// Who answers in many requests, which every shard gets some of.
fn all(gateway: &Gateway) -> BTreeSet<String> {
    (0..24).map(|_| who(gateway)).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_endpoint_that_is_not_well_gets_no_requests_until_it_is() {
    let (a, b) = (Plain::start("a"), Plain::start("b"));
    let gateway = checked(&[&a, &b], CHECK);
    assert_eq!(all(&gateway), set(&["a", "b"]));
    a.set_up(503);
    eventually("a is left alone", || (all(&gateway) == set(&["b"])).then_some(()));
    let healthy = |address| format!("otus_endpoint_healthy{{endpoint=\"{address}\"}}");
    assert_eq!(gateway.metric(&healthy(a.address)), 0);
    assert_eq!(gateway.metric(&healthy(b.address)), 1);
    let page = gateway.metrics();
    let series = format!("otus_endpoint_healthy{{upstream=\"u\",endpoint=\"{}\"}} 0", a.address);
    assert!(page.contains(&series), "{page}");
    b.set_up(404);
    eventually("none is left", || (all(&gateway) == set(&["503"])).then_some(()));
    a.set_up(204);
    eventually("a is back", || (all(&gateway) == set(&["a"])).then_some(()));
    gateway.finish();
}

#[test]
fn a_reload_keeps_what_the_checks_have_found() {
    let (a, b) = (Plain::start("a"), Plain::start("b"));
    a.set_up(500);
    let gateway = checked(&[&a, &b], CHECK);
    eventually("a is left alone", || (all(&gateway) == set(&["b"])).then_some(()));
    let before = a.connections();
    gateway.stopper.reload();
    gateway.wait_metric("otus_config_generation", 2);
    assert_eq!(all(&gateway), set(&["b"]));
    assert_eq!(a.connections(), before);
    gateway.finish();
}

#[test]
fn a_tcp_check_finds_a_port_where_nobody_listens() {
    let a = Plain::start("a");
    let mut gone = a.clone();
    gone.address = nobody();
    let gateway = checked(&[&a, &gone], "kind = \"tcp\"\ninterval = \"100ms\"\n");
    let series = format!("otus_endpoint_healthy{{endpoint=\"{}\"}}", gone.address);
    eventually("it is down", || (gateway.metric(&series) == 0).then_some(()));
    assert_eq!(all(&gateway), set(&["a"]));
    gateway.finish();
}
