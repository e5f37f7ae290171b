//! From a configuration that was read to the snapshot that shards see.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::fault::{Code, Faults, Finding};
use super::values::Config;
use crate::snapshot::Snapshot;
use crate::snapshot::gufo::{
    ApiBase, Gufo, Module, Rate, SecurityMode, Upload, UploadRoute, default_headers, dialect,
    end_marker, version_text,
};
use crate::snapshot::limits::Limits;
use crate::snapshot::observe::Observe;
use crate::snapshot::server::{IoDriver, Listener, Server};
use crate::snapshot::timeouts::Timeouts;
use crate::snapshot::transport::Transport;
use crate::snapshot::upstream::{Endpoint, Pool, Protocol, Retry, Upstream, UpstreamId};

/// Gives the addresses of a host name with this port.
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
        let (modules, upstreams) = self.modules(resolve, &mut findings);
        let snapshot = Snapshot {
            generation,
            server: self.server(),
            timeouts: self.timeouts(),
            limits: self.limits(),
            gufo: self.gufo(modules),
            upstreams,
            observe: Observe { access_log: self.log("server.access_log") },
        };
        match Faults::sift(findings) {
            Ok(faults) => Err(faults),
            Err(notes) => Ok((snapshot, notes)),
        }
    }

    fn server(&self) -> Server {
        let ip = self.ip("server.ip").unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let address = SocketAddr::new(ip, self.small("server.port"));
        let transport = self.transport("listener.transport");
        Server {
            listeners: vec![Listener { name: "main".to_owned(), address, transport }],
            admin: self.address("server.admin"),
            workers: self.workers("server.workers"),
            io: match self.text("server.io").as_deref() {
                Some("io_uring") => IoDriver::IoUring,
                Some("epoll") => IoDriver::Epoll,
                _ => IoDriver::Auto,
            },
            shutdown_grace: self.duration("server.shutdown_grace"),
            upload_grace: self.duration("server.upload_grace"),
            metrics_token: self.secret("server.metrics_token").filter(|token| !token.is_empty()),
            trusted_peers: self.cidrs("server.trusted_peers"),
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
            connections: self.small("limits.connections"),
            read_buffer_bytes: to_usize(self.bytes("limits.read_buffer")),
        }
    }

    fn gufo(&self, modules: Vec<Module>) -> Gufo {
        let headers = self.boolean("server.default_headers") == Some(true);
        let mut gufo = Gufo::default();
        gufo.bases = self.paths("server.api_bases").into_iter().map(api_base).collect();
        gufo.sign = self.secret("server.sign").unwrap_or_default();
        gufo.security_mode = SecurityMode::Sign;
        gufo.language = self.text("server.lang").unwrap_or_default();
        gufo.legacy_status = self.boolean("gufo.strict_legacy_status") == Some(true);
        gufo.default_headers = if headers { default_headers() } else { Vec::new() };
        gufo.version_text = version_text();
        gufo.registration = self.boolean("settings.registration") == Some(true);
        gufo.upload_routes = self.upload_routes();
        for module in modules {
            gufo.insert(module);
        }
        gufo
    }

    fn upload_routes(&self) -> Vec<UploadRoute> {
        let route = |number: &String| {
            let text = |key: &str| self.text(&format!("route.{number}.{key}"));
            let (id, module) = (text("id")?, text("module")?);
            Some(UploadRoute { id, path: text("path")?, module, param: text("param")? })
        };
        let mut routes: Vec<_> = self.names("route").iter().filter_map(route).collect();
        routes.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
        routes
    }

    /// One upstream for each microservice that has a host.
    fn modules(
        &self,
        resolve: &Resolve<'_>,
        findings: &mut Vec<Finding>,
    ) -> (Vec<Module>, Vec<Upstream>) {
        let (mut modules, mut upstreams) = (Vec::new(), Vec::new());
        let mut known: BTreeMap<(String, u16), Vec<SocketAddr>> = BTreeMap::new();
        for name in self.names("microservices") {
            let table = format!("microservices.{name}");
            let host_key = format!("{table}.host");
            let port = self.integer(&format!("{table}.port")).and_then(|n| u16::try_from(n).ok());
            let (Some(host), Some(port)) = (self.text(&host_key), port) else { continue };
            let addresses = known.entry((host.clone(), port)).or_insert_with(|| {
                addresses(&host, port, resolve).unwrap_or_else(|error| {
                    let message = format!("the host \"{host}\" does not resolve now: {error}");
                    let way_out = "calls are answered as unavailable until a reload finds it";
                    findings.push(self.finding(Code::Unresolved, &host_key, &message, way_out));
                    Vec::new()
                })
            });
            let endpoint =
                |address: &SocketAddr| Endpoint { host: host.clone(), address: *address };
            let endpoints = addresses.iter().map(endpoint).collect();
            let id = UpstreamId::at(upstreams.len());
            upstreams.push(self.upstream(&name, &table, endpoints));
            modules.push(self.module(&name, &table, id));
        }
        (modules, upstreams)
    }

    fn upstream(&self, name: &str, table: &str, endpoints: Vec<Endpoint>) -> Upstream {
        let key = |key: &str| format!("{table}.{key}");
        Upstream {
            name: name.to_owned(),
            protocol: Protocol::Grpc,
            endpoints,
            connect_timeout: self.duration(&key("connect_timeout")),
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
        }
    }

    fn module(&self, name: &str, table: &str, upstream: UpstreamId) -> Module {
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
            dialect: dialect(&text("dialect")),
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
        }
    }

    fn transport(&self, table: &str) -> Transport {
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

/// The addresses of a host; without asking anybody if it is one itself.
fn addresses(host: &str, port: u16, resolve: &Resolve<'_>) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let mut addresses = resolve(host, port)?;
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
    }
    Ok(addresses)
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
fn to_f32(number: f64) -> f32 {
    number as f32
}
