//! The keys that have an effect. Those of Gufo keep their names and defaults (SPEC 16.1).

use super::key::{
    Key, Kind, Reload, between, between_or_off, live, not_yet, open, restart, restart_open, seconds,
};
use crate::base::size::{GIB, KIB, MIB};

pub(super) const SYSTEM_SIZE: Kind = Kind::Size { min: 4 * KIB, max: GIB, none: Some("system") };
pub(super) const DAY: u64 = 86_400;

/// `[server]`
pub const SERVER: &[Key] = &[
    restart(
        "server.ip",
        Kind::Ip,
        "0.0.0.0",
        "address that clients connect to; `::` takes IPv4 too",
    ),
    restart("server.port", Kind::Port { zero: true }, "8090", "port that clients connect to"),
    restart(
        "server.admin",
        Kind::AddressOrOff,
        "127.0.0.1:9100",
        "where metrics and readiness are served",
    ),
    open(
        "server.admin_key",
        Kind::Secret,
        "what `X-Admin-Key` must carry for `/-/` on the admin listener; without it there is none",
    ),
    open("server.metrics_token", Kind::Secret, "what `X-Metrics-Token` must carry"),
    open("server.sign", Kind::Secret, "shared secret of the gateway and its services; required"),
    live(
        "server.shutdown_grace",
        between(0, DAY),
        "30s",
        "from SIGTERM until exchanges are cut off",
    ),
    live("server.upload_grace", between(0, DAY), "10m", "the same for uploads in flight"),
    live("server.trusted_peers", Kind::Cidrs, "", "peers whose forwarding fields are believed"),
    live(
        "server.proxy_protocol",
        Kind::Choice(&["off", "required"]),
        "off",
        "`required`: connections begin with a PROXY header (v1 or v2), and come from \
         `trusted_peers`; others are closed",
    ),
    restart("server.access_log", Kind::Log, "stdout", "where the access log goes"),
    live(
        "server.api_bases",
        Kind::Paths,
        "/api/v3, /api/v1",
        "prefixes of modules; the last part of each is its API version",
    ),
    live(
        "server.default_headers",
        Kind::Bool,
        "true",
        "put Gufo's CORS and `Server` fields on answers",
    ),
    live(
        "server.request_id",
        Kind::Choice(&["uuid", "hex24"]),
        "uuid",
        "ids of requests that bring none: a UUID of version 7, or 24 digits as 3xpluto's are",
    ),
    live(
        "server.errors",
        Kind::Choice(&["problem", "3x"]),
        "problem",
        "how requests are refused that take no route: RFC 9457, or as 3xpluto does",
    ),
    open(
        "server.filedir",
        Kind::Text,
        "absolute path of the directory of files; see `server.files`",
    ),
    live(
        "server.files",
        Kind::Choice(&["off", "filedir"]),
        "off",
        "files of this host that services may answer with: none, or those in `filedir`",
    ),
    live("server.lang", Kind::Text, "english", "language of calls that name none"),
    live(
        "server.grpc_timeout",
        seconds(1, DAY),
        "5s",
        "from the start of a call to its answer, unless the module says otherwise",
    ),
    restart_open(
        "server.grpc_port",
        Kind::Port { zero: true },
        "port that services call over gRPC, 4890 in Gufo; without it there is none",
    ),
    restart_open("server.grpc_ip", Kind::Ip, "its address; without it, that of `server.ip`"),
    restart(
        "server.grpc_tls_enabled",
        Kind::Bool,
        "false",
        "services call over TLS, with `security.cert` and `security.key`",
    ),
    live(
        "server.grpc_mtls_enabled",
        Kind::Bool,
        "false",
        "the same, and show a certificate of `security.ca_cert`",
    ),
    live(
        "server.session",
        Kind::Bool,
        "true",
        "ask the microservice `session` whose token a call of the Gufo surface shows",
    ),
    live(
        "session.on_error",
        Kind::Choice(&["anonymous", "503"]),
        "anonymous",
        "what becomes of a call when the session service cannot be asked",
    ),
    live(
        "session.readonly",
        Kind::Choice(&["all", "writes"]),
        "all",
        "what users may not do who may only read",
    ),
    open(
        "server.masterservice",
        Kind::Switch(&["embedded"]),
        "ask the masterservice where services are that the settings do not place; `embedded`: run \
         one, see docs/master.md",
    ),
    live(
        "server.debug",
        Kind::Bool,
        "false",
        "serve `GET /exit`, which ends the gateway as SIGTERM does, to `exit_peers`",
    ),
    live(
        "server.exit_peers",
        Kind::Cidrs,
        "127.0.0.0/8, ::1",
        "who may ask for `/exit`; requests that came through a proxy may not",
    ),
];

