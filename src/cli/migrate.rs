//! `otus migrate config`: what another gateway was told, as settings of this one.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::args::MigrateArgs;
use crate::config::fault::Finding;
use crate::config::load::load;
use crate::config::migrate::report::Flaw;
use crate::config::migrate::threex::{self, Migrated};
use crate::config::source::{self, Source};

/// Writes the settings, and tells what became of each key. Without `-o` the settings go to `out`;
/// what is told goes to `told`.
pub fn run(args: &MigrateArgs, out: &mut dyn Write, told: &mut dyn Write) -> ExitCode {
    if args.from == "gufo" {
        return super::key::take_over(args, told);
    }
    match migrate(args) {
        Ok((migrated, notes)) => {
            // Nobody is left to tell that an output is closed.
            if args.out.is_none() {
                let _ = out.write_all(migrated.text.as_bytes());
            }
            let _ = write!(told, "{}", migrated.report);
            for note in notes {
                let _ = writeln!(told, "{note}");
            }
            if let Some(path) = &args.out {
                let _ = writeln!(told, "wrote {}; `otus check` reads it", path.display());
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            let _ = writeln!(told, "{message}");
            ExitCode::FAILURE
        }
    }
}

fn migrate(args: &MigrateArgs) -> Result<(Migrated, Vec<Finding>), String> {
    let file = args.file.as_deref().unwrap_or(Path::new(""));
    let text = source::read_text(file).map_err(|faults| faults.to_string())?;
    let name = file.display().to_string();
    let migrated = threex::migrate(&name, &text).map_err(|flaws| {
        let line = |flaw: &Flaw| match flaw.line {
            0 => format!("{name}: {}", flaw.message),
            line => format!("{name}:{line}: {}", flaw.message),
        };
        flaws.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    let path =
        args.out.as_ref().map_or_else(|| "settings.toml".into(), |p| p.display().to_string());
    let text = migrated.text.clone();
    let written = Source { path, text, ..Source::default() };
    let faulty = |faults| format!("what was written has faults, and was left:\n{faults}");
    let (config, mut notes) = load(written).map_err(faulty)?;
    let (_, more) = config.compile(1, &source::leave).map_err(faulty)?;
    notes.extend(more);
    if let Some(path) = &args.out {
        source::write_private(path, &migrated.text, args.force).map_err(|error| {
            let way_out = if error.kind() == std::io::ErrorKind::AlreadyExists {
                "; --force replaces it"
            } else {
                ""
            };
            format!("cannot write {}: {error}{way_out}", path.display())
        })?;
    }
    Ok((migrated, notes))
}
