//! The metrics page: Prometheus' text format, version 0.0.4.
//!
//! Names follow OpenTelemetry where it has one, else `otus_<noun>_<unit>[_total]`. Every label
//! value comes from the configuration or from a closed list, so that no client can make a series.
//! What is known beforehand is there from the start with zero, so that a rate has a first value.

mod compat;
mod faults;
mod page;
mod stats;
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::compat::{Compat, render_compat};
use self::page::Page;
pub use self::stats::stats;
use super::counters::{Counter, CountersReader, Gauge, Sizes};
use super::labels::{Label, Method, Names};
use super::latency::{Kind, Totals};
use super::log_writer::LogStats;
use super::notice::Notices;
use super::process::ProcessStats;
use super::span::ExportStats;
use super::tally;
use crate::base::time::UnixTime;

/// The content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that the page shows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// A reader for each shard, in the order of their numbers.
    pub shards: &'a [CountersReader],
    /// Latencies that the shards gave away.
    pub latency: &'a Totals,
    /// Names of the routes.
    pub routes: &'a Names,
    /// Names of the upstreams.
    pub upstreams: &'a Names,
    /// Endpoints that are checked: their upstream, their address, and whether they are used.
    pub endpoints: &'a [(String, String, bool)],
    /// Certificates that clients are shown, with the end of each in seconds since 1970.
    pub certificates: &'a [(&'a str, u64)],
    /// Labels of the reasons for our own answers, by place. An empty one is left out.
    pub reasons: &'a [&'a str],
    /// Labels of the reasons why tokens are refused, by place.
    pub refusals: &'a [&'a str],
    /// Where keys of tokens come from, and what came of looking for them.
    pub keys: &'a [KeyRow],
    /// What came of reading certificates again that changed on disk.
    pub certificate_reads: CertificateReads,
    /// Names of other gateways that are shown as well.
    pub compat: Compat<'a>,
    /// The log thread, if there is one.
    pub log: Option<&'a LogStats>,
    /// Who is told of spans and errors, and what became of that.
    pub exports: &'a [(&'static str, Arc<ExportStats>)],
    /// The operator's notices.
    pub notices: &'a Notices,
    /// What the kernel says of us, if it does.
    pub process: Option<&'a ProcessStats>,
    /// What runs.
    pub running: Running<'a>,
}

/// The keys of one source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyRow {
    /// The name of the source.
    pub source: String,
    /// How many there are.
    pub keys: usize,
    /// When they were found last; `None`: never.
    pub found: Option<UnixTime>,
    /// How often they were looked for in vain.
    pub failures: u64,
}

/// What came of reading certificates again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CertificateReads {
    /// How often files were refused, and those in use stayed.
    pub refused: u64,
    /// Whether that is so since the last time.
    pub is_refused: bool,
}

/// What runs: the program and its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The program's version.
    pub version: &'a str,
    /// `io_uring` or `epoll`.
    pub io_driver: &'a str,
    /// The generation that was last published.
    pub generation: u64,
    /// Whether the last attempt to load a configuration took effect.
    pub reload_successful: bool,
    /// When the running configuration was loaded.
    pub reload_time: UnixTime,
}

/// Appends the page.
pub fn render(out: &mut String, view: &View<'_>) {
    let mut page = Page::new(out);
    running(&mut page, &view.running);
    let counted = Counted::of(view.shards);
    requests(&mut page, view, &counted);
    durations(&mut page, view);
    sizes(&mut page, view.shards);
    for (counter, name, help) in COUNTERS {
        page.head(name, "counter", help);
        page.sample(name, &[], sum(view.shards, |shard| shard.get(counter)));
    }
    for (begun, ended, name, help) in OPEN {
        page.head(name, "gauge", help);
        page.sample(name, &[], open(view.shards, begun, ended));
    }
    endpoints(&mut page, view.endpoints);
    trust::certificates(&mut page, view);
    trust::tokens(&mut page, view);
    per_shard(&mut page, view.shards);
    faults::faults(&mut page, view);
    faults::exports(&mut page, view);
    compat::render(&mut page, view, &counted);
    if let Some(process) = view.process {
        faults::process_stats(&mut page, process);
    }
}

