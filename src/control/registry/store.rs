//! What is known of modules, on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::gufo::registry::page::{self, BYTES_MAX};
use crate::gufo::registry::{Place, Wanted};

use super::super::state::unix_now;

/// What was kept before; nothing if there is no file.
pub(super) fn load(path: &Path) -> Result<Vec<(Wanted, Place, Duration)>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    file.take(most).read_to_string(&mut text).map_err(|error| error.to_string())?;
    page::read(&text, unix_now())
}

/// Writes a file anew: whoever reads it finds the old or the new one, whole. Only its owner may.
pub(super) fn save(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    // One that a process left behind may be readable to others, or lead elsewhere.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new);
    let written = written.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let placed = written.and_then(|()| fs::rename(new, path));
    if placed.is_err() {
        let _ = fs::remove_file(new);
    }
    placed
}
