//! What is told about the traffic, and where.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Sender;

use super::auth::KeyUrl;
use super::secret::Secret;
use crate::tls::client::ClientTls;

/// What is told about the traffic.
#[derive(Clone, PartialEq, Debug)]
pub struct Observe {
    /// Where the access log goes; `None`: nowhere.
    pub access_log: Option<LogTarget>,
    /// What its fields are called.
    pub log_form: LogForm,
    /// Whose names of metrics are shown beside our own.
    pub compat: CompatMetrics,
    /// Who makes the page of other gateways' names that is shown to all at the clients' port.
    pub open_metrics: Option<OpenMetrics>,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<Traces>,
    /// Where panics and errors are reported; `None`: nowhere.
    pub sentry: Option<Sentry>,
}

/// Where a log goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogTarget {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
    /// Files of the day in this directory.
    Daily(PathBuf),
}

/// What the fields of the access log are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogForm {
    /// As OpenTelemetry calls them.
    #[default]
    Otus,
    /// As Gufo does.
    Gufo,
    /// As 3xpluto's go-api-gateway does.
    Threex,
}

/// Whose names of metrics are shown beside our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
pub struct CompatMetrics {
    /// `gufo_*`
    pub gufo: bool,
    /// `apigw_*`
    pub threex: bool,
    /// `foldforge_*`
    pub fold: bool,
    /// `krakend.*` at `/__stats`
    pub hanzo: bool,
}

/// Metrics that are open to all.
#[derive(Clone, Default)]
pub struct OpenMetrics {
    /// Where shards ask for the page. `None` until somebody makes it.
    pub asks: Option<Sender<PageAsk>>,
}

/// A shard asks for the page.
pub struct PageAsk {
    /// Tells it. Called once, on the thread that made it.
    pub answer: Box<dyn FnOnce(Arc<str>) + Send>,
}

impl PartialEq for OpenMetrics {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for OpenMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenMetrics")
    }
}

/// Where traces go.
#[derive(Clone, PartialEq, Debug)]
pub struct Traces {
    /// What is posted to.
    pub url: KeyUrl,
    /// For a URL of https.
    pub tls: Option<ClientTls>,
    /// What the gateway is called.
    pub service: String,
    /// Share of traces that begin here, 0 to 1.
    pub ratio: f64,
}

/// Where panics and errors are reported.
#[derive(Clone, PartialEq, Debug)]
pub struct Sentry {
    /// What is posted to.
    pub url: KeyUrl,
    /// For a URL of https.
    pub tls: Option<ClientTls>,
    /// The public key of the project.
    pub key: Secret,
    /// Share of requests that are reported as transactions, 0 to 1.
    pub ratio: f64,
    /// Whether the operator is told of each report.
    pub debug: bool,
    /// How long the end of the process waits for reports.
    pub flush: Duration,
}

impl Default for Observe {
    fn default() -> Self {
        Observe {
            access_log: Some(LogTarget::Stdout),
            log_form: LogForm::Otus,
            compat: CompatMetrics::default(),
            open_metrics: None,
            traces: None,
            sentry: None,
        }
    }
}
