//! Tokens that are refused before they end (SPEC 10.5).

use std::sync::{Arc, Mutex};

use otus::snapshot::server::Workers;
use serde_json::json;

use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::issuer::guarded_text;
use crate::support::journal::eventually;
use crate::support::proxy;

use super::{bearer, profile};

const RULE: &str = "[revocation]\ntoken_keys = [\"jti\"]\nheaders = [\"X-Device\"]\n\
                    elements = 1000\n";

#[test]
fn a_revocation_counts_on_all_shards_at_once_and_after_a_reload() {
    on_both_drivers(|io| {
        let text = guarded_text("auth = \"main\"", &format!("{RULE}{}", profile("")));
        let make = move |text: &str| {
            let mut snapshot = proxy::snapshot(io, text);
            snapshot.server.workers = Workers::Count(2);
            snapshot
        };
        let first = make(&text);
        let revocations = first.people.revocations.clone().unwrap();
        let next = Arc::new(Mutex::new(first));
        let shared = Arc::clone(&next);
        let gateway = Gateway::load(Box::new(move |generation| {
            let mut snapshot = shared.lock().unwrap().clone();
            snapshot.generation = generation;
            Ok(snapshot)
        }));
        let (bad, good) = (bearer(&json!({"jti": "1"})), bearer(&json!({"jti": "2"})));
        // As many connections as make it likely that both shards have some.
        let mut clients: Vec<_> = (0..12).map(|_| gateway.client()).collect();
        let mut all = |field: &str, more: &str, want: u16| {
            for client in &mut clients {
                let reply = client.ask("GET", "/", &[field, more], b"");
                assert_eq!(reply.status, want, "{more}");
            }
        };
        all(&bad, "X-Device: 7", 200);
        all(&good, "X-Device: 8", 200);
        revocations.revoke([&b"jti-1"[..], b"X-Device-8"]);
        all(&bad, "X-Device: 7", 401);
        all(&good, "x-device: 8", 401);
        all(&good, "X-Device: 9", 200);
        // A configuration that is read anew knows nothing of it, and takes it over.
        for (text, generation) in [(text.clone(), 2), (text.replace("1000", "2000"), 3)] {
            *next.lock().unwrap() = make(&text);
            gateway.stopper.reload();
            eventually("both shards run the next generation", || {
                let page = gateway.metrics();
                let runs = |shard| {
                    let gauge =
                        format!("otus_shard_generation{{shard=\"{shard}\"}} {generation}\n");
                    page.contains(&gauge)
                };
                (0..2).all(runs).then_some(())
            });
            all(&bad, "X-Device: 7", 401);
            all(&good, "X-Device: 9", 200);
        }
        gateway.finish();
    });
}
