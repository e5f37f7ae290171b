//! Where a configuration is read from. The one file of this module that touches the system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::default_file;
use super::fault::{Code, Faults, Finding};
use super::load;
use super::place::Place;
use super::vault::key::{Keys, NEXT, VARIABLE};
use super::vault::steps::{Disk, beside};
use crate::base::limits::{CONFIG_BYTES_MAX, KEY_FILE_BYTES_MAX, LIST_FILE_BYTES_MAX};
use crate::tls::server::FileContent;

/// The texts that a configuration is read from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// The settings file as it is named to the operator.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The `.env` file, if there is one.
    pub dotenv: Option<DotEnv>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// The file that `hosts.file` names, if it does.
    pub hosts: Option<HostsFile>,
    /// The keys of encrypted values.
    pub keys: Keys,
}

/// The text of a hosts file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostsFile {
    /// The file as it is named to the operator.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The text of a `.env` file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DotEnv {
    /// The file as it is named to the operator.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Reads this settings file, `.env` in the working directory, the environment, and the hosts
    /// file, which is looked for from the directory of the settings file.
    pub fn read(path: &Path) -> Result<Source, Faults> {
        let text = read_text(path)?;
        let dotenv_path = Path::new(".env");
        let dotenv = match dotenv_path.try_exists() {
            Ok(false) => None,
            _ => Some(DotEnv { path: ".env".to_owned(), text: read_text(dotenv_path)? }),
        };
        let (name, env) = (path.display().to_string(), environment());
        let (hosts, keys) = (None, Keys::default());
        let mut source = Source { path: name, text, dotenv, env, hosts, keys };
        if source.has_sealed() {
            source.read_keys();
        }
        if let Some(file) = load::hosts_file(&source) {
            let path = path.parent().unwrap_or(Path::new("")).join(file);
            let text = read_text(&path)?;
            source.hosts = Some(HostsFile { path: path.display().to_string(), text });
        }
        Ok(source)
    }

    /// Finds the keys of encrypted values: that of the variable, that of the key file, and the one
    /// beside it that is to follow.
    pub fn read_keys(&mut self) {
        let mut keys = Keys::default();
        match std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            Some(value) => keys.add(VARIABLE, value.as_bytes()),
            None => match self.dotenv_key() {
                Some(value) => keys.add(VARIABLE, value.as_bytes()),
                None => keys.miss(VARIABLE, "is not set"),
            },
        }
        let file = load::key_file(self);
        for (path, must_be) in [(file.clone(), true), (beside(&file, NEXT), false)] {
            let name = path.display().to_string();
            match read_file(&path) {
                Ok(FileContent { bytes, mode }) => {
                    keys.add(&name, &bytes);
                    if mode & 0o077 != 0 {
                        keys.expose(&name);
                    }
                }
                Err(error) if must_be || error.kind() != io::ErrorKind::NotFound => {
                    keys.miss(&name, &error.to_string());
                }
                Err(_) => {}
            }
        }
        self.keys = keys;
    }
}

/// The variables of this process whose names and values are UTF-8.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where the settings file is looked for, in this order (SPEC 16.1).
pub const PATHS: [&str; 2] = ["config/settings.toml", "settings.toml"];

