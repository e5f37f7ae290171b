//! What is asked of an identity and told of it, for one exchange.

use crate::io::Io;
use crate::policy::people::PeopleRule;
use crate::policy::set::Policies;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::Snapshot;

use super::Admission;

/// What a shard remembers of identities.
#[derive(Debug, Default)]
pub(super) struct State {}

impl State {
    pub(super) fn new(_snapshot: &Snapshot, _old: Option<&State>) -> Self {
        State {}
    }
}

/// What clients say of themselves is not passed on.
pub(super) fn strip(_rule: &PeopleRule, _admission: &mut Admission) {}

/// What needs no identity: bots.
pub(super) fn before_auth<I: Io>(
    _exchange: &Exchange<'_, I>,
    _policies: &Policies,
    _rule: &PeopleRule,
    _admission: &mut Admission,
) -> Result<(), Reason> {
    Ok(())
}

/// What needs one: billing, widgets, identity headers.
pub(super) async fn after_auth<I: Io>(
    _exchange: &Exchange<'_, I>,
    _policies: &Policies,
    _rule: &PeopleRule,
    _admission: &mut Admission,
) -> Result<(), Reason> {
    Ok(())
}
