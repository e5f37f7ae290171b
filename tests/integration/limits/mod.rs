//! Rates, concurrency, breakers: what clients are told, in which order, and that the numbers hold
//! over two shards.

mod at_once;
mod breakers;
mod machines;
mod rates;

use std::sync::{Arc, Mutex};

use otus::config::load::load;
use otus::config::source::{Source, leave};
use otus::control::Load;
use otus::snapshot::server::IoDriver;

use crate::support::gateway::Gateway;

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
             io = \"{}\"\naccess_log = \"off\"\ntrusted_peers = [\"127.0.0.1/32\"]\n{}",
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
