//! How host names of endpoints are resolved.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::limits;

/// How host names of endpoints are resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dns {
    /// Who is asked, in this order; empty: those of `/etc/resolv.conf`, with its search list.
    pub servers: Vec<SocketAddr>,
    /// How long one server may take.
    pub timeout: Duration,
    /// How often all servers are asked before the question has failed.
    pub attempts: u32,
    /// An answer is used for at least so long.
    pub min_ttl: Duration,
    /// An answer is used for at most so long.
    pub max_ttl: Duration,
    /// A name that is said not to exist any more keeps its last addresses for so long.
    pub keep_gone: Duration,
    /// Which addresses are asked for.
    pub family: Family,
}

impl Default for Dns {
    fn default() -> Self {
        Dns {
            servers: Vec::new(),
            timeout: limits::DNS_TIMEOUT,
            attempts: limits::DNS_ATTEMPTS,
            min_ttl: limits::DNS_MIN_TTL,
            max_ttl: limits::DNS_MAX_TTL,
            keep_gone: limits::DNS_KEEP_GONE,
            family: Family::Any,
        }
    }
}

/// Which addresses are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Family {
    /// All, and all are used.
    #[default]
    Any,
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
}

/// What is resolved to endpoints.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// An address, which needs no resolving.
    Address(SocketAddr),
    /// A host, each of whose addresses is an endpoint.
    Host {
        /// Its name.
        name: String,
        /// The port of each.
        port: u16,
    },
    /// A service, whose SRV records name hosts and ports (RFC 2782).
    Service(String),
}

/// As it is written in a configuration.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Address(address) => write!(f, "{address}"),
            Origin::Host { name, port } => write!(f, "{name}:{port}"),
            Origin::Service(name) => f.write_str(name),
        }
    }
}
