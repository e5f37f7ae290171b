use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::counters::ShardCounters;
use super::super::latency::ShardLatency;
use super::*;

struct World {
    shards: Vec<ShardCounters>,
    latency: ShardLatency,
    totals: Totals,
    routes: Names,
    upstreams: Names,
    endpoints: Vec<(String, String, bool)>,
    notices: Notices,
    process: ProcessStats,
    compat: bool,
}

impl World {
    fn new() -> Self {
        World {
            shards: (0..2).map(|_| ShardCounters::new()).collect(),
            latency: ShardLatency::new(),
            totals: Totals::new(),
            routes: Names::new(),
            upstreams: Names::new(),
            endpoints: Vec::new(),
            notices: Notices::new(),
            process: ProcessStats { cpu: Duration::from_millis(3010), ..Default::default() },
            compat: false,
        }
    }

    fn request(&mut self, route: &str, method: &[u8], status: u16) {
        let route = self.routes.label(route);
        let method = Method::of(method);
        let shard = &self.shards[0];
        shard.count(Counter::RequestsStarted);
        shard.count(Counter::RequestsEnded);
        shard.request(route, method, status);
        shard.request_body(2000);
        self.latency.request(route, method, Duration::from_micros(300));
    }

    fn render(&mut self) -> String {
        self.seen(|view| {
            let mut out = String::new();
            render(&mut out, view);
            out
        })
    }

    fn seen<T>(&mut self, show: impl FnOnce(&View<'_>) -> T) -> T {
        self.totals.add(&self.latency.take());
        let readers: Vec<_> = self.shards.iter().map(ShardCounters::reader).collect();
        let paths = ["", "/api/v3/health", "", "", "/api/v3/a", "/api/v3/a"].map(str::to_owned);
        let view = View {
            shards: &readers,
            latency: &self.totals,
            routes: &self.routes,
            upstreams: &self.upstreams,
            endpoints: &self.endpoints,
            certificates: &[("tls", 4_102_444_800)],
            reasons: &["route_not_found", "", "head_too_large"],
            refusals: &["token_unknown", "token_expired"],
            keys: &[
                KeyRow {
                    source: "main".to_owned(),
                    keys: 2,
                    found: Some(UnixTime(Duration::from_millis(1_700_000_000_900))),
                    failures: 3,
                },
                KeyRow { source: "new".to_owned(), ..KeyRow::default() },
            ],
            certificate_reads: CertificateReads { refused: 4, is_refused: true },
            compat: Compat {
                gufo: self.compat,
                threex: self.compat,
                fold: self.compat,
                paths: &paths,
            },
            exports: &[("otlp", Arc::default())],
            log: None,
            notices: &self.notices,
            process: Some(&self.process),
            running: Running {
                version: "0.1.0",
                io_driver: "io_uring",
                generation: 3,
                reload_successful: true,
                reload_time: UnixTime(Duration::from_millis(1500)),
            },
        };
        show(&view)
    }
}

/// Reads a page as strictly as a scraper may, and gives its series.
fn read(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut series = BTreeMap::new();
    let (mut family, mut kind) = ("", "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(families.insert(name), "{name} comes twice");
            assert!(help.ends_with('.'), "{help}");
            let next = lines.next().and_then(|line| line.strip_prefix("# TYPE ")).unwrap();
            (family, kind) = next.split_once(' ').unwrap();
            assert_eq!(family, name);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let base = name.split('{').next().unwrap();
        let suffix = base.strip_prefix(family).unwrap_or_else(|| panic!("{base} in {family}"));
        let suffixes: &[&str] =
            if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line}");
        let value: f64 = value.parse().unwrap();
        assert!(series.insert(name.to_owned(), value).is_none(), "{name} comes twice");
    }
    series
}

