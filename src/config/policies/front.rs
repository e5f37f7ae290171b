//! The keys of CORS, addresses, hosts, and of what browsers are told.

use std::net::IpAddr;
use std::path::Path;

use crate::config::fault::Code;
use crate::config::routes::Reader;
use crate::config::source;
use crate::policy::front::FrontRule;
use crate::policy::front::address::{AddressRule, Addresses};
use crate::policy::front::cors::{Cors, CorsError, CorsFault, CorsSpec};
use crate::policy::front::host::Hosts;
use crate::policy::front::security::{Hsts, SecurityError, SecurityHeaders, SecuritySpec};
use crate::route::host::HostPattern;
use crate::snapshot::cidr::Cidr;

/// The port of HTTPS where the file does not name one.
const HTTPS_PORT: u16 = 443;

/// What a route asks for; `None`: nothing.
pub(super) fn read(reader: &mut Reader<'_>, number: &str) -> Option<FrontRule> {
    let mut rule = FrontRule {
        cors: cors(reader, number),
        security: security(reader, number),
        replaced: None,
        hosts: hosts(reader, number),
        https: https(reader, number),
        address: address(reader, number),
        head_max: size(reader, number, "max_head"),
        body_max: size(reader, number, "max_body"),
    };
    rule.replace();
    (!rule.is_empty()).then_some(rule)
}

fn size(reader: &Reader<'_>, number: &str, key: &str) -> Option<u64> {
    if !reader.given(number, key) {
        return None;
    }
    reader.config.size(&format!("route.{number}.{key}"))
}

/// The table that a key of the route names; complains if there is none.
fn named(reader: &mut Reader<'_>, number: &str, key: &str) -> Option<String> {
    let name = reader.text(number, key)?;
    let table = format!("{key}.{name}");
    if reader.config.has_below(&table) {
        return Some(table);
    }
    if reader.whole {
        let message = format!("there is no [{table}]");
        let way_out = format!("write [{table}]");
        reader.find(Code::Dangling, &format!("route.{number}.{key}"), &message, &way_out);
    }
    None
}

fn cors(reader: &mut Reader<'_>, number: &str) -> Option<Cors> {
    let table = named(reader, number, "cors")?;
    let config = reader.config;
    let key = |key: &str| format!("{table}.{key}");
    let spec = CorsSpec {
        origins: config.texts(&key("origins")),
        methods: config.texts(&key("methods")),
        headers: config.texts(&key("headers")),
        expose: config.texts(&key("expose")),
        credentials: config.boolean(&key("credentials")) == Some(true),
        max_age: Some(config.duration(&key("max_age"))),
        private_network: config.boolean(&key("private_network")) == Some(true),
    };
    let CorsError { key: name, item, what } = match Cors::new(&spec) {
        Ok(cors) => return Some(cors),
        Err(_) if !reader.whole && spec.origins.is_empty() => return None,
        Err(error) => error,
    };
    let (code, message, way_out) = match what {
        CorsFault::Nothing => {
            let way_out = "write origins = [\"https://example.com\"]";
            (Code::Missing, format!("[{table}] lists no `origins`"), way_out)
        }
        CorsFault::Malformed => {
            let way_out = "write origins such as \"https://example.com\" or \
                           \"https://*.example.com\", and names of methods and fields";
            (Code::Malformed, format!("`{name}`: \"{item}\" cannot be listed"), way_out)
        }
        CorsFault::WithCredentials => {
            let message = format!(
                "`{name} = \"{item}\"` with `credentials = true`: any page could \
                                   read what is for its visitor alone"
            );
            (Code::Contradiction, message, "list what is allowed, or leave `credentials` out")
        }
    };
    let path = key(name);
    let path = if config.is_given(&path) { path } else { config.first_below(&table) };
    reader.find_once(code, &path, &message, way_out);
    None
}

