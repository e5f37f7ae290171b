//! `otus start`: the gateway with the operator's configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::StartArgs;
use super::master::Embedded;
use crate::config::fault::{Faults, Finding};
use crate::config::load::load;
use crate::config::source::{self, Source};
use crate::control::{self, Gateway, Load};
use crate::snapshot::Snapshot;
use ring::rand::{SecureRandom, SystemRandom};

/// Starts and serves until it is told to stop.
pub fn run(args: &StartArgs) -> ExitCode {
    let signals = control::block_signals();
    let path = match settings(args.config.as_deref()) {
        Ok(path) => path,
        Err(message) => return fail(&message),
    };
    match control::start(loader(path)) {
        Ok(gateway) => {
            tell_ready(&gateway);
            gateway.serve(signals)
        }
        Err(message) => fail(&message),
    }
}

/// The settings file; written first if there is none and none was asked for.
pub(super) fn settings(asked: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = asked {
        return Ok(path.to_owned());
    }
    if let Some(path) = source::find() {
        return Ok(path);
    }
    let path = source::default_path();
    let random = SystemRandom::new();
    let mut failed = false;
    let mut fill = |bytes: &mut [u8]| failed |= random.fill(bytes).is_err();
    source::write_default(&path, &mut fill)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    if failed {
        return Err("the kernel gave no random bytes".to_owned());
    }
    eprintln!("wrote {} with every default and new secrets", path.display());
    Ok(path)
}

/// Reads the settings again each time it is asked. Warnings are printed, faults refuse.
fn loader(path: PathBuf) -> Load {
    let mut master = Embedded::default();
    Box::new(move |generation| -> Result<Snapshot, String> {
        let source = Source::read(&path).map_err(text)?;
        let (mut config, mut notes) = load(source).map_err(text)?;
        notes.extend(master.place_in(&mut config)?);
        let (snapshot, more) = config.compile(generation, &source::leave).map_err(text)?;
        notes.extend(more);
        for note in notes {
            eprintln!("{}", note.line());
        }
        Ok(snapshot)
    })
}

/// Every fault, as it is printed.
#[expect(clippy::needless_pass_by_value, reason = "it ends an error's way")]
pub(super) fn text(faults: Faults) -> String {
    let all: String = faults.list().iter().map(Finding::to_string).collect();
    format!("{all}{}", faults.count_text())
}

fn tell_ready(gateway: &Gateway) {
    let (shards, driver) = gateway.shards();
    let plural = if shards == 1 { "" } else { "s" };
    let addresses = gateway.urls();
    eprintln!("otus {} · {shards} shard{plural} · {driver}", env!("CARGO_PKG_VERSION"));
    eprintln!("  gateway  {}", addresses.join(" "));
    if let Some(admin) = gateway.admin_address() {
        eprintln!("  admin    http://{admin}/metrics /healthz /readyz");
    }
    if let Some(metrics) = gateway.metrics_address() {
        eprintln!("  metrics  http://{metrics}/metrics");
    }
}

/// Says why, on standard error.
pub(super) fn fail(message: &str) -> ExitCode {
    eprintln!("{}", message.trim_end());
    ExitCode::FAILURE
}
