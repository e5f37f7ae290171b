//! The keys of what is asked of an identity and told of it.

use super::key::{Key, Kind, between, live, open};

const DAY: u64 = 24 * 60 * 60;

/// Keys of routes.
pub const ROUTE: &[Key] = &[
    open("route.*.bots", Kind::Text, "programs are turned away: a name of `[bots.<name>]`"),
    open("route.*.widget", Kind::Text, "how keys in pages count: a name of `[widgets.<name>]`"),
    live(
        "route.*.billing",
        Kind::Bool,
        "false",
        "who proves himself with a token must be able to pay: see `[billing]`",
    ),
];

/// Other keys.
pub const KEYS: &[Key] = &[
    live(
        "identity.strip",
        Kind::Bool,
        "true",
        "takes fields such as `X-User-Id` and `X-Org-Id` away from every request: only the gateway \
         says who the client is",
    ),
    open(
        "bots.*.allow",
        Kind::Texts("whole `User-Agent`s"),
        "these are no bots, whatever the rest says",
    ),
    open("bots.*.deny", Kind::Texts("whole `User-Agent`s"), "these are bots"),
    open(
        "bots.*.patterns",
        Kind::Texts("regular expressions"),
        "a `User-Agent` that one of these matches is a bot",
    ),
    live("bots.*.empty_is_bot", Kind::Bool, "false", "who says nothing is a bot"),
    live(
        "bots.*.cache",
        Kind::Integer(2, 100_000),
        "1000",
        "verdicts that each shard remembers; those used last stay",
    ),
    live("widgets.*.prefix", Kind::Text, "hz_", "how a key that stands in pages begins"),
    open(
        "widgets.*.origins",
        Kind::Texts("hosts: `\"example.com\"`"),
        "hosts whose pages, and those below them, may use one; none: all",
    ),
    live("widgets.*.per_client", Kind::Integer(1, 4096), "10", "uses of one client address"),
    live("widgets.*.total", Kind::Integer(1, 4096), "600", "uses of all together"),
    live("widgets.*.window", between(1000, DAY), "1m", "within this time, whenever it begins"),
    open(
        "billing.upstream",
        Kind::Text,
        "who knows balances: a name of `[upstreams.<name>]` that speaks HTTP",
    ),
    open("billing.token", Kind::Secret, "what the gateway proves itself with there, as a bearer"),
    live("billing.path", Kind::Path, "/v1/billing/balance", "what is asked for"),
    live("billing.currency", Kind::Text, "usd", "in which currency"),
    open(
        "billing.paths",
        Kind::Texts("beginnings of paths"),
        "only requests for these are asked about; none: all",
    ),
    open(
        "billing.exempt",
        Kind::Texts("beginnings of paths"),
        "requests for these are never asked about; none said: `[\"/v1/commerce\"]`",
    ),
    live(
        "billing.on_error",
        Kind::Choice(&["open", "closed"]),
        "open",
        "without an answer requests go on, or are refused with 503",
    ),
    live("billing.timeout", between(1, 60), "5s", "how long an answer may take"),
    live("billing.allowed_for", between(1, 10), "10s", "how long a yes is believed"),
    live("billing.denied_for", between(1, 2), "2s", "how long a no is believed"),
    live(
        "billing.entries",
        Kind::Integer(2, 1_000_000),
        "10000",
        "answers that each shard remembers, of either kind",
    ),
];

/// `[revocation]`
pub const REVOCATION: &[Key] = &[
    open(
        "revocation.token_keys",
        Kind::Texts("names of claims"),
        "claims by whose value tokens may be revoked, such as `jti`",
    ),
    open(
        "revocation.headers",
        Kind::Texts("names of fields"),
        "fields by whose value requests with a token may be refused",
    ),
    live(
        "revocation.elements",
        Kind::Integer(1, 30_000_000),
        "100000",
        "how many are revoked at a time, at most, so that `false_positives` holds",
    ),
    live(
        "revocation.false_positives",
        Kind::Float(1e-12, 0.5),
        "0.0000001",
        "the probability that somebody is taken for revoked who is not",
    ),
    live(
        "revocation.hash",
        Kind::Choice(&["optimal", "default"]),
        "optimal",
        "`optimal`: sums of one hash; `default`: five hashes, as other gateways name it",
    ),
    live(
        "revocation.ttl",
        between(1000, 90 * DAY),
        "1h",
        "as long as tokens live: revocations are forgotten after two to three times as long",
    ),
];

/// `[auth.<name>]` of the kinds `iam` and `api_key`
pub const PROFILES: &[Key] = &[
    open("auth.*.public_hosts", Kind::Texts("hosts"), "requests for these need no proof"),
    open(
        "auth.*.public_paths",
        Kind::Texts("beginnings of paths: `\"/healthz\"`, `\"/.well-known/\"`"),
        "nor do requests for these; one that ends in `/` stands for that segment and all below it",
    ),
    live(
        "auth.*.admin_bit",
        Kind::Choice(&["owner", "any_admin"]),
        "owner",
        "`iam`: who gets the `admin` bit in `X-User-Permissions`: administrators of the \
         organisation `admin`, or of any",
    ),
    open(
        "auth.*.upstream",
        Kind::Text,
        "`api_key`: who knows keys: a name of `[upstreams.<name>]` with `protocol = \"grpc\"`",
    ),
    live(
        "auth.*.method",
        Kind::Path,
        crate::policy::people::api_key::METHOD,
        "the method that is called with the SHA-256 of a key",
    ),
    live(
        "auth.*.allowed_for",
        between(1, 300),
        "30s",
        "how long a yes is believed: so long a key is good that was revoked",
    ),
    live("auth.*.denied_for", between(1, 5), "2s", "how long a no is believed"),
    live(
        "auth.*.entries",
        Kind::Integer(2, 1_000_000),
        "10000",
        "keys that each shard remembers, of good ones and of bad ones",
    ),
];