/// Counters that are shown as the sum over all shards.
const COUNTERS: [(Counter, &str, &str); 28] = [
    (
        Counter::ConnectionsRefused,
        "otus_connections_refused_total",
        "Connections closed at once because the shard held its maximum.",
    ),
    (
        Counter::ProxyHeadersRefused,
        "otus_proxy_headers_refused_total",
        "Connections closed because their PROXY header was missing, wrong or from a stranger.",
    ),
    (Counter::TlsHandshakes, "otus_tls_handshakes_total", "TLS handshakes that came to their end."),
    (
        Counter::TlsResumptions,
        "otus_tls_resumptions_total",
        "TLS handshakes that went on from an earlier one.",
    ),
    (
        Counter::TlsHandshakesFailed,
        "otus_tls_handshakes_failed_total",
        "TLS handshakes that failed or took too long.",
    ),
    (
        Counter::DownstreamReceivedBytes,
        "otus_downstream_received_bytes_total",
        "Bytes read from clients.",
    ),
    (Counter::DownstreamSentBytes, "otus_downstream_sent_bytes_total", "Bytes written to clients."),
    (
        Counter::UpstreamReceivedBytes,
        "otus_upstream_received_bytes_total",
        "Bytes read from endpoints.",
    ),
    (Counter::UpstreamSentBytes, "otus_upstream_sent_bytes_total", "Bytes written to endpoints."),
    (
        Counter::DownstreamTimeouts,
        "otus_downstream_timeouts_total",
        "Deadlines that passed while waiting for a client.",
    ),
    (
        Counter::UpstreamTimeouts,
        "otus_upstream_timeouts_total",
        "Deadlines that passed while waiting for an endpoint.",
    ),
    (
        Counter::ClientsLeft,
        "otus_clients_left_total",
        "Requests whose client left before the answer was out.",
    ),
    (Counter::UploadsStarted, "otus_uploads_started_total", "Uploads begun towards a service."),
    (Counter::UploadsEnded, "otus_uploads_ended_total", "Uploads that ended, whole or not."),
    (
        Counter::UploadsFailed,
        "otus_uploads_failed_total",
        "Uploads that ended before the service had answered for all of it.",
    ),
    (Counter::UploadBytes, "otus_upload_bytes_total", "Bytes of files handed to services."),
    (
        Counter::UploadPipedBytes,
        "otus_upload_piped_bytes_total",
        "Bytes of files that passed without being copied.",
    ),
    (Counter::UploadFiles, "otus_upload_files_total", "Files handed to services, each to its end."),
    (
        Counter::UpstreamConnectionsOpened,
        "otus_upstream_connections_opened_total",
        "Connections opened to endpoints.",
    ),
    (
        Counter::UpstreamConnectFailures,
        "otus_upstream_connect_failures_total",
        "Attempts to connect to an endpoint that failed.",
    ),
    (
        Counter::EndpointsEjected,
        "otus_endpoints_ejected_total",
        "Endpoints that a shard set aside because their requests failed.",
    ),
    (
        Counter::UpstreamStreamsOpened,
        "otus_upstream_streams_opened_total",
        "Streams opened on connections to endpoints.",
    ),
    (
        Counter::UpstreamStreamsCancelled,
        "otus_upstream_streams_cancelled_total",
        "Streams to endpoints that the gateway ended early.",
    ),
    (Counter::Retries, "otus_retries_total", "Attempts beyond the first."),
    (
        Counter::RetriesDenied,
        "otus_retries_denied_total",
        "Attempts beyond the first that the retry budget did not allow.",
    ),
    (
        Counter::Panics,
        "otus_panics_total",
        "Tasks that panicked, each at the cost of its connection.",
    ),
    (Counter::RequestsStarted, "otus_requests_started_total", "Requests whose head was read."),
    (
        Counter::ConnectionsClosed,
        "otus_connections_closed_total",
        "Connections from clients that ended.",
    ),
];

