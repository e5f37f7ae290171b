//! What is known of the keys of each source, for operators.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::time::UnixTime;

/// How many keys each source gave, and when, and how often it gave none. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct KeyBoard(Arc<Mutex<BTreeMap<String, Row>>>);

/// What came of looking for the keys of one source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::control) struct Row {
    /// How many it gave last, and when.
    pub(in crate::control) found: Option<(usize, UnixTime)>,
    /// How often a look failed.
    pub(in crate::control) failures: u64,
}

impl KeyBoard {
    /// A source gave so many keys.
    pub(super) fn write(&self, source: &str, keys: usize, time: UnixTime) {
        self.rows().entry(source.to_owned()).or_default().found = Some((keys, time));
    }

    /// A source gave none.
    pub(super) fn failed(&self, source: &str) {
        self.rows().entry(source.to_owned()).or_default().failures += 1;
    }

    /// What is known of a source.
    pub(in crate::control) fn row(&self, source: &str) -> Row {
        self.rows().get(source).copied().unwrap_or_default()
    }

    /// What a source gave last.
    pub(in crate::control) fn read(&self, source: &str) -> Option<(usize, UnixTime)> {
        self.row(source).found
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