#[test]
fn a_page_says_what_was_counted() {
    let mut world = World::new();
    world.request("storage", b"PUT", 200);
    world.request("storage", b"PUT", 200);
    world.request("other", b"BREW", 0);
    world.shards[1].reason(2);
    world.shards[1].token_refused(1);
    world.shards[1].grpc_status(14);
    world.shards[1].count(Counter::ConnectionsAccepted);
    let storage = world.upstreams.label("storage");
    world.latency.upstream(storage, Duration::from_millis(20));
    let series = read(&world.render());
    for (name, want) in [
        (
            "otus_requests_total{http_route=\"storage\",http_request_method=\"PUT\",\
             http_response_status_code=\"200\"}",
            2.0,
        ),
        (
            "otus_requests_total{http_route=\"other\",http_request_method=\"_OTHER\",\
             http_response_status_code=\"none\"}",
            1.0,
        ),
        (
            "http_server_request_duration_seconds_bucket{http_route=\"storage\",\
             http_request_method=\"PUT\",le=\"0.00025\"}",
            0.0,
        ),
        (
            "http_server_request_duration_seconds_bucket{http_route=\"storage\",\
             http_request_method=\"PUT\",le=\"0.0005\"}",
            2.0,
        ),
        (
            "http_server_request_duration_seconds_sum{http_route=\"storage\",\
             http_request_method=\"PUT\"}",
            0.0006,
        ),
        ("http_client_request_duration_seconds_count{otus_upstream=\"storage\"}", 1.0),
        ("http_server_request_body_size_bytes_bucket{le=\"1024\"}", 0.0),
        ("http_server_request_body_size_bytes_bucket{le=\"16384\"}", 3.0),
        ("http_server_request_body_size_bytes_sum", 6000.0),
        ("http_server_active_requests", 0.0),
        ("otus_rejected_total{reason=\"head_too_large\"}", 1.0),
        ("otus_rejected_total{reason=\"route_not_found\"}", 0.0),
        ("otus_auth_tokens_refused_total{reason=\"token_unknown\"}", 0.0),
        ("otus_auth_tokens_refused_total{reason=\"token_expired\"}", 1.0),
        ("otus_auth_keys{source=\"main\"}", 2.0),
        ("otus_auth_keys_fetched_timestamp_seconds{source=\"main\"}", 1_700_000_000.0),
        ("otus_auth_keys_fetch_failures_total{source=\"main\"}", 3.0),
        ("otus_auth_keys_fetch_failures_total{source=\"new\"}", 0.0),
        ("otus_tls_certs_refused_total", 4.0),
        ("otus_tls_certs_last_reload_successful", 0.0),
        ("otus_grpc_calls_total{rpc_grpc_status_code=\"14\"}", 1.0),
        ("otus_connections_open{shard=\"1\"}", 1.0),
        ("otus_io_driver{driver=\"io_uring\"}", 1.0),
        ("otus_config_generation", 3.0),
        ("otus_config_last_reload_timestamp_seconds", 1.5),
        ("process_cpu_seconds_total", 3.01),
    ] {
        assert_eq!(series.get(name), Some(&want), "{name}");
    }
    let never = "otus_auth_keys_fetched_timestamp_seconds{source=\"new\"}";
    assert!(!series.contains_key(never), "what was never found has no age");
}

#[test]
fn odd_requests_make_few_series() {
    let mut world = World::new();
    let before = read(&world.render()).len();
    for n in 0..300u16 {
        let method = format!("M{n}");
        world.request("other", method.as_bytes(), [404, 400, 501][usize::from(n % 3)]);
    }
    for method in Method::ALL {
        world.request("other", method.name().as_bytes(), 404);
    }
    let added = read(&world.render()).len() - before;
    assert!(added <= 12, "{added} series");
}

