//! Rates, concurrency, breakers: what clients are told, in which order, and that the numbers hold
//! over two shards.

mod at_once;
mod breakers;
mod machines;
mod rates;
mod shed;

use std::sync::{Arc, Mutex};

use otus::config::load::load;
use otus::config::source::{Source, leave};
use otus::control::Load;
use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::gateway::Gateway;

const ADMIN_KEY: &str = "0123456789abcdef";

/// A number of what the first route allows, as it is now.
fn limit_now(gateway: &Gateway, what: &str, name: &str) -> u64 {
    let mut client = Client::connect(gateway.admin);
    client.head("GET", "/-/limits", &[&format!("X-Admin-Key: {ADMIN_KEY}")]);
    client.reply().json()[0][what][name].as_u64().unwrap()
}

/// Connections that each of both shards has taken.
fn spread(gateway: &Gateway) -> [u64; 2] {
    ["0", "1"].map(|shard| {
        gateway.metric(&format!("otus_connections_accepted_total{{shard=\"{shard}\"}}"))
    })
}

/// A text that the next reload reads.
#[derive(Clone)]
struct Settings(Arc<Mutex<String>>);

impl Settings {
    fn write(&self, rest: &str) {
        rest.clone_into(&mut self.0.lock().unwrap());
    }
}

/// A gateway with two shards and these routes.
fn gateway(io: IoDriver, rest: &str) -> (Gateway, Settings) {
    let settings = Settings(Arc::new(Mutex::new(rest.to_owned())));
    (Gateway::load(loader(io, settings.clone())), settings)
}

fn loader(io: IoDriver, settings: Settings) -> Load {
    Box::new(move |generation| {
        let text = format!(
            "[server]\nip = \"127.0.0.1\"\nport = 0\nadmin = \"127.0.0.1:0\"\nworkers = 2\n\
             admin_key = \"{ADMIN_KEY}\"\nio = \"{}\"\naccess_log = \"off\"\ntrusted_peers = [\"127.0.0.1/32\"]\n{}",
            io.name(),
            settings.0.lock().unwrap()
        );
        let path = "settings.toml".to_owned();
        let (config, _) = load(Source { path, text, ..Source::default() })
            .map_err(|faults| faults.to_string())?;
        let compiled = config.compile(generation, &leave);
        compiled.map(|(snapshot, _)| snapshot).map_err(|faults| faults.to_string())
    })
}
