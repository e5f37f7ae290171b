//! The keys of what is asked of an identity and told of it.

use super::key::Key;

/// Keys of routes.
pub const ROUTE: &[Key] = &[];
/// Other keys.
pub const KEYS: &[Key] = &[];
