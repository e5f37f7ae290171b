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
