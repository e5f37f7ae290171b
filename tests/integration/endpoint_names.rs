//! Endpoints that are names: resolved while the gateway runs, from a name server of our own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::dns::{Data, NameServer};
use crate::support::gateway::Gateway;
use crate::support::journal::eventually;
use crate::support::plain::{Plain, gateway, who};

/// A gateway that forwards to this endpoint and asks this server, often.
fn named(server: &NameServer, endpoint: &str, more: &str) -> Gateway {
    gateway(&format!(
        "[dns]\nservers = [\"{}\"]\nmin_ttl = \"100ms\"\ntimeout = \"1s\"\n{more}\n\
         [upstreams.u]\nendpoints = [\"{endpoint}\"]\nbalance = \"round_robin\"\n",
        server.address
    ))
}

/// Two endpoints with one port on two addresses of loopback.
fn pair() -> (Plain, Plain) {
    loop {
        let a = Plain::start("a");
        let second = std::net::SocketAddr::from(([127, 0, 0, 2], a.address.port()));
        if let Some(b) = Plain::try_at(second, "b") {
            return (a, b);
        }
    }
}

const A: Data = Data::V4([127, 0, 0, 1]);
const B: Data = Data::V4([127, 0, 0, 2]);

fn all(gateway: &Gateway) -> BTreeSet<String> {
    (0..16).map(|_| who(gateway)).collect()
}

#[track_caller]
fn becomes(gateway: &Gateway, want: &[&str]) {
    let want: BTreeSet<String> = want.iter().map(|name| (*name).to_owned()).collect();
    eventually(&format!("{want:?} answer"), || (all(gateway) == want).then_some(()));
}

#[test]
fn addresses_follow_the_name_and_failures_keep_the_last_good_ones() {
    let (a, _b) = pair();
    let server = NameServer::start(0);
    server.set("api.test", &[A]);
    let gateway = named(&server, &format!("api.test:{}", a.address.port()), "keep_gone = \"0s\"");
    assert_eq!(who(&gateway), "a", "a start waits for names that are answered");
    server.set("api.test", &[A, B, Data::V6(1)]);
    eventually("b is used", || all(&gateway).contains("b").then_some(()));
    server.set("api.test", &[B]);
    becomes(&gateway, &["b"]);
    let generation = gateway.metric("otus_config_generation");
    assert!(generation > 1, "{generation}");
    server.set_broken(true);
    let (asked, _) = server.asked();
    eventually("it is asked for again", || (server.asked().0 >= asked + 4).then_some(()));
    assert_eq!(all(&gateway).into_iter().collect::<Vec<_>>(), ["b"], "nothing has changed");
    assert_eq!(gateway.metric("otus_config_generation"), generation);
    server.set_broken(false);
    server.remove("api.test");
    becomes(&gateway, &["503"]);
    server.set("api.test", &[A]);
    becomes(&gateway, &["a"]);
    gateway.finish();
}

#[test]
fn a_name_that_is_gone_for_a_moment_is_used_on() {
    let (a, _b) = pair();
    let server = NameServer::start(0);
    server.set("api.test", &[A]);
    let gateway = named(&server, &format!("api.test:{}", a.address.port()), "");
    assert_eq!(who(&gateway), "a");
    server.remove("api.test");
    let (asked, _) = server.asked();
    eventually("it is asked for again", || (server.asked().0 >= asked + 3).then_some(()));
    assert_eq!(who(&gateway), "a");
    gateway.finish();
}

#[test]
fn a_start_does_not_wait_for_a_server_that_is_silent() {
    let (a, _b) = pair();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut server = NameServer::start(1);
    server.address = silent.local_addr().unwrap();
    let gateway = named(&server, &format!("api.test:{}", a.address.port()), "");
    let reply = gateway.client().get("/x");
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("endpoints_down"), "{}", reply.text());
    gateway.finish();
}

#[test]
fn an_answer_that_does_not_fit_comes_over_tcp() {
    let (a, _b) = pair();
    let server = NameServer::start(60);
    let many = |n: u8| Data::V6(0xfd00 << 112 | u128::from(n));
    let list: Vec<_> = (0..40).map(many).chain([A]).collect();
    server.set("api.test", &list);
    let more = "family = \"ipv6\"";
    let gateway = named(&server, &format!("api.test:{}", a.address.port()), more);
    let (udp, tcp) = server.asked();
    assert_eq!((udp, tcp), (1, 1));
    gateway.finish();
}

#[test]
fn srv_records_give_hosts_and_ports() {
    let (a, b) = (Plain::start("a"), Plain::start("b"));
    let server = NameServer::start(0);
    let to = |priority, plain: &Plain| {
        Data::Service(priority, plain.address.port(), "host.test".to_owned())
    };
    server.set("host.test", &[A]);
    server.set("_http._tcp.api.test", &[to(1, &a), to(2, &b)]);
    let gateway = named(&server, "_http._tcp.api.test", "");
    becomes(&gateway, &["a"]);
    server.set("_http._tcp.api.test", &[to(1, &a), to(1, &b)]);
    becomes(&gateway, &["a", "b"]);
    server.set("_http._tcp.api.test", &[to(1, &b)]);
    becomes(&gateway, &["b"]);
    server.set("_http._tcp.api.test", &[to(2, &b), to(1, &a)]);
    becomes(&gateway, &["a"]);
    // Nobody listens there: requests go to the next priority.
    let nobody = Data::Service(1, 1, "host.test".to_owned());
    server.set("_http._tcp.api.test", &[nobody, to(2, &b)]);
    becomes(&gateway, &["b"]);
    gateway.finish();
}

#[test]
fn no_request_is_lost_while_addresses_change() {
    let (a, _b) = pair();
    let server = NameServer::start(0);
    server.set("api.test", &[A]);
    let gateway = named(&server, &format!("api.test:{}", a.address.port()), "");
    let stop = Arc::new(AtomicBool::new(false));
    let address = gateway.address;
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = crate::support::client::Client::connect(address);
                let mut seen = BTreeSet::new();
                while !stop.load(Ordering::SeqCst) {
                    let reply = client.get("/x");
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    seen.insert(reply.text());
                }
                seen
            })
        })
        .collect();
    for round in 0..6 {
        server.set("api.test", if round % 2 == 0 { &[B] } else { &[A] });
        let generation = gateway.metric("otus_config_generation");
        gateway.wait_metric("otus_config_generation", generation + 1);
    }
    stop.store(true, Ordering::SeqCst);
    let seen: BTreeSet<_> = clients.into_iter().flat_map(|c| c.join().unwrap()).collect();
    assert_eq!(seen.len(), 2, "{seen:?}");
    gateway.is_clean();
    gateway.finish();
}
