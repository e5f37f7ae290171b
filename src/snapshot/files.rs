//! Files of the gateway's host that services may answer with, and who reads them (SPEC 6.3).

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use crossbeam::channel::Sender;

use crate::base::time::UnixTime;

/// A directory that files are served from.
#[derive(Clone)]
pub struct Files {
    /// Its path; absolute.
    pub root: Arc<str>,
    /// Where shards ask for what lies on a disk: they do not wait for one. `None` until somebody
    /// reads for them.
    pub asks: Option<Sender<FileAsk>>,
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.root).finish()
    }
}

/// What a shard asks for.
pub struct FileAsk {
    /// What is to be done.
    pub job: Job,
    /// Tells the shard. Called once, on the thread that did it.
    pub answer: Box<dyn FnOnce(Result<Done, FileFault>) + Send>,
}

/// Something that may wait for a disk.
#[derive(Debug)]
pub enum Job {
    /// Opens a file below a directory.
    Open {
        /// The directory.
        root: Arc<str>,
        /// The names that lead to it; none is empty, `.` or `..`, or has a slash.
        names: Vec<String>,
    },
    /// Reads from this place to the end of the buffer, or of the file.
    Read {
        /// An open file.
        file: Arc<File>,
        /// The place.
        at: u64,
        /// To be filled.
        buffer: Vec<u8>,
    },
}

/// What was done.
#[derive(Debug)]
pub enum Done {
    /// The file is open.
    Opened {
        /// A regular file.
        file: Arc<File>,
        /// Its bytes.
        len: u64,
        /// When it was changed.
        modified: UnixTime,
    },
    /// Its bytes, as many as there are.
    Read(Vec<u8>),
}

/// Why nothing was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFault {
    /// There is no such file.
    Missing,
    /// It is not one that is served: a link leads elsewhere, or it is a directory or a device.
    Refused,
    /// The system says so.
    Broken,
}
