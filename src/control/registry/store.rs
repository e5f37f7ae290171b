//! What was known of modules, from disk.

use std::fs::File;
use std::io::{self, Read};
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
