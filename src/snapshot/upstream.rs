//! Where requests go: groups of endpoints that serve the same.

use std::net::SocketAddr;
use std::time::Duration;

use super::dns::Origin;
use super::transport::Transport;
use crate::base::limits;
use crate::tls::client::ClientTls;
use crate::upstream::balance::{Balance, Share};
use crate::upstream::health::HealthRule;
use crate::upstream::outlier::OutlierRule;

/// The place of an [`Upstream`] in its snapshot. Means nothing in another snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UpstreamId(pub u32);

impl UpstreamId {
    /// The id of the upstream at this index.
    #[must_use]
    pub fn at(index: usize) -> Self {
        UpstreamId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The index in `Snapshot::upstreams`.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Endpoints that serve the same, and how to speak with them.
#[derive(Clone, PartialEq, Debug)]
pub struct Upstream {
    /// Its name in logs and metrics; unique.
    pub name: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// Its addresses. Empty while its name does not resolve: calls are answered as unavailable.
    pub endpoints: Vec<Endpoint>,
    /// What its endpoints are resolved from, if there are names among them; else empty.
    pub origins: Vec<Origin>,
    /// How much of the requests is for the endpoints of each of `origins`; shorter: as usual.
    pub shares: Vec<Share>,
    /// From the start of a connection until it can carry calls.
    pub connect_timeout: Duration,
    /// How long its endpoints may take, where a route says nothing else. HTTP only.
    pub timeouts: UpstreamTimeouts,
    /// How requests are spread over its endpoints.
    pub balance: Balance,
    /// Of what the key of [`Balance::Hash`] is made.
    pub hash_key: HashKey,
    /// The `host` that its endpoints get. HTTP only.
    pub host: HostField,
    /// When one shard sets an endpoint aside.
    pub outlier: OutlierRule,
    /// How endpoints are checked; `None`: only by the requests that they get.
    pub health: Option<HealthCheck>,
    /// Whether endpoints are told of the client by the PROXY protocol, version 2. HTTP only; each
    /// connection then carries one exchange.
    pub send_proxy_protocol: bool,
    /// How TLS is spoken with its endpoints; `None`: it is not.
    pub tls: Option<ClientTls>,
    /// Socket options of its connections.
    pub transport: Transport,
    /// How many connections are kept, and for how long.
    pub pool: Pool,
    /// When a call is tried again.
    pub retry: Retry,
}

impl Upstream {
    /// One gRPC endpoint with every default.
    #[must_use]
    pub fn grpc(name: &str, address: SocketAddr) -> Self {
        Upstream::of(name, Protocol::Grpc, &[address])
    }

    /// HTTP endpoints with every default.
    #[must_use]
    pub fn http(name: &str, addresses: &[SocketAddr]) -> Self {
        let pool = Pool {
            connections_max: limits::HTTP_POOL_CONNECTIONS_MAX,
            idle: limits::HTTP_POOL_IDLE_TIMEOUT,
            ..Pool::default()
        };
        // A connection carries one message at a time: nothing waits behind what is not sent yet.
        let transport = Transport { not_sent_lowat: None, ..Transport::upstream() };
        Upstream { transport, pool, ..Upstream::of(name, Protocol::Http1, addresses) }
    }

    /// `https` if TLS is spoken with its endpoints.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn of(name: &str, protocol: Protocol, addresses: &[SocketAddr]) -> Self {
        let endpoint = |address: &SocketAddr| Endpoint::new(address.ip().to_string(), *address);
        Upstream {
            name: name.to_owned(),
            protocol,
            endpoints: addresses.iter().map(endpoint).collect(),
            origins: Vec::new(),
            shares: Vec::new(),
            connect_timeout: limits::CONNECT_TIMEOUT,
            timeouts: UpstreamTimeouts::default(),
            balance: Balance::default(),
            hash_key: HashKey::default(),
            host: HostField::default(),
            outlier: OutlierRule::default(),
            health: None,
            send_proxy_protocol: false,
            tls: None,
            transport: Transport::upstream(),
            pool: Pool::default(),
            retry: Retry::default(),
        }
    }
}

/// What is spoken with an upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// gRPC over HTTP/2 with prior knowledge.
    Grpc,
    /// HTTP/1.1
    Http1,
}

