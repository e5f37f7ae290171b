//! Keys that several tables have: each macro makes those of one.

/// The keys of how sockets are set up: as which kind of key, of which table, and how much unsent
/// data the kernel holds if nothing is said.
macro_rules! transport {
    ($key:ident, $table:literal, $not_sent:literal) => {
        [
            $key(
                concat!($table, ".congestion"),
                Kind::Congestion,
                "auto",
                "congestion control; `auto`: cubic on loopback, elsewhere the system's",
            ),
            $key(
                concat!($table, ".not_sent_lowat"),
                SYSTEM_SIZE,
                $not_sent,
                "unsent bytes that the kernel holds",
            ),
            $key(concat!($table, ".receive_buffer"), SYSTEM_SIZE, "system", "`SO_RCVBUF`"),
            $key(concat!($table, ".send_buffer"), SYSTEM_SIZE, "system", "`SO_SNDBUF`"),
            $key(concat!($table, ".nodelay"), Kind::Bool, "true", "small writes leave at once"),
        ]
    };
}

/// The keys of how TLS is spoken with endpoints.
macro_rules! tls_to_endpoints {
    ($table:literal) => {
        [
            live(concat!($table, ".on"), Kind::Bool, "false", "speak TLS with the endpoints"),
            open(
                concat!($table, ".ca"),
                Kind::Text,
                "PEM file of the authorities that are believed; without it, those of the system",
            ),
            open(
                concat!($table, ".name"),
                Kind::Host,
                "what certificates must be for; without it, the host of the endpoint",
            ),
            open(
                concat!($table, ".cert"),
                Kind::Text,
                "PEM file of our certificate, if one is asked for",
            ),
            open(concat!($table, ".key"), Kind::Text, "PEM file of its key"),
        ]
    };
}

/// The keys of how requests are spread over endpoints.
macro_rules! spreading {
    ($table:literal) => {
        [
            live(
                concat!($table, ".balance"),
                Kind::Choice(&["round_robin", "least_request", "hash"]),
                "least_request",
                "how requests are spread: in turn, to the less busy of two, or by a key",
            ),
            live(
                concat!($table, ".hash_by"),
                Kind::Text,
                "client",
                "the key of `hash`: `client`, `path`, or `header:<name>`",
            ),
            live(
                concat!($table, ".outlier.failures"),
                Kind::Integer(0, 1_000_000),
                "5",
                "failures in a row after which a shard sets an endpoint aside; 0: never",
            ),
            live(
                concat!($table, ".outlier.ejection"),
                between(100, DAY),
                "10s",
                "for so long; each further time for twice as long",
            ),
            live(
                concat!($table, ".outlier.ejection_max"),
                between(100, DAY),
                "5m",
                "for so long at most",
            ),
        ]
    };
}

/// The keys of active checks of endpoints, of these kinds.
macro_rules! checking {
    ($table:literal, $kinds:expr, $help:literal) => {
        [
            live(concat!($table, ".kind"), Kind::Choice($kinds), "off", $help),
            live(
                concat!($table, ".service"),
                Kind::Text,
                "",
                "the service that `grpc` asks about; none: the server as a whole",
            ),
            live(
                concat!($table, ".interval"),
                between(100, DAY),
                "5s",
                "from check to check; a tenth is left to chance",
            ),
            live(
                concat!($table, ".timeout"),
                between(1, 300),
                "2s",
                "a check that takes longer failed",
            ),
            live(
                concat!($table, ".rise"),
                Kind::Integer(1, 100),
                "2",
                "checks until it is used again",
            ),
            live(
                concat!($table, ".fall"),
                Kind::Integer(1, 100),
                "3",
                "checks until it is not used",
            ),
        ]
    };
}
