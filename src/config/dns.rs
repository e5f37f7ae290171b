//! From `[dns]` to the rules by which names are resolved, with what is wrong about them.

use std::net::{IpAddr, SocketAddr};

use super::fault::{Code, Finding};
use super::values::Config;
use crate::snapshot::dns::{Dns, Family};

/// The port of a name server that is written without one.
const PORT: u16 = 53;
/// Name servers of one configuration.
const SERVERS_MAX: usize = 8;

impl Config {
    /// What is wrong about the rules.
    pub(super) fn check_dns(&self, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let servers = self.texts("dns.servers");
        for text in &servers {
            if server(text).is_none() {
                let message = format!("`servers`: \"{text}\" is no address");
                let way_out = "write addresses such as \"10.0.0.2\" or \"127.0.0.1:5353\"";
                find(Code::Malformed, "dns.servers", &message, way_out);
            }
        }
        if servers.len() > SERVERS_MAX {
            let message = format!("`servers` has more than {SERVERS_MAX}");
            find(Code::OutOfRange, "dns.servers", &message, "write fewer");
        }
        if self.duration("dns.min_ttl") > self.duration("dns.max_ttl") {
            let path = if self.is_given("dns.min_ttl") { "dns.min_ttl" } else { "dns.max_ttl" };
            let message = "`min_ttl` is longer than `max_ttl`";
            find(Code::Contradiction, path, message, "write a shorter `min_ttl`");
        }
    }

    pub(super) fn dns(&self) -> Dns {
        Dns {
            servers: self.texts("dns.servers").iter().filter_map(|text| server(text)).collect(),
            timeout: self.duration("dns.timeout"),
            attempts: self.small("dns.attempts"),
            min_ttl: self.duration("dns.min_ttl"),
            max_ttl: self.duration("dns.max_ttl"),
            keep_gone: self.duration("dns.keep_gone"),
            family: match self.text("dns.family").as_deref() {
                Some("ipv4") => Family::Ipv4,
                Some("ipv6") => Family::Ipv6,
                _ => Family::Any,
            },
        }
    }
}

/// An address, with or without a port.
fn server(text: &str) -> Option<SocketAddr> {
    let with_port = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    with_port.or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT)))
}
