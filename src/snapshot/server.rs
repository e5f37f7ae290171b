//! Listeners, shards and the life of the process.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::cidr::Cidr;
use super::secret::Secret;
use super::transport::Transport;
use crate::base::limits;
use crate::policy::set::Errors;
use crate::tls::server::ServerTls;

/// What the process does as a whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Server {
    /// The addresses that clients connect to. Every shard accepts on each of them.
    pub listeners: Vec<Listener>,
    /// Where metrics and readiness are served; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// Where metrics alone are served, to who shows the token; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// How many shards run, and where.
    pub workers: Workers,
    /// Which driver the shards use.
    pub io: IoDriver,
    /// How long a shard looks for what happens before it sleeps; zero: not at all.
    pub busy_poll: Duration,
    /// Which shard a new connection goes to.
    pub steering: Steering,
    /// From the first SIGTERM until exchanges are cut off.
    pub shutdown_grace: Duration,
    /// The same for uploads in flight.
    pub upload_grace: Duration,
    /// What ids of requests look like that bring none.
    pub request_id: RequestId,
    /// How requests are refused that take no route.
    pub errors: Errors,
    /// What opens `/-/` on the admin listener, in `X-Admin-Key`; `None`: nothing does.
    pub admin_key: Option<Secret>,
    /// What a reader of the metrics must show in `X-Metrics-Token`; `None`: no token was set.
    pub metrics_token: Option<Secret>,
    /// Peers whose forwarding fields are believed. Empty: nobody's.
    pub trusted_peers: Vec<Cidr>,
    /// What clients that speak HTTP/2 may do.
    pub http2: Http2,
    /// Whether every connection begins with a header of the PROXY protocol, from trusted peers.
    pub proxy_protocol: bool,
}

/// What ids of requests look like that bring none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RequestId {
    /// A UUID of version 7: it tells when it was made.
    #[default]
    Uuid,
    /// 24 digits of chance (SPEC 2.5).
    Hex24,
}

/// An address that clients connect to.
#[derive(Clone, PartialEq, Debug)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it is bound. Port 0 takes any free port.
    pub address: SocketAddr,
    /// Socket options of the connections it accepts.
    pub transport: Transport,
    /// How it speaks TLS; `None`: it does not.
    pub tls: Option<ServerTls>,
    /// Whom it is for.
    pub serves: Serves,
}

/// Whom a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Serves {
    /// Clients of HTTP.
    #[default]
    Http,
    /// Services that call the gateway: gRPC of the protocol `Reverse` and nothing else (SPEC 4.8).
    Reverse,
}

/// What clients that speak HTTP/2 may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http2 {
    /// Whether it is spoken without TLS, by prior knowledge (RFC 9113 §3.3).
    pub cleartext: bool,
    /// Streams that a connection may have open at once.
    pub streams: u32,
    /// Bytes that a client may send on a stream before we took them.
    pub stream_window: u32,
    /// The same on all streams of a connection together.
    pub connection_window: u32,
    /// Whether the gateway answers `grpc.health.v1.Health` itself, where no route does.
    pub grpc_health: bool,
    /// What the window of a stream may grow to where the client is far away.
    pub stream_window_max: u32,
    /// The same of a connection.
    pub connection_window_max: u32,
    /// What all connections of a shard may have beyond `connection_window`, together.
    pub window_budget: u64,
}

impl Default for Http2 {
    fn default() -> Self {
        Http2 {
            cleartext: true,
            streams: limits::STREAMS_MAX,
            stream_window: limits::STREAM_WINDOW_BYTES,
            connection_window: limits::CONNECTION_WINDOW_BYTES,
            grpc_health: true,
            stream_window_max: limits::STREAM_WINDOW_BYTES_MAX,
            connection_window_max: limits::CONNECTION_WINDOW_BYTES_MAX,
            window_budget: limits::WINDOW_BUDGET_BYTES,
        }
    }
}

/// How many shards run, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Workers {
    /// One on each core that the process may use.
    #[default]
    Auto,
    /// So many, on the first cores that the process may use.
    Count(usize),
    /// One on each of these cores.
    Cores(Vec<usize>),
}

/// Which shard a new connection goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Steering {
    /// The one that a hash of the addresses says.
    #[default]
    Hash,
    /// The one on the core where the kernel takes its packets; where there is none, by hash.
    Core,
}

/// Which driver the shards use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IoDriver {
    /// `io_uring`, or epoll with a line in the log where `io_uring` is denied.
    #[default]
    Auto,
    /// `io_uring`, or the process does not start.
    IoUring,
    /// epoll.
    Epoll,
}

impl IoDriver {
    /// The name that a configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            IoDriver::Auto => "auto",
            IoDriver::IoUring => "io_uring",
            IoDriver::Epoll => "epoll",
        }
    }
}

impl Default for Server {
    /// Loopback at any free port. What an operator starts without a word is in `config`.
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let transport = Transport::listener();
        Server {
            listeners: vec![Listener {
                name: "main".to_owned(),
                address: any_port,
                transport,
                tls: None,
                serves: Serves::Http,
            }],
            admin: Some(any_port),
            metrics: None,
            workers: Workers::Auto,
            io: IoDriver::Auto,
            busy_poll: Duration::ZERO,
            steering: Steering::Hash,
            shutdown_grace: limits::SHUTDOWN_GRACE,
            upload_grace: limits::UPLOAD_GRACE,
            request_id: RequestId::Uuid,
            errors: Errors::Problem,
            admin_key: None,
            metrics_token: None,
            trusted_peers: Vec::new(),
            http2: Http2::default(),
            proxy_protocol: false,
        }
    }
}
