//! Reads a configuration: environment before `.env` before settings file before defaults.

use std::collections::{BTreeMap, BTreeSet};

use super::check;
use super::document::{self, Contents, Flaw, Indirect, Leaf, is_name};
use super::dotenv;
use super::fault::{Code, Faults, Finding};
use super::hosts::{
    self,
    entries::{Said, Setting},
};
use super::place::{FileText, Files, Origin};
use super::schema;
use super::schema::key::{Key, Kind};
use super::source::{HostsFile, Source};
use super::suggest::suggest_variable;
use super::value::{Raw, read};
use super::values::{Config, Entry};

/// Characters of a value that a message quotes at most.
const QUOTED_MAX: usize = 40;

/// Reads everything that was written and checks it; gives warnings beside it, or every fault.
pub fn load(source: Source) -> Result<(Config, Vec<Finding>), Faults> {
    let Source { path, text, dotenv, env, hosts } = source;
    let (dotenv_name, dotenv_text) = dotenv.map_or_else(Default::default, |d| (d.path, d.text));
    let (variables, dotenv_flaws) = dotenv::parse(&dotenv_text);
    let parsed = document::parse(&text);
    let contents = parsed.contents();

    let mut secrets = parsed.secrets.clone();
    secrets.extend(contents.secrets.iter().cloned());
    let settings = FileText { name: path, text: text.clone(), secrets };
    let modules = module_names(&contents);
    let dotenv = dotenv_file(dotenv_name, dotenv_text, &variables, &modules);
    let HostsFile { path: name, text } = hosts.unwrap_or_default();
    let files = Files { settings, dotenv, hosts: FileText { name, text, secrets: Vec::new() } };

    let mut loader = Loader::new(files, env, variables);
    loader.flaws(&parsed.flaws, false);
    loader.flaws(&contents.flaws, false);
    loader.flaws(&dotenv_flaws, true);
    loader.leaves(&contents.leaves);
    loader.indirect(&contents.indirect);
    loader.variables(&modules);
    loader.config.place_master();
    // A file that could not be read in full must not be blamed for what it seems to lack.
    let whole = parsed.flaws.iter().all(|flaw| !flaw.code.is_fault()) & loader.hosts();
    check::check(&loader.config, &loader.broken, whole, &mut loader.findings);

    let config = loader.config;
    match Faults::sift(loader.findings) {
        Ok(faults) => Err(faults),
        Err(notes) => Ok((config, notes)),
    }
}

/// The hosts file that a source names.
pub(super) fn hosts_file(source: &Source) -> Option<String> {
    let dotenv_text = source.dotenv.as_ref().map_or("", |dotenv| &dotenv.text);
    let parsed = document::parse(&source.text);
    let contents = parsed.contents();
    let (variables, _) = dotenv::parse(dotenv_text);
    // What is wrong is told when all is read.
    let mut loader = Loader::new(Files::default(), source.env.clone(), variables);
    loader.leaves(&contents.leaves);
    loader.indirect(&contents.indirect);
    loader.variables(&BTreeSet::new());
    loader.config.text("hosts.file").filter(|file| !file.is_empty())
}

/// The microservices that the settings file names.
fn module_names(contents: &Contents<'_>) -> BTreeSet<String> {
    let name = |leaf: &Leaf<'_>| {
        let rest = leaf.path.strip_prefix("microservices.")?;
        rest.split('.').next().map(str::to_owned)
    };
    contents.leaves.iter().filter_map(name).collect()
}

/// The `.env` file, with every value masked that is not known to be harmless.
fn dotenv_file(
    name: String,
    text: String,
    variables: &[dotenv::Variable],
    modules: &BTreeSet<String>,
) -> FileText {
    let harmless = |name: &str| {
        let key = key_of_variable(name, modules).and_then(|path| schema::find(&path));
        key.is_some_and(|key| !matches!(key.kind, Kind::Secret))
    };
    let secret = variables.iter().filter(|variable| !harmless(&variable.name));
    let mut secrets: Vec<_> = secret.map(|variable| variable.span.clone()).collect();
    // Lines that are no variables may be anything.
    let (_, flaws) = dotenv::parse(&text);
    secrets.extend(flaws.into_iter().map(|flaw| flaw.span));
    FileText { name, text, secrets }
}