/// Gauges of what is begun and not yet ended.
const OPEN: [(Counter, Counter, &str, &str); 4] = [
    (
        Counter::RequestsStarted,
        Counter::RequestsEnded,
        "http_server_active_requests",
        "Requests in flight.",
    ),
    (Counter::UploadsStarted, Counter::UploadsEnded, "otus_uploads_active", "Uploads in flight."),
    (
        Counter::UpstreamConnectionsOpened,
        Counter::UpstreamConnectionsClosed,
        "otus_upstream_connections_open",
        "Connections to endpoints that are open.",
    ),
    (
        Counter::UpstreamStreamsOpened,
        Counter::UpstreamStreamsClosed,
        "otus_upstream_streams_open",
        "Streams to endpoints that are open.",
    ),
];

fn running(page: &mut Page<'_>, running: &Running<'_>) {
    page.head("otus_build_info", "gauge", "Always 1; the labels say what runs.");
    page.sample("otus_build_info", &[("version", running.version)], 1);
    page.head("otus_io_driver", "gauge", "Always 1; the label says how the shards do their io.");
    page.sample("otus_io_driver", &[("driver", running.io_driver)], 1);
    page.gauge(
        "otus_config_generation",
        "The generation of the configuration that was last published.",
        running.generation,
    );
    page.gauge(
        "otus_config_last_reload_successful",
        "Whether the last attempt to load a configuration took effect.",
        u64::from(running.reload_successful),
    );
    page.head(
        "otus_config_last_reload_timestamp_seconds",
        "gauge",
        "When the running configuration was loaded, since 1970.",
    );
    page.seconds("otus_config_last_reload_timestamp_seconds", &[], running.reload_time.0);
}

/// Requests that ended, of all shards together.
struct Counted {
    kinds: BTreeMap<tally::Kind, u64>,
    /// What was not told apart, by the first digit of its status.
    beyond: [u64; tally::CLASSES],
}

impl Counted {
    fn of(shards: &[CountersReader]) -> Self {
        let mut counted = Counted { kinds: BTreeMap::new(), beyond: [0; tally::CLASSES] };
        for shard in shards {
            for (kind, count) in shard.requests().kinds() {
                *counted.kinds.entry(kind).or_insert(0) += count;
            }
            for (sum, count) in counted.beyond.iter_mut().zip(shard.requests().beyond()) {
                *sum += count;
            }
        }
        counted
    }
}

/// A status as it stands in labels.
fn status_text(status: u16) -> String {
    if status == 0 { "none".to_owned() } else { status.to_string() }
}

fn requests(page: &mut Page<'_>, view: &View<'_>, counted: &Counted) {
    let name = "otus_requests_total";
    page.head(name, "counter", "Requests that ended, by the status that was sent.");
    for (kind, count) in &counted.kinds {
        let status = status_text(kind.status);
        let labels = [
            ("http_route", view.routes.name(kind.route)),
            ("http_request_method", kind.method.name()),
            ("http_response_status_code", &status),
        ];
        page.sample(name, &labels, *count);
    }
    for (class, count) in counted.beyond.into_iter().enumerate().filter(|(_, count)| *count != 0) {
        let labels = [
            ("http_route", view.routes.name(Label::OTHER)),
            ("http_request_method", Method::Other.name()),
            ("http_response_status_code", &format!("{class}xx")),
        ];
        page.sample(name, &labels, count);
    }
}

