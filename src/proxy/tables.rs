//! A shard's own copy of a snapshot: what exchanges read, and what of it can be computed once.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits;
use crate::base::prng::Prng;
use crate::base::text::Text;
use crate::gufo::dialect::Dialect;
use crate::io::{Io, SocketOptions};
use crate::observe::labels::{Label, Names};
use crate::protocol::grpc::timeout;
use crate::protocol::h1;
use crate::protocol::h2::hpack::encode::Block;
use crate::snapshot::Snapshot;
use crate::snapshot::gufo::Module;
use crate::snapshot::server::{Listener, Serves};
use crate::snapshot::transport::{Congestion, Transport};
use crate::snapshot::upstream::{Endpoint, Protocol, Upstream};
use crate::upstream::group::Group;
use crate::upstream::health::Health;

use super::dial::Security;
use super::grpc::pool::EndpointPool;
use super::http::connection::HttpPool;
use super::policy::States;
use super::retry::Budget;
use super::session::Sessions;

/// One generation, as one shard sees it. An exchange clones the `Rc` at its start.
pub struct Tables<I: Io> {
    /// What was published.
    pub snapshot: Arc<Snapshot>,
    /// By the module's dense id.
    pub modules: Vec<ModuleTable>,
    /// By the upstream's id.
    pub upstreams: Vec<UpstreamTable<I>>,
    /// Listeners that speak TLS, by their place among all.
    tls: Vec<Option<Rc<TlsTable>>>,
    /// Whom listeners are for, likewise.
    serves: Vec<Serves>,
    /// Under which the requests of a route are counted, by its id.
    pub routes: Vec<Label>,
    /// What policies remember.
    pub policies: States,
    /// The module that sessions of Gufo are asked of.
    pub(super) session_module: Option<usize>,
    /// What is known of sessions of Gufo.
    pub(super) sessions: Rc<Sessions>,
    /// Whether exchanges are told about one by one.
    pub has_log: bool,
    /// The field lines of every answer of the Gufo surface, encoded.
    pub default_lines: Vec<u8>,
}

/// Label numbers, given out in the order of the configuration. Whoever saw the same snapshots in
/// the same order has the same numbers: every shard, and control.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Of modules and other routes.
    pub routes: Names,
    /// Of upstreams.
    pub upstreams: Names,
}

impl Labels {
    /// Gives numbers to what `snapshot` names anew, as a shard does.
    pub fn learn(&mut self, snapshot: &Snapshot) {
        for module in snapshot.gufo.modules() {
            self.routes.label(&module.name);
        }
        for upstream in &snapshot.upstreams {
            self.upstreams.label(&upstream.name);
        }
        for route in snapshot.routes.list() {
            self.routes.label(&route.id);
        }
    }
}

/// What a shard keeps for a listener with TLS.
pub struct TlsTable {
    /// The shard's own copy: what is counted with each connection is not shared.
    pub config: Arc<rustls::ServerConfig>,
    /// From the connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Handshakes at a time.
    pub handshakes_max: u32,
    name: String,
}

/// What was computed for a module.
pub struct ModuleTable {
    /// Under which its requests are counted.
    pub label: Label,
    /// The request head of `Do`, for each endpoint of its upstream, encoded.
    pub heads_do: Vec<Vec<u8>>,
    /// The request head of `Stream`, likewise.
    pub heads_stream: Vec<Vec<u8>>,
}

/// What a shard keeps for an upstream.
pub struct UpstreamTable<I: Io> {
    /// Under which its calls are counted.
    pub label: Label,
    /// Connections, for each endpoint.
    pub pools: Vec<Rc<EndpointPool<I>>>,
    /// Idle HTTP connections, for each endpoint.
    pub http_pools: Vec<Rc<HttpPool<I>>>,
    /// What is known of the endpoints, and whose turn it is.
    pub group: RefCell<Group>,
    /// How many retries are left.
    pub budget: Rc<Budget>,
}

impl<I: Io> Tables<I> {
    /// Compiles a snapshot. State of endpoints and budgets that `old` has is moved over.
    pub fn new(
        snapshot: Arc<Snapshot>,
        old: Option<&Tables<I>>,
        labels: &mut Labels,
        prng: &mut Prng,
    ) -> Self {
        let tls = tls_tables(&snapshot, old);
        // Settled when they are opened, as is whether they speak TLS.
        let listeners = snapshot.server.listeners.iter();
        let serves = match old {
            Some(old) => old.serves.clone(),
            None => listeners.map(|listener| listener.serves).collect(),
        };
        let modules = snapshot.gufo.modules().iter();
        let modules = modules.map(|m| module(&snapshot, m, &mut labels.routes)).collect();
        let upstreams = snapshot.upstreams.iter();
        let upstreams = upstreams.map(|u| upstream(u, old, &mut labels.upstreams, prng)).collect();
        let routes = snapshot.routes.list().iter();
        let routes = routes.map(|route| labels.routes.label(&route.id)).collect();
        // What was said of sessions holds for as long as the same service is asked.
        let kept = old.filter(|old| asks_the_same(&old.snapshot, &snapshot));
        let sessions = kept.map(|old| Rc::clone(&old.sessions)).unwrap_or_default();
        let session_module = snapshot.gufo.session_module().map(|(index, _)| index);
        let has_log = snapshot.observe.access_log.is_some();
        let policies = States::new(&snapshot, old.map(|old| &old.policies));
        let mut default_lines = Vec::new();
        for (name, value) in &snapshot.gufo.default_headers {
            h1::encode::field(&mut default_lines, name.as_bytes(), value.as_bytes());
        }
        Tables {
            snapshot,
            modules,
            upstreams,
            tls,
            serves,
            routes,
            policies,
            session_module,
            sessions,
            has_log,
            default_lines,
        }
    }

