//! Where the demo keeps uploads: plain files in one directory, hashed while they are written.
//!
//! Everything here blocks and belongs on a thread for that.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use prost::bytes::Bytes;
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc::Receiver;

use crate::base::hex;

use super::sequence::Step;

/// Characters of a client's file name that are kept.
const NAME_CHARACTERS_MAX: usize = 100;
/// Names that are tried for a file before giving up.
const TRIES_MAX: u32 = 100;

/// A directory of uploads.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// Distinguishes the files of this process from those of earlier ones.
    started: u64,
    files: AtomicU64,
}

/// A file that was received to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    /// The name that the client gave it.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub(super) sha256: String,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// Why an upload was not stored.
#[derive(Debug)]
pub(super) enum StoreError {
    /// The disk did not take it.
    Disk(io::Error),
    /// The stream ended before it said so. There is nobody left to tell.
    Left,
}

impl From<io::Error> for StoreError {
    fn from(fault: io::Error) -> Self {
        StoreError::Disk(fault)
    }
}

impl Store {
    /// Uses `dir`, which is made if missing.
    pub(super) fn open(dir: PathBuf) -> io::Result<Store> {
        fs::create_dir_all(&dir)?;
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let started = started.map_or(0, |since| since.as_secs());
        Ok(Store { dir, started, files: AtomicU64::new(0) })
    }

    /// Stores the files of one upload as their bytes come.
    pub(super) fn receive(&self, mut steps: Receiver<Step>) -> Result<Vec<Stored>, StoreError> {
        let mut stored = Vec::new();
        let mut open: Option<Incoming> = None;
        while let Some(step) = steps.blocking_recv() {
            match (step, open.as_mut()) {
                (Step::Begin(name), _) => open = Some(self.begin(name)?),
                (Step::Data(data), Some(file)) => file.write(&data)?,
                (Step::End, Some(_)) => {
                    if let Some(file) = open.take() {
                        stored.push(self.finish(&file)?);
                    }
                }
                (Step::Finish, None) => return Ok(stored),
                // The sequence gives no other order.
                (Step::Data(_) | Step::End, None) | (Step::Finish, Some(_)) => break,
            }
        }
        Err(StoreError::Left)
    }

    fn begin(&self, name: String) -> io::Result<Incoming> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!(".part-{}-{number}", self.started));
        let file = File::create_new(&path)?;
        Ok(Incoming { name, number, path, file, hash: Context::new(&SHA256), bytes: 0 })
    }

    /// Gives the file its name, which no other has.
    fn finish(&self, incoming: &Incoming) -> io::Result<Stored> {
        let (stem, extension) = safe_name(&incoming.name);
        for attempt in 0..TRIES_MAX {
            let path = self.dir.join(match attempt {
                0 => format!("{stem}{extension}"),
                1 => format!("{stem}-{}-{}{extension}", self.started, incoming.number),
                _ => format!("{stem}-{}-{}-{attempt}{extension}", self.started, incoming.number),
            });
            // The name is claimed by an empty file, over which the whole one is moved at once.
            match File::create_new(&path) {
                Ok(_) => {
                    fs::rename(&incoming.path, &path)?;
                    return Ok(Stored {
                        name: incoming.name.clone(),
                        bytes: incoming.bytes,
                        sha256: hex::text(incoming.hash.clone().finish().as_ref()),
                        path,
                    });
                }
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A file that is being received. It is removed if it does not come to its end.
struct Incoming {
    name: String,
    number: u64,
    path: PathBuf,
    file: File,
    hash: Context,
    bytes: u64,
}

impl Incoming {
    fn write(&mut self, data: &Bytes) -> io::Result<()> {
        self.file.write_all(data)?;
        self.hash.update(data);
        self.bytes = self.bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // A file that got its name is no longer at this path. One that cannot be removed stays
        // hidden under its temporary name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A client's file name as stem and extension, of characters that mean nothing to any shell or file
/// system, never hidden and never empty.
fn safe_name(name: &str) -> (String, String) {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String = last
        .trim_start_matches('.')
        .chars()
        .take(NAME_CHARACTERS_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let safe = if safe.is_empty() { "upload.bin".to_owned() } else { safe };
    match safe.rfind('.') {
        Some(dot) if dot > 0 => {
            let (stem, extension) = safe.split_at(dot);
            (stem.to_owned(), extension.to_owned())
        }
        _ => (safe, String::new()),
    }
}

#[cfg(test)]
pub(super) mod tests;
