//! Facts out: counters, latencies, the access log, notices to the operator, and the metrics page.
//!
//! Every function here takes facts and gives nothing back that the request path could branch on.
//! It knows nothing of HTTP beyond the words that stand in labels. A shard writes its own block of
//! [`counters`] and its own [`latency`] histograms without a lock and pushes one
//! [`access_log::AccessRecord`] per request into a bounded ring; the control thread reads them for
//! [`exposition`], and one log thread, [`log_writer`], empties the rings. Where traces or reports
//! are asked for, a [`span::Tell`] takes the same facts to control, which sends them as [`otlp`]
//! or [`sentry`] say.
//!
//! Start with [`counters`].

pub mod access_log;
pub mod counters;
pub mod exposition;
pub(crate) mod json;
pub mod labels;
pub mod latency;
pub mod log_writer;
pub mod notice;
pub mod otlp;
pub mod process;
pub mod sentry;
pub mod span;
mod tally;
