//! The keys of what the gateway tells about itself (SPEC 15).

use super::key::{Key, Kind, Reload, live, open, restart, seconds};

/// `[server]`: metrics and logs as Gufo has them.
pub const SERVER: &[Key] = &[
    at_restart(open(
        "server.metrics_port",
        Kind::Port { zero: true },
        "port at `server.ip` where metrics alone are served, to who shows `metrics_token`; 9100 \
             in Gufo",
    )),
    restart(
        "server.log_to_file",
        Kind::Bool,
        "false",
        "log into files of the day in `logdir`, in the place of `access_log`",
    ),
    restart("server.logdir", Kind::Text, "/var/gufo/log", "the directory of these files"),
    restart("server.telemetry", Kind::Bool, "true", "`false`: no traces, whatever `[otel]` says"),
    restart("server.sentry", Kind::Bool, "false", "report panics and errors to Sentry"),
];

/// `[compat]`, `[otel]`, `[sentry]`
pub const KEYS: &[Key] = &[
    live(
        "compat.metrics",
        Kind::Texts(
            "`gufo`, `3x`, `fold`: whose names of metrics are shown beside our own; `hanzo`",
        ),
        "",
        "names that dashboards of other gateways know; `hanzo`: counts at `/__stats` as well",
    ),
    restart(
        "compat.open_metrics",
        Kind::Bool,
        "false",
        "show the names of `3x` and `fold` to everybody, at `/metrics` of the clients' port",
    ),
    at_restart(open(
        "compat.log",
        Kind::Choice(&["otus", "gufo", "3x"]),
        "whose names the fields of the access log have; `gufo` with `log_to_file`, else `otus`",
    )),
    at_restart(open(
        "otel.endpoint",
        Kind::Text,
        "where traces go, as OTLP over HTTP: `\"collector:4318\"`, or a URL that `/v1/traces` \
             is appended to",
    )),
    ca("otel.ca"),
    restart("otel.service_name", Kind::Text, "gufo-gateway", "what the gateway is called there"),
    restart(
        "otel.ratio",
        Kind::Float(0.0, 1.0),
        "1.0",
        "share of traces that begin here; callers that sent a `traceparent` have decided already",
    ),
    Key {
        reload: Reload::Restart,
        ..open("sentry.dsn", Kind::Secret, "where reports go: `https://key@host/project`")
    },
    ca("sentry.ca"),
    restart("sentry.tracing", Kind::Bool, "false", "report transactions as well"),
    restart("sentry.trace", Kind::Float(0.0, 1.0), "1.0", "share of them that is reported"),
    restart("sentry.debug", Kind::Bool, "false", "tell the operator of each report"),
    restart("sentry.flush", seconds(0, 60), "5s", "waiting for reports at the end"),
];

/// The same, but a change of it takes effect when the process starts again.
const fn at_restart(key: Key) -> Key {
    Key { reload: Reload::Restart, ..key }
}

const fn ca(path: &'static str) -> Key {
    let help = "PEM file of the authorities that are believed; without it, those of the system";
    at_restart(open(path, Kind::Text, help))
}
