//! The keys of CORS, addresses, hosts, and of what browsers are told.

use crate::config::routes::Reader;
use crate::policy::front::FrontRule;

/// What a route asks for; `None`: nothing.
pub(super) fn read(_reader: &mut Reader<'_>, _number: &str) -> Option<FrontRule> {
    None
}
