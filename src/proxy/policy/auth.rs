//! Authentication of one exchange.

use crate::io::Io;
use crate::policy::auth::AuthRule;
use crate::policy::set::Policies;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::Snapshot;

use super::Admission;

/// What a shard knows of tokens and keys.
#[derive(Debug, Default)]
pub(super) struct State {}

impl State {
    pub(super) fn new(_snapshot: &Snapshot, _old: Option<&State>) -> Self {
        State {}
    }
}

pub(super) async fn ask<I: Io>(
    _exchange: &Exchange<'_, I>,
    _policies: &Policies,
    _rule: &AuthRule,
    _admission: &mut Admission,
) -> Result<(), Reason> {
    Ok(())
}
