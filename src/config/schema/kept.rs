//! The keys of Gufo's services (SPEC 16.1): kept in the file that they share, and not used here.
//!
//! A default is what the services document; nothing follows from it.

use super::key::{Key, Kind, kept, seconds};

const TEXT: Kind = Kind::Text;
const BOOL: Kind = Kind::Bool;
const SECRET: Kind = Kind::Secret;
const PORT: Kind = Kind::Port { zero: false };
const NUMBER: Kind = Kind::Integer(0, 1_000_000_000);
/// Ten years: tokens of Gufo live for up to a month by default.
const SECONDS: Kind = seconds(0, 315_360_000);

/// All of them.
pub const KEYS: &[Key] = &[
    kept("server.domain", TEXT, None, "public name"),
    kept("server.internal_host", TEXT, Some("gateway"), "name under which services call back"),
    kept("server.internal_ssl", BOOL, Some("false"), "services call back over TLS"),
    kept("server.multiple_db_mode", BOOL, Some("false"), "a database for each service"),
    kept("server.dbcheck", BOOL, Some("false"), "check the database at start"),
    kept("server.plugindir", TEXT, Some("/var/gufo/lib/"), "directory of plug-ins"),
    kept("security.jwt_secret", SECRET, None, "secret of tokens"),
    kept("token.expiretime", SECONDS, Some("86400"), "life of a token"),
    kept("token.refresh_token_expiration", SECONDS, Some("2592000"), "life of a refresh token"),
    kept("token.secretKey", SECRET, None, "secret of tokens"),
    kept("database.type", Kind::Choice(&["mysql", "postgres"]), None, "kind of database"),
    kept("database.host", TEXT, None, "its host"),
    kept("database.port", PORT, None, "its port"),
    kept("database.dbname", TEXT, None, "its name"),
    kept("database.user", TEXT, None, "its user"),
    kept("database.password", SECRET, None, "its password; `otus migrate config` encrypts it"),
    kept("database.charset", TEXT, Some("utf8mb4"), "its characters"),
    kept("database.protocol", TEXT, Some("tcp"), "its protocol"),
    kept("database.sslmode", TEXT, Some("disable"), "its TLS"),
    kept("database.connectionssize", NUMBER, None, "connections to it"),
    kept("database.poolsize", NUMBER, None, "idle connections to it"),
    kept("redis.host", SECRET, Some("redis://redis"), "URL of Redis, which may hold a password"),
    kept("redis.password", SECRET, None, "its password"),
    kept("redis.tls", BOOL, None, "TLS towards it"),
    kept("redis.max_idle", NUMBER, Some("5"), "idle connections to it"),
    kept("redis.max_active", NUMBER, Some("20"), "connections to it"),
    kept("redis.idle_timeout", SECONDS, Some("240"), "an unused connection is closed"),
    kept("memcached.host", TEXT, None, "host of memcached"),
    kept("memcached.port", PORT, Some("11211"), "its port"),
    kept("email.host", TEXT, None, "host of the mail server"),
    kept("email.port", PORT, Some("587"), "its port"),
    kept("email.user", TEXT, None, "its user"),
    kept("email.password", SECRET, None, "its password; `otus migrate config` encrypts it"),
    kept("email.address", TEXT, None, "sender"),
    kept("email.reply", TEXT, None, "where answers go"),
    kept("email.support", TEXT, None, "address of support"),
    kept("email.title", TEXT, None, "name of the sender"),
    kept("email.insecureskipverify", BOOL, None, "trust any certificate"),
    kept("settings.email_confirmation", BOOL, None, "e-mail addresses are confirmed"),
    kept("settings.change_email", BOOL, None, "e-mail addresses can be changed"),
    kept("settings.account_creation", BOOL, None, "accounts can be made"),
    kept("settings.activity_creation", BOOL, None, "activities can be made"),
    kept("settings.user_creation", BOOL, None, "users can be made"),
];