    /// How the listener in this place speaks TLS, if it does.
    pub fn tls_of(&self, listener: u16) -> Option<Rc<TlsTable>> {
        self.tls.get(usize::from(listener)).cloned().flatten()
    }

    /// Whom the listener in this place is for.
    pub fn serves(&self, listener: u16) -> Serves {
        self.serves.get(usize::from(listener)).copied().unwrap_or_default()
    }

    /// Connections are used again only by who would have made them the same.
    fn alike(&self, wanted: &Upstream) -> impl Iterator<Item = &UpstreamTable<I>> {
        let is_alike =
            |spec: &Upstream| spec.transport == wanted.transport && spec.tls == wanted.tls;
        let specs = self.snapshot.upstreams.iter().zip(&self.upstreams);
        specs.filter(move |(spec, _)| is_alike(spec)).map(|(_, table)| table)
    }

    fn pool_of(&self, endpoint: &Endpoint, wanted: &Upstream) -> Option<Rc<EndpointPool<I>>> {
        let mut pools = self.alike(wanted).flat_map(|table| &table.pools);
        pools.find(|pool| pool.is_to(endpoint)).cloned()
    }

    fn http_pool_of(&self, endpoint: &Endpoint, wanted: &Upstream) -> Option<Rc<HttpPool<I>>> {
        let mut pools = self.alike(wanted).flat_map(|table| &table.http_pools);
        pools.find(|pool| pool.is_to(endpoint)).cloned()
    }

    fn upstream_of(&self, name: &str) -> Option<(&Upstream, &UpstreamTable<I>)> {
        let mut specs = self.snapshot.upstreams.iter().zip(&self.upstreams);
        specs.find(|(spec, _)| spec.name == name)
    }

    /// Whether there is an endpoint for what is sent to the upstream of this name, or to the
    /// module; `None`: there is neither, or only one that is not for everybody.
    pub fn is_served(&self, name: &str) -> Option<bool> {
        let module = || {
            let (_, module) = self.snapshot.gufo.find(name.as_bytes())?;
            self.upstreams.get(module.upstream.index()).filter(|_| !module.internal)
        };
        let table = self.upstream_of(name).map(|found| found.1).or_else(module)?;
        Some(table.group.borrow().is_usable())
    }

    /// What the active checks say of an endpoint. It may be gone since.
    pub fn set_health(&self, upstream: &str, address: SocketAddr, health: Health) {
        let Some((spec, table)) = self.upstream_of(upstream) else { return };
        let mut group = table.group.borrow_mut();
        for (number, endpoint) in spec.endpoints.iter().enumerate() {
            if endpoint.address == address {
                group.set_health(number, health);
            }
        }
    }
}

/// Whether two generations ask the same service for sessions, by the same rule. One that was found
/// is the same wherever it runs.
fn asks_the_same(old: &Snapshot, new: &Snapshot) -> bool {
    let service = |snapshot: &Snapshot| {
        let (_, module) = snapshot.gufo.session_module()?;
        let upstream = snapshot.upstream(module.upstream)?;
        let fixed = upstream.origins.is_empty() && !module.found;
        let endpoints = fixed.then(|| upstream.endpoints.clone());
        let origins = (!module.found).then(|| upstream.origins.clone());
        Some((module.name.clone(), module.dialect, endpoints, origins))
    };
    old.gufo.session == new.gufo.session && service(old) == service(new)
}

/// Whether a listener speaks TLS is settled when it is opened: a file that was read since must not
/// make a sealed one plain. Everything else about it is as the file says now.
fn tls_tables<I: Io>(snapshot: &Snapshot, old: Option<&Tables<I>>) -> Vec<Option<Rc<TlsTable>>> {
    let table = |listener: &Listener| {
        let tls = listener.tls.as_ref()?;
        Some(Rc::new(TlsTable {
            config: tls.config(),
            handshake_timeout: tls.spec.handshake_timeout,
            handshakes_max: tls.spec.handshakes_max,
            name: listener.name.clone(),
        }))
    };
    let new = snapshot.server.listeners.iter().map(table);
    let Some(old) = old else { return new.collect() };
    let new: Vec<_> = new.flatten().collect();
    let kept = |old: &Rc<TlsTable>| {
        let same = new.iter().find(|table| table.name == old.name);
        Rc::clone(same.unwrap_or(old))
    };
    old.tls.iter().map(|old| old.as_ref().map(kept)).collect()
}

