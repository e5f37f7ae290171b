//! Threads that read files for the shards, which must not wait for a disk.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::SystemTime;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::base::time::UnixTime;
use crate::snapshot::Snapshot;
use crate::snapshot::files::{Done, FileAsk, FileFault, Job};

use super::pages::Pages;

/// Disks answer several questions at once; more threads would only wait in another place.
const THREADS: usize = 4;
/// Questions that wait. More is more than disks can do.
const ASKS_MAX: usize = 1024;
/// Of one thread: address space, of which it touches little.
const STACK_BYTES: usize = 256 * 1024;

/// Who reads; nobody until a configuration has files.
pub(super) struct Readers {
    asks: Option<Sender<FileAsk>>,
    /// Who makes what is shown at the clients' port.
    pub(super) pages: Pages,
}

impl Readers {
    /// Those of the first generation.
    pub(super) fn of(snapshot: &mut Snapshot) -> Result<Self, String> {
        let mut readers = Readers { asks: None, pages: Pages::of(snapshot) };
        readers.attend(snapshot)?;
        Ok(readers)
    }

    /// Gives a generation that serves files, or a page, somebody to ask.
    pub(super) fn attend(&mut self, snapshot: &mut Snapshot) -> Result<(), String> {
        self.pages.attend(snapshot);
        let Some(files) = &mut snapshot.gufo.files else { return Ok(()) };
        if self.asks.is_none() {
            let (asks, asked) = bounded(ASKS_MAX);
            for _ in 0..THREADS {
                hire(asked.clone()).map_err(|error| format!("no thread for files: {error}"))?;
            }
            self.asks = Some(asks);
        }
        files.asks.clone_from(&self.asks);
        Ok(())
    }
}

fn hire(asked: Receiver<FileAsk>) -> std::io::Result<()> {
    let run = move || {
        while let Ok(FileAsk { job, answer }) = asked.recv() {
            answer(work(job));
        }
    };
    let builder = std::thread::Builder::new().name("otus-files".to_owned());
    builder.stack_size(STACK_BYTES).spawn(run).map(|_| ())
}

fn work(job: Job) -> Result<Done, FileFault> {
    match job {
        Job::Open { root, names } => open(&root, &names),
        Job::Read { file, at, buffer } => read(&file, at, buffer),
    }
}

/// Opens name by name, each in the directory that the names before it have led to: whatever moves
/// meanwhile, no link is followed and nothing above the root is reached.
fn open(root: &str, names: &[String]) -> Result<Done, FileFault> {
    let (last, above) = names.split_last().ok_or(FileFault::Refused)?;
    let mut at = directory(root, 0)?;
    for name in above {
        at = directory(&inside(&at, name), libc::O_NOFOLLOW)?;
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(inside(&at, last));
    let file = file.map_err(|error| fault_of(&error))?;
    let about = file.metadata().map_err(|_| FileFault::Broken)?;
    if !about.is_file() {
        return Err(FileFault::Refused);
    }
    let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let modified = UnixTime(modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    Ok(Done::Opened { file: Arc::new(file), len: about.len(), modified })
}

fn directory(path: &str, flags: i32) -> Result<File, FileFault> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | flags;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.map_err(|error| fault_of(&error))
}

/// A name in a directory that is open. The kernel follows the descriptor itself, wherever the
/// directory was moved to.
fn inside(directory: &File, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", directory.as_raw_fd())
}

fn fault_of(error: &std::io::Error) -> FileFault {
    match error.kind() {
        ErrorKind::NotFound => FileFault::Missing,
        // A link where none is followed, or something that is no directory.
        ErrorKind::NotADirectory | ErrorKind::PermissionDenied => FileFault::Refused,
        _ if error.raw_os_error() == Some(libc::ELOOP) => FileFault::Refused,
        _ => FileFault::Broken,
    }
}

fn read(file: &File, at: u64, mut buffer: Vec<u8>) -> Result<Done, FileFault> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        let place = at.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(room, place) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(FileFault::Broken),
        }
    }
    buffer.truncate(filled);
    Ok(Done::Read(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(root: &str, names: &[&str]) -> Result<Vec<u8>, FileFault> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        match open(root, &names)? {
            Done::Opened { file, len, .. } => {
                let buffer = vec![0; usize::try_from(len).unwrap() + 10];
                match read(&file, 0, buffer)? {
                    Done::Read(bytes) => Ok(bytes),
                    Done::Opened { .. } => Err(FileFault::Broken),
                }
            }
            Done::Read(_) => Err(FileFault::Broken),
        }
    }

    #[test]
    fn files_below_the_root_are_read_and_no_link_is_followed() {
        let name = format!("otus-files-{}", std::process::id());
        let base = std::env::temp_dir().join(name);
        let root = base.join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(base.join("secret"), b"no").unwrap();
        std::fs::write(root.join("sub/a.txt"), b"hello").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        std::os::unix::fs::symlink("sub/a.txt", root.join("inner")).unwrap();
        let root = root.to_str().unwrap();
        let got: Vec<_> = [
            &["sub", "a.txt"][..],
            &["sub", "b.txt"],
            &["link"],
            &["up", "secret"],
            &["inner"],
            &["sub"],
            &["sub", "a.txt", "x"],
            &[],
        ]
        .into_iter()
        .map(|names| found(root, names))
        .collect();
        std::fs::remove_dir_all(&base).unwrap();
        let refused = || Err(FileFault::Refused);
        let want = vec![
            Ok(b"hello".to_vec()),
            Err(FileFault::Missing),
            refused(),
            refused(),
            refused(),
            refused(),
            refused(),
            refused(),
        ];
        assert_eq!(got, want);
    }
}
