//! `otus master`, and the master that `otus start` runs within itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::args::MasterArgs;
use super::start::{fail, settings, text};
use crate::config::fault::Finding;
use crate::config::load::load;
use crate::config::source::Source;
use crate::config::values::Config;
use crate::control::{self, Signal};
use crate::master::settings::{MasterSettings, StoreKind};
use crate::service::master::guard::Guard;
use crate::service::master::server::{self, MasterServer};

/// The master within the gateway: it is there from the first configuration on that asks for it.
#[derive(Default)]
pub(super) struct Embedded {
    running: Option<Running>,
}

struct Running {
    server: MasterServer,
    guard: Arc<Guard>,
    settings: MasterSettings,
}

impl Embedded {
    /// Starts the master if the configuration asks for it and none runs yet, and puts its address
    /// where the microservices are. What the process and its services share is changed at once;
    /// what else changed of it waits for the next start, which is said.
    pub(super) fn place_in(&mut self, config: &mut Config) -> Result<Vec<Finding>, String> {
        if !config.has_embedded_master() {
            return Ok(Vec::new());
        }
        let settings = config.master();
        let shared = config.service_trust();
        if let Some(running) = &self.running {
            running.guard.change(shared);
            config.set_master_address(running.server.address());
            let same = running.settings == settings;
            return Ok(if same { Vec::new() } else { vec![config.master_waits()] });
        }
        let guard = Arc::new(Guard::new(shared));
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = server::spawn(&settings, Arc::clone(&guard), any_port)
            .map_err(|what| format!("the embedded master did not start: {what}"))?;
        config.set_master_address(server.address());
        self.running = Some(Running { server, guard, settings });
        Ok(Vec::new())
    }
}

/// Runs a master alone until it is told to stop.
pub fn run(args: &MasterArgs) -> ExitCode {
    let signals = control::block_signals();
    let started = settings(args.config.as_deref()).and_then(|path| {
        let config = read(&path)?;
        let settings = config.master();
        let guard = Arc::new(Guard::new(config.service_trust()));
        let address = args.listen.or(settings.listen);
        let address = address.ok_or_else(|| "`master.listen` is off".to_owned())?;
        let server = server::spawn(&settings, Arc::clone(&guard), address)?;
        Ok((path, settings, guard, server))
    });
    let (path, settings, guard, server) = match started {
        Ok(started) => started,
        Err(message) => return fail(&message),
    };
    let store = store_text(&settings.store);
    eprintln!("otus {} · master · {store}", env!("CARGO_PKG_VERSION"));
    eprintln!("  grpc     {}", server.address());
    loop {
        match signals.wait() {
            Signal::Stop => break,
            Signal::Reload => match read(&path) {
                Ok(config) => guard.change(config.service_trust()),
                Err(message) => eprintln!("{}", message.trim_end()),
            },
        }
    }
    server.stop();
    ExitCode::SUCCESS
}

fn read(path: &Path) -> Result<Config, String> {
    let source = Source::read(path).map_err(text)?;
    let (config, _) = load(source).map_err(text)?;
    if config.master_has_no_proof() {
        let message = "a master knows its callers by what they sign: write mode = \"sign\" or \
                       \"hmac\" in [security]";
        return Err(message.to_owned());
    }
    Ok(config)
}

fn store_text(store: &StoreKind) -> String {
    match store {
        StoreKind::Memory => "nothing is kept".to_owned(),
        StoreKind::Redb(path) => format!("kept in {}", path.display()),
        StoreKind::Etcd(members, prefix) => {
            format!("kept in etcd at {}, below {prefix}", members.join(", "))
        }
    }
}
