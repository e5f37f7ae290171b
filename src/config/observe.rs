//! What the gateway tells about itself: logs, metrics, traces, reports.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::fault::{Code, Finding};
use super::source;
use super::values::Config;
use crate::snapshot::auth::KeyUrl;
use crate::snapshot::observe::{
    CompatMetrics, LogForm, LogTarget, Observe, OpenMetrics, Sentry, Traces,
};
use crate::snapshot::secret::Secret;
use crate::tls::client::{ClientSpec, ClientTls};

/// What is appended to the endpoint of traces (OTLP/HTTP).
const TRACES_PATH: &str = "/v1/traces";

impl Config {
    /// What is told, and where.
    pub(super) fn observe(&self, findings: &mut Vec<Finding>) -> Observe {
        let to_file = self.boolean("server.log_to_file") == Some(true);
        let access_log = if to_file {
            Some(LogTarget::Daily(PathBuf::from(self.text("server.logdir").unwrap_or_default())))
        } else {
            self.log("server.access_log")
        };
        let log_form = match self.text("compat.log").as_deref() {
            Some("gufo") => LogForm::Gufo,
            Some("3x") => LogForm::Threex,
            None if to_file => LogForm::Gufo,
            _ => LogForm::Otus,
        };
        let names = self.texts("compat.metrics");
        let has = |name: &str| names.iter().any(|own| own == name);
        let (gufo, threex) = (has("gufo"), has("3x"));
        let compat = CompatMetrics { gufo, threex, fold: has("fold"), hanzo: has("hanzo") };
        let is_open = self.boolean("compat.open_metrics") == Some(true);
        let open_metrics = (is_open && (compat.threex || compat.fold)).then(OpenMetrics::default);
        let (traces, sentry) = (self.traces(findings), self.sentry(findings));
        Observe { access_log, log_form, compat, open_metrics, traces, sentry }
    }

    /// Where metrics alone are served.
    pub(super) fn metrics_address(&self) -> Option<SocketAddr> {
        let port = self.integer("server.metrics_port").and_then(|port| u16::try_from(port).ok())?;
        Some(SocketAddr::new(self.ip("server.ip")?, port))
    }

    fn traces(&self, findings: &mut Vec<Finding>) -> Option<Traces> {
        let url = traces_url(&self.text("otel.endpoint")?)?;
        if self.boolean("server.telemetry") == Some(false) {
            return None;
        }
        Some(Traces {
            tls: self.tls_of(&url, "otel.ca", findings),
            url,
            service: self.text("otel.service_name").unwrap_or_default(),
            ratio: self.float("otel.ratio"),
        })
    }

    fn sentry(&self, findings: &mut Vec<Finding>) -> Option<Sentry> {
        if self.boolean("server.sentry") != Some(true) {
            return None;
        }
        let (url, key) = dsn(self.secret("sentry.dsn")?.expose())?;
        let is_traced = self.boolean("sentry.tracing") == Some(true);
        Some(Sentry {
            tls: self.tls_of(&url, "sentry.ca", findings),
            url,
            key,
            ratio: if is_traced { self.float("sentry.trace") } else { 0.0 },
            debug: self.boolean("sentry.debug") == Some(true),
            flush: self.duration("sentry.flush"),
        })
    }

    fn tls_of(&self, url: &KeyUrl, ca: &str, findings: &mut Vec<Finding>) -> Option<ClientTls> {
        if !url.secure {
            return None;
        }
        let authorities = self.text(ca).map(PathBuf::from);
        let spec = ClientSpec { authorities, ..ClientSpec::default() };
        match ClientTls::build(spec, &source::read_file) {
            Ok(tls) => Some(tls),
            Err((_, message)) => {
                let way_out = "check the path, its rights, and that it is PEM";
                findings.push(self.finding(Code::Malformed, ca, &message, way_out));
                None
            }
        }
    }

