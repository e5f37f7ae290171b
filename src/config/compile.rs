//! From a configuration that was read to the snapshot that shards see.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::fault::{Faults, Finding};
use super::policies;
use super::registry::HOSTS;
use super::routes::{self, is_upload};
use super::values::Config;
use crate::gufo::dialect::Dialect;
use crate::gufo::registry::MASTER;
use crate::policy::embed::Embedded;
use crate::policy::set::Errors;
use crate::route::pattern::PathPattern;
use crate::route::rewrite::Rewrite;
use crate::route::rule::Rule;
use crate::snapshot::dns::Origin;
use crate::snapshot::gufo::{
    ApiBase, Download, Gufo, Module, Rate, Upload, UploadRoute, default_headers, dialect,
    end_marker,
};
use crate::snapshot::limits::Limits;
use crate::snapshot::route::{Action, Route, RouteTimeouts, Routes};
use crate::snapshot::server::{Http2, IoDriver, Listener, RequestId, Server, Serves, Steering};
use crate::snapshot::timeouts::Timeouts;
use crate::snapshot::transport::Transport;
use crate::snapshot::upgrades::Upgrades;
use crate::snapshot::upstream::{Endpoint, Pool, Retry, Upstream, UpstreamId};
use crate::snapshot::{Shown, Snapshot};

/// Gives the addresses of a host name with this port. None: they are found later, and nothing is
/// wrong about that.
pub type Resolve<'a> = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + 'a;

impl Config {
    /// Makes the snapshot with this number.
    ///
    /// Names that do not resolve now are warned of, and their upstream has no endpoints.
    pub fn compile(
        &self,
        generation: u64,
        resolve: &Resolve<'_>,
    ) -> Result<(Snapshot, Vec<Finding>), Faults> {
        let mut findings = Vec::new();
        let mut resolver = Resolver { resolve, known: BTreeMap::new(), told: BTreeSet::new() };
        let auth = Arc::new(self.auth(&mut findings));
        let (modules, mut upstreams) = self.modules(&mut resolver, &mut findings);
        for name in self.names("upstreams") {
            upstreams.push(self.http_upstream(&name, &mut resolver, &mut findings));
        }
        let mut gufo = self.gufo(modules);
        gufo.registry = self.registry(&gufo, &mut findings);
        gufo.unplaced = self.unplaced();
        let snapshot = Snapshot {
            generation,
            server: self.server(&mut findings),
            timeouts: self.timeouts(),
            limits: self.limits(),
            routes: self.routes(&gufo, &upstreams),
            people: self.people(&upstreams),
            gufo,
            upstreams,
            auth,
            dns: self.dns(),
            effective: Shown(self.effective()),
            observe: self.observe(&mut findings),
            rate_store: policies::rate_store(self, &mut findings),
            embedded: Embedded::default(),
        };
        self.mask(&mut findings);
        match Faults::sift(findings) {
            Ok(faults) => Err(faults),
            Err(notes) => Ok((snapshot, notes)),
        }
    }

    fn server(&self, findings: &mut Vec<Finding>) -> Server {
        let ip = self.ip("server.ip").unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let address = SocketAddr::new(ip, self.small("server.port"));
        let transport = self.transport("listener.transport");
        let tls = self.server_tls(findings);
        let listener = |name: &str, address, tls| {
            let (name, serves) = (name.to_owned(), Serves::Http);
            Listener { name, address, transport, tls, serves }
        };
        let second = self.integer("tls.port").and_then(|port| u16::try_from(port).ok());
        let mut listeners = match (second, tls) {
            (Some(port), Some(tls)) => vec![
                listener("main", address, None),
                listener("tls", SocketAddr::new(ip, port), Some(tls)),
            ],
            (_, tls) => vec![listener("main", address, tls)],
        };
        listeners.extend(self.reverse_listener(transport, findings));
        Server {
            listeners,
            admin: self.address("server.admin"),
            metrics: self.metrics_address(),
            workers: self.workers("server.workers"),
            io: match self.text("server.io").as_deref() {
                Some("io_uring") => IoDriver::IoUring,
                Some("epoll") => IoDriver::Epoll,
                _ => IoDriver::Auto,
            },
            busy_poll: self.optional_duration("server.busy_poll").unwrap_or_default(),
            steering: match self.text("server.steering").as_deref() {
                Some("core") => Steering::Core,
                _ => Steering::Hash,
            },
            shutdown_grace: self.duration("server.shutdown_grace"),
            upload_grace: self.duration("server.upload_grace"),
            request_id: match self.text("server.request_id").as_deref() {
                Some("hex24") => RequestId::Hex24,
                _ => RequestId::Uuid,
            },
            errors: self
                .text("server.errors")
                .and_then(|name| Errors::from_name(&name))
                .unwrap_or_default(),
            admin_key: self.secret("server.admin_key").filter(|key| !key.is_empty()),
            metrics_token: self.secret("server.metrics_token").filter(|token| !token.is_empty()),
            trusted_peers: self.cidrs("server.trusted_peers"),
            proxy_protocol: self.text("server.proxy_protocol").as_deref() == Some("required"),
            http2: self.http2(),
        }
    }

