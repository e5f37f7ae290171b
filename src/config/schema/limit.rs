//! The keys of rates, concurrency and breakers.

use super::key::{Key, Kind, Reload, between, live, open, restart};

const BY: &str = "who counts as one: `route` (all together), `address`, `principal` (by address if \
                  nobody was authenticated), `header:<name>`, `query:<name>`, `segment:<number>` \
                  of the path";
const BURST: &str = "requests at once; as many as the rate gives in a second, if nothing is said";
const COUNT: Kind = Kind::Integer(8, 16_777_216);
const KEYS_HELP: &str = "who has a bucket of its own; 17 bytes each, which are taken at the start. \
                         Who finds no place shares one with others";
const FIELDS: Kind = Kind::Choice(&["both", "standard", "legacy", "off"]);
const FIELDS_HELP: &str = "what clients are told: `RateLimit` and `RateLimit-Policy`, \
                           `X-RateLimit-*`, both, or nothing but `Retry-After`";
const V4: &str = "so many bits of an IPv4 address count";
const V6: &str = "so many bits of an IPv6 address count; 64: one subscriber";

const SHARED: &str = "counted together with other machines, by `[rate_store]`";
const LEASE: &str = "requests that a machine admits before the store has answered for those before \
                     them; all machines together admit at most so many each more than the limit. \
                     None said: a fifth of the burst, or the rate of 50 ms";
const ON_FAILURE: Kind = Kind::Choice(&["local", "open", "closed"]);
const ON_FAILURE_HELP: &str = "when the store does not answer: each machine holds the limit for \
                               itself, all are admitted, or all are refused with 503";

/// Keys of routes.
pub const ROUTE: &[Key] = &[
    open(
        "route.*.rate_limits",
        Kind::Texts("names of `[rate_limits.<name>]`"),
        "shared limits, asked in this order before the route's own",
    ),
    live(
        "route.*.legacy_503",
        Kind::Bool,
        "false",
        "with `errors = \"hanzo\"` or `\"3x\"`: rates are refused with 503, as lura does",
    ),
    open(
        "route.*.shed_delay",
        between(10, 60),
        "requests are refused with 503 while the shard runs later than so all the time",
    ),
    open(
        "route.*.rate_limit.rate",
        Kind::Text,
        "`\"10/s\"`, `\"0.5/s\"`, `\"600/m\"`, `\"5/30s\"`",
    ),
    open("route.*.rate_limit.burst", Kind::Integer(1, 1_000_000_000), BURST),
    live("route.*.rate_limit.by", Kind::Text, "address", BY),
    live("route.*.rate_limit.ipv4_prefix", Kind::Integer(8, 32), "32", V4),
    live("route.*.rate_limit.ipv6_prefix", Kind::Integer(16, 128), "64", V6),
    live("route.*.rate_limit.keys", COUNT, "65536", KEYS_HELP),
    live("route.*.rate_limit.fields", FIELDS, "both", FIELDS_HELP),
    live("route.*.rate_limit.shared", Kind::Bool, "false", SHARED),
    open("route.*.rate_limit.lease", Kind::Integer(1, 1_000_000), LEASE),
    live("route.*.rate_limit.on_failure", ON_FAILURE, "local", ON_FAILURE_HELP),
    open(
        "route.*.concurrency.max_in_flight",
        Kind::Integer(0, 1_000_000),
        "requests under way at once, over all shards; 0: any number",
    ),
    live(
        "route.*.concurrency.per_client",
        Kind::Integer(0, 1_000_000),
        "0",
        "of one principal, or of one address if nobody was authenticated; 0: any number",
    ),
    live(
        "route.*.concurrency.queue",
        Kind::Integer(0, 100_000),
        "0",
        "requests that may wait for a place",
    ),
    live("route.*.concurrency.queue_timeout", between(1, 60), "1s", "how long they may wait"),
    live("route.*.concurrency.keys", COUNT, "65536", "principals that have a count of their own"),
    live(
        "route.*.circuit_breaker.enabled",
        Kind::Bool,
        "true",
        "`false`: there is none, whatever else is written",
    ),
    live(
        "route.*.circuit_breaker.failures",
        Kind::Integer(1, 16_000),
        "5",
        "so many failures in a row (answers of 500 and more, or none) open it",
    ),
    live("route.*.circuit_breaker.open", between(1, 86_400), "10s", "for so long it refuses"),
    live(
        "route.*.circuit_breaker.probes",
        Kind::Integer(1, 16_000),
        "1",
        "requests at a time that try the upstream after that; the first answer decides",
    ),
    live(
        "route.*.circuit_breaker.interval",
        between(0, 86_400),
        "0s",
        "failures are forgotten so long after the first of them; 0: never",
    ),
    live(
        "route.*.circuit_breaker.scope",
        Kind::Choice(&["route", "upstream"]),
        "route",
        "`upstream`: routes to the same upstream with the same numbers share one",
    ),
];

/// A text that has an effect after a restart, and no default.
const fn at_start(path: &'static str, help: &'static str) -> Key {
    Key { reload: Reload::Restart, ..open(path, Kind::Text, help) }
}

/// Other keys.
pub const KEYS: &[Key] = &[
    open("rate_limits.*.rate", Kind::Text, "as `rate` of a route; required"),
    open("rate_limits.*.burst", Kind::Integer(1, 1_000_000_000), BURST),
    live("rate_limits.*.by", Kind::Text, "address", BY),
    live("rate_limits.*.ipv4_prefix", Kind::Integer(8, 32), "32", V4),
    live("rate_limits.*.ipv6_prefix", Kind::Integer(16, 128), "64", V6),
    live("rate_limits.*.keys", COUNT, "65536", KEYS_HELP),
    live("rate_limits.*.fields", FIELDS, "both", FIELDS_HELP),
    live("rate_limits.*.shared", Kind::Bool, "false", SHARED),
    open("rate_limits.*.lease", Kind::Integer(1, 1_000_000), LEASE),
    live("rate_limits.*.on_failure", ON_FAILURE, "local", ON_FAILURE_HELP),
    live(
        "rate_limits.*.everywhere",
        Kind::Bool,
        "false",
        "asked of every route before all others: a limit at the level of the service",
    ),
    Key {
        reload: Reload::Restart,
        ..open("rate_store.address", Kind::Text, "`host:port` of a server of Redis or Valkey")
    },
    restart("rate_store.username", Kind::Text, "", "the user of its access list"),
    restart("rate_store.password", Kind::Secret, "", "its password"),
    restart("rate_store.database", Kind::Integer(0, 65_535), "0", "the number of its database"),
    restart("rate_store.prefix", Kind::Text, "otus:rate:", "what all keys there begin with"),
    restart(
        "rate_store.timeout",
        between(1, 5),
        "50ms",
        "no request waits longer for it; then `on_failure` says what becomes of it",
    ),
    restart("rate_store.tls.on", Kind::Bool, "false", "speak TLS with it"),
    at_start(
        "rate_store.tls.ca",
        "PEM file of the authorities that are believed; without it, those of the system",
    ),
    Key {
        reload: Reload::Restart,
        ..open(
            "rate_store.tls.name",
            Kind::Host,
            "what its certificate must be for; without it, the host of the address",
        )
    },
    at_start("rate_store.tls.cert", "PEM file of our certificate, if one is asked for"),
    at_start("rate_store.tls.key", "PEM file of its key"),
];
