//! Which path is what, and who may see it.

use crate::control::state::State;
use crate::message::framing::Framing;
use crate::message::head::Method;
use crate::observe::exposition::CONTENT_TYPE;

use super::listener::{Admin, Answer, Request};
use super::operator;

pub(super) fn answer(request: &Request, admin: &Admin) -> Answer {
    let state = &*admin.state;
    let path = request.path();
    let is_stats = path == b"/__stats" && state.snapshot().observe.compat.hanzo;
    if admin.metrics_alone && !is_metrics(path, state) && !is_stats {
        return Answer::text(404, "there is /metrics\n");
    }
    if path.starts_with(b"/-/") || path == b"/-" {
        return operator::answer(request, admin);
    }
    let head = &request.head;
    if head.framing != Framing::Empty || !matches!(head.method, Method::Get | Method::Head) {
        return Answer { allow: "GET, HEAD", ..Answer::text(405, "only GET\n") };
    }
    match path {
        b"/healthz" => Answer::text(200, "ok\n"),
        b"/readyz" if state.is_ready() => Answer::text(200, "ready\n"),
        b"/readyz" => Answer::text(503, "draining\n"),
        _ if is_stats => match (refusal(request, admin), state.stats(&(admin.latency)())) {
            (Some(why), _) => Answer::text(403, why),
            (None, Some(page)) => Answer::json(200, page),
            (None, None) => Answer::text(404, "there is /metrics\n"),
        },
        _ if is_metrics(path, state) => {
            if let Some(why) = refusal(request, admin) {
                return Answer::text(403, why);
            }
            let page = state.metrics(&(admin.latency)());
            Answer { kind: CONTENT_TYPE, ..Answer::text(200, &page) }
        }
        _ => Answer::text(404, "there are /metrics, /healthz and /readyz\n"),
    }
}

/// `/metrics`, and `/metrics` below each base (SPEC 20, item 4).
fn is_metrics(path: &[u8], state: &State) -> bool {
    path.strip_suffix(b"/metrics").is_some_and(|base| {
        let snapshot = state.snapshot();
        base.is_empty() || snapshot.gufo.bases.iter().any(|known| known.prefix.as_bytes() == base)
    })
}

/// With a token set, a reader must show it. Without one, only a listener on loopback is open: it is
/// the address that protects the page then (ARCHITECTURE.md has the decision).
fn refusal(request: &Request, admin: &Admin) -> Option<&'static str> {
    let state = &*admin.state;
    let snapshot = state.snapshot();
    let is_local = || state.admin_address().is_some_and(|address| address.ip().is_loopback());
    match &snapshot.server.metrics_token {
        Some(token) => (!token.matches(request.field("x-metrics-token"))).then_some("Forbidden\n"),
        None if !admin.metrics_alone && is_local() => None,
        None => Some("Metrics endpoint disabled\n"),
    }
}
