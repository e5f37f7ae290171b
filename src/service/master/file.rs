//! The store of one master: a file of redb, which a crash leaves as the last commit made it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, Error, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
};

use super::store::{Store, StoreError};
use crate::master::change::Change;
use crate::master::mandate::Mandate;
use crate::master::row::Row;
use crate::master::table::Saved;

/// Numbers: the form of the file, and the highest epoch.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("otus.master.numbers");
/// Rows as JSON, by uuid.
const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("otus.master.rows");
/// Mandates as JSON, by service.
const MANDATES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("otus.master.mandates");
const FORM: &str = "form";
const FORM_OF_TODAY: u64 = 1;
const EPOCH: &str = "epoch";
/// What redb may hold of the file in memory.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// A file of rows and mandates.
pub(super) struct File {
    path: PathBuf,
    /// `None` after a fault: opened anew with the next call.
    open: Option<Database>,
    is_new: bool,
}

impl File {
    /// Opens the file, or makes one that its owner alone may read. The directory is made as well.
    /// A file that is no store of ours, or is torn, is refused and not touched.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut file = File { path: path.to_owned(), open: None, is_new: true };
        file.reopen()?;
        Ok(file)
    }

    fn reopen(&mut self) -> Result<&Database, String> {
        if self.open.is_none() {
            let path = self.path.display();
            let database = open(&self.path).map_err(|what| format!("{path}: {what}"))?;
            self.open = Some(database);
            self.is_new = true;
        }
        self.open.as_ref().ok_or_else(String::new)
    }

    fn with<T>(
        &mut self,
        what: impl FnOnce(&Database) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let path = self.path.display().to_string();
        let done = self.reopen().and_then(|database| guarded(|| what(database)));
        done.map_err(|error| {
            // Whatever is wrong may have passed when it is opened anew.
            self.open = None;
            StoreError::Broken(format!("{path}: {error}"))
        })
    }
}

impl Store for File {
    fn load(&mut self) -> Result<Option<Saved>, StoreError> {
        if self.open.is_some() && !self.is_new {
            return Ok(None);
        }
        let saved = self.with(read)?;
        self.is_new = false;
        Ok(Some(saved))
    }

    fn keep(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if !changes.iter().any(Change::is_kept) {
            return Ok(());
        }
        self.with(|database| write(database, changes).map_err(|error| error.to_string()))
    }
}

/// Runs what redb may panic of, if the file was written to by others.
fn guarded<T>(what: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let done = panic::catch_unwind(AssertUnwindSafe(what));
    done.unwrap_or_else(|_| Err("it is damaged".to_owned()))
}

fn open(path: &Path) -> Result<Database, String> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| format!("no directory for it: {error}"))?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(|error| error.to_string())?;
    guarded(|| {
        let backend = FileBackend::new(file).map_err(|error| refusal(&error))?;
        let mut builder = Database::builder();
        let builder = builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend).map_err(|error| refusal(&error))?;
        check_form(&database)?;
        Ok(database)
    })
}

fn refusal(error: &DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen => "another master has it open".to_owned(),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            error.to_string()
        }
        other => format!("it is damaged, or no store of a master: {other}"),
    }
}

/// Marks a file that is new; refuses one that is a store of something else, or of a later version.
fn check_form(database: &Database) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let names = names(database).map_err(text)?;
    if names.is_empty() {
        return mark(database).map_err(text);
    }
    if !names.iter().any(|name| name == NUMBERS.name()) {
        return Err("it is a store of something else".to_owned());
    }
    match number(database, FORM).map_err(text)? {
        Some(FORM_OF_TODAY) => Ok(()),
        form => {
            let form = form.unwrap_or(0);
            Err(format!("it has the form {form}, and {FORM_OF_TODAY} is known here"))
        }
    }
}

fn names(database: &Database) -> Result<Vec<String>, Error> {
    let transaction = database.begin_read()?;
    let tables = transaction.list_tables()?;
    Ok(tables.map(|table| table.name().to_owned()).collect())
}

fn number(database: &Database, key: &str) -> Result<Option<u64>, Error> {
    let table = database.begin_read()?.open_table(NUMBERS)?;
    Ok(table.get(key)?.map(|value| value.value()))
}

fn mark(database: &Database) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(FORM, FORM_OF_TODAY)?;
        numbers.insert(EPOCH, 0)?;
        transaction.open_table(ROWS)?;
        transaction.open_table(MANDATES)?;
    }
    Ok(transaction.commit()?)
}

fn read(database: &Database) -> Result<Saved, String> {
    let text = |error: Error| error.to_string();
    let rows = all(database, ROWS).map_err(text)?;
    let mandates = all(database, MANDATES).map_err(text)?;
    let row = |bytes: &Vec<u8>| Row::from_json(&serde_json::from_slice(bytes).ok()?);
    let mandate = |bytes: &Vec<u8>| Mandate::from_json(&serde_json::from_slice(bytes).ok()?);
    let damaged = || "it holds what is no row and no mandate".to_owned();
    Ok(Saved {
        rows: rows.iter().map(row).collect::<Option<_>>().ok_or_else(damaged)?,
        mandates: mandates.iter().map(mandate).collect::<Option<_>>().ok_or_else(damaged)?,
        epoch: number(database, EPOCH).map_err(text)?.ok_or_else(damaged)?,
    })
}

fn all(
    database: &Database,
    table: TableDefinition<'_, &str, &[u8]>,
) -> Result<Vec<Vec<u8>>, Error> {
    let table = database.begin_read()?.open_table(table)?;
    let mut out = Vec::new();
    for entry in table.iter()? {
        out.push(entry?.1.value().to_vec());
    }
    Ok(out)
}

fn write(database: &Database, changes: &[Change]) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(ROWS)?;
        let mut mandates = transaction.open_table(MANDATES)?;
        let mut numbers = transaction.open_table(NUMBERS)?;
        for change in changes {
            match change {
                Change::Put(row) => {
                    let text = row.to_json().to_string();
                    rows.insert(row.uuid.as_str(), text.as_bytes())?;
                }
                Change::Remove(uuid) => {
                    rows.remove(uuid.as_str())?;
                }
                Change::Mandate(mandate) => {
                    let text = mandate.to_json().to_string();
                    mandates.insert(mandate.service.as_str(), text.as_bytes())?;
                    numbers.insert(EPOCH, mandate.epoch)?;
                }
                Change::EndMandate(service) => {
                    mandates.remove(service.as_str())?;
                }
                // What only prolongs is not worth a write: after a restart every lease begins anew.
                Change::Renew { .. } | Change::RenewMandate { .. } | Change::Turn(_) => {}
            }
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests;
