//! `otus key rotate` and `otus migrate config` for Gufo's settings: encrypted values are written
//! anew.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ring::rand::{SecureRandom, SystemRandom};

use super::args::{KeyRotateArgs, MigrateArgs};
use crate::config::load;
use crate::config::source::{self, FileSystem, PATHS, Source};
use crate::config::vault::change::{self, Files, Plan};
use crate::config::vault::key::{AesKey, OLD, VARIABLE};
use crate::config::vault::steps::{beside, perform};

/// Gives the settings a new key, and tells what became of each value.
pub fn run(args: &KeyRotateArgs, out: &mut dyn Write) -> ExitCode {
    tell(rotate(args), out)
}

/// Takes over the settings of an older Gufo, and tells what became of each value.
pub(super) fn take_over(args: &MigrateArgs, out: &mut dyn Write) -> ExitCode {
    tell(migrate(args), out)
}

fn tell(result: Result<String, String>, out: &mut dyn Write) -> ExitCode {
    match result {
        Ok(text) => {
            // Nobody is left to tell that the output is closed.
            let _ = out.write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(message) => super::start::fail(&message),
    }
}

fn rotate(args: &KeyRotateArgs) -> Result<String, String> {
    let desk = Desk::new(args.config.as_deref())?;
    let key = desk.key.display();
    if desk.source.keys.at(VARIABLE).is_some() {
        return Err(format!(
            "the key is in the variable {VARIABLE}, which this program cannot change; write it to \
             {key}, unset the variable, and begin again"
        ));
    }
    if let [name, ..] = desk.source.sealed_variables().as_slice() {
        return Err(format!(
            "the variable {name} is encrypted as well, and would have the key before; write its \
             value in {}",
            desk.settings.display()
        ));
    }
    let plan = change::rotation(&desk.files(&desk.settings), &desk.source.keys, &mut random);
    let plan = plan.map_err(|why| desk.refused(&why))?;
    desk.perform(&plan)?;
    let old = beside(&desk.key, OLD);
    let last = if desk.key_bytes.is_some() {
        format!("; the key before is in {}: remove it when nothing else needs it", old.display())
    } else {
        String::new()
    };
    Ok(format!("{}{key} holds the new key, {}{last}\n", shown(&plan), plan.key))
}

fn migrate(args: &MigrateArgs) -> Result<String, String> {
    let desk = Desk::new(args.file.as_deref())?;
    let former = match &args.legacy_key {
        None => Vec::new(),
        Some(path) => {
            let read = source::read_file(path).map_err(|error| error.to_string());
            let key = read.and_then(|content| AesKey::parse(&content.bytes));
            vec![key.map_err(|why| format!("{}: {why}", path.display()))?]
        }
    };
    let out = args.out.as_ref().unwrap_or(&desk.settings);
    if args.out.is_some() && !args.force && out.exists() {
        return Err(format!("{} exists; --force replaces it", out.display()));
    }
    let plan = change::takeover(&desk.files(out), &desk.source.keys, &former, &mut random);
    let plan = plan.map_err(|why| desk.refused(&why))?;
    if plan.steps.is_empty() {
        return Ok(format!("{}nothing had to be done\n", shown(&plan)));
    }
    desk.perform(&plan)?;
    let made = match desk.source.keys.first() {
        Some((place, _)) => format!("encrypted with the key of {place}"),
        None => format!("encrypted with a new key in {}", desk.key.display()),
    };
    let (key, out) = (&plan.key, out.display());
    Ok(format!("{}wrote {out}, {made} ({key}); `otus check` reads it\n", shown(&plan)))
}

fn shown(plan: &Plan) -> String {
    plan.told.iter().fold(String::new(), |all, told| all + &told.to_string() + "\n")
}

fn random(bytes: &mut [u8]) -> bool {
    SystemRandom::new().fill(bytes).is_ok()
}

/// The files that are worked on. Nobody else does as long as it lives.
struct Desk {
    settings: PathBuf,
    key: PathBuf,
    key_bytes: Option<Vec<u8>>,
    source: Source,
    _locks: Vec<File>,
}

impl Desk {
    fn new(asked: Option<&Path>) -> Result<Self, String> {
        let [first, second] = PATHS;
        let path = asked.map(Path::to_owned).or_else(source::find);
        let path = path.ok_or_else(|| format!("there is no {first} and no {second}"))?;
        // What a link names is replaced, and not the link.
        let settings = path.canonicalize();
        let settings = settings.map_err(|error| format!("{}: {error}", path.display()))?;
        let mut locks = vec![lock(&settings)?];
        let mut source = Source::read(&settings).map_err(|faults| faults.to_string())?;
        source.read_keys();
        let key = load::key_file(&source);
        if fs::symlink_metadata(&key).is_ok_and(|about| about.is_symlink()) {
            let name = key.display();
            return Err(format!("{name} is a symbolic link; name the file it leads to"));
        }
        let folder = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
        if folder(&key).is_some() && folder(&key) != folder(&settings) {
            locks.push(lock(&key)?);
        }
        let key_bytes = match source::read_file(&key) {
            Ok(content) => Some(content.bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error}", key.display())),
        };
        let is_known = source.keys.at(&key.display().to_string()).is_some();
        if key_bytes.is_some() && !is_known {
            // It must not be replaced before somebody knows what it is.
            return Err(format!("no key can be read: {}", source.keys.shown()));
        }
        Ok(Desk { settings, key, key_bytes, source, _locks: locks })
    }

    fn files<'a>(&'a self, out: &'a Path) -> Files<'a> {
        Files {
            settings: &self.settings,
            text: &self.source.text,
            key: &self.key,
            key_bytes: self.key_bytes.as_deref(),
            out,
        }
    }

    fn refused(&self, why: &str) -> String {
        format!("{}: nothing was changed\n{why}", self.settings.display())
    }

    fn perform(&self, plan: &Plan) -> Result<(), String> {
        perform(&plan.steps, &mut FileSystem).map_err(|error| {
            let settings = self.settings.display();
            format!("not finished: {error}; {settings} can be read as before: begin again")
        })
    }
}

/// Keeps others from changing the files of a directory the same way.
fn lock(file: &Path) -> Result<File, String> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let opened = File::open(directory).map_err(|error| format!("{}: {error}", directory.display()));
    let directory_file = opened?;
    let locked = directory_file.try_lock();
    locked.map_err(|error| {
        format!("{}: another change is under way: {error}", directory.display())
    })?;
    Ok(directory_file)
}
