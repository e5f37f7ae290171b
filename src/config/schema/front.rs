//! The keys of CORS, addresses, hosts, and of what browsers are told.

use super::key::Key;

/// Keys of routes.
pub const ROUTE: &[Key] = &[];
/// Other keys.
pub const KEYS: &[Key] = &[];