    fn http2(&self) -> Http2 {
        let window = |key| u32::try_from(self.bytes(key)).unwrap_or(u32::MAX);
        Http2 {
            cleartext: self.texts("listener.protocols").iter().any(|name| name == "h2c"),
            streams: self.small("listener.http2.streams"),
            stream_window: window("listener.http2.stream_window"),
            connection_window: window("listener.http2.connection_window"),
            grpc_health: self.boolean("listener.http2.grpc_health").unwrap_or(true),
            stream_window_max: window("listener.http2.stream_window_max"),
            connection_window_max: window("listener.http2.connection_window_max"),
            window_budget: self.bytes("listener.http2.window_budget"),
        }
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts {
            head: self.duration("timeouts.head"),
            idle: self.duration("timeouts.idle"),
            body_idle: self.duration("timeouts.body_idle"),
            write: self.duration("timeouts.write"),
            body_rate_bytes: self.bytes("timeouts.body_rate"),
            body_rate_window: self.duration("timeouts.body_rate_window"),
            linger: self.duration("timeouts.linger"),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            head_bytes: to_usize(self.bytes("limits.head")),
            head_fields: self.small("limits.head_fields"),
            target_bytes: to_usize(self.bytes("limits.target")),
            json_body_bytes: self.bytes("limits.json_body"),
            upload_bytes: self.size("limits.upload"),
            upload_memory_bytes: self.bytes("limits.upload_memory"),
            upload_files: self.small("limits.upload_files"),
            socket_message_bytes: to_usize(self.bytes("limits.websocket_message")),
            connections: self.small("limits.connections"),
            read_buffer_bytes: to_usize(self.bytes("limits.read_buffer")),
        }
    }

    fn gufo(&self, modules: Vec<Module>) -> Gufo {
        let headers = self.boolean("server.default_headers") == Some(true);
        let mut gufo = Gufo::default();
        gufo.bases = self.paths("server.api_bases").into_iter().map(api_base).collect();
        gufo.sign = self.secret("server.sign").unwrap_or_default();
        gufo.trust = self.trust();
        gufo.session = self.session();
        gufo.language = self.text("server.lang").unwrap_or_default();
        gufo.legacy_status = self.boolean("gufo.strict_legacy_status") == Some(true);
        gufo.default_headers = if headers { default_headers() } else { Vec::new() };
        if self.boolean("server.debug") == Some(true) {
            gufo.exit_peers = self.cidrs("server.exit_peers");
        }
        gufo.registration = self.boolean("settings.registration") == Some(true);
        gufo.upload_routes = self.upload_routes();
        gufo.mcp = self.mcp();
        gufo.files = self.files();
        gufo.policies = policies::of_surface(self);
        for module in modules {
            gufo.insert(module);
        }
        gufo
    }

    fn upload_routes(&self) -> Vec<UploadRoute> {
        let route = |number: &String| {
            if !is_upload(self, &BTreeSet::new(), number) {
                return None;
            }
            let text = |key: &str| self.text(&format!("route.{number}.{key}"));
            let (id, module) = (text("id")?, text("module")?);
            Some(UploadRoute { id, path: text("path")?, module, param: text("param")? })
        };
        let mut routes: Vec<_> = self.names("route").iter().filter_map(route).collect();
        routes.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
        routes
    }

