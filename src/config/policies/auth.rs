//! The keys of authentication.

use crate::config::routes::Reader;
use crate::policy::auth::AuthRule;

/// What a route asks for; `None`: nothing.
pub(super) fn read(_reader: &mut Reader<'_>, _number: &str) -> Option<AuthRule> {
    None
}
