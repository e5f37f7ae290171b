//! From `[upstreams.<name>]` tables to upstreams, with what is wrong about them.

use std::net::{IpAddr, SocketAddr};

use super::compile::{Resolver, to_f32};
use super::fault::{Code, Finding};
use super::values::Config;
use crate::base::limits::ENDPOINTS_MAX;
use crate::snapshot::dns::Origin;
use crate::snapshot::upstream::{
    Endpoint, HashKey, HealthCheck, HealthKind, HostField, Pool, Protocol, Retry, Upstream,
    UpstreamTimeouts,
};
use crate::upstream::balance::Balance;
use crate::upstream::health::HealthRule;
use crate::upstream::outlier::OutlierRule;

impl Config {
    /// What is wrong about the upstream of this name.
    pub(super) fn check_upstream(&self, name: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("upstreams.{name}.{key}");
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let host = self.text(&key("host")).unwrap_or_default();
        if !matches!(host.as_str(), "client" | "endpoint") && !is_authority(&host) {
            let way_out = "write \"client\", \"endpoint\", or a host such as \"example.com\"";
            find(Code::Malformed, &key("host"), "`host` is no host", way_out);
        }
        let (protocol, proxy) = (self.text(&key("protocol")), key("send_proxy_protocol"));
        if protocol.as_deref() == Some("grpc") && self.text(&proxy).as_deref() == Some("v2") {
            let message = "`send_proxy_protocol` does not go with `protocol = \"grpc\"`";
            let way_out = "leave it out: connections of gRPC are shared by clients";
            find(Code::Contradiction, &proxy, message, way_out);
        }
        self.check_group(&format!("upstreams.{name}"), findings);
    }

    /// What is wrong about how requests are spread over the endpoints of `table`.
    pub(super) fn check_group(&self, table: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("{table}.{key}");
        self.check_client_tls(table, findings);
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let endpoints = self.texts(&key("endpoints"));
        for text in &endpoints {
            if origin(text).is_none() {
                let message = format!("`endpoints`: \"{text}\" is no host with a port");
                let way_out = "write \"10.0.0.1:8080\", \"name:8080\", or the name of SRV \
                               records: \"_http._tcp.name\"";
                find(Code::Malformed, &key("endpoints"), &message, way_out);
            }
        }
        if self.is_given(&key("endpoints")) && endpoints.is_empty() {
            let way_out = "write endpoints = [\"127.0.0.1:8080\"]";
            find(Code::Missing, &key("endpoints"), "`endpoints` is empty", way_out);
        }
        if self.hash_key(table).is_none() {
            let way_out = "write \"client\", \"path\" or \"header:<name>\"";
            find(Code::Malformed, &key("hash_by"), "`hash_by` names no key", way_out);
        }
        let (first, most) = (key("retry.backoff"), key("retry.backoff_max"));
        if self.duration(&first) > self.duration(&most) {
            let path = if self.is_given(&first) { &first } else { &most };
            let message = "`backoff` is longer than `backoff_max`";
            find(Code::Contradiction, path, message, "write a shorter backoff");
        }
        let (first, most) = (key("outlier.ejection"), key("outlier.ejection_max"));
        if self.duration(&first) > self.duration(&most) {
            let path = if self.is_given(&first) { &first } else { &most };
            let message = "`ejection` is longer than `ejection_max`";
            find(Code::Contradiction, path, message, "write a shorter ejection");
        }
    }

    /// The upstream of this name. Endpoints that do not resolve now are warned of and left out.
    pub(super) fn http_upstream(
        &self,
        name: &str,
        resolver: &mut Resolver<'_>,
        findings: &mut Vec<Finding>,
    ) -> Upstream {
        let table = format!("upstreams.{name}");
        let key = |key: &str| format!("{table}.{key}");
        let text = |name: &str| self.text(&key(name)).unwrap_or_default();
        let (endpoints, origins) = self.endpoints(&key("endpoints"), resolver, findings);
        Upstream {
            name: name.to_owned(),
            protocol: if text("protocol") == "grpc" { Protocol::Grpc } else { Protocol::Http1 },
            endpoints,
            origins,
            shares: Vec::new(),
            connect_timeout: self.duration(&key("connect_timeout")),
            timeouts: UpstreamTimeouts {
                first_byte: self.duration(&key("first_byte_timeout")),
                idle: self.duration(&key("idle_timeout")),
                total: self.optional_duration(&key("total_timeout")),
            },
            balance: self.balance(&table),
            hash_key: self.hash_key(&table).unwrap_or_default(),
            host: match text("host").as_str() {
                "client" => HostField::Client,
                "endpoint" => HostField::Endpoint,
                fixed => HostField::Fixed(fixed.to_owned()),
            },
            outlier: self.outlier(&table),
            health: self.health(&table),
            send_proxy_protocol: text("send_proxy_protocol") == "v2",
            tls: self.client_tls(&table, findings),
            transport: self.transport(&key("transport")),
            pool: Pool {
                connections_max: self.small(&key("pool.connections")),
                idle: self.duration(&key("pool.idle")),
                ..Pool::default()
            },
            retry: Retry {
                attempts_max: self.small(&key("retry.attempts")),
                budget_ratio: to_f32(self.float(&key("retry.budget"))),
                backoff_min: self.duration(&key("retry.backoff")),
                backoff_max: self.duration(&key("retry.backoff_max")),
            },
        }
    }

