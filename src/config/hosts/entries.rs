//! From the tree of a hosts file to the values of routes and upstreams.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tree::{Entry, Node, Value, flaw};
use super::{toml, yaml};
use crate::config::document::{Flaw, is_name};
use crate::config::fault::Code;
use crate::config::routes::is_redirect_target;
use crate::route::host::{HostError, HostPattern};

/// A value of a route or an upstream, and where the entry that says so was written.
#[derive(Debug)]
pub(in crate::config) struct Setting {
    pub(in crate::config) path: String,
    pub(in crate::config) value: Said,
    pub(in crate::config) span: Range<usize>,
}

/// What such a value is.
#[derive(Debug)]
pub(in crate::config) enum Said {
    Text(String),
    Texts(String),
    Integer(i64),
}

/// All that a hosts file says, and all that is wrong about it. The ending of its name tells TOML
/// from YAML.
pub(in crate::config) fn read(name: &str, text: &str) -> (Vec<Setting>, Vec<Flaw>) {
    let is_toml = name.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("toml"));
    let root = if is_toml { toml::parse(text) } else { yaml::parse(text) };
    let mut writer = Writer::default();
    match root {
        Ok(root) => writer.root(root),
        Err(flaw) => writer.flaws.push(flaw),
    }
    (writer.settings, writer.flaws)
}

#[derive(Default)]
struct Writer {
    settings: Vec<Setting>,
    flaws: Vec<Flaw>,
    /// Routes that were written.
    count: usize,
    /// The upstream of each back end.
    backends: BTreeMap<String, String>,
    /// Hosts that are redirected, with all of their paths.
    redirected: BTreeSet<HostPattern>,
}

/// One entry of `routes`.
struct Forward<'a> {
    id: String,
    host: String,
    span: &'a Range<usize>,
    prefix: Option<(String, Range<usize>)>,
    rewrite: Option<(String, Range<usize>)>,
    kind: Option<(String, Range<usize>)>,
    backend: (String, Range<usize>),
}

impl Writer {
    fn root(&mut self, root: Value) {
        let Some(entries) = self.table(root, "the file") else { return };
        // Redirects first, whatever the order of the file: the others are held against them.
        let (first, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.key == "redirects");
        for Entry { key, key_span, value } in first.into_iter().chain(others) {
            if !matches!(key.as_str(), "redirects" | "routes" | "subdomains") {
                let way_out = "write `redirects`, `routes` or `subdomains`";
                self.flaw(Code::UnknownKey, &key_span, &format!("unknown key `{key}`"), way_out);
                continue;
            }
            for entry in self.table(value, &format!("`{key}`")).unwrap_or_default() {
                match key.as_str() {
                    "redirects" => self.redirect(entry),
                    "routes" => self.routes(entry),
                    _ => self.subdomain(entry),
                }
            }
        }
    }

    fn flaw(&mut self, code: Code, span: &Range<usize>, message: &str, way_out: &str) {
        self.flaws.push(flaw(code, span, message, way_out));
    }

    /// The entries of a table; without those that are written twice.
    fn table(&mut self, value: Value, what: &str) -> Option<Vec<Entry>> {
        let entries = match value.node {
            Node::Table(entries) => entries,
            Node::Text(text) if text.is_empty() || text == "~" || text == "null" => Vec::new(),
            other => {
                let message = format!("{what} is {}, not a table", other.kind());
                self.flaw(Code::WrongType, &value.span, &message, "write keys with values");
                return None;
            }
        };
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for entry in entries {
            if seen.insert(entry.key.clone()) {
                kept.push(entry);
            } else {
                let message = format!("`{}` is written twice", entry.key);
                self.flaw(Code::Contradiction, &entry.key_span, &message, "leave one of them out");
            }
        }
        Some(kept)
    }

    fn text(&mut self, value: Value, key: &str) -> Option<(String, Range<usize>)> {
        match value.node {
            Node::Text(text) => Some((text, value.span)),
            other => {
                let message = format!("the value of `{key}` is {}, not a text", other.kind());
                let way_out = "write one text; in TOML, hosts as keys need quotes";
                self.flaw(Code::WrongType, &value.span, &message, way_out);
                None
            }
        }
    }

