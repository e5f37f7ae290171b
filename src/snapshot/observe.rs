//! What is told about the traffic, and where.

use std::path::PathBuf;

/// What is told about the traffic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observe {
    /// Where the access log goes; `None`: nowhere.
    pub access_log: Option<LogTarget>,
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
}

impl Default for Observe {
    fn default() -> Self {
        Observe { access_log: Some(LogTarget::Stdout) }
    }
}