    /// The endpoints that are known now, and what they are resolved from if that can change.
    pub(super) fn endpoints(
        &self,
        key: &str,
        resolver: &mut Resolver<'_>,
        findings: &mut Vec<Finding>,
    ) -> (Vec<Endpoint>, Vec<Origin>) {
        let origins = self.texts(key).iter().filter_map(|text| origin(text)).collect();
        self.resolved(key, origins, resolver, findings)
    }

    /// The same of these origins, which are told of at `key`.
    pub(super) fn resolved(
        &self,
        key: &str,
        origins: Vec<Origin>,
        resolver: &mut Resolver<'_>,
        findings: &mut Vec<Finding>,
    ) -> (Vec<Endpoint>, Vec<Origin>) {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let mut add = |endpoint| {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        };
        for origin in &origins {
            match origin {
                Origin::Address(address) => {
                    add(Endpoint::new(address.ip().to_string(), *address));
                }
                Origin::Host { name, port } => match resolver.addresses(name, *port) {
                    Ok(addresses) => addresses
                        .into_iter()
                        .for_each(|address| add(Endpoint::new(name.clone(), address))),
                    Err(error) if resolver.is_first_told(name, *port) => {
                        let message = format!("the host \"{name}\" does not resolve now: {error}");
                        let way_out = "requests to it are answered as unavailable until it does";
                        findings.push(self.finding(Code::Unresolved, key, &message, way_out));
                    }
                    Err(_) => {}
                },
                // Found by the resolver of the running gateway.
                Origin::Service(_) => {}
            }
        }
        if endpoints.len() > ENDPOINTS_MAX || origins.len() > ENDPOINTS_MAX {
            let message = format!("an upstream has more than {ENDPOINTS_MAX} endpoints");
            findings.push(self.finding(Code::OutOfRange, key, &message, "write fewer"));
        }
        let are_fixed = origins.iter().all(|origin| matches!(origin, Origin::Address(_)));
        (endpoints, if are_fixed { Vec::new() } else { origins })
    }

    pub(super) fn balance(&self, table: &str) -> Balance {
        let text = self.text(&format!("{table}.balance"));
        text.and_then(|text| Balance::from_name(&text)).unwrap_or_default()
    }

    pub(super) fn outlier(&self, table: &str) -> OutlierRule {
        let key = |key: &str| format!("{table}.outlier.{key}");
        OutlierRule {
            failures: self.small(&key("failures")),
            ejection: self.duration(&key("ejection")),
            ejection_max: self.duration(&key("ejection_max")),
        }
    }

    pub(super) fn hash_key(&self, table: &str) -> Option<HashKey> {
        match self.text(&format!("{table}.hash_by"))?.as_str() {
            "client" => Some(HashKey::Client),
            "path" => Some(HashKey::Path),
            other => {
                let field = other.strip_prefix("header:")?;
                let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                let is_name = !field.is_empty() && field.bytes().all(proper);
                is_name.then(|| HashKey::Field(field.to_ascii_lowercase()))
            }
        }
    }

    pub(super) fn health(&self, table: &str) -> Option<HealthCheck> {
        let key = |key: &str| format!("{table}.health.{key}");
        let text = |name: &str| self.text(&key(name)).unwrap_or_default();
        let kind = match text("kind").as_str() {
            "tcp" => HealthKind::Tcp,
            "http" => HealthKind::Http(text("path")),
            "grpc" => HealthKind::Grpc(text("service")),
            _ => return None,
        };
        let rule = HealthRule {
            interval: self.duration(&key("interval")),
            timeout: self.duration(&key("timeout")),
            rise: self.small(&key("rise")),
            fall: self.small(&key("fall")),
        };
        Some(HealthCheck { kind, rule })
    }
}

/// An endpoint as it was written: an address or a host with a port, or the name of SRV records,
/// which begins with the service and the protocol.
pub(super) fn origin(text: &str) -> Option<Origin> {
    let mut labels = text.split('.');
    let special = |label: Option<&str>| label.is_some_and(|label| label.starts_with('_'));
    if special(labels.next()) && special(labels.next()) && labels.next().is_some() {
        return is_host_name(text).then(|| Origin::Service(text.to_owned()));
    }
    let (host, port) = split_endpoint(text)?;
    Some(match host.parse::<IpAddr>() {
        Ok(ip) => Origin::Address(SocketAddr::new(ip, port)),
        Err(_) => Origin::Host { name: host.to_owned(), port },
    })
}

/// The host and the port of `host:port` or `[::1]:port`.
fn split_endpoint(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0)?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().ok().map(|_| address)?,
        None => Some(host).filter(|host| is_host_name(host))?,
    };
    Some((host, port))
}

/// Whether a text is a host, perhaps with a port.
fn is_authority(text: &str) -> bool {
    split_endpoint(text).is_some() || is_host_name(text)
}

/// A host name or an IPv4 address (RFC 1123 §2.1, and the underscore that containers use).
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // A dot at the end says that no search list completes the name.
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label)
}