    /// Complains of what is told.
    pub(super) fn check_observe(&self, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let names = self.texts("compat.metrics");
        let known = ["gufo", "3x", "fold", "hanzo"];
        if let Some(odd) = names.iter().find(|name| !known.contains(&&***name)) {
            let message = format!("there are no names of metrics called `{odd}`");
            let way_out = "write \"gufo\", \"3x\", \"fold\" or \"hanzo\"";
            find(Code::Malformed, "compat.metrics", &message, way_out);
        }
        let has_open = names.iter().any(|name| ["3x", "fold"].contains(&name.as_str()));
        if self.boolean("compat.open_metrics") == Some(true) && !has_open {
            let message = "`open_metrics` shows the names of `3x` and `fold`, and there are none";
            let way_out = "write metrics = [\"3x\"] or [\"fold\"] beside it";
            find(Code::NoEffect, "compat.open_metrics", message, way_out);
        }
        if self.boolean("server.log_to_file") == Some(true) && self.is_given("server.access_log") {
            let message = "`access_log` means nothing: `log_to_file` takes its place";
            find(Code::NoEffect, "server.access_log", message, "leave one of them out");
        }
        if let Some(text) = self.text("otel.endpoint") {
            match traces_url(&text) {
                None => {
                    let message = format!("`endpoint = \"{text}\"` is no place for traces");
                    let way_out = "write \"collector:4318\", or a URL of http or https";
                    find(Code::Malformed, "otel.endpoint", &message, way_out);
                }
                Some(url) if url.port == 4317 => {
                    let message = "4317 is the port of OTLP over gRPC; traces go over HTTP";
                    let way_out = "write the port of OTLP over HTTP, which is 4318 as a rule";
                    find(Code::Risky, "otel.endpoint", message, way_out);
                }
                Some(_) => {}
            }
        }
        if self.boolean("server.sentry") == Some(true) {
            match self.secret("sentry.dsn") {
                None => {
                    let message =
                        "`sentry` is on and there is no `sentry.dsn`: nothing is reported";
                    let way_out = "write dsn = \"...\" in [sentry], or set GUFO_SENTRY_DSN";
                    find(Code::NoEffect, "server.sentry", message, way_out);
                }
                Some(text) if dsn(text.expose()).is_none() => {
                    let way_out = "write \"https://key@host/project\"";
                    find(Code::Malformed, "sentry.dsn", "`dsn` is none", way_out);
                }
                Some(_) => {}
            }
        }
        self.check_metrics_port(findings);
    }

    fn check_metrics_port(&self, findings: &mut Vec<Finding>) {
        let Some(own) = self.metrics_address() else { return };
        let path = "server.metrics_port";
        let mut find = |code, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let admin = self.address("server.admin").filter(|admin| {
            let overlap = own.ip().is_unspecified() || admin.ip().is_unspecified();
            overlap || own.ip() == admin.ip()
        });
        if own.port() != 0 && admin.is_some_and(|admin| admin.port() == own.port()) {
            let way_out = "write another port in `server.admin`, or admin = \"off\"";
            find(Code::Contradiction, "`metrics_port` is the port of `server.admin`", way_out);
        }
        if own.port() != 0 && self.integer("server.port") == Some(u64::from(own.port())) {
            find(Code::Contradiction, "`metrics_port` is `server.port`", "write another port");
        }
        if self.secret("server.metrics_token").is_none_or(|token| token.is_empty()) {
            let message = "nobody can read the metrics: there is no `metrics_token`";
            find(Code::NoEffect, message, "write metrics_token = \"...\"");
        }
    }
}

/// `host:port`, or a URL; `None`: it is neither.
fn traces_url(text: &str) -> Option<KeyUrl> {
    let text = text.trim_end_matches('/');
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let text = if text.ends_with(TRACES_PATH) { text } else { text + TRACES_PATH };
    KeyUrl::parse(&text).filter(|url| !url.target.contains('?'))
}

/// Where a DSN has reports go, and its public key: `https://key@host/path/project`.
fn dsn(text: &str) -> Option<(KeyUrl, Secret)> {
    let (scheme, rest) = text.split_once("://")?;
    let (user, rest) = rest.split_once('@')?;
    // Old ones have a secret behind the key, which nobody asks for any more.
    let key = user.split(':').next().filter(|key| !key.is_empty())?;
    let mut url = KeyUrl::parse(&format!("{scheme}://{rest}"))?;
    let (front, project) = url.target.rsplit_once('/')?;
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if !is_plain(project) || !is_plain(key) {
        return None;
    }
    url.target = format!("{front}/api/{project}/envelope/");
    Some((url, Secret::new(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_to_a_host_and_port_or_to_a_url() {
        for (text, authority, target, secure) in [
            ("collector:4318", "collector:4318", "/v1/traces", false),
            ("http://collector:4318/", "collector:4318", "/v1/traces", false),
            ("https://otel.example/in", "otel.example", "/in/v1/traces", true),
            ("https://otel.example/v1/traces", "otel.example", "/v1/traces", true),
        ] {
            let url = traces_url(text).unwrap();
            let parts = (url.authority.as_str(), url.target.as_str(), url.secure);
            assert_eq!(parts, (authority, target, secure), "{text}");
        }
        for text in ["", "a b", "ftp://a", "http://a/?b"] {
            assert_eq!(traces_url(text), None, "{text}");
        }
    }

    #[test]
    fn a_dsn_says_where_reports_go() {
        for (text, authority, target) in [
            ("https://abc@o1.example/42", "o1.example", "/api/42/envelope/"),
            ("http://abc:def@127.0.0.1:9000/x/7", "127.0.0.1:9000", "/x/api/7/envelope/"),
        ] {
            let (url, key) = dsn(text).unwrap();
            assert_eq!((url.authority.as_str(), url.target.as_str()), (authority, target));
            assert!(key.matches(b"abc"));
        }
        for text in ["", "https://o1.example/42", "https://@a/1", "https://k@a/", "https://k@a/1/"]
        {
            assert!(dsn(text).is_none(), "{text}");
        }
    }
}
