//! What went wrong, what was told of it, and what the kernel says of the process.

use super::page::Page;
use super::{View, sum};
use crate::base::bug;
use crate::observe::counters::{Counter, GRPC_STATUSES, REASONS_MAX};
use crate::observe::log_writer::LogStats;
use crate::observe::process::ProcessStats;

/// Answers of our own, calls that failed, and what the log and the notices have lost.
pub(super) fn faults(page: &mut Page<'_>, view: &View<'_>) {
    let name = "otus_rejected_total";
    page.head(name, "counter", "Answers that the gateway gave by itself, by the reason.");
    for (place, reason) in view.reasons.iter().enumerate().take(REASONS_MAX) {
        if !reason.is_empty() {
            let count = sum(view.shards, |shard| shard.reason(place));
            page.sample(name, &[("reason", reason)], count);
        }
    }
    let name = "otus_grpc_calls_total";
    page.head(name, "counter", "Calls to services that ended, by their gRPC status.");
    for code in 0..GRPC_STATUSES {
        let count = sum(view.shards, |shard| shard.grpc_status(code));
        page.sample(name, &[("rpc_grpc_status_code", &code.to_string())], count);
    }
    page.counter("otus_bugs_total", "States met that cannot be.", bug::met());
    let lost = view.log.map_or(0, LogStats::lost);
    let dropped = sum(view.shards, |shard| shard.get(Counter::LogDropped));
    page.counter(
        "otus_log_dropped_total",
        "Access log records that were dropped because the log fell behind.",
        dropped.saturating_add(lost),
    );
    if let Some(log) = view.log {
        let help = "Access log records that were written.";
        page.counter("otus_log_records_total", help, log.written());
        let help = "Writes to the access log or of notices that failed.";
        page.counter("otus_log_write_errors_total", help, log.faults());
    }
    page.counter(
        "otus_notices_dropped_total",
        "Notices to the operator that were dropped because there were too many at once.",
        view.notices.dropped(),
    );
}

/// What became of what was told to others.
pub(super) fn exports(page: &mut Page<'_>, view: &View<'_>) {
    if view.exports.is_empty() {
        return;
    }
    let name = "otus_telemetry_sent_total";
    page.head(name, "counter", "Spans and reports that were delivered.");
    for (to, stats) in view.exports {
        page.sample(name, &[("to", to)], stats.sent());
    }
    let name = "otus_telemetry_lost_total";
    page.head(name, "counter", "Spans and reports that could not be delivered.");
    for (to, stats) in view.exports {
        page.sample(name, &[("to", to)], stats.lost());
    }
    let dropped = sum(view.shards, |shard| shard.get(Counter::TelemetryDropped));
    let help = "Spans and reports that were dropped because there were too many at once.";
    page.counter("otus_telemetry_dropped_total", help, dropped);
}

/// What the kernel says of us.
pub(super) fn process_stats(page: &mut Page<'_>, process: &ProcessStats) {
    page.head("process_cpu_seconds_total", "counter", "Processor time spent.");
    page.seconds("process_cpu_seconds_total", &[], process.cpu);
    page.head("process_start_time_seconds", "gauge", "When the process started, since 1970.");
    page.seconds("process_start_time_seconds", &[], process.start);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory in use and present.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Address space in use.", process.virtual_bytes),
        ("process_open_fds", "File descriptors that are open.", process.open_fds),
        ("process_max_fds", "File descriptors that may be open.", process.max_fds),
        ("process_threads", "Threads of the process.", process.threads),
    ] {
        page.gauge(name, help, value);
    }
}