fn security(reader: &mut Reader<'_>, number: &str) -> Option<SecurityHeaders> {
    let table = named(reader, number, "security_headers")?;
    let config = reader.config;
    let key = |key: &str| format!("{table}.{key}");
    let is_set = |name: &str| config.boolean(&key(name)) == Some(true);
    let hsts = config.is_given(&key("hsts")).then(|| Hsts {
        seconds: config.duration(&key("hsts")).as_secs(),
        subdomains: is_set("hsts_subdomains"),
        preload: is_set("hsts_preload"),
        force: is_set("hsts_force"),
    });
    let spec = SecuritySpec {
        frame: config.text(&key("frame")),
        nosniff: is_set("nosniff"),
        referrer: config.text(&key("referrer")),
        csp: config.text(&key("csp")),
        permissions: config.text(&key("permissions")),
        browser_xss: is_set("browser_xss"),
        hsts,
    };
    match SecurityHeaders::new(&spec) {
        Ok(rule) => Some(rule),
        Err(SecurityError(name)) => {
            let message = format!("`{name}` is no value of a field");
            reader.find_once(Code::Malformed, &key(name), &message, "write visible characters");
            None
        }
    }
}

fn hosts(reader: &mut Reader<'_>, number: &str) -> Option<Hosts> {
    if !reader.given(number, "allowed_hosts") {
        return None;
    }
    let path = format!("route.{number}.allowed_hosts");
    let mut names = Vec::new();
    for text in reader.config.texts(&path) {
        let host = HostPattern::parse(&text).ok().filter(|host| *host != HostPattern::Any);
        if let Some(host) = host {
            names.push(host.to_string());
        } else {
            let message = format!("`allowed_hosts`: \"{text}\" is no host");
            let way_out = "write hosts such as \"example.com\" or \"*.example.com\"";
            reader.find(Code::Malformed, &path, &message, way_out);
        }
    }
    Some(Hosts::new(names))
}

fn https(reader: &Reader<'_>, number: &str) -> Option<u16> {
    if reader.text(number, "https").as_deref() != Some("redirect") {
        return None;
    }
    let port = reader.config.integer("tls.port").and_then(|port| u16::try_from(port).ok());
    Some(port.filter(|port| *port != 0).unwrap_or(HTTPS_PORT))
}

fn address(reader: &mut Reader<'_>, number: &str) -> Option<AddressRule> {
    let keys = ["allow", "allow_file", "deny", "deny_file"];
    if !keys.iter().any(|key| reader.given(number, key)) {
        return None;
    }
    let allows = reader.given(number, "allow") || reader.given(number, "allow_file");
    let allow = ranges(reader, number, "allow");
    let deny = ranges(reader, number, "deny");
    // Who may come is not known if a list cannot be read: then nobody may.
    let (allow, deny) = match (allow, deny) {
        (Some(allow), Some(deny)) => (allows.then_some(allow), deny),
        _ => (Some(Addresses::default()), Addresses::default()),
    };
    Some(AddressRule { allow, deny })
}

/// The ranges of a list and of its file; `None` if anything about the file is wrong.
fn ranges(reader: &mut Reader<'_>, number: &str, key: &str) -> Option<Addresses> {
    let path = format!("route.{number}.{key}");
    let mut ranges: Vec<(IpAddr, u8)> = Vec::new();
    if reader.given(number, key) {
        ranges.extend(reader.config.cidrs(&path).iter().map(Cidr::parts));
    }
    let file_key = format!("{key}_file");
    if let Some(file) = reader.text(number, &file_key) {
        let path = format!("route.{number}.{file_key}");
        let text = match source::read_list(Path::new(&file)) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("`{file_key}`: {file} cannot be read: {error}");
                reader.find(Code::Unreadable, &path, &message, "check its path and rights");
                return None;
            }
        };
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let Ok(cidr) = line.parse::<Cidr>() else {
                let message = format!("{file}:{}: this is no range of addresses", index + 1);
                let way_out = "write one such as 10.0.0.0/8 on each line, without host bits";
                reader.find(Code::Malformed, &path, &message, way_out);
                return None;
            };
            ranges.push(cidr.parts());
        }
    }
    Some(Addresses::new(ranges))
}