fn durations(page: &mut Page<'_>, view: &View<'_>) {
    for kind in Kind::ALL {
        let (name, label, names, help) = match kind {
            Kind::Request => (
                "http_server_request_duration_seconds",
                "http_route",
                view.routes,
                "From the first byte of a request to the last byte of its answer.",
            ),
            Kind::Upstream => (
                "http_client_request_duration_seconds",
                "otus_upstream",
                view.upstreams,
                "From the first byte of a call to the first byte of its answer.",
            ),
            Kind::Own => (
                "otus_self_duration_seconds",
                "http_route",
                view.routes,
                "What the gateway added: the time of a request less all waiting for peers.",
            ),
        };
        let strays = view.latency.of(kind).any(|(key, _)| key.label == Label::OTHER);
        if kind == Kind::Request || view.latency.of(kind).next().is_some() {
            page.head(name, "histogram", help);
        }
        if kind == Kind::Request && !strays {
            // Here from the start, so that the first stray request makes no series.
            page.duration(name, &[(label, names.name(Label::OTHER))], None);
        }
        for (key, total) in view.latency.of(kind) {
            let labels = [
                (label, names.name(key.label)),
                ("http_request_method", key.method.map_or("", Method::name)),
            ];
            let labels = if key.method.is_some() { &labels[..] } else { &labels[..1] };
            page.duration(name, labels, Some(total));
        }
    }
}

fn sizes(page: &mut Page<'_>, shards: &[CountersReader]) {
    let request = |shard: &CountersReader| shard.request_sizes();
    let response = |shard: &CountersReader| shard.response_sizes();
    page.sizes(
        "http_server_request_body_size_bytes",
        "Bytes of the content of requests.",
        &total_sizes(shards, request),
    );
    page.sizes(
        "http_server_response_body_size_bytes",
        "Bytes of the content of responses.",
        &total_sizes(shards, response),
    );
}

fn total_sizes(shards: &[CountersReader], of: impl Fn(&CountersReader) -> Sizes) -> Sizes {
    let mut total = Sizes::default();
    for sizes in shards.iter().map(of) {
        total.bytes += sizes.bytes;
        for (sum, count) in total.classes.iter_mut().zip(sizes.classes) {
            *sum += count;
        }
    }
    total
}

/// What the active checks say. Without any, there is no such metric.
fn endpoints(page: &mut Page<'_>, endpoints: &[(String, String, bool)]) {
    let name = "otus_endpoint_healthy";
    if !endpoints.is_empty() {
        page.head(name, "gauge", "Whether an endpoint that is checked gets requests.");
    }
    for (upstream, endpoint, healthy) in endpoints {
        let labels = [("upstream", upstream.as_str()), ("endpoint", endpoint.as_str())];
        page.sample(name, &labels, u64::from(*healthy));
    }
}

/// What shows whether the load is spread evenly and whether all shards run the same generation.
fn per_shard(page: &mut Page<'_>, shards: &[CountersReader]) {
    page.gauge(
        "otus_shards",
        "Shards that were started.",
        u64::try_from(shards.len()).unwrap_or(0),
    );
    page.each_shard(
        shards,
        "otus_connections_accepted_total",
        ("counter", "Connections taken from a listener."),
        |shard| shard.get(Counter::ConnectionsAccepted),
    );
    page.each_shard(
        shards,
        "otus_connections_open",
        ("gauge", "Connections from clients that are open."),
        |shard| {
            let closed = shard.get(Counter::ConnectionsClosed);
            shard.get(Counter::ConnectionsAccepted).saturating_sub(closed)
        },
    );
    page.each_shard(
        shards,
        "otus_shard_requests_total",
        ("counter", "Requests that ended."),
        |shard| shard.get(Counter::RequestsEnded),
    );
    page.each_shard(
        shards,
        "otus_shard_generation",
        ("gauge", "The generation that the shard runs."),
        |shard| shard.gauge(Gauge::Generation),
    );
    page.each_shard(
        shards,
        "otus_http2_window_lent_bytes",
        ("gauge", "What clients may have under way beyond their first windows."),
        |shard| shard.gauge(Gauge::WindowsLent),
    );
}

fn sum(shards: &[CountersReader], of: impl Fn(&CountersReader) -> u64) -> u64 {
    shards.iter().map(of).fold(0, u64::saturating_add)
}

/// The end is read first: what begins in between is shown, and never less than nothing.
fn open(shards: &[CountersReader], begun: Counter, ended: Counter) -> u64 {
    let ended = sum(shards, |shard| shard.get(ended));
    sum(shards, |shard| shard.get(begun)).saturating_sub(ended)
}

#[cfg(test)]
mod tests;
