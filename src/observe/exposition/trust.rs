//! Certificates that clients are shown, keys that tokens are verified with, and tokens that were
//! refused.

use super::page::Page;
use super::{CertificateReads, View, sum};
use crate::observe::counters::REFUSALS_MAX;

/// Certificates that clients are shown. Without any, there are no such metrics.
pub(super) fn certificates(page: &mut Page<'_>, view: &View<'_>) {
    if view.certificates.is_empty() {
        return;
    }
    let name = "otus_tls_cert_expiry_timestamp_seconds";
    page.head(name, "gauge", "When a certificate that clients are shown ends.");
    for (certificate, until) in view.certificates {
        page.sample(name, &[("certificate", certificate)], *until);
    }
    let CertificateReads { refused, is_refused } = view.certificate_reads;
    page.counter(
        "otus_tls_certs_refused_total",
        "Changes of certificate files that were refused, so that those in use stayed.",
        refused,
    );
    page.gauge(
        "otus_tls_certs_last_reload_successful",
        "Whether the certificate files could be used when they were last read.",
        u64::from(!is_refused),
    );
}

/// Why tokens were refused, and how old the keys are that they are verified with.
pub(super) fn tokens(page: &mut Page<'_>, view: &View<'_>) {
    let name = "otus_auth_tokens_refused_total";
    page.head(name, "counter", "Requests that were refused for what should prove who they are of.");
    for (place, reason) in view.refusals.iter().enumerate().take(REFUSALS_MAX) {
        let count = sum(view.shards, |shard| shard.tokens_refused(place));
        page.sample(name, &[("reason", reason)], count);
    }
    if view.keys.is_empty() {
        return;
    }
    let name = "otus_auth_keys";
    page.head(name, "gauge", "Keys that tokens are verified with.");
    for row in view.keys {
        let keys = u64::try_from(row.keys).unwrap_or(u64::MAX);
        page.sample(name, &[("source", &row.source)], keys);
    }
    let name = "otus_auth_keys_fetched_timestamp_seconds";
    page.head(name, "gauge", "When keys were last looked for and found.");
    for row in view.keys {
        if let Some(found) = row.found {
            page.sample(name, &[("source", &row.source)], found.seconds());
        }
    }
    let name = "otus_auth_keys_fetch_failures_total";
    page.head(name, "counter", "Looks for keys that failed.");
    for row in view.keys {
        page.sample(name, &[("source", &row.source)], row.failures);
    }
}
