//! Files of the day in a directory: a new one each day (UTC) and for each 10 MB, closed ones packed
//! a little at a time.
//!
//! Nothing here stops the log thread for long, and nothing is lost when it ends midway: what was
//! half packed is packed anew at the next start.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::days::{closed_name, open_name, plan};
use super::open_file;
use crate::base::time::UnixTime;

/// A file that would become larger is closed first.
const FILE_BYTES_MAX: u64 = 10_000_000;
/// What is packed at once, before the rings are looked at again.
const PACKED_AT_ONCE: usize = 256 * 1024;

/// The files with one stem.
#[derive(Debug)]
pub(super) struct Daily {
    folder: PathBuf,
    stem: &'static str,
    open: Option<Open>,
    /// The day that it is.
    day: u64,
    /// Closed files that wait to be packed.
    waiting: Vec<String>,
    packing: Option<Packing>,
    /// What the next file is numbered with that is closed for its size.
    next: u32,
    /// Whether the directory was looked at since a file was closed.
    looked: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    day: u64,
    size: u64,
}

#[derive(Debug)]
struct Packing {
    from: File,
    into: GzEncoder<File>,
    /// The file that is packed.
    path: PathBuf,
}

impl Daily {
    /// Opens nothing yet: a directory that is not there must not keep the gateway from starting.
    pub(super) fn new(folder: &Path, stem: &'static str) -> Self {
        Daily {
            folder: folder.to_owned(),
            stem,
            open: None,
            day: 0,
            waiting: Vec::new(),
            packing: None,
            next: 1,
            looked: false,
        }
    }

    /// The next write opens anew what is there by then.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Makes sure that the file of this day is open and has room.
    pub(super) fn begin(&mut self, bytes: usize, now: UnixTime) -> io::Result<()> {
        self.day = now.seconds() / 86_400;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let (size, day) = self.open()?;
        if day != self.day {
            self.close();
            self.looked = false;
            self.open()?;
        } else if size > 0 && size.saturating_add(bytes) > FILE_BYTES_MAX {
            self.look();
            let (from, to) = (open_name(self.stem, day), closed_name(self.stem, day, self.next));
            fs::rename(self.folder.join(from), self.folder.join(to))?;
            self.close();
            self.looked = false;
            self.open()?;
        }
        Ok(())
    }

    /// The size and the day of the open file.
    fn open(&mut self) -> io::Result<(u64, u64)> {
        if let Some(open) = &self.open {
            return Ok((open.size, open.day));
        }
        let path = self.folder.join(open_name(self.stem, self.day));
        let file = match open_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                open_file(&path)?
            }
            other => other?,
        };
        let size = file.metadata()?.len();
        self.open = Some(Open { file, day: self.day, size });
        Ok((size, self.day))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?;
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let written = open.file.write(bytes)?;
        open.size = open.size.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    /// Closes what is of yesterday, removes what is old, and packs a little; whether there is more.
    pub(super) fn tidy(&mut self, now: UnixTime) -> bool {
        self.day = now.seconds() / 86_400;
        if self.open.as_ref().is_some_and(|open| open.day != self.day) {
            self.close();
            self.looked = false;
        }
        if !self.looked {
            self.look();
        }
        if let Some(packing) = &mut self.packing {
            // What cannot be packed stays as it is until the directory is looked at again.
            if !packing.step().unwrap_or(false)
                && let Some(packing) = self.packing.take()
            {
                packing.end();
            }
            return true;
        }
        let Some(name) = self.waiting.pop() else { return false };
        self.packing = Packing::begin(self.folder.join(name)).ok();
        true
    }

    /// Removes what is old, and finds what is to be packed.
    fn look(&mut self) {
        self.looked = true;
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // What is being packed is nobody else's.
        let is_busy = |name: &String| {
            let path = self.folder.join(name.strip_suffix(".gz.part").unwrap_or(name));
            self.packing.as_ref().is_some_and(|packing| packing.path == path)
        };
        let names: Vec<_> = names.filter(|name| !is_busy(name)).collect();
        let plan = plan(self.stem, &names, self.day);
        for name in &plan.remove {
            let _ = fs::remove_file(self.folder.join(name));
        }
        (self.waiting, self.next) = (plan.pack, plan.next);
    }
}

impl Packing {
    fn begin(path: PathBuf) -> io::Result<Self> {
        let from = File::open(&path)?;
        let into = GzEncoder::new(File::create(partial(&path))?, Compression::default());
        Ok(Packing { from, into, path })
    }

    /// Packs a little; whether there is more.
    fn step(&mut self) -> io::Result<bool> {
        let mut chunk = vec![0; PACKED_AT_ONCE];
        let len = self.from.read(&mut chunk)?;
        if len > 0 {
            self.into.write_all(chunk.get(..len).unwrap_or_default())?;
            return Ok(true);
        }
        self.into.try_finish()?;
        fs::rename(partial(&self.path), with(&self.path, ".gz"))?;
        fs::remove_file(&self.path)?;
        Ok(false)
    }

    /// Leaves nothing half done behind.
    fn end(self) {
        let _ = fs::remove_file(partial(&self.path));
    }
}

fn partial(path: &Path) -> PathBuf {
    with(path, ".gz.part")
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests;
