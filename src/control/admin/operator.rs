//! What is below `/-/`: for who shows the admin key (SPEC 15.6).
//!
//! Without a key in the configuration there is nothing here; with a wrong one nobody learns what
//! there is.

use std::time::Duration;

use crossbeam::channel::bounded;

use crate::control::Ask;
use crate::message::head::Method;

use super::json::Json;
use super::limits;
use super::listener::{Admin, Answer, Request};
use super::{registry, report, revoke};

/// How long a reload may take until who asked is told to look for himself.
const RELOAD_PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn answer(request: &Request, admin: &Admin) -> Answer {
    let snapshot = admin.state.snapshot();
    let Some(key) = &snapshot.server.admin_key else {
        return Answer::text(404, "there are /metrics, /healthz and /readyz\n");
    };
    if !key.matches(request.field("x-admin-key")) {
        return Answer::json(401, r#"{"error":"unauthorized"}"#);
    }
    let reads = matches!(request.head.method, Method::Get | Method::Head);
    let writes = request.head.method == Method::Post;
    let (state, path) = (&*admin.state, request.path());
    match path {
        b"/-/status" | b"/-/routes" | b"/-/limits" | b"/-/auth" | b"/-/config" | b"/-/registry"
            if !reads =>
        {
            only("GET, HEAD")
        }
        b"/-/reload" | b"/-/drain" | b"/-/revoke" | b"/-/revoke/check" if !writes => only("POST"),
        b"/-/status" => Answer::json(200, report::status(state, &snapshot)),
        b"/-/routes" => Answer::json(200, report::routes(&snapshot)),
        b"/-/limits" => Answer::json(200, limits::now(state, &snapshot)),
        b"/-/auth" => Answer::json(200, report::auth(state, &snapshot)),
        b"/-/config" => Answer::json(200, snapshot.effective.0.as_bytes()),
        b"/-/registry" => Answer::json(200, registry::now(state, &snapshot)),
        b"/-/reload" => reload(admin),
        b"/-/drain" => drain(admin),
        b"/-/revoke" => revoke::revoke(request, &snapshot),
        b"/-/revoke/check" => revoke::check(request, &snapshot),
        _ => Answer::problem(404, "not_found", "docs/admin.md names all paths"),
    }
}

fn only(allow: &'static str) -> Answer {
    Answer { allow, ..Answer::problem(405, "method_not_allowed", "") }
}

/// As SIGHUP; answers when every shard runs the new generation, or when it was refused.
fn reload(admin: &Admin) -> Answer {
    let (done, result) = bounded(1);
    if admin.asker.send(Ask::Reload { done: Some(done) }).is_err() {
        return Answer::problem(503, "stopping", "the gateway stops");
    }
    match result.recv_timeout(RELOAD_PATIENCE) {
        Ok(Ok(generation)) => Answer::json(
            200,
            Json::of(|json| {
                json.key("generation").number(generation);
            }),
        ),
        Ok(Err(fault)) => Answer::problem(422, "reload_rejected", &fault),
        Err(_) if !admin.state.is_ready() => Answer::problem(503, "stopping", "the gateway stops"),
        Err(_) => {
            let detail = "the reload goes on; GET /-/status says which generation runs";
            Answer::problem(504, "reload_slow", detail)
        }
    }
}

/// As SIGTERM; but however often it is asked, nothing is cut off by it.
fn drain(admin: &Admin) -> Answer {
    let _ = admin.asker.send(Ask::Drain);
    Answer::json(202, r#"{"draining":true}"#)
}
