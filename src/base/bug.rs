//! What cannot happen, said aloud, without killing the neighbours.

use std::sync::atomic::{AtomicU64, Ordering};

/// One of our own facts turned out wrong. The exchange that met it ends; the process goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bug(pub &'static str);

static MET: AtomicU64 = AtomicU64::new(0);

/// How many bugs this process has met. A healthy one has met none.
#[must_use]
pub fn met() -> u64 {
    MET.load(Ordering::Relaxed)
}

/// Counts a bug and returns it. Called by [`bug!`](crate::bug), which also stops tests.
#[cold]
#[must_use]
pub fn found(what: &'static str) -> Bug {
    MET.fetch_add(1, Ordering::Relaxed);
    debug_assert!(false, "bug: {what}");
    Bug(what)
}

/// States that the present line is unreachable. Panics in debug builds; in release it is counted
/// and gives a [`Bug`](crate::base::bug::Bug), which ends one exchange.
#[macro_export]
macro_rules! bug {
    ($what:literal) => {
        $crate::base::bug::found($what)
    };
}
