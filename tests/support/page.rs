//! The metrics page of a gateway, in this process or in one of its own.

use std::net::SocketAddr;

use super::client::Client;
use super::journal::eventually;

/// What a gateway says of itself at its admin listener.
pub(crate) struct Page {
    pub(crate) admin: SocketAddr,
}

impl Page {
    /// The page as it is now.
    pub(crate) fn metrics(&self) -> String {
        let reply = Client::connect(self.admin).get("/metrics");
        assert_eq!(reply.status, 200);
        reply.text()
    }

    /// The sum of all series of a metric, or of those with a label as in `name{reason="draining"}`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (name, label) = name.split_once('{').unwrap_or((name, ""));
        let label = label.trim_end_matches('}');
        let page = self.metrics();
        let samples = page
            .lines()
            .filter(|line| line.split([' ', '{']).next() == Some(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits until a metric has reached `value`.
    #[track_caller]
    pub(crate) fn wait_metric(&self, name: &str, value: u64) {
        eventually(name, || (self.metric(name) >= value).then_some(()));
    }

    /// Waits until no stream to a service and no upload is open any more, and nothing has panicked.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        for name in ["otus_upstream_streams_open", "otus_uploads_active"] {
            eventually(name, || (self.metric(name) == 0).then_some(()));
        }
        assert_eq!(self.metric("otus_panics_total"), 0);
        assert_eq!(self.metric("otus_bugs_total"), 0);
    }
}
