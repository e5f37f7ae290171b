//! The keys of rates, concurrency and breakers.

use crate::config::routes::Reader;
use crate::config::values::Config;
use crate::policy::limit::LimitRule;

/// What a route asks for; `None`: nothing.
pub(super) fn read(_reader: &mut Reader<'_>, _number: &str) -> Option<LimitRule> {
    None
}

/// What the surface of Gufo asks for (SPEC 11.1).
pub(super) fn read_surface(_config: &Config) -> Option<LimitRule> {
    None
}