    /// One host, as it is compared.
    fn host(&mut self, text: &str, span: &Range<usize>) -> Option<HostPattern> {
        let (what, way_out) = match HostPattern::parse(text) {
            Ok(host @ HostPattern::Exact(_)) => return Some(host),
            Err(HostError::Port) => ("has a port", "leave it out: entries are for all ports"),
            Ok(_) => ("is not one host", "write it below `subdomains`"),
            Err(HostError::Malformed) => ("is no host", "write a host such as \"example.com\""),
        };
        self.flaw(Code::Malformed, span, &format!("\"{text}\" {what}"), way_out);
        None
    }

    fn redirect(&mut self, entry: Entry) {
        let Entry { key, key_span, value } = entry;
        let Some(host) = self.host(&key, &key_span) else { return };
        let Some((to, span)) = self.text(value, &key) else { return };
        let target = to.trim_end_matches('/');
        let blame = match authority(target) {
            Some((_, name, _)) if is_redirect_target(target) => {
                host.matches(name.as_bytes()).then_some("leads to the same host again")
            }
            _ => Some("is not where a client can be sent"),
        };
        if let Some(blame) = blame {
            let way_out = "write \"https://example.com\", another host; path and query follow";
            self.flaw(Code::Malformed, &span, &format!("\"{to}\" {blame}"), way_out);
            return;
        }
        let table = self.route(&format!("hosts:{host}"), &host.to_string(), &key_span);
        self.put(format!("{table}.redirect.to"), Said::Text(target.to_owned()), &span);
        self.put(format!("{table}.redirect.status"), Said::Integer(301), &span);
        self.redirected.insert(host);
    }

    fn routes(&mut self, entry: Entry) {
        let Entry { key, key_span, value } = entry;
        let Some(host) = self.host(&key, &key_span) else { return };
        if self.redirected.contains(&host) {
            let message = format!("\"{key}\" is redirected: these routes can never match");
            let way_out = "leave it out here or in `redirects`";
            self.flaw(Code::Contradiction, &key_span, &message, way_out);
            return;
        }
        let span = value.span.clone();
        let Node::List(list) = value.node else {
            let message = format!("the value of `{key}` is not a list of routes");
            let way_out = "write a list of `prefix`, `backend` and `rewrite`";
            self.flaw(Code::WrongType, &span, &message, way_out);
            return;
        };
        for one in list {
            self.forward(&host, one);
        }
    }

    /// One route of a host.
    fn forward(&mut self, host: &HostPattern, value: Value) {
        let span = value.span.clone();
        let Some(entries) = self.table(value, "a route") else { return };
        let first = entries.first().map_or(span, |entry| entry.key_span.clone());
        let (mut prefix, mut rewrite, mut kind, mut backend) = (None, None, None, None);
        for Entry { key, key_span, value } in entries {
            let slot = match key.as_str() {
                "prefix" => &mut prefix,
                "rewrite" => &mut rewrite,
                "match" => &mut kind,
                "backend" => &mut backend,
                _ => {
                    let way_out = "write `prefix`, `backend`, `rewrite` or `match`";
                    let message = format!("unknown key `{key}`");
                    self.flaw(Code::UnknownKey, &key_span, &message, way_out);
                    continue;
                }
            };
            *slot = self.text(value, &key);
            if slot.is_none() {
                return;
            }
        }
        let Some(backend) = backend else {
            let way_out = "write backend: \"http://127.0.0.1:8080\"";
            self.flaw(Code::Missing, &first, "a route has no `backend`", way_out);
            return;
        };
        // Of strings, the empty one is how every path begins.
        let prefix = prefix.filter(|(text, _)| !text.is_empty());
        let path = prefix.as_ref().map_or("", |(text, _)| text).trim_end_matches('/');
        let id = format!("hosts:{host}{path}");
        let host = host.to_string();
        self.forwarding(Forward { id, host, span: &first, prefix, rewrite, kind, backend });
    }

