//! The keys of rates, concurrency and breakers.

use crate::config::fault::{Code, Finding};
use crate::config::routes::Reader;
use crate::config::values::Config;
use crate::policy::limit::LimitRule;
use crate::policy::limit::fields::Shown;
use crate::policy::limit::key::Grouping;
use crate::policy::limit::limiter::{self, Limiter};
use crate::policy::limit::rate::{RATE_MAX, Rate, RateError};
use crate::policy::limit::remote::{OnFailure, Sharing};
use crate::policy::limit::rule::{By, RateRule};
use crate::policy::{breaker, concurrency};
use crate::snapshot::rate_store::RateStore;

/// Requests a second of the Gufo surface, if only its burst is said (SPEC 11.1).
const GUFO_RPS: u64 = 100;

/// What a route asks for; `None`: nothing.
pub(super) fn read(reader: &mut Reader<'_>, number: &str) -> Option<LimitRule> {
    let table = format!("route.{number}");
    let id = reader.text(number, "id").unwrap_or_default();
    let config = reader.config;
    let legacy_503 = config.boolean(&format!("{table}.legacy_503")) == Some(true);
    let rule = LimitRule {
        sheds: reader
            .given(number, "shed_delay")
            .then(|| config.duration(&format!("{table}.shed_delay"))),
        rates: rates(reader, number, &id, legacy_503),
        concurrency: concurrency(config, &table, &id),
        breaker: breaker(reader, number, &id),
        live: None,
    };
    (!rule.is_empty()).then_some(rule)
}

