//! Reads a configuration: environment before `.env` before settings file before defaults.

use std::collections::BTreeSet;
use std::path::PathBuf;

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
use super::schema::key::{Key, Kind, Reload};
use super::source::{HostsFile, Source};
use super::suggest::suggest_variable;
use super::value::{Complaint, Raw, read};
use super::values::{Config, Entry};
use super::vault::key::Keys;
use super::vault::sealed::{self, Fault};
use super::vault::{self, change};
use crate::snapshot::secret::Secret;

const KEY_FILE: &str = "security.aes_key_file";
/// Characters of a value that a message quotes at most.
const QUOTED_MAX: usize = 40;

/// Variables of older installations and of Gufo's services, which lack the prefix.
const OLD_NAMES: [&str; 5] = [
    "SERVER_SIGN",
    "SERVER_MASTERSERVICE",
    "SECURITY_MODE",
    "MICROSERVICES_MASTERSERVICE_HOST",
    "MICROSERVICES_MASTERSERVICE_PORT",
];

impl Source {
    /// Whether any value may be encrypted.
    pub(super) fn has_sealed(&self) -> bool {
        let dotenv = self.dotenv.as_ref().is_some_and(|file| file.text.contains(sealed::MARK));
        let env = self.env.iter().any(|(_, value)| sealed::is_sealed(value));
        dotenv || env || self.text.contains(sealed::MARK)
    }

    /// The key in `.env`.
    pub(super) fn dotenv_key(&self) -> Option<String> {
        let (variables, _) = dotenv::parse(&self.dotenv.as_ref()?.text);
        let found = variables.into_iter().rfind(|own| own.name == vault::key::VARIABLE)?;
        Some(found.value).filter(|value| !value.is_empty())
    }

    /// Variables that are encrypted, which no change of the settings file reaches.
    pub fn sealed_variables(&self) -> Vec<String> {
        let dotenv = self.dotenv.as_ref().map_or("", |file| &file.text);
        let (variables, _) = dotenv::parse(dotenv);
        let own = variables.into_iter().map(|own| (own.name, own.value));
        let all = own.chain(self.env.iter().cloned());
        all.filter(|(_, value)| sealed::is_sealed(value)).map(|(name, _)| name).collect()
    }
}

/// Reads everything that was written and checks it; gives warnings beside it, or every fault.
pub fn load(source: Source) -> Result<(Config, Vec<Finding>), Faults> {
    let Source { path, text, dotenv, env, hosts, keys } = source;
    let (dotenv_name, dotenv_text) = dotenv.map_or_else(Default::default, |d| (d.path, d.text));
    let (variables, dotenv_flaws) = dotenv::parse(&dotenv_text);
    let parsed = document::parse(&text);
    let contents = parsed.contents();

    let mut secrets = parsed.secrets.clone();
    secrets.extend(contents.secrets.iter().cloned());
    let settings = FileText::new(path, text.clone(), secrets);
    let modules = module_names(&contents);
    let dotenv = dotenv_file(dotenv_name, dotenv_text, &variables, &modules);
    let HostsFile { path: name, text } = hosts.unwrap_or_default();
    let files = Files { settings, dotenv, hosts: FileText::new(name, text, Vec::new()) };

    let mut loader = Loader::new(files, env, variables, keys);
    loader.flaws(&parsed.flaws, false);
    loader.flaws(&contents.flaws, false);
    loader.flaws(&dotenv_flaws, true);
    loader.leaves(&contents.leaves);
    loader.indirect(&contents.indirect);
    loader.variables(&modules);
    loader.config.place_master();
    loader.exposed_keys();
    // A file that could not be read in full must not be blamed for what it seems to lack.
    let whole = parsed.flaws.iter().all(|flaw| !flaw.code.is_fault()) & loader.hosts();
    check::check(&loader.config, &loader.broken, whole, &mut loader.findings);

    let Loader { config, mut findings, .. } = loader;
    config.mask(&mut findings);
    match Faults::sift(findings) {
        Ok(faults) => Err(faults),
        Err(notes) => Ok((config, notes)),
    }
}

/// The hosts file that a source names.
pub(super) fn hosts_file(source: &Source) -> Option<String> {
    values(source).text("hosts.file").filter(|file| !file.is_empty())
}

/// The file of the key of encrypted values.
pub fn key_file(source: &Source) -> PathBuf {
    PathBuf::from(values(source).text(KEY_FILE).unwrap_or_default())
}

/// What a source says before the files are read that it names. What is wrong is told when all is
/// read.
fn values(source: &Source) -> Config {
    let dotenv_text = source.dotenv.as_ref().map_or("", |dotenv| &dotenv.text);
    let parsed = document::parse(&source.text);
    let contents = parsed.contents();
    let (variables, _) = dotenv::parse(dotenv_text);
    let (env, keys) = (source.env.clone(), source.keys.clone());
    let mut loader = Loader::new(Files::default(), env, variables, keys);
    loader.leaves(&contents.leaves);
    loader.indirect(&contents.indirect);
    loader.variables(&BTreeSet::new());
    loader.config
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
    FileText::new(name, text, secrets)
}

struct Loader {
    config: Config,
    findings: Vec<Finding>,
    /// Keys whose value was written and is wrong.
    broken: BTreeSet<String>,
    env: Vec<(String, String)>,
    dotenv: Vec<dotenv::Variable>,
    keys: Keys,
}