/// `[security]`
pub const SECURITY: &[Key] = &[
    open(
        "security.mode",
        Kind::Choice(&["sign", "hmac", "mtls"]),
        "how services know the gateway: by `server.sign`, by a signature of each call, or by its \
         certificate alone; required",
    ),
    live(
        "security.rest_mode",
        Kind::Choice(&["none", "sign", "hmac", "mtls"]),
        "none",
        "what clients must show: nothing, `X-Sign` with `server.sign`, `X-Sign` with a signature \
         of the request, or a certificate",
    ),
    open("security.hmac_secret", Kind::Secret, "what signatures are made with, in mode `hmac`"),
    live("security.max_age", seconds(1000, DAY), "2m", "how long a signature holds"),
    open(
        "security.ca_cert",
        Kind::Text,
        "as `tls.ca` of microservices that name none of their own; `ca_path` is the same",
    ),
    open(
        "security.cert",
        Kind::Text,
        "as `tls.cert` of microservices that name none of their own; `cert_path` is the same",
    ),
    open("security.key", Kind::Text, "PEM file of its key; `key_path` is the same"),
    live(
        "security.aes_key_file",
        Kind::Text,
        "/etc/gufo/secret.key",
        "the key of encrypted values, if the variable GUFO_AES_KEY holds none",
    ),
];

/// `[listener]`
pub const LISTENER: &[Key] = &transport!(restart, "listener.transport", "system");

/// `[listener]`: what is spoken.
pub const PROTOCOLS: &[Key] = &[
    live(
        "listener.protocols",
        Kind::Texts("`http/1.1`, and `h2c` for HTTP/2 without TLS"),
        "http/1.1, h2c",
        "what clients may speak; HTTP/2 begins with its preface",
    ),
    live("listener.http2.streams", Kind::Integer(1, 1000), "100", "streams of one connection"),
    live(
        "listener.http2.stream_window",
        Kind::Size { min: 64 * KIB, max: 16 * MIB, none: None },
        "256KiB",
        "what a client may send on a stream before it was taken",
    ),
    live(
        "listener.http2.connection_window",
        Kind::Size { min: 64 * KIB, max: 64 * MIB, none: None },
        "1MiB",
        "the same on all streams of a connection together: what they hold in memory, four times \
         over at worst",
    ),
    live(
        "listener.http2.grpc_health",
        Kind::Bool,
        "true",
        "answer `grpc.health.v1.Health` where no route does: for the gateway, its upstreams and \
         modules",
    ),
    live(
        "listener.http2.stream_window_max",
        Kind::Size { min: 64 * KIB, max: 64 * MIB, none: None },
        "8MiB",
        "what `stream_window` may grow to for a client that is far away",
    ),
    live(
        "listener.http2.connection_window_max",
        Kind::Size { min: 64 * KIB, max: 64 * MIB, none: None },
        "16MiB",
        "the same of `connection_window`",
    ),
    live(
        "listener.http2.window_budget",
        Kind::Size { min: 0, max: 64 * GIB, none: None },
        "64MiB",
        "what all connections of a shard may have beyond `connection_window`, together; `0B`: \
         windows do not grow",
    ),
];

