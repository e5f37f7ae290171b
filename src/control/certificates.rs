//! Looks whether certificates and keys have changed on disk, and reads them anew.
//!
//! Everything is read and checked before anything is changed: a file that is wrong leaves what runs
//! as it is. Two files that belong together are never replaced at one moment, so a change is taken
//! when nothing has changed since the look before.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::source::read_file;
use crate::snapshot::Snapshot;
use crate::snapshot::server::Listener;
use crate::tls::server::ServerTls;
use crate::tls::spec::Remark;

/// What tells a file from what was there before, without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// The files of the listeners that run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// Something was another at the last look.
    is_changing: bool,
}

/// What a look has found.
#[derive(Debug)]
pub(super) enum Found {
    /// As before, or not settled yet.
    Nothing,
    /// Other files, and what listeners offer with them.
    Changed {
        /// All listeners.
        listeners: Vec<Listener>,
        /// Worth knowing.
        warnings: Vec<String>,
    },
    /// Other files that cannot be used.
    Faulty(Vec<String>),
}

impl Watch {
    /// Looks after the files of this generation from now on.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        let known = std::mem::take(&mut self.files);
        for path in listed(snapshot) {
            let before = known.iter().find(|(own, _)| own == path);
            let entry = before.cloned().unwrap_or_else(|| (path.to_owned(), stamp(path)));
            self.files.push(entry);
        }
    }

    /// Whether there is anything to look after.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Looks once.
    pub(super) fn look(&mut self, snapshot: &Snapshot) -> Found {
        let mut changed = false;
        for (path, seen) in &mut self.files {
            let now = stamp(path);
            changed |= std::mem::replace(seen, now) != now;
        }
        let was_changing = std::mem::replace(&mut self.is_changing, changed);
        if changed || !was_changing {
            return Found::Nothing;
        }
        again(snapshot)
    }
}

fn listed(snapshot: &Snapshot) -> impl Iterator<Item = &Path> {
    snapshot.server.listeners.iter().filter_map(|l| l.tls.as_ref()).flat_map(ServerTls::files)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    let modified = (data.mtime(), data.mtime_nsec());
    Some(Stamp { inode: data.ino(), bytes: data.len(), modified })
}

fn again(snapshot: &Snapshot) -> Found {
    let (mut listeners, mut warnings) = (snapshot.server.listeners.clone(), Vec::new());
    let line = |remark: &Remark| format!("{}; {}", remark.message, remark.way_out);
    let lines = |remarks: Vec<Remark>| -> Vec<String> { remarks.iter().map(line).collect() };
    let mut changed = false;
    for tls in listeners.iter_mut().filter_map(|listener| listener.tls.as_mut()) {
        match tls.again(&read_file) {
            Ok((new, remarks)) => {
                changed |= *tls != new;
                *tls = new;
                warnings.extend(lines(remarks));
            }
            Err(remarks) => return Found::Faulty(lines(remarks)),
        }
    }
    if changed { Found::Changed { listeners, warnings } } else { Found::Nothing }
}
