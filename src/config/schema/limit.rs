//! The keys of rates, concurrency and breakers.

use super::key::Key;

/// Keys of routes.
pub const ROUTE: &[Key] = &[];
/// Other keys.
pub const KEYS: &[Key] = &[];
