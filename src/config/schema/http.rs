//! The keys of routes and of HTTP upstreams.

use super::key::{Key, Kind, between, between_or_off, live, open};
use super::otus::{DAY, SYSTEM_SIZE};

/// `[[route]]`
pub const ROUTE: &[Key] = &[
    open("route.*.id", Kind::Text, "name in logs and metrics; required"),
    live("route.*.path", Kind::Path, "/", "with `module`: this path and all below it are uploads"),
    open("route.*.module", Kind::Text, "the microservice that takes uploads, in any method"),
    live("route.*.param", Kind::Text, "upload", "with `module`: the `Param` of the call"),
    live(
        "route.*.priority",
        Kind::Integer(0, 1_000_000),
        "0",
        "higher wins where host, path and the number of conditions are alike; then the first wins",
    ),
    live(
        "route.*.path_policy",
        Kind::Choice(&["strict", "decode", "passthrough"]),
        "strict",
        "what becomes of paths that two back ends could read differently",
    ),
    open("route.*.strip_prefix", Kind::Text, "cut off the path before it is forwarded"),
    open(
        "route.*.rewrite",
        Kind::Text,
        "replaces what the route matched; may name its parameters, `/v2/{id}`, and claims of the \
         token, `/users/{JWT.sub}`",
    ),
    open("route.*.upstream", Kind::Text, "where requests go: a name of `[upstreams.<name>]`"),
    open(
        "route.*.upgrade",
        Kind::Texts("protocols: `\"websocket\"`, `\"spdy/3.1\"`"),
        "what connections may become a tunnel of; none said: `[\"websocket\"]`; `[]`: nothing",
    ),
    open("route.*.reply", Kind::Integer(200, 599), "answers with this status and no more"),
    open(
        "route.*.match.host",
        Kind::Texts("hosts: `\"example.com\"`, `\"*.example.com\"`"),
        "hosts, on all ports; none: all. An exact one wins over a suffix, a longer suffix over a \
         shorter one",
    ),
    open(
        "route.*.match.path",
        Kind::Text,
        "`/a/{id}`: this path alone; `/a/{*rest}`: it and all below it. An exact path wins over a \
         prefix, a longer prefix over a shorter one, a literal over a parameter",
    ),
    open("route.*.match.prefix", Kind::Text, "this path and all below it; `/` if nothing is said"),
    live(
        "route.*.match.kind",
        Kind::Choice(&["segment", "string"]),
        "segment",
        "`string`: the path or prefix is compared as a string: `/api` matches `/apix`",
    ),
    open("route.*.match.methods", Kind::Texts("methods"), "none: all. GET does not include HEAD"),
    open(
        "route.*.match.headers.*",
        Kind::Text,
        "a field that must have this value; `*`: any value",
    ),
    open(
        "route.*.redirect.to",
        Kind::Text,
        "sends clients there: `\"https://example.com\"`, or `\"\"` for the same host; path and \
         query follow",
    ),
    live("route.*.redirect.status", Kind::Integer(301, 308), "308", "301, 302, 303, 307 or 308"),
    live(
        "route.*.errors",
        Kind::Choice(&["problem", "3x", "hanzo"]),
        "problem",
        "how refusals of policies are told: RFC 9457, or as the gateway of that name does",
    ),
    open("route.*.timeouts.connect", between(1, 300), "as `connect_timeout` of the upstream"),
    open("route.*.timeouts.first_byte", between(1, DAY), "as `first_byte_timeout`"),
    open("route.*.timeouts.idle", between(1, DAY), "as `idle_timeout`"),
    open("route.*.timeouts.total", between_or_off(1, DAY), "as `total_timeout`"),
];

/// `[hosts]`
pub const HOSTS: &[Key] = &[open(
    "hosts.file",
    Kind::Text,
    "redirects, routes and subdomains in a file of their own, from the directory of this one: \
     `hosts.yaml` or `hosts.toml`",
)];

