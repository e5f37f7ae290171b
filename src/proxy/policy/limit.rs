//! Rate, concurrency and breaker, for one exchange.

use crate::io::Io;
use crate::policy::limit::LimitRule;
use crate::policy::set::Policies;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::Snapshot;

use super::Admission;

/// What a shard counts.
#[derive(Debug, Default)]
pub(super) struct State {}

impl State {
    pub(super) fn new(_snapshot: &Snapshot, _old: Option<&State>) -> Self {
        State {}
    }
}

/// What an exchange holds until its end: a place, a probe. Dropped, it is given back.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Held {}

impl Held {
    /// The exchange is over: with this status, 0 for none, and for this reason if it went wrong.
    pub(in crate::proxy) fn end(&self, _status: u16, _reason: Option<Reason>) {}
}

pub(super) async fn ask<I: Io>(
    _exchange: &Exchange<'_, I>,
    _policies: &Policies,
    _rule: &LimitRule,
    _admission: &mut Admission,
) -> Result<(), Reason> {
    Ok(())
}
