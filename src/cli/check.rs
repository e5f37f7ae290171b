//! `otus check`: reads a configuration as `start` does, and tells what is wrong with it.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::args::CheckArgs;
use crate::config::fault::{Faults, Finding};
use crate::config::load::load;
use crate::config::source::{self, PATHS, Source};

/// Prints warnings and a summary, or every fault; the status is 1 if there is one.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> ExitCode {
    let Some(path) = args.file.clone().or_else(source::find) else {
        let [first, second] = PATHS;
        let _ = writeln!(out, "there is no {first} and no {second}; `otus start` writes one");
        return ExitCode::FAILURE;
    };
    let (text, status) = match check(&path) {
        Ok(summary) => (summary, ExitCode::SUCCESS),
        Err(faults) => {
            let count = faults.count_text();
            (format!("{}{count}\n", all(faults.list())), ExitCode::FAILURE)
        }
    };
    // Nobody is left to tell that the output is closed.
    let _ = out.write_all(text.as_bytes());
    status
}

/// The warnings, and what would be started.
fn check(path: &Path) -> Result<String, Faults> {
    let shown = path.display().to_string();
    let (config, mut notes) = load(Source::read(path)?)?;
    let (snapshot, more) = config.compile(1, &source::resolve)?;
    notes.extend(more);
    let addresses = snapshot.server.listeners.iter().map(|listener| listener.address.to_string());
    let modules = snapshot.gufo.modules().iter().map(|module| module.name.as_str());
    let (addresses, modules) =
        (addresses.collect::<Vec<_>>().join(", "), modules.collect::<Vec<_>>().join(", "));
    let warnings = match notes.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    let modules = if modules.is_empty() { "none" } else { &modules };
    Ok(format!(
        "{}{shown}: no fault{warnings}\n  listens on {addresses}\n  microservices: {modules}\n",
        all(&notes)
    ))
}

fn all(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Checks a file with this text, and gives whether it passed and what was printed.
    fn checked(name: &str, text: &str) -> (bool, String) {
        let path = std::env::temp_dir().join(format!("otus-check-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let status = run(&CheckArgs { file: Some(path.clone()) }, &mut out);
        fs::remove_file(&path).unwrap();
        let out = String::from_utf8(out).unwrap().replace(&path.display().to_string(), "FILE");
        (status == ExitCode::SUCCESS, out)
    }

    #[test]
    fn a_sound_file_is_summed_up() {
        let text = "[server]\nsign = \"0123456789abcdef\"\nsession = false\n[security]\n\
                    mode = \"sign\"\n[microservices.storage]\nhost = \"127.0.0.1\"\nport = 4802\n";
        let (passed, out) = checked("sound", text);
        let want = "FILE: no fault\n  listens on 0.0.0.0:8090\n  microservices: storage\n";
        assert!(passed && out == want, "{out}");
    }

    #[test]
    fn faults_are_printed_and_the_status_tells() {
        let (passed, out) = checked("faulty", "[server]\nprot = 1\n");
        assert!(!passed);
        assert!(out.starts_with("FILE:2:1: error[OT0102]: unknown key `prot`\n"), "{out}");
        assert!(out.ends_with("\n3 faults\n"), "{out}");
        let mut out = Vec::new();
        let file = Some(PathBuf::from("/nowhere/settings.toml"));
        assert_eq!(run(&CheckArgs { file }, &mut out), ExitCode::FAILURE);
        assert!(String::from_utf8(out).unwrap().contains("cannot be read"));
    }
}