/// `[upstreams.<name>]`
pub const UPSTREAMS: &[Key] = &[
    open(
        "upstreams.*.endpoints",
        Kind::Texts("endpoints: `\"10.0.0.1:8080\"`, `\"name:80\"`, `\"_http._tcp.name\"`"),
        "hosts with ports that serve the same, or names of SRV records; required",
    ),
    live(
        "upstreams.*.protocol",
        Kind::Choice(&["http", "grpc"]),
        "http",
        "`http`: HTTP/1.1; `grpc`: gRPC over HTTP/2, for clients of HTTP/2",
    ),
    live(
        "upstreams.*.host",
        Kind::Text,
        "client",
        "the `host` that endpoints get: the `client`'s, the `endpoint`'s, or this text",
    ),
    live("upstreams.*.connect_timeout", between(1, 300), "5s", "until a connection is made"),
    live(
        "upstreams.*.first_byte_timeout",
        between(1, DAY),
        "1m",
        "from the end of a request to the head of its answer",
    ),
    live("upstreams.*.idle_timeout", between(1, DAY), "1m", "without progress of a body"),
    live("upstreams.*.total_timeout", between_or_off(1, DAY), "off", "a whole exchange"),
    live(
        "upstreams.*.send_proxy_protocol",
        Kind::Choice(&["off", "v2"]),
        "off",
        "tells endpoints of the client; each connection then carries one request",
    ),
];

/// `[upstreams.<name>]`: its connections
pub const UPSTREAM_POOL: &[Key] = &[
    live(
        "upstreams.*.pool.connections",
        Kind::Integer(1, 10_000),
        "256",
        "idle connections that one shard keeps to one endpoint for `idle`, four times as many for \
         two seconds; with gRPC, all connections",
    ),
    live("upstreams.*.pool.idle", between(100, DAY), "30s", "an unused connection is closed"),
    live("upstreams.*.retry.attempts", Kind::Integer(1, 10), "4", "attempts, the first included"),
    live("upstreams.*.retry.budget", Kind::Float(0.0, 1.0), "0.2", "retries for each request"),
    live("upstreams.*.retry.backoff", between(1, 60), "200ms", "before the second attempt"),
    live("upstreams.*.retry.backoff_max", between(1, 600), "2s", "before any attempt, at most"),
];

/// `[upstreams.NAME]`: balancing and ejection
pub const UPSTREAM_SPREADING: &[Key] = &spreading!("upstreams.*");

/// `[upstreams.NAME.health]`
pub const UPSTREAM_HEALTH: &[Key] = &checking!(
    "upstreams.*.health",
    &["off", "tcp", "http", "grpc"],
    "active checks, once for the whole process: `tcp` connects, `http` asks for `path`, `grpc` \
     calls `grpc.health.v1.Health/Check`"
);

/// What one kind of check needs.
pub const UPSTREAM_HEALTH_PATH: &[Key] = &[live(
    "upstreams.*.health.path",
    Kind::Path,
    "/",
    "what `http` asks for with GET; 2xx is well",
)];

/// `[upstreams.NAME.tls]`
pub const UPSTREAM_TLS: &[Key] = &tls_to_endpoints!("upstreams.*.tls");

/// `[upstreams.NAME.transport]`
pub const UPSTREAM_TRANSPORT: &[Key] = &transport!(live, "upstreams.*.transport", "system");

/// `[dns]`
pub const DNS: &[Key] = &[
    open(
        "dns.servers",
        Kind::Texts("name servers: `\"10.0.0.2\"`, `\"127.0.0.1:5353\"`"),
        "who is asked for names, in this order; none: those of `/etc/resolv.conf`, with its \
         search list. `/etc/hosts` comes first in any case",
    ),
    live(
        "dns.family",
        Kind::Choice(&["any", "ipv4", "ipv6"]),
        "any",
        "which addresses of a name become endpoints",
    ),
    live("dns.timeout", between(10, 60), "2s", "how long one server may take"),
    live("dns.attempts", Kind::Integer(1, 10), "2", "how often all servers are asked in a row"),
    live("dns.min_ttl", between(100, DAY), "5s", "an answer is used for at least so long"),
    live("dns.max_ttl", between(100, DAY), "5m", "an answer is used for at most so long"),
    live(
        "dns.keep_gone",
        between(0, DAY),
        "1m",
        "a name that is said not to exist any more keeps its last addresses for so long",
    ),
];