    /// All routes; those of the Gufo surface among them, so that the longest prefix wins. Without
    /// any other, there are none of them either.
    fn routes(&self, gufo: &Gufo, upstreams: &[Upstream]) -> Routes {
        let names = self.names("upstreams");
        let known = upstreams.iter().enumerate().filter(|(_, spec)| names.contains(&spec.name));
        let known: BTreeMap<_, _> = known
            .map(|(index, spec)| (spec.name.clone(), (UpstreamId::at(index), Some(spec))))
            .collect();
        // What is wrong was told when the configuration was checked.
        let (broken, mut told) = (BTreeSet::new(), Vec::new());
        let mut reader = routes::Reader::new(self, &broken, true, &mut told);
        let mut routes = reader.routes(&self.names("route"), &known);
        if routes.is_empty() {
            return Routes::default();
        }
        let serves = !gufo.modules().is_empty() || gufo.registry.is_some();
        let bases = gufo.bases.iter().enumerate().filter(|_| serves);
        for (index, base) in bases {
            routes.extend(own_route(&base.prefix, &base.prefix, Action::Gufo(index)));
        }
        if let Some(mcp) = &gufo.mcp {
            routes.extend(own_route("mcp", &mcp.path, Action::Gufo(0)));
        }
        for (index, upload) in gufo.upload_routes.iter().enumerate() {
            routes.extend(own_route(&upload.id, &upload.path, Action::Upload(index)));
        }
        Routes::new(routes)
    }

    /// One upstream for each microservice that has a host.
    fn modules(
        &self,
        resolver: &mut Resolver<'_>,
        findings: &mut Vec<Finding>,
    ) -> (Vec<Module>, Vec<Upstream>) {
        let (mut modules, mut upstreams) = (Vec::new(), Vec::new());
        for name in self.names("microservices") {
            let table = format!("microservices.{name}");
            let Some(found) = self.service(&table, resolver, findings) else { continue };
            let id = UpstreamId::at(upstreams.len());
            let mut upstream = self.upstream(&name, &table, found, findings);
            if name == MASTER && self.is_given(HOSTS) {
                self.in_order(&mut upstream);
            }
            upstreams.push(upstream);
            modules.push(self.module(&name, &table, id));
        }
        (modules, upstreams)
    }

