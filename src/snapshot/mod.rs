//! Configuration, compiled: what every shard reads and none writes. One value per generation.
//!
//! Knows nothing of TOML, files or the environment; `config` makes it from text, tests and the demo
//! make it with [`Snapshot::minimal`]. Plain structs, shared by `Arc`, with dense ids.
//! Start with [`Snapshot`]: its fields are the table of contents.

pub mod auth;
pub mod cidr;
pub mod diff;
pub mod dns;
pub mod files;
pub mod gufo;
pub mod limits;
pub mod observe;
pub mod people;
pub mod rate_store;
pub mod registry;
pub mod route;
pub mod secret;
pub mod server;
pub mod timeouts;
pub mod transport;
pub mod upgrades;
pub mod upstream;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::policy::embed::Embedded;
use crate::policy::limit::book::Book;

/// All that one generation of the configuration says.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// The number of this snapshot; grows by one with each reload that succeeds.
    pub generation: u64,
    /// Listeners, shards and the life of the process.
    pub server: server::Server,
    /// How long the gateway waits for clients.
    pub timeouts: timeouts::Timeouts,
    /// How much the gateway takes from clients.
    pub limits: limits::Limits,
    /// The Gufo surface and its modules.
    pub gufo: gufo::Gufo,
    /// Where requests go. The index is the [`UpstreamId`](upstream::UpstreamId).
    pub upstreams: Vec<upstream::Upstream>,
    /// How it is known who calls.
    pub auth: Arc<auth::Auth>,
    /// How host names of endpoints are resolved.
    pub dns: dns::Dns,
    /// Which requests go there, and what is done with the others.
    pub routes: route::Routes,
    /// The configuration as an operator is shown it: JSON, without secrets.
    pub effective: Shown,
    /// What is told about the traffic.
    pub observe: observe::Observe,
    /// Where several machines count together; `None`: each for itself.
    pub rate_store: Option<rate_store::RateStore>,
    /// Who may call.
    pub people: people::People,
    /// What the program that embeds the gateway has put in.
    pub embedded: Embedded,
}

/// A text for operators that says how a snapshot was written, and is no part of what it means: two
/// are always equal.
#[derive(Clone)]
pub struct Shown(pub Arc<str>);

impl Default for Shown {
    fn default() -> Self {
        Shown("{}".into())
    }
}

impl PartialEq for Shown {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

impl Snapshot {
    /// Every default; one listener and the admin listener on loopback at any free port; no modules.
    #[must_use]
    pub fn minimal() -> Self {
        Snapshot {
            generation: 1,
            server: server::Server::default(),
            timeouts: timeouts::Timeouts::default(),
            limits: limits::Limits::default(),
            gufo: gufo::Gufo::default(),
            upstreams: Vec::new(),
            auth: Arc::default(),
            dns: dns::Dns::default(),
            routes: route::Routes::default(),
            effective: Shown::default(),
            observe: observe::Observe::default(),
            rate_store: None,
            people: people::People::default(),
            embedded: Embedded::default(),
        }
    }

    /// The upstream with this id; `None` if the id is of another snapshot.
    #[must_use]
    pub fn upstream(&self, id: upstream::UpstreamId) -> Option<&upstream::Upstream> {
        self.upstreams.get(id.index())
    }

    /// Gives all that is counted its state: that of `book`, where the same is asked as before.
    #[must_use]
    pub fn count_with(&mut self, book: &Book) -> Book {
        book.next(self.gufo.policies.iter_mut().chain(self.routes.policies_mut()))
    }

    /// Bytes that an upload to this module may have; `None`: any number.
    #[must_use]
    pub fn upload_bytes_max(&self, module: &gufo::Module) -> Option<u64> {
        module.upload.max_bytes.or(self.limits.upload_bytes)
    }

    /// What an upload to this module must bring.
    #[must_use]
    pub fn upload_rate(&self, module: &gufo::Module) -> gufo::Rate {
        let bytes = self.timeouts.body_rate_bytes;
        let general = gufo::Rate { bytes, window: self.timeouts.body_rate_window };
        module.upload.min_rate.unwrap_or(general)
    }

    /// Adds an HTTP upstream with these endpoints and every default. Used by tests.
    pub fn add_http_upstream(
        &mut self,
        name: &str,
        addresses: &[SocketAddr],
    ) -> upstream::UpstreamId {
        let id = upstream::UpstreamId::at(self.upstreams.len());
        self.upstreams.push(upstream::Upstream::http(name, addresses));
        id
    }

    /// Adds a gRPC upstream with one endpoint and a module of the same name with every default.
    ///
    /// Used by the demo and by tests. A module of that name is replaced.
    pub fn add_module(&mut self, name: &str, address: SocketAddr) -> upstream::UpstreamId {
        let id = upstream::UpstreamId::at(self.upstreams.len());
        self.upstreams.push(upstream::Upstream::grpc(name, address));
        self.gufo.insert(gufo::Module::new(name, id));
        id
    }
}