/// The settings file that is there.
#[must_use]
pub fn find() -> Option<PathBuf> {
    PATHS.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Where a settings file is written when there is none.
#[must_use]
pub fn default_path() -> PathBuf {
    let [in_config, here] = PATHS;
    PathBuf::from(if Path::new("config").is_dir() { in_config } else { here })
}

/// Writes a settings file with every default and secrets from `random`, readable by its owner
/// alone. Appears whole or not at all; an existing file is never replaced.
pub fn write_default(path: &Path, random: &mut dyn FnMut(&mut [u8])) -> io::Result<()> {
    let mut untouched = false;
    let text = default_file::render(&mut |bytes: &mut [u8]| {
        random(bytes);
        untouched |= bytes.iter().all(|byte| *byte == 0);
    });
    if untouched {
        return Err(io::Error::other("there are no random bytes for its secrets"));
    }
    write_private(path, &text, false)
}

/// Writes a file that its owner alone may read. It appears whole or not at all; one that exists is
/// replaced only if that is said.
pub fn write_private(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write_new(&temporary, text).and_then(|()| {
        if replace {
            return fs::rename(&temporary, path);
        }
        fs::hard_link(&temporary, path).and_then(|()| fs::remove_file(&temporary))
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fresh(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// An empty file of ours that its owner alone may read. One that a process left behind may be
/// readable to others, or lead elsewhere: it goes first.
fn fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The file system, for [`steps`](super::vault::steps).
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn write(&mut self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        let mut file = fresh(path)?;
        if let Some(like) = like {
            let other = fs::metadata(like)?;
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (other.uid(), other.gid()) {
                std::os::unix::fs::fchown(&file, Some(other.uid()), Some(other.gid()))?;
            }
            file.set_permissions(other.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync(&mut self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn remove(&mut self, path: &Path) {
        let _ = fs::remove_file(path);
    }
}

/// The addresses that the system knows for a name. Waits for the network.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Leaves names to the resolver of the running gateway.
pub fn leave(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(Vec::new())
}

/// A certificate or a key, and who may read it.
pub fn read_file(path: &Path) -> io::Result<FileContent> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > KEY_FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(FileContent { bytes, mode })
}

/// A file that lists one thing on each line.
pub fn read_list(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LIST_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LIST_FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 8 MiB"));
    }
    Ok(text)
}

/// The text of a file that an operator wrote.
pub fn read_text(path: &Path) -> Result<String, Faults> {
    let refuse = |message: String, way_out: &str| {
        let place = Place::File(path.display().to_string());
        let way_out = way_out.to_owned();
        Faults::one(Finding { code: Code::Unreadable, place, message, way_out })
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long, even if it has no known length.
    File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(format!("cannot be read: {error}"), "check its path and rights"))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CONFIG_BYTES_MAX {
        return Err(refuse("is longer than 4 MiB".to_owned(), "is this the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        refuse(format!("is not UTF-8 in line {line}"), "save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::config::load::load;

    /// A directory of its own for one test, removed at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("otus-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_written_file_is_private_whole_and_loads() {
        let directory = Directory::new("written");
        let path = directory.0.join("settings.toml");
        write_default(&path, &mut |bytes| bytes.fill(7)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
        let source = Source { env: Vec::new(), dotenv: None, ..Source::read(&path).unwrap() };
        let (_, notes) = load(source).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn an_existing_file_is_not_replaced() {
        let directory = Directory::new("existing");
        let path = directory.0.join("settings.toml");
        fs::write(&path, "mine").unwrap();
        let error = write_default(&path, &mut |bytes| bytes.fill(7)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
    }

    #[test]
    fn no_file_is_written_without_random_bytes() {
        let directory = Directory::new("random");
        assert!(write_default(&directory.0.join("settings.toml"), &mut |_| {}).is_err());
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let directory = Directory::new("text");
        let path = directory.0.join("settings.toml");
        fs::write(&path, b"# a\n# b \xff\n").unwrap();
        check(&path, "is not UTF-8 in line 2");
        fs::write(&path, vec![b'#'; usize::try_from(CONFIG_BYTES_MAX).unwrap() + 1]).unwrap();
        check(&path, "is longer than 4 MiB");
        check(&directory.0.join("none.toml"), "cannot be read: No such file");
        check(&directory.0, "cannot be read: Is a directory");
    }

    #[track_caller]
    fn check(path: &Path, want: &str) {
        let faults = Source::read(path).unwrap_err();
        assert!(faults.list()[0].message.starts_with(want), "{faults}");
        assert_eq!(faults.list()[0].code, Code::Unreadable);
    }
}
