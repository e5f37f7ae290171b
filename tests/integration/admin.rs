//! The operator's listener.

use std::collections::BTreeSet;

use otus::observe::exposition::CONTENT_TYPE;
use otus::snapshot::Snapshot;
use otus::snapshot::observe::OpenMetrics;
use otus::snapshot::secret::Secret;
use otus::snapshot::server::{IoDriver, Workers};

use crate::support::client::{Client, Reply};
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::service::Service;

fn start(io: IoDriver, change: impl FnOnce(&mut Snapshot)) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
        change(snapshot);
    });
    (gateway, service)
}

fn ask(gateway: &Gateway, method: &str, path: &str, fields: &[&str]) -> Reply {
    let mut client = Client::connect(gateway.admin);
    client.head(method, path, fields);
    if method == "HEAD" { client.reply_to_head() } else { client.reply() }
}

/// A name of Prometheus' text format 0.0.4.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `name="value"` and so on; values hold no quotes in these tests.
#[track_caller]
fn check_labels(labels: &str) {
    for label in labels.split("\",") {
        let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(is_name(name) && !value.trim_end_matches('"').contains(['"', '\n']), "{labels}");
    }
}

/// Every line is a comment or a sample, and every sample follows the type of its family.
#[track_caller]
fn check_page(page: &str) -> BTreeSet<String> {
    assert!(page.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    let mut family = (String::new(), String::new());
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(is_name(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name.to_owned()), "{name} has two types");
            family = (name.to_owned(), kind.to_owned());
        } else if !line.starts_with("# HELP ") {
            let (key, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = key.split_once('{').unwrap_or((key, ""));
            if !labels.is_empty() {
                check_labels(labels.strip_suffix('}').unwrap());
            }
            let suffix = name.strip_prefix(family.0.as_str()).unwrap_or_else(|| panic!("{line}"));
            let allowed: &[&str] =
                if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{line} under {family:?}");
            assert!(series.insert(key.to_owned()), "{key} is there twice");
        }
    }
    series
}

#[test]
fn the_metrics_page_is_valid_and_bounded() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.server.workers = Workers::Count(2);
        });
        let mut client = gateway.client();
        assert_eq!(client.put("/api/v3/storage/upload", &[], &data::bytes(100_000)).status, 200);
        assert_eq!(client.get("/api/v3/storage/x").status, 200);
        let before = check_page(&gateway.metrics());
        for number in 0..300 {
            assert_eq!(client.get(&format!("/odd/{number}")).status, 404);
            assert_eq!(client.get(&format!("/api/v3/odd{number}/x")).status, 404);
            client.head("GET", "/odd", &[&format!("User-Agent: odd{number}")]);
            assert_eq!(client.reply().status, 404);
        }
        for number in 0..20 {
            let mut client = gateway.client();
            client.send(format!("ODD{number} /odd HTTP/1.1\r\nHost: odd{number}.test\r\n\r\n"));
            client.reply();
        }
        let after = check_page(&gateway.metrics());
        let new: Vec<_> = after.difference(&before).collect();
        assert!(new.len() < 60, "odd paths made {} series: {new:?}", new.len());
        for name in [
            "http_server_request_duration_seconds_count{",
            "http_server_request_body_size_bytes_sum",
            "otus_shard_requests_total{shard=\"1\"}",
            "otus_build_info{",
            "otus_rejected_total{reason=\"module_unknown\"}",
            "process_resident_memory_bytes",
        ] {
            assert!(after.iter().any(|key| key.starts_with(name)), "{name} is missing");
        }
        assert_eq!(gateway.metric("otus_upload_bytes_total"), 100_000);
        assert_eq!(gateway.metric("otus_upload_files_total"), 1);
    });
}