struct Loader {
    config: Config,
    findings: Vec<Finding>,
    /// Keys whose value was written and is wrong.
    broken: BTreeSet<String>,
    env: Vec<(String, String)>,
    dotenv: Vec<dotenv::Variable>,
}

impl Loader {
    fn new(files: Files, env: Vec<(String, String)>, dotenv: Vec<dotenv::Variable>) -> Self {
        let config = Config { files, values: BTreeMap::new() };
        Loader { config, findings: Vec::new(), broken: BTreeSet::new(), env, dotenv }
    }

    fn flaws(&mut self, flaws: &[Flaw], in_dotenv: bool) {
        let files = &self.config.files;
        let file = if in_dotenv { &files.dotenv } else { &files.settings };
        self.findings.extend(flaws.iter().map(|flaw| Finding {
            code: flaw.code,
            place: file.place(&flaw.span),
            message: flaw.message.clone(),
            way_out: flaw.way_out.clone(),
        }));
    }

    fn leaves(&mut self, leaves: &[Leaf<'_>]) {
        for leaf in leaves {
            let origin = Origin::Settings(leaf.span.clone());
            if self.config.is_given(&leaf.path) {
                let message = format!("`{}` is given a second time", leaf.name);
                let place = self.config.files.place(&origin);
                let way_out = "this one is used; leave the other out".to_owned();
                self.findings.push(Finding { code: Code::Twice, place, message, way_out });
            }
            let written = self.config.files.settings.text.get(leaf.span.clone());
            let shown = format!("{} = {}", leaf.name, quoted(written.unwrap_or_default()));
            self.set(&leaf.path, &leaf.raw, origin, leaf.name, &shown);
        }
    }

    /// Values that are in variables with names of the operator's choice.
    fn indirect(&mut self, indirect: &[Indirect]) {
        for Indirect { path, variable, span } in indirect {
            if let Some((value, origin)) = self.lookup(variable) {
                let shown = format!("{variable}={}", quoted(&value));
                self.set(path, &Raw::Untyped(&value), origin, variable, &shown);
                continue;
            }
            let place = self.config.files.settings.place(span);
            let message = format!("the variable {variable} is not set");
            let way_out = format!("set it, or write `{path}` itself");
            self.findings.push(Finding { code: Code::VariableUnset, place, message, way_out });
        }
    }

    /// The value of a variable, in the environment or else in `.env`. An empty one counts as none.
    fn lookup(&self, name: &str) -> Option<(String, Origin)> {
        let given = |value: &&String| !value.is_empty();
        let env = self.env.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        if let Some(value) = env.filter(given) {
            return Some((value.clone(), Origin::Variable(name.to_owned())));
        }
        // As in a shell, the last line wins.
        let variable = self.dotenv.iter().rfind(|variable| variable.name == name)?;
        let origin = Origin::DotEnv { variable: name.to_owned(), span: variable.span.clone() };
        Some(&variable.value).filter(given).map(|value| (value.clone(), origin))
    }

    /// Variables whose names follow from keys.
    fn variables(&mut self, modules: &BTreeSet<String>) {
        let names: BTreeSet<String> = self
            .dotenv
            .iter()
            .map(|variable| &variable.name)
            .chain(self.env.iter().map(|(name, _)| name))
            .cloned()
            .collect();
        for name in names {
            let Some((value, origin)) = self.lookup(&name) else { continue };
            match key_of_variable(&name, modules) {
                Some(path) => {
                    let shown = format!("{name}={}", quoted(&value));
                    self.set(&path, &Raw::Untyped(&value), origin, &name, &shown);
                }
                None if name.starts_with("GUFO_") => {
                    let place = self.config.files.place(&origin);
                    let message = format!("the variable {name} means nothing");
                    let way_out = match suggest_variable(&name) {
                        Some(other) => format!("did you mean {other}?"),
                        None => "see docs/config.md".to_owned(),
                    };
                    let code = Code::UnknownVariable;
                    self.findings.push(Finding { code, place, message, way_out });
                }
                None => {}
            }
        }
    }

    /// Reads what the hosts file says; whether all of it could be read.
    fn hosts(&mut self) -> bool {
        let file = self.config.files.hosts.clone();
        let (settings, flaws) = hosts::entries::read(&file.name, &file.text);
        for Setting { path, value, span } in &settings {
            let (raw, text) = match value {
                Said::Text(text) => (Raw::Text(text), text.as_str()),
                Said::Texts(text) => (Raw::List(vec![Raw::Text(text)]), text.as_str()),
                Said::Integer(number) => (Raw::Integer(*number), ""),
            };
            let name = match path.rsplit('.').next() {
                Some("kind") => "match",
                name => name.unwrap_or_default(),
            };
            let shown = format!("{name}: {}", quoted(text));
            self.set(path, &raw, Origin::Hosts(span.clone()), name, &shown);
        }
        let whole = flaws.is_empty();
        self.findings.extend(flaws.into_iter().map(|flaw| Finding {
            code: flaw.code,
            place: file.place(&flaw.span),
            message: flaw.message,
            way_out: flaw.way_out,
        }));
        whole
    }

    /// Reads a value of a key, which is called `name` where it was written.
    fn set(&mut self, path: &str, raw: &Raw<'_>, origin: Origin, name: &str, shown: &str) {
        let Some(key) = schema::find(path) else { return };
        match read(&key.kind, raw) {
            Ok(value) => {
                self.broken.remove(path);
                self.config.values.insert(path.to_owned(), Entry { value, origin });
            }
            Err(complaint) => {
                self.broken.insert(path.to_owned());
                let shown = if matches!(key.kind, Kind::Secret) { name } else { shown };
                self.findings.push(Finding {
                    code: complaint.code,
                    place: self.config.files.place(&origin),
                    message: format!("`{shown}` {}", complaint.what),
                    way_out: complaint.way_out,
                });
            }
        }
    }
}

/// A value as a message quotes it: on one line, cut, without control characters.
fn quoted(text: &str) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = characters.by_ref().take(QUOTED_MAX).collect();
    if characters.next().is_some() {
        out.push_str("...");
    }
    out
}

