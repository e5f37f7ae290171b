//! The keys of what is asked of an identity and told of it.

use crate::config::routes::Reader;
use crate::policy::people::PeopleRule;

/// What a route asks for; `None`: nothing.
pub(super) fn read(_reader: &mut Reader<'_>, _number: &str) -> Option<PeopleRule> {
    None
}
