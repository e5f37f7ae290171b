//! What the gateway is and does, for operators (SPEC 15.6). No secret is in it.

use crate::control::state::{State, unix_now};
use crate::policy::auth::profile::{Profile, Proof};
use crate::route::rewrite::Rewrite;
use crate::snapshot::Snapshot;
use crate::snapshot::auth::KeyPlace;
use crate::snapshot::route::{Action, Route};

use super::json::Json;
use super::limits;

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
    let policies = route.policies.as_deref();
    let auth = policies.and_then(|policies| policies.auth.as_ref());
    json.key("auth_required").boolean(auth.is_some_and(|auth| !auth.anonymous));
    limits::rules(json, policies.and_then(|policies| policies.limit.as_ref()));
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
pub(super) fn auth(state: &State, snapshot: &Snapshot) -> Vec<u8> {
    let published = snapshot.auth.sources.iter().find_map(|source| match &source.place {
        KeyPlace::Url(url, _) => Some((source, url)),
        KeyPlace::Fixed(_) | KeyPlace::File(..) => None,
    });
    Json::of(|json| {
        json.key("mode").text(auth_mode(snapshot));
        if let Some((source, url)) = published {
            let found = state.keys().read(&source.name);
            json.key("jwks").object(|json| {
                let scheme = if url.secure { "https" } else { "http" };
                json.key("url").text(&format!("{scheme}://{}{}", url.authority, url.target));
                json.key("key_count").number(found.map_or(0, |(keys, _)| count(keys)));
                match found {
                    Some((_, time)) => json.key("fetched_at").text(&time.to_string()),
                    None => json.key("fetched_at").raw("null"),
                }
            });
        }
        json.key("profiles").list(|json| {
            for profile in &snapshot.auth.profiles {
                json.object(|json| {
                    json.key("name").text(&profile.name);
                    json.key("kind").text(kind(snapshot, profile));
                });
            }
        });
    })
}

/// Of the first profile, in the words of the original where it has them.
fn auth_mode(snapshot: &Snapshot) -> &'static str {
    snapshot.auth.profiles.first().map_or("", |profile| kind(snapshot, profile))
}

fn kind(snapshot: &Snapshot, profile: &Profile) -> &'static str {
    match &profile.proof {
        Proof::Token { source, .. } => {
            match snapshot.auth.sources.get(*source).map(|source| &source.place) {
                Some(KeyPlace::Fixed(_)) => "hmac",
                _ => "jwks",
            }
        }
        Proof::Fixed(_) => "static",
        Proof::Certificate => "mtls",
        Proof::Key(_) => "api_key",
    }
}

/// Where limits are counted that are shared.
fn rate_backend(snapshot: &Snapshot) -> &'static str {
    if snapshot.rate_store.is_some() { "redis" } else { "memory" }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
