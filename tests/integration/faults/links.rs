//! Peers that packets do not reach, in a network of the test's own.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::backend::{Backend, ok, ok_bytes};
use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::h2;
use crate::support::journal::eventually;
use crate::support::link;
use crate::support::process::{Launch, Process, runs};
use crate::support::proxy::{ALL, upstream};

/// Of the body that is fetched over a bad link.
const BYTES: usize = 1 << 20;

/// What packets to and from back ends meet. Gone with it.
struct Wall;

impl Wall {
    /// `None`: this kernel has no nftables, or they are not to be had.
    fn build(address: SocketAddr, fate: &str) -> Option<Self> {
        let port = address.port();
        // A refusal is an answer, which has to come through.
        let back = if fate == "drop" { fate } else { "accept" };
        let rules = format!(
            "table inet otus {{\n chain out {{\n  type filter hook output priority 0\n  \
             tcp dport {port} {fate}\n  tcp sport {port} {back}\n }}\n}}\n"
        );
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().ok()?;
        nft.stdin.take()?.write_all(rules.as_bytes()).ok()?;
        nft.wait().ok()?.success().then_some(Wall)
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        let fell = runs("nft", &["delete", "table", "inet", "otus"]);
        assert!(fell || std::thread::panicking());
    }
}

/// A back end that says who it is, and how often it was asked.
fn named(name: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    Backend::listen().serve(move |_, _| ok(name).into_bytes())
}

/// Runs a test in a network of its own, where walls can be built.
#[track_caller]
fn with_walls(name: &str, test: impl FnOnce()) {
    link::over(&["--quiet"], name, || {
        let (address, _) = named("tried");
        let can_build = Wall::build(address, "drop").is_some();
        if !can_build {
            return println!("left out: nftables are not there or not allowed");
        }
        test();
    });
}

#[track_caller]
fn check(gateway: &Process, status: u16, code: &str) {
    let mut client = gateway.client();
    let reply = client.get("/");
    assert_eq!((reply.status, &reply.json()["code"]), (status, &code.into()));
}

#[test]
fn an_endpoint_behind_a_wall_is_known_by_its_silence() {
    with_walls("faults::links::an_endpoint_behind_a_wall_is_known_by_its_silence", || {
        on_both_drivers(|io| {
            let (address, count) = named("a");
            let more = "connect_timeout = \"200ms\"\noutlier = { ejection = \"100ms\" }\n\
                        retry = { attempts = 1 }";
            let text = format!("{}{ALL}", upstream(&[address], more));
            let gateway = Launch::new(io, &text).start().unwrap();
            for (fate, status, code) in [
                ("drop", 504, "connect_timed_out"),
                ("reject with tcp reset", 502, "connect_refused"),
                ("reject with icmpx type host-unreachable", 502, "connect_failed"),
            ] {
                let wall = Wall::build(address, fate).unwrap();
                check(&gateway, status, code);
                assert_eq!(count.load(Ordering::SeqCst), 0);
                drop(wall);
            }
            eventually("it is reached again", || {
                (gateway.client().get("/").status == 200).then_some(())
            });
            gateway.is_clean();
        });
    });
}

#[test]
fn requests_pass_by_an_endpoint_behind_a_wall_until_it_falls() {
    with_walls("faults::links::requests_pass_by_an_endpoint_behind_a_wall_until_it_falls", || {
        on_both_drivers(|io| {
            let ((hidden, count), (seen, _)) = (named("hidden"), named("seen"));
            let more = "connect_timeout = \"100ms\"\noutlier = { ejection = \"500ms\" }\n\
                        balance = \"round_robin\"\n";
            let text = format!("{}{ALL}", upstream(&[hidden, seen], more));
            let gateway = Launch::new(io, &text).start().unwrap();
            let wall = Wall::build(hidden, "drop").unwrap();
            for _ in 0..40 {
                assert_eq!(gateway.client().get("/").text(), "seen");
            }
            assert!(gateway.metric("otus_endpoints_ejected_total") > 0);
            assert!(gateway.metric("otus_retries_total") > 0);
            assert_eq!(count.load(Ordering::SeqCst), 0);
            drop(wall);
            eventually("both are used again", || {
                (gateway.client().get("/").text() == "hidden").then_some(())
            });
            gateway.is_clean();
        });
    });
}

#[test]
fn a_peer_that_falls_silent_in_a_request_is_given_up_in_time() {
    with_walls("faults::links::a_peer_that_falls_silent_in_a_request_is_given_up_in_time", || {
        on_both_drivers(|io| {
            let backend = Backend::listen();
            let more = "first_byte_timeout = \"300ms\"\noutlier = { ejection = \"100ms\" }\n\
                        connect_timeout = \"200ms\"\nretry = { attempts = 1 }";
            let text = format!("{}{ALL}", upstream(&[backend.address], more));
            let gateway = Launch::new(io, &text).start().unwrap();
            let mut client = gateway.client();
            client.head("GET", "/", &[]);
            let (mut visit, _) = backend.asked();
            let wall = Wall::build(backend.address, "drop").unwrap();
            visit.answer("nobody hears this");
            let reply = client.reply();
            assert_eq!((reply.status, &reply.json()["code"]), (504, &"upstream_timed_out".into()));
            check(&gateway, 504, "connect_timed_out");
            drop(wall);
            let (address, _) = backend.serve(|_, _| ok("here again").into_bytes());
            assert!(address.port() > 0);
            eventually("it is reached again", || {
                (gateway.client().get("/").status == 200).then_some(())
            });
            gateway.is_clean();
        });
    });
}

#[test]
fn answers_over_a_bad_link_arrive_whole() {
    let bad = ["--rtt", "6", "--loss", "0.01", "--reorder", "0.02", "--seed", "11", "--quiet"];
    link::over(&bad, "faults::links::answers_over_a_bad_link_arrive_whole", || {
        on_both_drivers(|io| {
            let body = data::bytes(BYTES);
            let sent = body.clone();
            let (address, _) = Backend::listen().serve(move |seen, _| match &*seen.target {
                "/large" => ok_bytes(&sent),
                target => ok(target).into_bytes(),
            });
            let text = format!("{}{ALL}", upstream(&[address], ""));
            let listen = link::LISTEN.to_string();
            let gateway = Launch { listen: &listen, ..Launch::new(io, &text) }.start().unwrap();
            let far = link::far(gateway.address());
            let mut one = Client::connect(far);
            let two = h2::Client::connect(far);
            for number in 0..20 {
                let path = format!("/{number}");
                assert_eq!(one.get(&path).text(), path);
                assert_eq!(two.get(&path).text(), path);
            }
            assert!(one.get("/large").body == body);
            assert!(two.get("/large").body == body);
            gateway.is_clean();
        });
    });
}