    fn subdomain(&mut self, entry: Entry) {
        let Entry { key, key_span, value } = entry;
        let name = key.strip_prefix('*').unwrap_or(&key);
        let name = name.strip_prefix('.').unwrap_or(name);
        // One label alone was meant as a part of a name that can stand anywhere.
        let is_part = !key.starts_with("*.") && !name.contains('.');
        let host = HostPattern::parse(&format!("*.{name}"));
        let Some(host) = host.ok().filter(|_| !is_part) else {
            let message = format!("\"{key}\" is not how names of hosts end");
            let way_out = "write \"example.com\" for all below it, or the whole host in `routes`";
            self.flaw(Code::Malformed, &key_span, &message, way_out);
            return;
        };
        let Some(backend) = self.text(value, &key) else { return };
        let (id, host, span) = (format!("hosts:{host}"), host.to_string(), &key_span);
        let (prefix, rewrite, kind) = (None, None, None);
        self.forwarding(Forward { id, host, span, prefix, rewrite, kind, backend });
    }

    fn forwarding(&mut self, forward: Forward<'_>) {
        let (backend, backend_span) = &forward.backend;
        let Some(upstream) = self.upstream(backend, backend_span) else { return };
        let table = self.route(&forward.id, &forward.host, forward.span);
        self.put(format!("{table}.upstream"), Said::Text(upstream), backend_span);
        let texts = [
            ("match.prefix", forward.prefix),
            ("rewrite", forward.rewrite),
            ("match.kind", forward.kind),
        ];
        for (key, said) in texts {
            if let Some((text, span)) = said {
                self.put(format!("{table}.{key}"), Said::Text(text), &span);
            }
        }
    }

    /// The upstream of a back end; made when it is named first.
    fn upstream(&mut self, backend: &str, span: &Range<usize>) -> Option<String> {
        if is_name(backend) {
            return Some(backend.to_owned());
        }
        let (code, what, way_out) = match authority(backend) {
            Some((true, ..)) => {
                let way_out = "write http://, or a proxy that speaks TLS";
                (Code::ComesLater, "is of https: TLS towards back ends comes later", way_out)
            }
            Some((false, _, rest)) if !rest.trim_matches('/').is_empty() => {
                (Code::Malformed, "has a path", "leave it out, and write it in `rewrite`")
            }
            Some((false, name, _)) => return Some(self.endpoint(backend, name, span)),
            None => {
                let way_out = "write \"http://127.0.0.1:8080\", or the name of an upstream";
                (Code::Malformed, "is no back end", way_out)
            }
        };
        self.flaw(code, span, &format!("\"{backend}\" {what}"), way_out);
        None
    }

    fn endpoint(&mut self, backend: &str, name: &str, span: &Range<usize>) -> String {
        let rest = backend.strip_prefix("http://").unwrap_or(backend).trim_end_matches('/');
        let endpoint = if rest == name { format!("{name}:80") } else { rest.to_owned() };
        if let Some(known) = self.backends.get(&endpoint) {
            return known.clone();
        }
        // Dots separate parts of keys. A colon is in no name that an operator can write.
        let number = self.backends.len();
        let upstream = format!("hosts:{number}:{}", endpoint.replace('.', "_"));
        let table = format!("upstreams.{upstream}");
        self.put(format!("{table}.endpoints"), Said::Texts(endpoint.clone()), span);
        self.put(format!("{table}.host"), Said::Text("endpoint".to_owned()), span);
        self.backends.insert(endpoint, upstream.clone());
        upstream
    }

    /// Begins a route; gives its table. Letters sort behind the numbers of `[[route]]`.
    fn route(&mut self, id: &str, host: &str, span: &Range<usize>) -> String {
        let table = format!("route.h{:07}", self.count);
        self.count += 1;
        self.put(format!("{table}.id"), Said::Text(id.to_owned()), span);
        self.put(format!("{table}.match.host"), Said::Texts(host.to_owned()), span);
        table
    }

    fn put(&mut self, path: String, value: Said, span: &Range<usize>) {
        self.settings.push(Setting { path, value, span: span.clone() });
    }
}

/// Whether a URL is of https, its host without the port, and what follows the authority.
fn authority(url: &str) -> Option<(bool, &str, &str)> {
    let (tls, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => authority,
    };
    Some((tls, name, path))
}
