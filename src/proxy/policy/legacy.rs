//! Refusals in the words of other gateways, where a route asks for those.
//!
//! What a policy refuses it tells itself, with what it knows; here are the others.

use crate::policy::set::Errors;
use crate::proxy::reason::{Blame, Reason};

use super::Refusal;

/// What is said in place of a problem; `None`: the problem.
pub(super) fn refusal(errors: Errors, reason: Reason, body_max: Option<u64>) -> Option<Refusal> {
    match errors {
        Errors::ThreeX => Some(three_x(reason, body_max)),
        Errors::Problem | Errors::Hanzo => None,
    }
}

/// SPEC 2.9, 16.3. No cause from inside leaks, as it did there.
fn three_x(reason: Reason, body_max: Option<u64>) -> Refusal {
    let row = reason.row();
    let (status, error) = match (reason, row.blame) {
        (Reason::BodyTooLarge, _) => {
            let max = body_max.map_or_else(String::new, |max| format!(",\"max_bytes\":{max}"));
            let body = format!("{{\"error\":\"request_too_large\"{max}}}");
            return Refusal { status: row.status, body: body.into_bytes() };
        }
        (Reason::RouteNotFound, _) => {
            return Refusal { status: 404, body: b"404 page not found\n".to_vec() };
        }
        (Reason::Bug, _) => (500, "internal_error"),
        (Reason::Unauthenticated, _) => (401, "unauthorized"),
        // The original knew no other failure of an endpoint.
        (_, Blame::Upstream) => (502, "bad_gateway"),
        _ => (row.status, row.code),
    };
    let body = format!("{{\"error\":\"{error}\"}}");
    Refusal { status, body: body.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: Reason, status: u16, body: &str) {
        let refusal = refusal(Errors::ThreeX, reason, Some(10)).unwrap();
        let text = String::from_utf8(refusal.body).unwrap();
        assert_eq!((refusal.status, text.as_str()), (status, body), "{reason:?}");
    }

    #[test]
    fn three_x_is_told_as_it_was() {
        check(Reason::BodyTooLarge, 413, r#"{"error":"request_too_large","max_bytes":10}"#);
        check(Reason::ConnectRefused, 502, r#"{"error":"bad_gateway"}"#);
        check(Reason::UpstreamTimedOut, 502, r#"{"error":"bad_gateway"}"#);
        check(Reason::Unauthenticated, 401, r#"{"error":"unauthorized"}"#);
        check(Reason::RouteNotFound, 404, "404 page not found\n");
        check(Reason::Bug, 500, r#"{"error":"internal_error"}"#);
        check(Reason::AddressRefused, 403, r#"{"error":"address_refused"}"#);
        assert!(refusal(Errors::Problem, Reason::Bug, None).is_none());
    }
}
