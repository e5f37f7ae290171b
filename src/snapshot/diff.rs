//! What differs between two snapshots, as far as it matters to a reload.

use std::net::SocketAddr;

use super::Snapshot;

/// The keys that differ and take effect only when the process starts again.
///
/// A reload keeps their old values in force and says so.
#[must_use]
pub fn restart_keys(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    let addresses = |snapshot: &Snapshot| -> Vec<SocketAddr> {
        snapshot.server.listeners.iter().map(|listener| listener.address).collect()
    };
    let transports = |snapshot: &Snapshot| -> Vec<_> {
        snapshot.server.listeners.iter().map(|listener| listener.transport).collect()
    };
    let sealed = |snapshot: &Snapshot| -> Vec<_> {
        snapshot.server.listeners.iter().map(|listener| listener.tls.is_some()).collect()
    };
    [
        (
            "tls.port, server.grpc_tls_enabled, or the first or last certificate",
            sealed(old) != sealed(new),
        ),
        (
            "server.ip, server.port, server.grpc_ip, server.grpc_port",
            addresses(old) != addresses(new),
        ),
        ("listener.transport", transports(old) != transports(new)),
        ("server.admin", old.server.admin != new.server.admin),
        ("server.metrics_port", old.server.metrics != new.server.metrics),
        ("server.workers", old.server.workers != new.server.workers),
        ("server.io", old.server.io != new.server.io),
        ("server.access_log", old.observe.access_log != new.observe.access_log),
        ("server.log_to_file, compat.log", old.observe.log_form != new.observe.log_form),
        (
            "compat.open_metrics",
            old.observe.open_metrics.is_some() != new.observe.open_metrics.is_some(),
        ),
        ("otel", old.observe.traces != new.observe.traces),
        ("sentry", old.observe.sentry != new.observe.sentry),
        ("rate_store", old.rate_store != new.rate_store),
        ("limits.read_buffer", old.limits.read_buffer_bytes != new.limits.read_buffer_bytes),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
