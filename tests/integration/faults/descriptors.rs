//! A process that may open no more files: who is inside is served, who is outside waits.

use std::net::TcpStream;
use std::time::Duration;

use crate::support::backend::{Backend, ok};
use crate::support::client::Client;
use crate::support::gateway::on_both_drivers;
use crate::support::journal::eventually;
use crate::support::process::{Launch, Process};
use crate::support::proxy::{ALL, upstream};

/// Connections that wait outside.
const CROWD: usize = 40;
/// What is left to be opened when the limit comes.
const FREE: usize = 4;
/// A busy loop uses a hundred ticks in that time; what is let out of a pause every 50 ms, a few.
const WHILE: Duration = Duration::from_secs(1);
const TICKS_MAX: u64 = 30;
const CHECKED: &str = "outlier = { failures = 1, ejection = \"1m\" }\n\
                       health = { kind = \"tcp\", interval = \"100ms\", rise = 1, fall = 1 }\n";

/// How many new descriptors a process can open that may have numbers below `limit` only. One of
/// those that are not shown is that of the thread that waits for connections of the admin.
fn free_below(limit: usize, gateway: &Process) -> usize {
    let shown = gateway.descriptors().iter().filter(|number| **number < limit).count();
    (limit - shown).saturating_sub(1)
}

/// What was inherited may have any number.
fn limit_that_leaves(free: usize, gateway: &Process) -> usize {
    (1..1 << 20).find(|limit| free_below(*limit, gateway) >= free).unwrap()
}

/// Asks on a connection again and again, and looks how much CPU time that costs the gateway.
#[track_caller]
fn goes_on_without_haste(gateway: &Process, client: &mut Client) {
    assert_eq!(client.get("/").text(), "served");
    let before = gateway.cpu_ticks();
    std::thread::sleep(WHILE);
    let used = gateway.cpu_ticks() - before;
    assert!(used < TICKS_MAX, "{used} ticks while nothing happened");
    assert_eq!(client.get("/").text(), "served");
}

#[test]
fn without_descriptors_nobody_is_let_in_and_no_endpoint_is_blamed() {
    on_both_drivers(|io| {
        let (address, _) = Backend::listen().serve(|seen, _| match seen.target.as_str() {
            "/last" => {
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec()
            }
            _ => ok("served").into_bytes(),
        });
        let text = format!("{}{ALL}", upstream(&[address], CHECKED));
        let gateway = Launch::new(io, &text).start().unwrap();
        let mut inside = gateway.client();
        assert_eq!(inside.get("/").text(), "served");
        let limit = limit_that_leaves(FREE, &gateway);
        gateway.limit(&format!("--nofile={limit}:{limit}"));
        let crowd: Vec<TcpStream> =
            (0..CROWD).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
        eventually("all are used", || (free_below(limit, &gateway) == 0).then_some(()));
        goes_on_without_haste(&gateway, &mut inside);
        // With its connection gone the endpoint is out of reach, by no fault of its own.
        assert_eq!(inside.get("/last").status, 200);
        let mut taken = inside.get("/");
        for _ in 0..CROWD {
            // The place of the connection that was closed is taken by who waits outside.
            if taken.status == 503 {
                break;
            }
            assert_eq!(taken.text(), "served");
            assert_eq!(inside.get("/last").status, 200);
            std::thread::sleep(Duration::from_millis(20));
            taken = inside.get("/");
        }
        assert_eq!((taken.status, &taken.json()["code"]), (503, &"out_of_sockets".into()));
        drop(crowd);
        // Nobody was ejected, or found to be down: what is free again is used at once.
        eventually("it is served again", || (inside.get("/").status == 200).then_some(()));
        assert_eq!(gateway.client().get("/").text(), "served");
        assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 0);
        assert!(!gateway.said().contains("endpoint_down"), "{}", gateway.said());
        gateway.is_clean();
    });
}

#[test]
fn the_last_descriptors_are_for_endpoints() {
    on_both_drivers(|io| {
        let (address, _) = Backend::listen().serve(|_, _| ok("served").into_bytes());
        let text = format!("{}{ALL}", upstream(&[address], ""));
        let by = ["sh", "-c", "ulimit -n 90; exec \"$0\" \"$@\""];
        let gateway = Launch { by: &by, ..Launch::new(io, &text) }.start().unwrap();
        let mut crowd: Vec<Client> = (0..CROWD).map(|_| gateway.client()).collect();
        // Each that was let in is served, while all of them stay; the others wait.
        let served = crowd.iter_mut().position(|client| {
            client.head("GET", "/", &[]);
            client.is_quiet_for(Duration::from_millis(500))
        });
        let served = served.unwrap();
        assert!((8..CROWD).contains(&served), "{served} are served");
        assert_eq!(gateway.metric("otus_upstream_connect_failures_total"), 0);
        let mut last = crowd.pop().unwrap();
        drop(crowd);
        assert_eq!(last.get("/").text(), "served");
        gateway.is_clean();
    });
}
