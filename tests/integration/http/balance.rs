//! Which endpoint a request goes to.

use std::sync::atomic::Ordering;

use crate::support::backend::{Backend, asked_of, nobody, ok};
use crate::support::gateway::on_both_drivers;
use crate::support::journal::eventually;
use crate::support::proxy::{ALL, before_two, snapshot, start, upstream};

#[test]
fn round_robin_takes_endpoints_in_turn() {
    on_both_drivers(|io| {
        let (gateway, backends) = before_two(io, "");
        let served = backends.map(|backend| backend.serve(|_, _| ok("x").into_bytes()));
        drop(gateway);
        let [a, b] = &served;
        let config = upstream(&[a.0, b.0], "balance = \"round_robin\"");
        let gateway = start(io, &format!("{config}{ALL}"));
        let mut client = gateway.client();
        for round in 1..=10 {
            client.get("/");
            client.get("/");
            let counts = [&a.1, &b.1].map(|count| count.load(Ordering::SeqCst));
            assert_eq!(counts, [round, round]);
        }
        assert_eq!(gateway.metric("otus_upstream_connections_opened_total"), 2);
    });
}

#[test]
fn least_request_uses_every_endpoint() {
    on_both_drivers(|io| {
        let served = [(); 3].map(|()| Backend::listen().serve(|_, _| ok("x").into_bytes()));
        let gateway = start(io, &format!("{}{ALL}", upstream(&served.each_ref().map(|s| s.0), "")));
        let mut client = gateway.client();
        for _ in 0..100 {
            assert_eq!(client.get("/").status, 200);
        }
        let counts = served.map(|(_, count)| count.load(Ordering::SeqCst));
        assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), 100);
    });
}

#[test]
fn a_key_stays_with_its_endpoint() {
    on_both_drivers(|io| {
        for (hash_by, field) in
            [("client", "X-A: "), ("path", "X-A: "), ("header:x-user", "X-User: ")]
        {
            let mut served = Vec::new();
            for number in 0..3 {
                let answer = move |_: &_, _: &_| ok(&format!("{number}")).into_bytes();
                served.push(Backend::listen().serve(answer).0);
            }
            let more = format!("balance = \"hash\"\nhash_by = \"{hash_by}\"");
            let gateway = start(io, &format!("{}{ALL}", upstream(&served, &more)));
            let mut seen = std::collections::BTreeSet::new();
            for key in 0..30 {
                let mut answers = Vec::new();
                for _ in 0..3 {
                    let path = if hash_by == "path" { format!("/{key}") } else { "/".to_owned() };
                    let mut client = gateway.client();
                    client.head("GET", &path, &[&format!("{field}{key}")]);
                    answers.push(client.reply().text());
                }
                assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
                seen.insert(answers.swap_remove(0));
            }
            assert_eq!(seen.len(), if hash_by == "client" { 1 } else { 3 }, "{hash_by}");
        }
    });
}

#[test]
fn a_key_is_the_client_behind_a_trusted_peer() {
    on_both_drivers(|io| {
        let mut served = Vec::new();
        for number in 0..3 {
            let answer = move |_: &_, _: &_| ok(&format!("{number}")).into_bytes();
            served.push(Backend::listen().serve(answer).0);
        }
        let config = upstream(&served, "balance = \"hash\"");
        let trusted = "server.trusted_peers = [\"127.0.0.0/8\"]\n";
        let gateway = start(io, &format!("{trusted}{config}{ALL}"));
        let mut seen = std::collections::BTreeSet::new();
        let mut client = gateway.client();
        for number in 0..30 {
            client.head("GET", "/", &[&format!("X-Forwarded-For: 192.0.2.{number}")]);
            seen.insert(client.reply().text());
        }
        assert_eq!(seen.len(), 3);
    });
}

#[test]
fn an_endpoint_that_fails_is_set_aside() {
    on_both_drivers(|io| {
        for failure in ["closes", "503", "refuses"] {
            let good = Backend::listen().serve(|_, _| ok("good").into_bytes());
            let bad = Backend::listen();
            let address = if failure == "refuses" { nobody() } else { bad.address };
            let more = "balance = \"round_robin\"\nretry = { attempts = 1 }\n\
                        outlier = { failures = 3, ejection = \"1m\" }";
            let gateway = start(io, &format!("{}{ALL}", upstream(&[good.0, address], more)));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..3 {
                        if failure == "refuses" {
                            return;
                        }
                        let (mut visit, _) = bad.asked();
                        if failure == "503" {
                            visit.send(
                                "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                            );
                        }
                    }
                });
                let mut statuses = Vec::new();
                let mut client = gateway.client();
                for _ in 0..20 {
                    statuses.push(client.get("/").status);
                }
                let failed = statuses.iter().filter(|status| **status != 200).count();
                assert_eq!(failed, 3, "{failure}: {statuses:?}");
                assert!(statuses[6..].iter().all(|status| *status == 200));
            });
            assert_eq!(gateway.metric("otus_endpoints_ejected_total"), 1);
            assert!(bad.is_unvisited());
            gateway.is_clean();
        }
    });
}

#[test]
fn an_endpoint_that_was_set_aside_gets_another_chance() {
    on_both_drivers(|io| {
        let more = "retry = { attempts = 1 }\noutlier = { failures = 1, ejection = \"2s\" }";
        let (gateway, backends) = before_two(io, more);
        let mut client = gateway.client();
        client.head("GET", "/", &[]);
        let (bad, visit, _) = asked_of(&backends);
        drop(visit);
        assert_eq!(client.reply().status, 502);
        for _ in 0..3 {
            client.head("GET", "/", &[]);
            let (other, mut visit, _) = asked_of(&backends);
            assert_ne!(other, bad);
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().status, 200);
        }
        eventually("the other one is asked again", || {
            client.head("GET", "/", &[]);
            let (index, mut visit, _) = asked_of(&backends);
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().status, 200);
            (index == bad).then_some(())
        });
        gateway.is_clean();
    });
}

#[test]
fn an_upstream_without_endpoints_is_503() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let config = upstream(&[backend.address], "");
        let mut snapshot = snapshot(io, &format!("{config}{ALL}"));
        snapshot.upstreams[0].endpoints.clear();
        let gateway = crate::support::gateway::Gateway::start(io, |own| *own = snapshot);
        let reply = gateway.client().get("/");
        assert_eq!((reply.status, &reply.json()["code"]), (503, &"endpoints_down".into()));
        gateway.is_clean();
        let page = gateway.metrics();
        let told = page.lines().any(|line| line.contains("endpoints_down") && line.ends_with(" 1"));
        assert!(told, "{page}");
    });
}

#[test]
fn an_endpoint_that_is_silent_for_the_total_time_is_set_aside() {
    on_both_drivers(|io| {
        let more = "retry = { attempts = 1 }\noutlier = { failures = 1, ejection = \"1m\" }\n\
                    total_timeout = \"1s\"";
        let (gateway, backends) = before_two(io, more);
        let mut client = gateway.client();
        client.head("GET", "/", &[]);
        let (bad, _visit, _) = asked_of(&backends);
        assert_eq!(client.reply().status, 504);
        for _ in 0..3 {
            client.head("GET", "/", &[]);
            let (other, mut visit, _) = asked_of(&backends);
            assert_ne!(other, bad);
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.reply().status, 200);
        }
        gateway.is_clean();
    });
}
