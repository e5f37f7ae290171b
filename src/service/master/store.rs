//! Where a master keeps what it knows.

use crate::master::change::Change;
use crate::master::settings::StoreKind;
use crate::master::table::Saved;

use super::etcd::Etcd;
use super::file::File;

/// Why nothing was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum StoreError {
    /// Another master changed the same; what was decided must be decided anew.
    Conflict,
    /// The store is not what it should be, or cannot be reached. The text says what to look at.
    Broken(String),
}

/// Keeps changes, each call's all or none.
pub(super) trait Store: Send {
    /// What is kept now; `None`: what the caller has kept itself since it last asked.
    fn load(&mut self) -> Result<Option<Saved>, StoreError>;

    /// Whether it may be away when the process starts, and come back later.
    fn is_remote(&self) -> bool {
        false
    }

    /// Keeps these changes, and returns when no crash can undo them.
    fn keep(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

/// Opens a store; says what is wrong with it.
pub(super) fn open(kind: &StoreKind) -> Result<Box<dyn Store>, String> {
    let store: Box<dyn Store> = match kind {
        StoreKind::Memory => Box::new(Memory),
        StoreKind::Redb(path) => Box::new(File::open(path)?),
        StoreKind::Etcd(members, prefix) => Box::new(Etcd::new(members, prefix)?),
    };
    Ok(store)
}

/// Keeps nothing beyond the life of the process.
struct Memory;

impl Store for Memory {
    fn load(&mut self) -> Result<Option<Saved>, StoreError> {
        Ok(None)
    }

    fn keep(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }
}