    /// The endpoints of a microservice, and what they are resolved from; `None`: it has none.
    fn service(
        &self,
        table: &str,
        resolver: &mut Resolver<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<(Vec<Endpoint>, Vec<Origin>)> {
        let (endpoints, host) = (format!("{table}.endpoints"), format!("{table}.host"));
        let masters = format!("{table}.hosts");
        for several in [endpoints, masters] {
            if self.is_given(&several) {
                return Some(self.endpoints(&several, resolver, findings));
            }
        }
        let name = self.text(&host)?;
        let port = self.integer(&format!("{table}.port")).and_then(|n| u16::try_from(n).ok())?;
        let origin = match name.parse::<IpAddr>() {
            Ok(ip) => Origin::Address(SocketAddr::new(ip, port)),
            Err(_) => Origin::Host { name, port },
        };
        Some(self.resolved(&host, vec![origin], resolver, findings))
    }

    pub(super) fn upstream(
        &self,
        name: &str,
        table: &str,
        (endpoints, origins): (Vec<Endpoint>, Vec<Origin>),
        findings: &mut Vec<Finding>,
    ) -> Upstream {
        let key = |key: &str| format!("{table}.{key}");
        // The address does not matter: it is replaced.
        let general = Upstream::grpc(name, SocketAddr::from(([127, 0, 0, 1], 0)));
        Upstream {
            endpoints,
            origins,
            connect_timeout: self.duration(&key("connect_timeout")),
            balance: self.balance(table),
            hash_key: self.hash_key(table).unwrap_or_default(),
            outlier: self.outlier(table),
            health: self.health(table),
            tls: self.client_tls(table, findings),
            transport: self.transport(&key("transport")),
            pool: Pool {
                connections_max: self.small(&key("pool.connections")),
                streams_per_connection_max: self.small(&key("pool.streams")),
                keep_alive_interval: self.optional_duration(&key("pool.keep_alive")),
                keep_alive_timeout: self.duration(&key("pool.keep_alive_timeout")),
                idle: self.duration(&key("pool.idle")),
            },
            retry: Retry {
                attempts_max: self.small(&key("retry.attempts")),
                budget_ratio: to_f32(self.float(&key("retry.budget"))),
                backoff_min: self.duration(&key("retry.backoff")),
                backoff_max: self.duration(&key("retry.backoff_max")),
            },
            ..general
        }
    }

    pub(super) fn module(&self, name: &str, table: &str, upstream: UpstreamId) -> Module {
        let key = |key: &str| format!("{table}.{key}");
        let text = |name: &str| self.text(&key(name)).unwrap_or_default();
        let timeout = if self.is_given(&key("timeout")) {
            self.duration(&key("timeout"))
        } else {
            self.duration("server.grpc_timeout")
        };
        let given = |name: &str| self.is_given(&key(name));
        let window = self.duration(&key("min_rate_window"));
        Module {
            name: name.to_owned(),
            upstream,
            dialect: match name {
                _ if given("dialect") => dialect(&text("dialect")),
                // Masters were published in this one alone.
                MASTER => Dialect::A,
                // And MCP is spoken in this one alone.
                _ if self.mcp().is_some_and(|mcp| mcp.module == name) => Dialect::C,
                _ => dialect(&text("dialect")),
            },
            sign_version: self.small(&key("sign_version")),
            internal: text("type") == "internal",
            timeout,
            stream_timeout: self.duration(&key("stream_timeout")),
            upload: Upload {
                chunk_bytes: to_u32(self.bytes(&key("chunk"))),
                end_marker: end_marker(&text("end_marker")),
                max_bytes: given("max_size")
                    .then(|| self.size(&key("max_size")).unwrap_or(u64::MAX)),
                min_rate: given("min_rate")
                    .then(|| Rate { bytes: self.bytes(&key("min_rate")), window }),
            },
            found: false,
            download: match text("download").as_str() {
                "stream" => Download::Stream,
                "events" => Download::Events,
                _ => Download::Call,
            },
            websocket: self.boolean(&key("websocket")) == Some(true),
        }
    }

    pub(super) fn transport(&self, table: &str) -> Transport {
        let key = |key: &str| format!("{table}.{key}");
        let size = |name: &str| self.size(&key(name)).map(to_u32);
        Transport {
            congestion: self.congestion(&key("congestion")),
            not_sent_lowat: size("not_sent_lowat"),
            receive_buffer: size("receive_buffer"),
            send_buffer: size("send_buffer"),
            nodelay: self.boolean(&key("nodelay")) == Some(true),
        }
    }
}

/// Asks for each name once.
pub(super) struct Resolver<'a> {
    resolve: &'a Resolve<'a>,
    known: BTreeMap<(String, u16), Result<Vec<SocketAddr>, String>>,
    /// Hosts that do not resolve, and that was said.
    told: BTreeSet<(String, u16)>,
}

impl Resolver<'_> {
    /// The addresses of a host; without asking anybody if it is one itself.
    pub(super) fn addresses(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let entry = self.known.entry((host.to_owned(), port));
        entry.or_insert_with(|| ask(self.resolve, host, port)).clone()
    }

    /// Whether it is told for the first time that this host does not resolve.
    pub(super) fn is_first_told(&mut self, host: &str, port: u16) -> bool {
        self.told.insert((host.to_owned(), port))
    }
}

fn ask(resolve: &Resolve<'_>, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = resolve(host, port).map_err(|error| error.to_string())?;
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    Ok(addresses)
}

/// A route of the gateway's own for a prefix; `None` if it is no prefix that a route can have.
fn own_route(id: &str, prefix: &str, action: Action) -> Option<(Rule, Route)> {
    let rule = Rule::of_path(PathPattern::prefix(prefix).ok()?);
    let (id, place, timeouts) = (id.to_owned(), String::new(), RouteTimeouts::default());
    let (rewrite, upgrades) = (Rewrite::Keep, Upgrades::none());
    Some((rule, Route { id, place, action, rewrite, timeouts, upgrades, policies: None }))
}

fn api_base(prefix: String) -> ApiBase {
    let version = prefix.rsplit('/').next().unwrap_or_default().to_owned();
    ApiBase { prefix, version }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn to_u32(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The schema keeps the number between zero and one, where only digits are lost.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "0 to 1")]
pub(super) fn to_f32(number: f64) -> f32 {
    number as f32
}
