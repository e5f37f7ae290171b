//! The keys of authentication.

use super::key::Key;

/// Keys of routes.
pub const ROUTE: &[Key] = &[];
/// Other keys.
pub const KEYS: &[Key] = &[];
