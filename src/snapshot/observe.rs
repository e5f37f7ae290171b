//! What is told about the traffic, and where.

use std::path::PathBuf;
use std::time::Duration;

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
pub struct CompatMetrics {
    /// `gufo_*`
    pub gufo: bool,
    /// `apigw_*`
    pub threex: bool,
    /// `foldforge_*`
    pub fold: bool,
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
            traces: None,
            sentry: None,
        }
    }
}