/// How long endpoints may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamTimeouts {
    /// From the end of the request to the head of the answer.
    pub first_byte: Duration,
    /// Without progress of a body, in either direction, and of a tunnel.
    pub idle: Duration,
    /// From the head of the request to the end of the answer; `None`: as long as it takes.
    pub total: Option<Duration>,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        UpstreamTimeouts {
            first_byte: limits::FIRST_BYTE_TIMEOUT,
            idle: limits::UPSTREAM_IDLE_TIMEOUT,
            total: None,
        }
    }
}

/// Of what the key that chooses an endpoint is made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum HashKey {
    /// The address of the client.
    #[default]
    Client,
    /// The host and the path of the request.
    Path,
    /// The value of this field, its name in lower case; the address of the client if there is none.
    Field(String),
}

/// The `host` that endpoints get.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum HostField {
    /// The one that the client sent.
    #[default]
    Client,
    /// That of the endpoint, as in its address.
    Endpoint,
    /// This one.
    Fixed(String),
}

/// How endpoints are checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthCheck {
    /// What is sent.
    pub kind: HealthKind,
    /// When, and what the results mean.
    pub rule: HealthRule,
}

/// What is sent to an endpoint to see whether it is well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HealthKind {
    /// Nothing: a connection is made.
    Tcp,
    /// GET of this path; 2xx is well.
    Http(String),
    /// `grpc.health.v1.Health/Check` of this service; SERVING is well.
    Grpc(String),
}

/// One address of an upstream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The host as it was written: a name, or an address without brackets.
    pub host: String,
    /// Where to connect.
    pub address: SocketAddr,
    /// How much of the requests is for it.
    pub share: Share,
}

impl Endpoint {
    /// One that gets as much as others.
    #[must_use]
    pub fn new(host: String, address: SocketAddr) -> Self {
        Endpoint { host, address, share: Share::default() }
    }

    /// The `:authority` of calls to it: `host:port`, IPv6 addresses in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        let port = self.address.port();
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }
}

/// How many connections one shard keeps to one endpoint, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Connections of one shard.
    pub connections_max: u32,
    /// Streams open on one connection. The endpoint may allow fewer.
    pub streams_per_connection_max: u32,
    /// Between two PINGs on a connection; `None`: no PINGs.
    pub keep_alive_interval: Option<Duration>,
    /// A connection whose PING is not answered for so long is dead.
    pub keep_alive_timeout: Duration,
    /// A connection without streams is closed after so long.
    pub idle: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            connections_max: limits::POOL_CONNECTIONS_MAX,
            streams_per_connection_max: limits::POOL_STREAMS_MAX,
            keep_alive_interval: Some(limits::KEEP_ALIVE_INTERVAL),
            keep_alive_timeout: limits::KEEP_ALIVE_TIMEOUT,
            idle: limits::POOL_IDLE_TIMEOUT,
        }
    }
}

/// When a call is tried again: while nothing was sent, or when an idempotent call was answered
/// UNAVAILABLE; within a budget (SPEC 4.7).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Retry {
    /// Attempts of one call, the first included. One: no retries.
    pub attempts_max: u32,
    /// Retries for each call that needed none. 0.2: one in five.
    pub budget_ratio: f32,
    /// Before the second attempt.
    pub backoff_min: Duration,
    /// At most so long before any attempt.
    pub backoff_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts_max: limits::RETRY_ATTEMPTS_MAX,
            budget_ratio: limits::RETRY_BUDGET_RATIO,
            backoff_min: limits::RETRY_BACKOFF_MIN,
            backoff_max: limits::RETRY_BACKOFF_MAX,
        }
    }
}
