//! Names of other gateways, for dashboards that look for them (SPEC 15.1).
//!
//! They are other words for what is counted anyway. A path is the one that a route was written
//! with, so that no client can make a series; what took no route is `other`.

use std::collections::BTreeMap;

use super::page::{Page, Times};
use super::{Counted, View, open, status_text, sum};
use crate::observe::counters::Counter;
use crate::observe::labels::{Label, Method};
use crate::observe::latency::{Key, Kind};

/// Bounds of the duration histograms, as written and in microseconds: those that the originals
/// have by default.
const BOUNDS: [(&str, u64); 11] = [
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("2.5", 2_500_000),
    ("5", 5_000_000),
    ("10", 10_000_000),
];
/// What stands for requests without a route and for unusual methods.
const OTHER: &str = "other";

/// Whose names are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compat<'a> {
    /// Those of Gufo: `gufo_*`.
    pub gufo: bool,
    /// Those of 3xpluto's go-api-gateway: `apigw_*`.
    pub threex: bool,
    /// Those of `FoldForge`: `foldforge_*`.
    pub fold: bool,
    /// The paths of routes, by the place of their label. An empty or missing one is `other`.
    pub paths: &'a [String],
}

impl Compat<'_> {
    pub(super) fn path(&self, label: Label) -> String {
        let path = self.paths.get(label.place()).map_or("", String::as_str);
        if path.is_empty() { OTHER.to_owned() } else { path.to_owned() }
    }
}

/// Labels by which something is told apart, in the order of their names.
type Labels = Vec<String>;

/// Appends the names of other gateways alone.
pub fn render_compat(out: &mut String, view: &View<'_>) {
    render(&mut Page::new(out), view, &Counted::of(view.shards));
}

pub(super) fn render(page: &mut Page<'_>, view: &View<'_>, counted: &Counted) {
    let Compat { gufo, threex, fold, .. } = view.compat;
    let path = |label| view.compat.path(label);
    let route = |label| view.routes.name(label).to_owned();
    if gufo {
        let names = ["method", "path"];
        requests(page, "gufo_http_requests_total", &names, counted, |label, method, _| {
            vec![method, path(label)]
        });
        let names = ["method", "path", "status"];
        // The original never said anything else; how many had which status stands elsewhere.
        durations(page, "gufo_http_request_duration_seconds", &names, view, |label, method| {
            vec![method, path(label), "OK".to_owned()]
        });
        calls(page, view);
    }
    if threex {
        let names = ["route", "method", "code"];
        requests(page, "apigw_http_requests_total", &names, counted, |label, method, status| {
            vec![route(label), method, status]
        });
        let names = ["route", "method"];
        durations(page, "apigw_http_request_duration_seconds", &names, view, |label, method| {
            vec![route(label), method]
        });
    }
    if fold {
        let names = ["method", "path", "status"];
        let name = "foldforge_gateway_http_requests_total";
        requests(page, name, &names, counted, |label, method, status| {
            vec![method, path(label), status]
        });
        let name = "foldforge_gateway_http_request_duration_seconds";
        durations(page, name, &["method", "path"], view, |label, method| vec![method, path(label)]);
    }
}

/// Calls of gRPC. A pool is missed by a call that a connection is opened for.
fn calls(page: &mut Page<'_>, view: &View<'_>) {
    let (misses, streams) = (Counter::GrpcConnectionsOpened, Counter::UpstreamStreamsOpened);
    let help = "Calls to services that a connection was there for.";
    page.counter("gufo_grpc_pool_hits_total", help, open(view.shards, streams, misses));
    let help = "Connections opened to services.";
    let count = |counter| sum(view.shards, |shard| shard.get(counter));
    page.counter("gufo_grpc_pool_misses_total", help, count(misses));
    let help = "Calls to services beyond the first attempt.";
    page.counter("gufo_grpc_retries_total", help, count(Counter::GrpcRetries));
}

fn requests(
    page: &mut Page<'_>,
    name: &str,
    names: &[&str],
    counted: &Counted,
    labels: impl Fn(Label, String, String) -> Labels,
) {
    let mut sums = BTreeMap::new();
    for (kind, count) in &counted.kinds {
        let key = labels(kind.route, method(Some(kind.method)), status_text(kind.status));
        *sums.entry(key).or_insert(0) += count;
    }
    for (class, count) in counted.beyond.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let key = labels(Label::OTHER, OTHER.to_owned(), format!("{class}xx"));
        *sums.entry(key).or_insert(0) += count;
    }
    page.head(name, "counter", "Requests that ended.");
    for (values, count) in &sums {
        page.sample(name, &pairs(names, values), *count);
    }
}

fn durations(
    page: &mut Page<'_>,
    name: &str,
    names: &[&str],
    view: &View<'_>,
    labels: impl Fn(Label, String) -> Labels,
) {
    let mut sums = BTreeMap::new();
    for (Key { label, method: own }, total) in view.latency.of(Kind::Request) {
        let times = sums.entry(labels(label, method(own))).or_insert_with(|| Times::new(&BOUNDS));
        times.add(total);
    }
    page.head(name, "histogram", "From the first byte of a request to the last of its answer.");
    for (values, times) in &sums {
        page.times(name, &pairs(names, values), times);
    }
}

/// A method as it stands in labels; requests without a route are not told apart by theirs.
fn method(method: Option<Method>) -> String {
    let known = method.filter(|method| *method != Method::Other);
    known.map_or(OTHER, Method::name).to_owned()
}

fn pairs<'a>(names: &[&'a str], values: &'a Labels) -> Vec<(&'a str, &'a str)> {
    names.iter().copied().zip(values.iter().map(String::as_str)).collect()
}