#[test]
fn metrics_are_for_those_who_show_the_token() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.server.metrics_token = Some(Secret::new("s3cret"));
        });
        for path in ["/metrics", "/api/v3/metrics", "/api/v1/metrics"] {
            for (fields, status) in [
                (&[][..], 403),
                (&["X-Metrics-Token: wrong"], 403),
                (&["X-Metrics-Token:"], 403),
                (&["X-Metrics-Token: s3cret"], 200),
                (&["x-metrics-token: s3cret"], 200),
            ] {
                let reply = ask(&gateway, "GET", path, fields);
                assert_eq!(reply.status, status, "{path} {fields:?}");
                assert_eq!(reply.text().contains("otus_build_info"), status == 200);
            }
        }
        // Liveness and readiness tell nothing.
        assert_eq!(ask(&gateway, "GET", "/healthz", &[]).status, 200);
        assert_eq!(ask(&gateway, "GET", "/readyz", &[]).status, 200);
    });
}

#[test]
fn without_a_token_metrics_are_served_on_loopback_only() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |_| {});
        assert_eq!(ask(&gateway, "GET", "/metrics", &[]).status, 200);
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.server.admin = Some("0.0.0.0:0".parse().unwrap());
        });
        assert_eq!(ask(&gateway, "GET", "/metrics", &[]).status, 403);
        assert_eq!(ask(&gateway, "GET", "/healthz", &[]).status, 200);
    });
}

#[test]
fn only_what_is_served_is_answered() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |_| {});
        for (method, path, status) in [
            ("HEAD", "/healthz", 200),
            ("GET", "/", 404),
            ("GET", "/api/v3/storage/x", 404),
            ("POST", "/healthz", 405),
            ("DELETE", "/metrics", 405),
        ] {
            let reply = ask(&gateway, method, path, &[]);
            assert_eq!((reply.status, reply.keeps()), (status, false), "{method} {path}");
        }
        let mut client = Client::connect(gateway.admin);
        client.send("nonsense\r\n\r\n");
        assert_eq!(client.reply().status, 400);
        // The clients' listener does not serve the operator's pages.
        assert_eq!(gateway.client().get("/metrics").status, 404);
    });
}

#[test]
fn a_port_of_its_own_serves_metrics_and_nothing_else_to_who_shows_the_token() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.server.metrics = Some("127.0.0.1:0".parse().unwrap());
            snapshot.server.metrics_token = Some(Secret::new("s3cret"));
            snapshot.server.admin_key = Some(Secret::new("0123456789abcdef"));
            snapshot.observe.compat.gufo = true;
        });
        assert_eq!(gateway.client().get("/api/v3/storage/x").status, 200);
        let ask = |method: &str, path: &str, fields: &[&str]| {
            let mut client = Client::connect(gateway.metrics_address.unwrap());
            client.head(method, path, fields);
            client.reply()
        };
        for path in ["/metrics", "/api/v3/metrics"] {
            for fields in [&[][..], &["X-Metrics-Token: wrong"]] {
                let reply = ask("GET", path, fields);
                assert_eq!((reply.status, reply.text()), (403, "Forbidden\n".to_owned()));
            }
            let reply = ask("GET", path, &["X-Metrics-Token: s3cret"]);
            assert_eq!(reply.status, 200);
            let want = "gufo_http_requests_total{method=\"GET\",path=\"/api/v3/storage\"} 1\n";
            assert!(reply.text().contains(want), "{}", reply.text());
        }
        for path in ["/healthz", "/readyz", "/", "/-/status"] {
            let fields = ["X-Metrics-Token: s3cret", "X-Admin-Key: 0123456789abcdef"];
            assert_eq!(ask("GET", path, &fields).status, 404, "{path}");
        }
    });
}