/// `[tls]`
pub const TLS: &[Key] = &[
    open("tls.cert", Kind::Text, "PEM file of the certificate and those above it; makes HTTPS"),
    open("tls.key", Kind::Text, "PEM file of its key"),
    open("tls.ocsp", Kind::Text, "DER file of an OCSP answer that is stapled to it"),
    open(
        "tls.certificates.*.cert",
        Kind::Text,
        "the same for further certificates; the names in them say who is shown which",
    ),
    open("tls.certificates.*.key", Kind::Text, "PEM file of its key"),
    open("tls.certificates.*.ocsp", Kind::Text, "DER file of an OCSP answer"),
    Key {
        path: "tls.port",
        kind: Kind::Port { zero: true },
        default: None,
        reload: Reload::Restart,
        help: "a second port, for HTTPS; without it `server.port` speaks HTTPS",
    },
    live(
        "tls.protocols",
        Kind::Texts("`h2` and `http/1.1`"),
        "h2, http/1.1",
        "what is offered in the handshake, best first; clients with others only are refused",
    ),
    live("tls.min_version", Kind::Choice(&["1.2", "1.3"]), "1.2", "the least version of TLS"),
    live("tls.handshake_timeout", between(100, 60), "5s", "from the connection to its first byte"),
    live(
        "tls.handshakes",
        Kind::Integer(1, 1_000_000),
        "1024",
        "handshakes of one shard at a time; others wait",
    ),
    open(
        "tls.ticket_secret",
        Kind::Secret,
        "processes with the same one take each other's tickets; without it, one for each start",
    ),
    open("tls.client_ca", Kind::Text, "PEM file of the authorities of clients' certificates"),
    live(
        "tls.client_auth",
        Kind::Choice(&["required", "optional"]),
        "required",
        "whether clients must show a certificate; means nothing without `client_ca`",
    ),
];

/// `[timeouts]`
pub const TIMEOUTS: &[Key] = &[
    live("timeouts.head", between(10, 3600), "5s", "from the first byte of a head to its end"),
    live("timeouts.idle", between(10, DAY), "60s", "between two requests of a connection"),
    live("timeouts.body_idle", between(10, DAY), "10s", "between two reads of a body"),
    live("timeouts.write", between(10, DAY), "10s", "without progress of an answer"),
    live(
        "timeouts.body_rate",
        Kind::Size { min: 0, max: GIB, none: None },
        "1KiB",
        "what a body must bring in each `body_rate_window`; `0B`: nothing",
    ),
    live("timeouts.body_rate_window", between(100, 3600), "8s", "how long `body_rate` is measured"),
    live("timeouts.linger", between(0, 60), "2s", "reading on after an early answer"),
];

/// `[limits]`
pub const LIMITS: &[Key] = &[
    live(
        "limits.head",
        Kind::Size { min: KIB, max: 16 * KIB, none: None },
        "16KiB",
        "a request head",
    ),
    live("limits.head_fields", Kind::Integer(1, 128), "100", "fields of a request head"),
    live(
        "limits.target",
        Kind::Size { min: 128, max: 16 * KIB - 1, none: None },
        "8KiB",
        "a request target",
    ),
    live(
        "limits.websocket_message",
        Kind::Size { min: 128, max: 3 * MIB, none: None },
        "1MiB",
        "message that comes over a WebSocket to a microservice",
    ),
    live(
        "limits.json_body",
        Kind::Size { min: 0, max: 64 * MIB, none: None },
        "4MiB",
        "a JSON body",
    ),
    live(
        "limits.upload",
        Kind::Size { min: 0, max: u64::MAX, none: Some("unlimited") },
        "unlimited",
        "the body of an upload",
    ),
    live(
        "limits.upload_memory",
        Kind::Size { min: 144 * KIB, max: GIB, none: None },
        "1MiB",
        "memory held by one upload; a read buffer and 64KiB must fit",
    ),
    live("limits.upload_files", Kind::Integer(1, 1_000_000), "1024", "files of a multipart upload"),
    live("limits.connections", Kind::Integer(1, 1_000_000), "16384", "connections of one shard"),
    restart(
        "limits.read_buffer",
        Kind::Size { min: 64 * KIB, max: 4 * MIB, none: None },
        "512KiB",
        "one buffer that bodies of requests are read into (answers: 256KiB at most); a power of \
         two",
    ),
];

