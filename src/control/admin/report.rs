//! What the gateway is and does, for operators (SPEC 15.6). No secret is in it.

use crate::control::state::{State, unix_now};
use crate::route::rewrite::Rewrite;
use crate::snapshot::Snapshot;
use crate::snapshot::route::{Action, Route};

use super::json::Json;

/// `/-/status`
pub(super) fn status(state: &State, snapshot: &Snapshot) -> Vec<u8> {
    Json::of(|json| {
        json.key("time_utc").text(&unix_now().to_string());
        json.key("uptime_seconds").number(state.uptime().as_secs());
        let addresses = state.addresses();
        let first = addresses.first().map_or_else(String::new, ToString::to_string);
        json.key("listen_addr").text(&first);
        // The name is the original's; clients of it look for the key.
        json.key("go_version").text(concat!("otus ", env!("CARGO_PKG_VERSION")));
        json.key("auth_mode").text(auth_mode(snapshot));
        json.key("rate_backend").text(rate_backend(snapshot));
        json.key("routes_configured").number(count(snapshot.routes.list().len()));
        json.key("version").text(env!("CARGO_PKG_VERSION"));
        json.key("generation").number(snapshot.generation);
        json.key("reload_successful").boolean(state.reload_successful());
        json.key("draining").boolean(!state.is_ready());
        json.key("shards").number(count(state.shards()));
        json.key("io_driver").text(state.driver().name());
        json.key("listeners").list(|json| {
            for address in addresses {
                json.text(&address.to_string());
            }
        });
    })
}

/// `/-/routes`
pub(super) fn routes(snapshot: &Snapshot) -> Vec<u8> {
    Json::list_of(|json| {
        for (index, route) in snapshot.routes.list().iter().enumerate() {
            json.object(|json| one_route(json, snapshot, index, route));
        }
    })
}

fn one_route(json: &mut Json, snapshot: &Snapshot, index: usize, route: &Route) {
    json.key("name").text(&route.id);
    let rule = snapshot.routes.table().rules().get(index);
    let path = rule.map_or_else(String::new, |rule| rule.path.to_string());
    json.key("path_prefix").text(prefix_of(&path));
    json.key("upstream").text(&target(snapshot, route));
    let stripped = match &route.rewrite {
        Rewrite::Strip { prefix, .. } => prefix.as_str(),
        _ => "",
    };
    json.key("strip_prefix").text(stripped);
}

/// What paths begin with: a pattern without what stands for the rest.
fn prefix_of(pattern: &str) -> &str {
    match pattern.find("/{*") {
        Some(0) => "/",
        Some(at) => pattern.get(..at).unwrap_or_default(),
        None => pattern.strip_suffix('*').unwrap_or(pattern),
    }
}

/// Where requests go, in words.
fn target(snapshot: &Snapshot, route: &Route) -> String {
    match &route.action {
        Action::Proxy(id) => snapshot.upstream(*id).map_or_else(String::new, |u| u.name.clone()),
        Action::Redirect(redirect) => format!("redirect {}", redirect.to),
        Action::Reply(status) => format!("reply {status}"),
        Action::Gufo(_) | Action::Upload(_) => "gufo".to_owned(),
    }
}

/// `/-/auth`
pub(super) fn auth(snapshot: &Snapshot) -> Vec<u8> {
    Json::of(|json| {
        json.key("mode").text(auth_mode(snapshot));
    })
}

/// `/-/limits`
pub(super) fn limits(snapshot: &Snapshot) -> Vec<u8> {
    Json::list_of(|json| {
        for route in snapshot.routes.list() {
            json.object(|json| {
                json.key("route").text(&route.id);
            });
        }
    })
}

fn auth_mode(_: &Snapshot) -> &'static str {
    ""
}

fn rate_backend(_: &Snapshot) -> &'static str {
    "memory"
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
