//! What is to be written, one step after the other, so that the end of the process between any two
//! of them leaves files that can be read.

use std::io;
use std::path::{Path, PathBuf};

/// Added to the name of a file: what is to take its place.
const TEMPORARY: &str = ".new";

/// One step. Only the second can be seen by others, and it happens whole or not at all.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes a file anew, down to the disk, for its owner alone.
    Write {
        /// The file; what is there is removed.
        path: PathBuf,
        /// What it holds.
        bytes: Vec<u8>,
        /// Its owner and rights are those of this file.
        like: Option<PathBuf>,
    },
    /// Puts a file in the place of another.
    Rename {
        /// The file.
        from: PathBuf,
        /// Its new name.
        to: PathBuf,
    },
    /// Waits until the names in a directory are on the disk.
    Sync(PathBuf),
}

/// Where steps are made: the file system, or what a test takes for it.
pub trait Disk {
    /// As [`Step::Write`].
    fn write(&mut self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()>;
    /// As [`Step::Rename`].
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// As [`Step::Sync`].
    fn sync(&mut self, directory: &Path) -> io::Result<()>;
    /// Removes a file that a failed step may have left.
    fn remove(&mut self, path: &Path);
}

/// The name of a file with something added.
#[must_use]
pub fn beside(path: &Path, added: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(added);
    PathBuf::from(name)
}

/// The steps that replace a file: it has its old content or the new one, and nothing in between.
pub(super) fn replace(path: &Path, bytes: &[u8], like: Option<&Path>) -> [Step; 3] {
    let temporary = beside(path, TEMPORARY);
    [
        Step::Write {
            path: temporary.clone(),
            bytes: bytes.to_vec(),
            like: like.map(Path::to_owned),
        },
        Step::Rename { from: temporary, to: path.to_owned() },
        Step::Sync(directory(path)),
    ]
}

/// The steps that give a file another name.
pub(super) fn rename(from: &Path, to: &Path) -> [Step; 2] {
    [Step::Rename { from: from.to_owned(), to: to.to_owned() }, Step::Sync(directory(to))]
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes the steps in their order. The first that fails ends it; what it may have left is removed.
pub fn perform(steps: &[Step], disk: &mut dyn Disk) -> io::Result<()> {
    for (number, step) in steps.iter().enumerate() {
        let made = match step {
            Step::Write { path, bytes, like } => disk.write(path, bytes, like.as_deref()),
            Step::Rename { from, to } => disk.rename(from, to),
            Step::Sync(directory) => disk.sync(directory),
        };
        if let Err(error) = made {
            let half_done = [step, steps.get(number.wrapping_sub(1)).unwrap_or(step)];
            for step in half_done {
                if let Step::Write { path, .. } = step {
                    disk.remove(path);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}