/// The key that a variable sets.
fn key_of_variable(name: &str, modules: &BTreeSet<String>) -> Option<String> {
    if let Some((_, path)) = schema::VARIABLES.iter().find(|(own, _)| *own == name) {
        return Some((*path).to_owned());
    }
    if let Some((_, path)) = schema::FORMER.iter().find(|(own, _)| schema::variable(own) == name) {
        return Some((*path).to_owned());
    }
    let plain = |key: &&Key| !key.path.contains('*') && schema::variable(key.path) == name;
    if let Some(key) = schema::keys().find(plain) {
        return Some(key.path.to_owned());
    }
    key_of_module_variable(name, modules)
}

/// `GUFO_MICROSERVICES_STORAGE_STREAM_TIMEOUT` may be a key `stream_timeout` of `storage` or a key
/// `timeout` of `storage_stream`: a microservice in the file decides, or else the longer key.
fn key_of_module_variable(name: &str, modules: &BTreeSet<String>) -> Option<String> {
    let rest = name.strip_prefix("GUFO_MICROSERVICES_")?;
    let fold = |name: &str| name.replace('-', "_").to_ascii_uppercase();
    let mut best: Option<(bool, usize, String)> = None;
    for tail in schema::keys().filter_map(|key| key.path.strip_prefix("microservices.*.")) {
        let ending = format!("_{}", tail.replace('.', "_").to_ascii_uppercase());
        let Some(module) = rest.strip_suffix(&ending).filter(|module| is_name(module)) else {
            continue;
        };
        let known = modules.iter().find(|own| fold(own) == module);
        let module = known.cloned().unwrap_or_else(|| module.to_ascii_lowercase());
        let candidate = (known.is_some(), ending.len(), format!("microservices.{module}.{tail}"));
        if best.as_ref().is_none_or(|best| *best < candidate) {
            best = Some(candidate);
        }
    }
    best.map(|(_, _, path)| path)
}