/// Those of everybody, the shared ones that the route names, and its own.
fn rates(reader: &mut Reader<'_>, number: &str, id: &str, legacy_503: bool) -> Vec<RateRule> {
    let mut rates = Vec::new();
    let named = reader.config.texts(&format!("route.{number}.rate_limits"));
    let known = reader.config.names("rate_limits");
    let everywhere = |name: &&String| {
        reader.config.boolean(&format!("rate_limits.{name}.everywhere")) == Some(true)
    };
    let mut wanted: Vec<String> = known.iter().filter(everywhere).cloned().collect();
    for name in named {
        if !known.contains(&name) {
            let path = format!("route.{number}.rate_limits");
            let message = format!("there is no rate limit \"{name}\"");
            let way_out = format!("write [rate_limits.{name}] with its rate");
            reader.find(Code::Dangling, &path, &message, &way_out);
        } else if !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    for name in wanted {
        rates.extend(rate(reader, &format!("rate_limits.{name}"), "shared", &name));
    }
    let own = format!("route.{number}.rate_limit");
    if reader.config.has_below(&own) {
        rates.extend(rate(reader, &own, "route", id));
    }
    rates.into_iter().map(|rate| RateRule { legacy_503, ..rate }).collect()
}

fn rate(reader: &mut Reader<'_>, table: &str, sort: &str, name: &str) -> Option<RateRule> {
    let config = reader.config;
    let key = |key: &str| format!("{table}.{key}");
    let Some(text) = config.text(&key("rate")) else {
        if !reader.broken.contains(&key("rate")) && reader.whole {
            let path = config.first_below(table);
            let way_out = "write rate = \"10/s\"";
            reader.find(Code::Missing, &path, "a rate limit does not say its rate", way_out);
        }
        return None;
    };
    let rate: Rate = match text.parse() {
        Ok(rate) => rate,
        Err(error) => {
            let (code, what) = match error {
                RateError::Form => (Code::Malformed, "is no rate"),
                RateError::Range => (Code::OutOfRange, "is beyond what can be counted"),
            };
            let message = format!("`rate = \"{text}\"` {what}");
            let way_out = format!(
                "write a rate such as \"10/s\", \"0.5/s\", \"600/m\" or \"5/30s\", from one in a \
                 day to {RATE_MAX} a second"
            );
            reader.find(code, &key("rate"), &message, &way_out);
            return None;
        }
    };
    let by = config.text(&key("by")).unwrap_or_default();
    let Some(by) = By::from_name(&by) else {
        let message = format!("`by = \"{by}\"` says of nobody that they are one");
        let way_out = "write \"route\", \"address\", \"principal\", \"header:x-name\", \
                       \"query:name\" or \"segment:2\"";
        reader.find(Code::Malformed, &key("by"), &message, way_out);
        return None;
    };
    let burst = config.integer(&key("burst")).unwrap_or_else(|| rate.ceiling());
    let rule = limiter::Rule {
        id: format!("{sort}:{name}"),
        name: name.to_owned(),
        rate,
        burst: u32::try_from(burst).unwrap_or(u32::MAX),
        keys: if by == By::All { 1 } else { config.small(&key("keys")) },
        sharing: sharing(config, table, rate, burst),
    };
    if rule.sharing.is_some() && !config.is_given("rate_store.address") {
        let message = "a limit is shared with other machines, and they have no store";
        let way_out = "write [rate_store] with its address, or leave `shared` out";
        reader.find(Code::Missing, &key("shared"), message, way_out);
        return None;
    }
    if !Limiter::is_countable(&rule) {
        let message = "so many at once would take more than a lifetime to come back";
        let path = config.first_below(table);
        reader.find(Code::OutOfRange, &path, message, "write a smaller burst or a higher rate");
        return None;
    }
    let fields = config.text(&key("fields")).unwrap_or_default();
    let shown = Shown {
        standard: matches!(fields.as_str(), "both" | "standard"),
        legacy: matches!(fields.as_str(), "both" | "legacy"),
    };
    let (v4, v6) = (config.small(&key("ipv4_prefix")), config.small(&key("ipv6_prefix")));
    Some(RateRule { rule, by, grouping: Grouping { v4, v6 }, shown, legacy_503: false })
}

/// A fifth of the burst, or what the rate gives in a twentieth of a second, is leased if nothing is
/// said: so the store is seldom waited for.
fn sharing(config: &Config, table: &str, rate: Rate, burst: u64) -> Option<Sharing> {
    let key = |key: &str| format!("{table}.{key}");
    if config.boolean(&key("shared")) != Some(true) {
        return None;
    }
    let lease = config.integer(&key("lease"));
    let lease = lease.unwrap_or_else(|| (burst / 5).max(rate.ceiling() / 20).max(1));
    let on_failure = config.text(&key("on_failure")).unwrap_or_default();
    let on_failure = OnFailure::from_name(&on_failure).unwrap_or_default();
    Some(Sharing { lease: u32::try_from(lease).unwrap_or(u32::MAX), on_failure })
}

/// Where several machines count together.
pub(in crate::config) fn rate_store(
    config: &Config,
    findings: &mut Vec<Finding>,
) -> Option<RateStore> {
    config.check_client_tls("rate_store", findings);
    if !config.is_given("rate_store.address") {
        return None;
    }
    Some(RateStore {
        address: config.text("rate_store.address")?,
        tls: config.client_tls("rate_store", findings),
        username: config.text("rate_store.username").unwrap_or_default(),
        password: config.secret("rate_store.password").unwrap_or_default(),
        database: config.small("rate_store.database"),
        prefix: config.text("rate_store.prefix").unwrap_or_default(),
        timeout: config.duration("rate_store.timeout"),
    })
}

fn concurrency(config: &Config, table: &str, id: &str) -> Option<concurrency::Rule> {
    let key = |key: &str| format!("{table}.concurrency.{key}");
    let max_in_flight = config.integer(&key("max_in_flight")).unwrap_or(0);
    let max_in_flight = u32::try_from(max_in_flight).unwrap_or(u32::MAX);
    let max_per_client = config.small(&key("per_client"));
    (max_in_flight > 0 || max_per_client > 0).then(|| concurrency::Rule {
        name: id.to_owned(),
        max_in_flight,
        max_per_client,
        queue: config.small(&key("queue")),
        queue_timeout: config.duration(&key("queue_timeout")),
        keys: config.small(&key("keys")),
        grouping: Grouping::default(),
    })
}

fn breaker(reader: &mut Reader<'_>, number: &str, id: &str) -> Option<breaker::Rule> {
    let config = reader.config;
    let table = format!("route.{number}.circuit_breaker");
    let key = |key: &str| format!("{table}.{key}");
    if !config.has_below(&table) || config.boolean(&key("enabled")) == Some(false) {
        return None;
    }
    let mut rule = breaker::Rule {
        name: format!("route:{id}"),
        failures: config.small(&key("failures")),
        interval: config.duration(&key("interval")),
        open: config.duration(&key("open")),
        probes: config.small(&key("probes")),
    };
    if config.text(&key("scope")).as_deref() == Some("upstream") {
        let Some(upstream) = reader.text(number, "upstream") else {
            let message = "a breaker of an upstream stands in a route that has none";
            let way_out = "write scope = \"route\", or leave it out";
            reader.find(Code::Contradiction, &key("scope"), message, way_out);
            return None;
        };
        let breaker::Rule { failures, interval, open, probes, .. } = &rule;
        // Who asks for other numbers has a breaker of its own.
        rule.name = format!("upstream:{upstream}:{failures}:{interval:?}:{open:?}:{probes}");
    }
    Some(rule)
}

/// What the surface of Gufo asks for (SPEC 11.1).
pub(super) fn read_surface(config: &Config) -> Option<LimitRule> {
    let given = |key: &str| config.integer(key);
    let burst = given("gufo.rate_limit_burst");
    let rps = given("gufo.rate_limit_rps").or(burst.map(|_| GUFO_RPS)).filter(|rps| *rps > 0)?;
    let burst = burst.filter(|burst| *burst > rps).unwrap_or(2 * rps);
    let rule = limiter::Rule {
        id: "gufo:".to_owned(),
        name: "gufo".to_owned(),
        rate: Rate::per_second(rps.saturating_mul(1000))?,
        burst: u32::try_from(burst).unwrap_or(u32::MAX),
        keys: 1,
        sharing: None,
    };
    let (grouping, shown) = (Grouping::default(), Shown::default());
    let rates = vec![RateRule { rule, by: By::All, grouping, shown, legacy_503: false }];
    Some(LimitRule { rates, ..LimitRule::default() })
}
