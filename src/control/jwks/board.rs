//! What is known of the keys of each source, for operators.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::time::UnixTime;

/// How many keys each source gave, and when. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct KeyBoard(Arc<Mutex<BTreeMap<String, (usize, UnixTime)>>>);

impl KeyBoard {
    /// A source gave so many keys.
    pub(super) fn write(&self, source: &str, keys: usize, time: UnixTime) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(source.to_owned(), (keys, time));
    }

    /// What a source gave last.
    pub(in crate::control) fn read(&self, source: &str) -> Option<(usize, UnixTime)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(source).copied()
    }
}
