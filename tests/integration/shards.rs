//! Two shards behind one address: a connection stays on the shard that accepted it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use otus::snapshot::observe::LogTarget;
use otus::snapshot::server::Workers;

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::service::Service;

/// Connections: that all of them fall to one shard happens once in 2^47 runs.
const CONNECTIONS: usize = 48;
/// Requests of each.
const REQUESTS: usize = 4;

/// A file of this test that does not exist yet; removed in the end.
struct Log(PathBuf);

impl Log {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otus-{}-{name}.log", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Log(path)
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn each_request_stays_on_the_shard_of_its_connection() {
    on_both_drivers(|io| {
        let service = Service::start();
        let log = Log::new(io.name());
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.server.workers = Workers::Count(2);
            snapshot.observe.access_log = Some(LogTarget::File(log.0.clone()));
            snapshot.add_module("storage", service.address);
        });
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| gateway.client()).collect();
        // In turn, so that all connections are open at the same time.
        for _ in 0..REQUESTS / 2 {
            for (number, client) in clients.iter_mut().enumerate() {
                let agent = format!("User-Agent: c{number}");
                let reply = client.put("/api/v3/storage/upload", &[&agent], &data::bytes(70_000));
                assert_eq!(reply.status, 200);
                client.head("GET", "/api/v3/storage/x?secret=1", &[&agent]);
                assert_eq!(client.reply().status, 200);
            }
        }
        let lines = eventually("all requests are logged", || {
            let lines = log.lines();
            (lines.len() >= CONNECTIONS * REQUESTS).then_some(lines)
        });
        let mut shards: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
        for line in &lines {
            let shard = line["gateway.shard"].as_u64().unwrap();
            *counts.entry(shard).or_default() += 1;
            shards.entry(line["user_agent.original"].as_str().unwrap()).or_default().insert(shard);
            assert_eq!(line["http.response.status_code"], 200);
            assert!(!line.to_string().contains("secret"), "{line}");
        }
        assert_eq!(shards.len(), CONNECTIONS);
        assert!(shards.values().all(|shards| shards.len() == 1), "{shards:?}");
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [0, 1], "both serve");
        // The shards' own counters say the same as the log.
        let page = gateway.metrics();
        for (shard, count) in counts {
            let line = format!("otus_shard_requests_total{{shard=\"{shard}\"}} {count}");
            assert!(page.lines().any(|sample| sample == line), "{line} is not in {page}");
        }
        gateway.is_clean();
    });
}