#[test]
fn the_statistics_of_lura_are_told_where_they_are_asked_for_to_who_may_read_the_metrics() {
    on_both_drivers(|io| {
        let start = |hanzo: bool| {
            start(io, move |snapshot| {
                snapshot.server.metrics = Some("127.0.0.1:0".parse().unwrap());
                snapshot.server.metrics_token = Some(Secret::new("s3cret"));
                snapshot.observe.compat.hanzo = hanzo;
            })
        };
        let ask = |address, fields: &[&str]| {
            let mut client = Client::connect(address);
            client.head("GET", "/__stats", fields);
            client.reply()
        };
        let token = ["X-Metrics-Token: s3cret"];
        let (gateway, _service) = start(false);
        for address in [gateway.admin, gateway.metrics_address.unwrap()] {
            assert_eq!(ask(address, &token).status, 404);
        }
        let (gateway, _service) = start(true);
        for path in ["/api/v3/storage/x", "/api/v3/storage/y", "/no/such/path"] {
            gateway.client().get(path);
        }
        for address in [gateway.admin, gateway.metrics_address.unwrap()] {
            assert_eq!(ask(address, &[]).status, 403);
            let reply = ask(address, &token);
            assert_eq!(
                (reply.status, reply.field("content-type")),
                (200, Some("application/json"))
            );
            let counters = &reply.json()["Counters"];
            let count = |endpoint: &str, status: u16| {
                let name = format!("krakend.router.response.{endpoint}.status.{status}.count");
                counters[name].as_u64()
            };
            assert_eq!((count("/api/v3/storage", 200), count("other", 404)), (Some(2), Some(1)));
            assert_eq!(counters["krakend.router.connected-total"], 3);
            assert!(reply.json()["Gauges"]["krakend.service.runtime.NumThread"].as_u64() > Some(1));
        }
        assert_eq!(gateway.client().get("/__stats").status, 404);
    });
}

#[test]
fn names_of_other_gateways_are_open_to_all_where_the_operator_says_so() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            let compat = &mut snapshot.observe.compat;
            (compat.gufo, compat.threex) = (true, true);
            snapshot.observe.open_metrics = Some(OpenMetrics::default());
        });
        assert_eq!(gateway.client().get("/api/v3/storage/x").status, 200);
        let reply = gateway.client().get("/metrics");
        assert_eq!((reply.status, reply.field("content-type")), (200, Some(CONTENT_TYPE)));
        let text = reply.text();
        let counted =
            "apigw_http_requests_total{route=\"storage\",method=\"GET\",code=\"200\"} 1\n";
        assert!(text.contains(counted), "{text}");
        let names = text.lines().filter(|line| !line.starts_with('#'));
        assert!(names.clone().all(|line| line.starts_with("apigw_")), "{text}");
        let mut client = gateway.client();
        client.head("HEAD", "/metrics", &[]);
        let reply = client.reply_to_head();
        assert_eq!((reply.status, reply.keeps()), (200, true));
        assert_eq!(client.ask("POST", "/metrics", &[], b"").status, 404);
        // What is asked for by many at once is made for one.
        let asked = (0..20).map(|_| {
            let mut client = gateway.client();
            client.head("GET", "/metrics", &[]);
            client
        });
        let pages = asked.collect::<Vec<_>>().into_iter().map(|mut client| client.reply());
        assert!(pages.into_iter().all(|reply| reply.status == 200));
        gateway.is_clean();
    });
}

#[test]
fn the_metrics_port_is_closed_to_all_until_there_is_a_token() {
    on_both_drivers(|io| {
        let (gateway, _service) = start(io, |snapshot| {
            snapshot.server.metrics = Some("127.0.0.1:0".parse().unwrap());
        });
        for fields in [&[][..], &["X-Metrics-Token:"], &["X-Metrics-Token: gufo-metrics"]] {
            let mut client = Client::connect(gateway.metrics_address.unwrap());
            client.head("GET", "/metrics", fields);
            let reply = client.reply();
            let want = (403, "Metrics endpoint disabled\n".to_owned());
            assert_eq!((reply.status, reply.text()), want);
        }
        // The operator's own listener stays as it is.
        assert_eq!(ask(&gateway, "GET", "/metrics", &[]).status, 200);
    });
}