/// `[microservices.<name>]`
pub const MICROSERVICES: &[Key] = &[
    open("microservices.*.host", Kind::Host, "name or address of the service"),
    open("microservices.*.port", Kind::Port { zero: false }, "gRPC port of the service"),
    open(
        "microservices.*.endpoints",
        Kind::Texts("endpoints: `\"10.0.0.1:4802\"`, `\"name:4802\"`, `\"_grpc._tcp.name\"`"),
        "in the place of `host` and `port`: several that serve the same, or names of SRV records",
    ),
    live(
        "microservices.*.type",
        Kind::Choice(&["server", "external", "internal"]),
        "server",
        "`internal`: only for requests whose `X-Sign` is right",
    ),
    live(
        "microservices.*.dialect",
        Kind::Choice(&["a", "b", "c"]),
        "b",
        "the form of the protocol that it speaks: `a` up to 1.17, `b`, or `c` from 1.30 on",
    ),
    live(
        "microservices.*.sign_version",
        Kind::Integer(1, 2),
        "1",
        "in mode `hmac`: 1, over module and time, or 2, over path, method and arguments as well",
    ),
    open("microservices.*.timeout", seconds(1, DAY), "as `server.grpc_timeout`, which it replaces"),
    live(
        "microservices.*.stream_timeout",
        seconds(1, DAY),
        "2m",
        "without progress of a stream; there is no total timeout",
    ),
    live(
        "microservices.*.chunk",
        Kind::Size { min: 1024, max: 64 * KIB, none: None },
        "64KiB",
        "payload of one upload message",
    ),
    live(
        "microservices.*.end_marker",
        Kind::Choice(&["meta", "empty_chunk", "both"]),
        "both",
        "how the end of a file is told",
    ),
    live(
        "microservices.*.download",
        Kind::Choice(&["call", "stream", "events"]),
        "call",
        "how it answers GET: `call`, by `Do`; `stream`, by `Stream`; `events`, so for EventSource",
    ),
    live(
        "microservices.*.websocket",
        Kind::Bool,
        "true",
        "a WebSocket below its path is a `Stream` of it",
    ),
    open(
        "microservices.*.max_size",
        Kind::Size { min: 0, max: u64::MAX, none: Some("unlimited") },
        "body of an upload; replaces `limits.upload`",
    ),
    open(
        "microservices.*.min_rate",
        Kind::Size { min: 0, max: GIB, none: None },
        "what an upload must bring in each `min_rate_window`; replaces `timeouts.body_rate`",
    ),
    live(
        "microservices.*.min_rate_window",
        between(100, 3600),
        "30s",
        "how long `min_rate` is measured",
    ),
    live(
        "microservices.*.connect_timeout",
        between(1, 300),
        "5s",
        "until a connection carries calls",
    ),
];

/// `[microservices.<name>]`: its connections, and what has no effect yet
pub const SERVICE_POOL: &[Key] = &[
    live(
        "microservices.*.pool.connections",
        Kind::Integer(1, 1024),
        "4",
        "connections of one shard",
    ),
    live(
        "microservices.*.pool.streams",
        Kind::Integer(1, 10_000),
        "100",
        "streams of one connection",
    ),
    live("microservices.*.pool.keep_alive", between_or_off(1000, DAY), "30s", "between two PINGs"),
    live(
        "microservices.*.pool.keep_alive_timeout",
        between(100, 300),
        "10s",
        "from PING to answer",
    ),
    live("microservices.*.pool.idle", between(100, DAY), "5m", "an unused connection is closed"),
    live(
        "microservices.*.retry.attempts",
        Kind::Integer(1, 10),
        "4",
        "attempts, the first included",
    ),
    live("microservices.*.retry.budget", Kind::Float(0.0, 1.0), "0.2", "retries for each call"),
    live("microservices.*.retry.backoff", between(1, 60), "200ms", "before the second attempt"),
    live("microservices.*.retry.backoff_max", between(1, 600), "2s", "before any attempt, at most"),
    not_yet("microservices.*.entrypointversion", Kind::Text, "version of the entry point"),
    not_yet("microservices.*.cron", Kind::Bool, "whether the service runs scheduled work"),
];

/// `[microservices.NAME]`: balancing and ejection
pub const SERVICE_SPREADING: &[Key] = &spreading!("microservices.*");

/// `[microservices.NAME.health]`
pub const SERVICE_HEALTH: &[Key] = &checking!(
    "microservices.*.health",
    &["off", "tcp", "grpc"],
    "active checks, once for the whole process: `tcp` connects, `grpc` calls \
     `grpc.health.v1.Health/Check`"
);

/// `[microservices.NAME.tls]`
pub const SERVICE_TLS: &[Key] = &tls_to_endpoints!("microservices.*.tls");

/// `[microservices.NAME.transport]`
pub const SERVICE_TRANSPORT: &[Key] = &transport!(live, "microservices.*.transport", "128KiB");

/// `[settings]`
pub const SETTINGS: &[Key] =
    &[live("settings.registration", Kind::Bool, "false", "what `info` says of registration")];