fn upstream<I: Io>(
    spec: &Upstream,
    old: Option<&Tables<I>>,
    names: &mut Names,
    prng: &mut Prng,
) -> UpstreamTable<I> {
    let endpoints = |protocol| {
        let is_spoken = spec.protocol == protocol;
        spec.endpoints.iter().filter(move |_| is_spoken)
    };
    let security = Security::of(spec);
    let secure = |endpoint: &Endpoint| security.as_ref().map(|tls| tls.with(endpoint));
    let pool = |endpoint: &Endpoint| {
        old.and_then(|old| old.pool_of(endpoint, spec))
            .unwrap_or_else(|| EndpointPool::new(endpoint.address, secure(endpoint)))
    };
    let http_pool = |endpoint: &Endpoint| {
        old.and_then(|old| old.http_pool_of(endpoint, spec))
            .unwrap_or_else(|| HttpPool::new(endpoint.address, secure(endpoint)))
    };
    let identities: Vec<String> = spec.endpoints.iter().map(|e| e.address.to_string()).collect();
    let shares = spec.endpoints.iter().map(|endpoint| endpoint.share);
    let identities = identities.iter().map(String::as_str).zip(shares);
    let mut group = Group::new(identities, spec.balance, spec.outlier, prng);
    let old_table = old.and_then(|old| old.upstream_of(&spec.name));
    if let Some((old_spec, old)) = old_table {
        group.carry_over(&old.group.borrow());
        // Results of checks that are not made any more would stay for ever.
        let kind = |spec: &Upstream| spec.health.as_ref().map(|check| check.kind.clone());
        if kind(old_spec) != kind(spec) {
            (0..group.len()).for_each(|number| group.set_health(number, Health::Unknown));
        }
    }
    UpstreamTable {
        label: names.label(&spec.name),
        pools: endpoints(Protocol::Grpc).map(pool).collect(),
        http_pools: endpoints(Protocol::Http1).map(http_pool).collect(),
        group: RefCell::new(group),
        budget: old_table.map(|(_, old)| Rc::clone(&old.budget)).unwrap_or_default(),
    }
}

fn module(snapshot: &Snapshot, module: &Module, names: &mut Names) -> ModuleTable {
    let upstream = snapshot.upstream(module.upstream);
    let endpoints = upstream.map_or(&[][..], |upstream| &upstream.endpoints);
    let scheme = upstream.map_or("http", Upstream::scheme);
    let heads = |path: &'static str, deadline: bool| {
        let head = |endpoint| head(module, scheme, endpoint, path, deadline);
        endpoints.iter().map(head).collect()
    };
    let dialect: Dialect = module.dialect;
    ModuleTable {
        label: names.label(&module.name),
        heads_do: heads(dialect.path_do(), true),
        heads_stream: heads(dialect.path_stream(), false),
    }
}

/// The request head of a call, but for the fields of the single request.
fn head(module: &Module, scheme: &str, endpoint: &Endpoint, path: &str, deadline: bool) -> Vec<u8> {
    let mut block = Block::new()
        .field(b":method", b"POST")
        .field(b":scheme", scheme.as_bytes())
        .compact(b":path", path.as_bytes())
        .compact(b":authority", endpoint.authority().as_bytes())
        .compact(b"content-type", b"application/grpc")
        .compact(b"te", b"trailers")
        .compact(b"user-agent", concat!("otus/", env!("CARGO_PKG_VERSION")).as_bytes());
    if deadline {
        block = block.compact(b"grpc-timeout", timeout::encode(module.timeout).as_str().as_bytes());
    }
    block.into_vec()
}

/// The socket options that a transport asks for at an address: the endpoint's, or the listener's.
pub fn socket_options(transport: &Transport, address: SocketAddr) -> SocketOptions {
    let congestion = match transport.congestion {
        Congestion::Auto if address.ip().to_canonical().is_loopback() => {
            Some(Text::new(limits::CONGESTION_LOCAL.as_bytes()))
        }
        Congestion::Auto | Congestion::System => None,
        Congestion::Named(name) => Some(name),
    };
    SocketOptions {
        nodelay: transport.nodelay,
        congestion,
        not_sent_lowat: transport.not_sent_lowat,
        receive_buffer: transport.receive_buffer,
        send_buffer: transport.send_buffer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_not_paced_unless_asked_for() {
        let of = |congestion, address: &str| {
            let transport = Transport { congestion, ..Transport::upstream() };
            socket_options(&transport, address.parse().unwrap()).congestion
        };
        let named = Congestion::Named(Text::new(b"bbr"));
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(of(Congestion::Auto, local), Some(Text::new(b"cubic")), "{local}");
            assert_eq!(of(Congestion::System, local), None);
            assert_eq!(of(named, local), Some(Text::new(b"bbr")));
        }
        for far in ["10.0.0.1:1", "0.0.0.0:1", "[::]:1", "[fd00::1]:1"] {
            assert_eq!(of(Congestion::Auto, far), None, "{far}");
        }
    }
}
