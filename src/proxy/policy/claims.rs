//! Claims of the token in the path that is forwarded.

use crate::policy::auth::path::ClaimPath;
use crate::policy::auth::segment::segment;
use crate::policy::set::Policies;
use crate::proxy::exchange::Plan;
use crate::proxy::reason::Reason;
use crate::route::rewrite;

use super::{Admission, Verdict, auth};

/// The values of these claims. Without one of them there is no path.
pub(super) fn ask(
    policies: &Policies,
    claims: &[ClaimPath],
    admission: &mut Admission,
) -> Result<Verdict, Reason> {
    let reason = match (&admission.verified, &admission.identity) {
        (Some(token), _) => {
            let values = claims.iter().map(|claim| segment(claim.find(&token.claims)?));
            if let Some(values) = values.collect() {
                return Ok(Verdict::Claimed(values));
            }
            Reason::Forbidden
        }
        // Who was believed for something else than a token.
        (None, Some(_)) => Reason::Forbidden,
        (None, None) => Reason::Unauthenticated,
    };
    auth::refuse(policies.errors, reason, false, admission);
    Err(reason)
}

/// Puts these values into the path that a plan forwards.
pub(in crate::proxy) fn fill(plan: &mut Plan<'_>, values: &[Vec<u8>], path: &mut Vec<u8>) {
    if matches!(plan, Plan::Forward(..)) && rewrite::fill(values, path).is_err() {
        *plan = Plan::Refuse(Reason::PathInvalid);
    }
}
