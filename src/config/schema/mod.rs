//! Every key there is: its kind, default, range and meaning. The one place where that is written.
//!
//! The loader, the file written at the first start, and `docs/config.md` are all made from it.
//! Start with [`Key`]; the rows are in [`otus`], [`http`] and [`gufo`].

#[macro_use]
mod shared;

pub mod auth;
pub mod front;
pub mod gufo;
pub mod http;
pub mod kept;
pub mod key;
pub mod limit;
pub mod master;
pub mod observe;
pub mod otus;
pub mod people;
pub mod shards;

use std::collections::HashMap;
use std::sync::LazyLock;

use key::Key;

/// Every key, in the order in which they are documented.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    otus::SERVER
        .iter()
        .chain(shards::SERVER)
        .chain(observe::SERVER)
        .chain(otus::SECURITY)
        .chain(otus::PROTOCOLS)
        .chain(otus::LISTENER)
        .chain(otus::TLS)
        .chain(otus::TIMEOUTS)
        .chain(otus::LIMITS)
        .chain(otus::MICROSERVICES)
        .chain(otus::SERVICE_SPREADING)
        .chain(otus::SERVICE_POOL)
        .chain(otus::SERVICE_HEALTH)
        .chain(otus::SERVICE_TLS)
        .chain(otus::SERVICE_TRANSPORT)
        .chain(http::ROUTE)
        .chain(front::ROUTE)
        .chain(auth::ROUTE)
        .chain(people::ROUTE)
        .chain(limit::ROUTE)
        .chain(front::KEYS)
        .chain(auth::KEYS)
        .chain(people::KEYS)
        .chain(people::REVOCATION)
        .chain(people::PROFILES)
        .chain(limit::KEYS)
        .chain(http::UPSTREAMS)
        .chain(http::UPSTREAM_SPREADING)
        .chain(http::UPSTREAM_POOL)
        .chain(http::UPSTREAM_HEALTH)
        .chain(http::UPSTREAM_HEALTH_PATH)
        .chain(http::UPSTREAM_TLS)
        .chain(http::UPSTREAM_TRANSPORT)
        .chain(http::HOSTS)
        .chain(http::DNS)
        .chain(master::KEYS)
        .chain(otus::SETTINGS)
        .chain(observe::KEYS)
        .chain(gufo::KEYS)
        .chain(kept::KEYS)
}

/// All keys by the last part of their paths: ten thousand routes ask for some fifty each.
static BY_END: LazyLock<HashMap<&str, Vec<&Key>>> = LazyLock::new(|| {
    let mut by_end = HashMap::<_, Vec<_>>::new();
    for key in keys() {
        by_end.entry(end(key.path)).or_default().push(key);
    }
    by_end
});

fn end(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, end)| end)
}

/// The key with this path. `microservices.storage.port` finds `microservices.*.port`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    let mut ends = [end(path), "*"].into_iter().filter_map(|end| BY_END.get(end));
    ends.find_map(|keys| keys.iter().copied().find(|key| matches(key.path, path)))
}

/// Whether keys lie below this path.
#[must_use]
pub fn is_table(path: &str) -> bool {
    keys().any(|key| {
        let mut own = key.path.split('.');
        path.split('.').all(|name| own.next().is_some_and(|part| part == "*" || part == name))
            && own.next().is_some()
    })
}

/// Tables that are written as a list: `[[route]]`.
pub const LISTS: &[&str] = &["route"];

/// Keys that older files write elsewhere: (as written, as documented).
pub const FORMER: &[(&str, &str)] = &[
    ("security.sign", "server.sign"),
    ("security.ca_path", "security.ca_cert"),
    ("security.cert_path", "security.cert"),
    ("security.key_path", "security.key"),
];

/// Variables whose names do not follow from a key: (variable, key). SPEC 16.1.
pub const VARIABLES: &[(&str, &str)] = &[
    ("GUFO_SIGN", "server.sign"),
    ("GUFO_ENV", "server.env"),
    ("GUFO_LOG_TO_FILE", "server.log_to_file"),
    ("GUFO_SENTRY_ENABLED", "server.sentry"),
    ("GUFO_SENTRY_TRACE", "sentry.trace"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otel.endpoint"),
    ("OTEL_SERVICE_NAME", "otel.service_name"),
    ("GUFO_JWT_SECRET", "security.jwt_secret"),
    ("GUFO_RATE_LIMIT_RPS", "gufo.rate_limit_rps"),
    ("GUFO_RATE_LIMIT_BURST", "gufo.rate_limit_burst"),
    ("GUFO_DB_HOST", "database.host"),
    ("GUFO_DB_PORT", "database.port"),
    ("GUFO_DB_USER", "database.user"),
    ("GUFO_DB_NAME", "database.dbname"),
    ("GUFO_DB_TYPE", "database.type"),
    ("GUFO_DB_PASS", "database.password"),
    ("GUFO_EMAIL_PASS", "email.password"),
    ("GUFO_REDIS_URL", "redis.host"),
    ("APIGW_ADMIN_KEY", "server.admin_key"),
    ("SERVER_SIGN", "server.sign"),
    ("SERVER_MASTERSERVICE", "server.masterservice"),
    ("SECURITY_MODE", "security.mode"),
    ("MICROSERVICES_MASTERSERVICE_HOST", "microservices.masterservice.host"),
    ("MICROSERVICES_MASTERSERVICE_PORT", "microservices.masterservice.port"),
    ("GRPC_CLIENT_CA", "security.ca_cert"),
    ("GRPC_CLIENT_CERT", "security.cert"),
    ("GRPC_CLIENT_KEY", "security.key"),
];

/// Whether a path is one of a pattern, part by part.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('.');
    pattern.split('.').all(|own| parts.next().is_some_and(|part| own == "*" || own == part))
        && parts.next().is_none()
}

/// The variable that a key without a `*` is set by: `GUFO_SERVER_PORT`.
#[must_use]
pub fn variable(path: &str) -> String {
    format!("GUFO_{}", path.replace('.', "_").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::{Raw, read};

    #[test]
    fn every_default_can_be_read_as_its_key() {
        for key in keys() {
            if let Some(text) = key.default {
                let value = read(&key.kind, &Raw::Untyped(text));
                assert!(value.is_ok(), "{} = {text}: {value:?}", key.path);
            }
        }
    }

    #[test]
    fn no_key_is_listed_twice_and_no_table_is_a_key() {
        let mut seen = std::collections::BTreeSet::new();
        for key in keys() {
            assert!(seen.insert(key.path), "{} twice", key.path);
            assert!(!is_table(key.path), "{} is a table as well", key.path);
            assert!(!key.help.is_empty() && !key.help.ends_with('.'), "{}", key.path);
        }
    }

    #[test]
    fn variables_and_former_names_lead_to_keys() {
        for (variable, path) in VARIABLES {
            assert!(find(path).is_some(), "{variable}");
        }
        for (former, path) in FORMER {
            assert!(find(path).is_some() && find(former).is_none(), "{former}");
        }
        assert_eq!(variable("server.grpc_timeout"), "GUFO_SERVER_GRPC_TIMEOUT");
    }

    #[test]
    fn names_stand_for_a_star_and_nothing_else_does() {
        assert_eq!(find("microservices.storage.port").unwrap().path, "microservices.*.port");
        assert!(find("microservices.port").is_none());
        assert!(find("microservices.storage.x.port").is_none());
        assert!(find("serverx.port").is_none());
        assert!(is_table("microservices") && is_table("microservices.storage"));
        assert!(is_table("microservices.storage.pool") && is_table("server"));
        assert!(!is_table("server.port") && !is_table("servers"));
    }
}