impl Loader {
    fn new(
        files: Files,
        env: Vec<(String, String)>,
        dotenv: Vec<dotenv::Variable>,
        keys: Keys,
    ) -> Self {
        let config = Config { files, ..Config::default() };
        Loader { config, findings: Vec::new(), broken: BTreeSet::new(), env, dotenv, keys }
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
        let mut old: Vec<(String, String, Origin)> = Vec::new();
        for name in names {
            let Some((value, origin)) = self.lookup(&name) else { continue };
            match key_of_variable(&name, modules) {
                Some(path) => {
                    if OLD_NAMES.contains(&name.as_str()) {
                        let now = schema::VARIABLES
                            .iter()
                            .find(|(own, now)| own.starts_with("GUFO_") && *now == path);
                        let now = now
                            .map_or_else(|| schema::variable(&path), |(own, _)| (*own).to_owned());
                        old.push((name.clone(), now, origin.clone()));
                    }
                    let shown = format!("{name}={}", quoted(&value));
                    self.set(&path, &Raw::Untyped(&value), origin, &name, &shown);
                }
                None if name.starts_with("GUFO_") && name != vault::key::VARIABLE => {
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
        self.old_names(&old);
    }

    /// Says once which variables have names of older installations.
    fn old_names(&mut self, old: &[(String, String, Origin)]) {
        let Some((_, _, origin)) = old.first() else { return };
        let list = |of: fn(&(String, String, Origin)) -> &String| {
            old.iter().map(|entry| of(entry).as_str()).collect::<Vec<_>>().join(", ")
        };
        self.findings.push(Finding {
            code: Code::OldName,
            place: self.config.files.place(origin),
            message: format!("read by an old name: {}", list(|(name, ..)| name)),
            way_out: format!("write {}", list(|(_, now, _)| now)),
        });
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
        let is_used = key.reload != Reload::Kept;
        let sealed = if is_used { sealed_texts(raw) } else { Vec::new() };
        let opened = if sealed.is_empty() {
            self.config.sealed.remove(path);
            read(&key.kind, raw)
        } else {
            let opened = self.open(&sealed);
            opened.and_then(|texts| {
                self.config.sealed.insert(path.to_owned(), texts.clone());
                let texts: Vec<&str> = texts.iter().map(Secret::expose).collect();
                read(&key.kind, &with_texts(raw, &texts))
            })
        };
        match opened {
            Ok(value) => {
                self.broken.remove(path);
                self.config.values.insert(path.to_owned(), Entry { value, origin });
            }
            Err(complaint) if !is_used => {
                let place = self.config.files.place(&origin);
                let message = format!("`{name}` {}; Otus does not use it", complaint.what);
                let (code, way_out) = (Code::Kept, complaint.way_out);
                self.findings.push(Finding { code, place, message, way_out });
            }
            Err(complaint) => {
                self.broken.insert(path.to_owned());
                let is_secret = matches!(key.kind, Kind::Secret) || !sealed.is_empty();
                let shown = if is_secret { name } else { shown };
                self.findings.push(Finding {
                    code: complaint.code,
                    place: self.config.files.place(&origin),
                    message: format!("`{shown}` {}", complaint.what),
                    way_out: complaint.way_out,
                });
            }
        }
    }

    /// What encrypted texts say.
    fn open(&self, texts: &[&str]) -> Result<Vec<Secret>, Complaint> {
        let open = |text: &&str| match sealed::open(self.keys.all(), text) {
            Ok((text, _)) => Ok(Secret::new(text)),
            Err(fault) => {
                let (code, way_out) = match &fault {
                    _ if self.keys.first().is_none() => {
                        let way_out = "set GUFO_AES_KEY, or name a file in security.aes_key_file";
                        (Code::Missing, way_out)
                    }
                    Fault::NoText => (Code::Malformed, "encrypt a text"),
                    _ => (Code::Malformed, "`otus migrate config` reads values of older Gufos"),
                };
                let what = change::unopened(&fault, &self.keys);
                Err(Complaint { code, what, way_out: way_out.to_owned() })
            }
        };
        texts.iter().map(open).collect()
    }

    /// Who else can read the key.
    fn exposed_keys(&mut self) {
        for file in self.keys.exposed() {
            let message = format!("others than its owner can read the key in {file}");
            let finding = self.config.finding(Code::Risky, KEY_FILE, &message, "chmod 600");
            self.findings.push(finding);
        }
    }
}

/// The encrypted texts of a value; none if it is not encrypted.
fn sealed_texts<'a>(raw: &Raw<'a>) -> Vec<&'a str> {
    let items: &[Raw<'a>] = match raw {
        Raw::List(items) => items,
        one => std::slice::from_ref(one),
    };
    let text = |item: &Raw<'a>| match item {
        Raw::Text(text) | Raw::Untyped(text) if sealed::is_sealed(text) => Some(*text),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}

/// A value with other texts in the place of those that are encrypted.
fn with_texts<'a>(raw: &Raw<'a>, texts: &[&'a str]) -> Raw<'a> {
    let mut texts = texts.iter();
    let mut one = |item: &Raw<'a>| match item {
        Raw::Text(text) if sealed::is_sealed(text) => {
            Raw::Text(texts.next().copied().unwrap_or_default())
        }
        Raw::Untyped(text) if sealed::is_sealed(text) => {
            Raw::Untyped(texts.next().copied().unwrap_or_default())
        }
        other => other.clone(),
    };
    match raw {
        Raw::List(items) => Raw::List(items.iter().map(one).collect()),
        single => one(single),
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
