//! The keys of Gufo whose names are its own; most are accepted and have no effect yet (SPEC 16.1).

use super::key::{Key, Kind, live, not_yet, open, seconds};

const TEXT: Kind = Kind::Text;
const BOOL: Kind = Kind::Bool;
const SECRET: Kind = Kind::Secret;
const PORT: Kind = Kind::Port { zero: false };
const NUMBER: Kind = Kind::Integer(0, 1_000_000_000);
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
    not_yet("server.sentry", BOOL, "report to Sentry"),
    not_yet("server.telemetry", BOOL, "send traces"),
    not_yet("server.domain", TEXT, "public name"),
    not_yet("server.internal_host", TEXT, "name under which services call back"),
    not_yet("server.internal_ssl", BOOL, "services call back over TLS"),
    not_yet("server.multiple_db_mode", BOOL, "a database for each service"),
    not_yet("server.dbcheck", BOOL, "check the database at start"),
    open(
        "server.sysdir",
        TEXT,
        "directory of what is kept for the next start: `registry.json`; none: nothing is kept",
    ),
    not_yet("server.tempdir", TEXT, "directory of templates"),
    not_yet("server.filedir", TEXT, "directory of files"),
    not_yet("server.plugindir", TEXT, "directory of plug-ins"),
    not_yet("server.logdir", TEXT, "directory of logs"),
    not_yet("server.log_to_file", BOOL, "log into `logdir`; use `server.access_log`"),
    not_yet("server.heartbeat", SECONDS, "between two heartbeats of a service"),
    not_yet("security.jwt_secret", SECRET, "secret of tokens"),
    not_yet("security.aes_key", SECRET, "key of encrypted values; set by GUFO_AES_KEY"),
    not_yet("token.expiretime", SECONDS, "life of a token"),
    not_yet("token.refresh_token_expiration", SECONDS, "life of a refresh token"),
    not_yet("token.secretKey", SECRET, "secret of tokens"),
    not_yet("database.type", Kind::Choice(&["mysql", "postgres"]), "kind of database"),
    not_yet("database.host", TEXT, "its host"),
    not_yet("database.port", PORT, "its port"),
    not_yet("database.dbname", TEXT, "its name"),
    not_yet("database.user", TEXT, "its user"),
    not_yet("database.password", SECRET, "its password"),
    not_yet("database.charset", TEXT, "its characters"),
    not_yet("database.protocol", TEXT, "its protocol"),
    not_yet("database.sslmode", TEXT, "its TLS"),
    not_yet("database.connectionssize", NUMBER, "connections to it"),
    not_yet("database.poolsize", NUMBER, "idle connections to it"),
    not_yet("redis.host", SECRET, "URL of Redis, which may hold a password"),
    not_yet("redis.password", SECRET, "its password"),
    not_yet("redis.tls", BOOL, "TLS towards it"),
    not_yet("redis.max_idle", NUMBER, "idle connections to it"),
    not_yet("redis.max_active", NUMBER, "connections to it"),
    not_yet("redis.idle_timeout", SECONDS, "an unused connection is closed"),
    not_yet("memcached.host", TEXT, "host of memcached"),
    not_yet("memcached.port", PORT, "its port"),
    not_yet("email.host", TEXT, "host of the mail server"),
    not_yet("email.port", PORT, "its port"),
    not_yet("email.user", TEXT, "its user"),
    not_yet("email.password", SECRET, "its password"),
    not_yet("email.address", TEXT, "sender"),
    not_yet("email.reply", TEXT, "where answers go"),
    not_yet("email.support", TEXT, "address of support"),
    not_yet("email.title", TEXT, "name of the sender"),
    not_yet("email.insecureskipverify", BOOL, "trust any certificate"),
    not_yet("settings.email_confirmation", BOOL, "e-mail addresses are confirmed"),
    not_yet("settings.change_email", BOOL, "e-mail addresses can be changed"),
    not_yet("settings.account_creation", BOOL, "accounts can be made"),
    not_yet("settings.activity_creation", BOOL, "activities can be made"),
    not_yet("settings.user_creation", BOOL, "users can be made"),
    not_yet("sentry.dsn", SECRET, "where reports go"),
    not_yet("sentry.tracing", BOOL, "report traces"),
    not_yet("sentry.debug", BOOL, "debug reports"),
    not_yet("sentry.trace", Kind::Float(0.0, 1.0), "share of traces that is reported"),
    not_yet("sentry.flush", SECONDS, "waiting for reports at the end"),
    not_yet("otel.endpoint", TEXT, "where traces go"),
    not_yet("otel.service_name", TEXT, "name in traces"),
    not_yet("mcp.path", TEXT, "path of the MCP bridge"),
    not_yet("mcp.module", TEXT, "microservice of the MCP bridge"),
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