#[test]
fn no_name_can_forge_a_series() {
    let mut world = World::new();
    world.request("a\"b\\c\ninjected_metric 1", b"GET", 200);
    let page = world.render();
    assert!(page.contains(r#"http_route="a\"b\\c\ninjected_metric 1""#));
    assert!(!page.lines().any(|line| line.starts_with("injected_metric")));
    read(&page);
}

#[test]
fn statuses_beyond_the_bound_are_shown_by_their_class() {
    let mut world = World::new();
    for status in 100..1000 {
        world.request("storage", b"GET", status);
    }
    let series = read(&world.render());
    let total: f64 = series
        .iter()
        .filter(|(name, _)| name.starts_with("otus_requests_total"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(total.to_string(), "900");
    let rest = "otus_requests_total{http_route=\"other\",http_request_method=\"_OTHER\",\
                http_response_status_code=\"6xx\"}";
    assert!(series.contains_key(rest));
}

#[test]
fn buckets_never_fall() {
    let mut world = World::new();
    for micros in [1, 60, 700, 8_000, 90_000, 2_000_000, 60_000_000] {
        let route = world.routes.label("storage");
        world.latency.request(route, Method::Put, Duration::from_micros(micros));
    }
    let page = world.render();
    let counts: Vec<u64> = page
        .lines()
        .filter(|line| line.contains("_bucket{http_route=\"storage\""))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(counts.len(), 21);
    assert!(counts.is_sorted() && counts.first() == Some(&1) && counts.last() == Some(&7));
}

#[test]
fn dashboards_of_other_gateways_find_their_names() {
    let mut world = World::new();
    world.request("a", b"PUT", 200);
    world.request("b", b"PUT", 200);
    world.request("c", b"GET", 404);
    world.request("other", b"BREW", 0);
    world.shards[0].add(Counter::UpstreamStreamsOpened, 5);
    world.shards[1].count(Counter::GrpcConnectionsOpened);
    world.shards[1].count(Counter::GrpcRetries);
    let is_compat =
        |name: &str| ["gufo_", "apigw_", "foldforge_"].iter().any(|f| name.starts_with(f));
    assert!(!read(&world.render()).keys().any(|name| is_compat(name)));
    world.compat = true;
    let series = read(&world.render());
    for (name, want) in [
        // Two routes with one path are one series; the third has no path that is known.
        ("gufo_http_requests_total{method=\"PUT\",path=\"/api/v3/a\"}", 2.0),
        ("gufo_http_requests_total{method=\"GET\",path=\"other\"}", 1.0),
        ("gufo_http_requests_total{method=\"other\",path=\"other\"}", 1.0),
        (
            "gufo_http_request_duration_seconds_bucket{method=\"PUT\",path=\"/api/v3/a\",\
             status=\"OK\",le=\"0.005\"}",
            2.0,
        ),
        ("gufo_grpc_pool_hits_total", 4.0),
        ("gufo_grpc_pool_misses_total", 1.0),
        ("gufo_grpc_retries_total", 1.0),
        ("apigw_http_requests_total{route=\"a\",method=\"PUT\",code=\"200\"}", 1.0),
        ("apigw_http_request_duration_seconds_count{route=\"c\",method=\"GET\"}", 1.0),
        (
            "foldforge_gateway_http_requests_total{method=\"PUT\",path=\"/api/v3/a\",\
             status=\"200\"}",
            2.0,
        ),
        (
            "foldforge_gateway_http_request_duration_seconds_count{method=\"PUT\",\
             path=\"/api/v3/a\"}",
            2.0,
        ),
    ] {
        assert_eq!(series.get(name), Some(&want), "{name}");
    }
}

#[test]
fn what_is_open_to_all_has_the_names_that_were_asked_for_and_no_others() {
    let mut world = World::new();
    world.request("a", b"GET", 200);
    world.compat = true;
    let page = world.seen(|view| {
        let mut page = String::new();
        let compat = Compat { gufo: false, ..view.compat };
        render_compat(&mut page, &View { compat, ..*view });
        page
    });
    let series = read(&page);
    let is_open = |name: &String| name.starts_with("apigw_") || name.starts_with("foldforge_");
    assert!(series.keys().all(is_open) && series.len() > 4, "{page}");
}

#[test]
fn the_statistics_have_what_is_counted_by_endpoint_and_status() {
    let mut world = World::new();
    for status in [200, 200, 404, 0] {
        world.request("a", b"GET", status);
    }
    world.request("b", b"POST", 200);
    world.shards[1].count(Counter::ConnectionsAccepted);
    world.process.threads = 7;
    let now = UnixTime(Duration::from_millis(1500));
    let text = String::from_utf8(world.seen(|view| stats(view, now))).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["Time"], 1_500_000_000_u64);
    let want = serde_json::json!({
        "krakend.router.connected-total": 1,
        "krakend.router.disconnected-total": 0,
        // Both routes were written with this path; who got no answer has no status.
        "krakend.router.response./api/v3/a.status.200.count": 3,
        "krakend.router.response./api/v3/a.status.404.count": 1,
    });
    assert_eq!(read["Counters"], want);
    assert_eq!(read["Gauges"]["krakend.router.connected-gauge"], 1);
    assert_eq!(read["Gauges"]["krakend.service.runtime.NumThread"], 7);
    assert_eq!(read["Histograms"], serde_json::json!({}));
}
