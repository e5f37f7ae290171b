//! The keys of Gufo whose names are its own; some are accepted and have no effect yet (SPEC 16.1).

use super::key::{Key, Kind, live, not_yet, open, seconds};

const TEXT: Kind = Kind::Text;
const BOOL: Kind = Kind::Bool;
/// Ten years: tokens of Gufo live for up to a month by default.
const SECONDS: Kind = seconds(0, 315_360_000);

/// How long an address holds: a second to ten years.
const HOLDS: Kind = seconds(1000, 315_360_000);

/// All of them.
pub const KEYS: &[Key] = &[
    not_yet("config_version", Kind::Integer(1, 2), "version of the form of this file"),
    open(
        "server.registry_mode",
        Kind::Choice(&["static", "master"]),
        "who knows where services are: `static`, the settings alone; `master`, the masterservice \
         as well; if nothing is said, `master` where one is on and known",
    ),
    open("server.region", TEXT, "where the gateway is: instances of its region are preferred"),
    open("server.group", TEXT, "its group: instances of it come next"),
    not_yet("server.env", Kind::Choice(&["dev", "stage", "prod"]), "kind of installation"),
    open(
        "server.sysdir",
        TEXT,
        "directory of what is kept for the next start: `registry.json`; none: nothing is kept",
    ),
    not_yet("server.tempdir", TEXT, "directory of templates"),
    open(
        "server.heartbeat",
        SECONDS,
        "between two heartbeats of a service; none said: `10s`. The master's rows hold for three",
    ),
    open("mcp.path", Kind::Path, "path of the MCP bridge; needs `mcp.module`"),
    open("mcp.module", TEXT, "microservice of the MCP bridge, of dialect `c`; needs `mcp.path`"),
    live(
        "gufo.strict_legacy_status",
        BOOL,
        "true",
        "faults have the statuses of Gufo, such as 400 for a service that is down",
    ),
    open(
        "gufo.rate_limit_rps",
        Kind::Integer(0, 10_000_000),
        "requests a second of all clients of the surface together; none said, or 0: any number",
    ),
    open(
        "gufo.rate_limit_burst",
        Kind::Integer(0, 1_000_000_000),
        "requests at once; twice the rate, if nothing is said or it is not above the rate",
    ),
    live(
        "masterregistry.ttl",
        HOLDS,
        "1m",
        "an address that was found is fresh for so long; it is used on when it is stale",
    ),
    live(
        "masterregistry.refresh_interval",
        HOLDS,
        "30s",
        "it is asked for again after so long at most, or after `ttl`",
    ),
    live("masterregistry.sweeper_interval", HOLDS, "1m", "between two looks for what is too old"),
    live(
        "masterregistry.stale_max",
        HOLDS,
        "24h",
        "an address that nobody has told again for so long is forgotten",
    ),
    open(
        "microservices.masterservice.hosts",
        Kind::Texts("masters: `\"10.0.0.1:5300\"`, `\"name:5300\"`"),
        "in the place of `host` and `port`: several masters, asked in this order",
    ),
];
