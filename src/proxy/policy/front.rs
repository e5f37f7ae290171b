//! CORS, addresses, hosts, and what browsers are told, for one exchange.

use crate::io::Io;
use crate::policy::front::FrontRule;
use crate::policy::set::Policies;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::reply::Reply;

use super::Admission;

/// A reply: the answer to a preflight.
pub(super) fn ask<I: Io>(
    _exchange: &Exchange<'_, I>,
    _policies: &Policies,
    _rule: &FrontRule,
    _admission: &mut Admission,
) -> Result<Option<Box<Reply>>, Reason> {
    Ok(None)
}
