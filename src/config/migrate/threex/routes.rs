//! Routes and the back ends that they lead to.

use std::collections::{BTreeMap, BTreeSet};

use super::super::report::Fate;
use super::super::sheet::Leaf;
use super::Migration;
use super::read::{self, Url};

impl Migration {
    pub(super) fn routes(&mut self) {
        let count = self.sheet.items("routes");
        if count == 0 {
            self.flaw(0, "there are no routes");
        }
        let (mut names, mut upstreams) = (BTreeSet::new(), BTreeMap::new());
        for index in 0..count {
            self.route(&format!("routes.{index:06}"), &mut names, &mut upstreams);
        }
        let times = self.transport();
        for (name, url) in upstreams.values() {
            self.upstream(name, url, &times);
        }
    }

    fn route(
        &mut self,
        table: &str,
        names: &mut BTreeSet<String>,
        upstreams: &mut BTreeMap<(bool, String), (String, Url)>,
    ) {
        let line = self.sheet.line(table);
        let Some((name_path, name)) = self.required(table, "name", line) else { return };
        if !names.insert(name.text.clone()) {
            self.flaw(name.line, format!("two routes have the name \"{}\"", name.text));
        }
        let Some((prefix_path, prefix)) = self.required(table, "match.path_prefix", line) else {
            return;
        };
        if !prefix.text.starts_with('/') {
            self.flaw(prefix.line, "`path_prefix` does not begin with a slash");
        }
        let Some((upstream_path, upstream)) = self.required(table, "upstream", line) else {
            return;
        };
        let Some(url) = read::url(&upstream.text) else {
            self.flaw(upstream.line, "`upstream` is no URL such as \"http://127.0.0.1:8081\"");
            return;
        };
        self.toml.table("[[route]]");
        self.toml.text("id", &name.text);
        self.sheet.tell(&name_path, Fate::Renamed("route.id".to_owned()));
        self.prefix(&prefix_path, &prefix);
        let number = upstreams.len();
        let entry = upstreams.entry((url.tls, url.endpoint.clone()));
        let (upstream_name, _) =
            entry.or_insert_with(|| (upstream_name(&url, number), url.clone()));
        let upstream_name = upstream_name.clone();
        self.toml.text("upstream", &upstream_name);
        let to = format!("upstreams.{upstream_name}.endpoints");
        let fate = if url.has_query {
            Fate::Changed(to, "without its query, which nothing adds here")
        } else {
            Fate::Renamed(to)
        };
        self.sheet.tell(&upstream_path, fate);
        self.rewriting(table, &prefix, &url);
        self.toml.text("errors", "3x");
        if self.body_max != u64::MAX {
            self.toml.text("max_body", &format!("{}B", self.body_max));
        }
        self.policies(table);
    }

    /// A key that a route must have, and its value.
    fn required(&mut self, table: &str, key: &str, line: usize) -> Option<(String, Leaf)> {
        let found = self.take(&format!("{table}.{key}")).filter(|(_, leaf)| !leaf.text.is_empty());
        if found.is_none() {
            self.flaw(line, format!("a route has no `{key}`"));
        }
        found
    }

    /// One that ends in a slash cannot end inside of a segment: it is compared as it was. Others
    /// were, by mistake (SPEC 19, C16).
    fn prefix(&mut self, path: &str, prefix: &Leaf) {
        let to = "route.match.prefix".to_owned();
        if prefix.text.ends_with('/') && prefix.text.len() > 1 {
            self.toml.text("match.prefix", &prefix.text);
            self.toml.text("match.kind", "string");
            self.sheet.tell(path, Fate::Renamed(to));
            return;
        }
        self.toml.text("match.prefix", &prefix.text);
        let why = "whole segments: `/api` no longer matches `/apix`";
        let fate = if prefix.text == "/" { Fate::Renamed(to) } else { Fate::Changed(to, why) };
        self.sheet.tell(path, fate);
    }

    /// What is cut off, and the path of the back end that is put before the rest.
    fn rewriting(&mut self, table: &str, prefix: &Leaf, url: &Url) {
        let strip = self.take(&format!("{table}.strip_prefix"));
        let strip = strip.filter(|(_, leaf)| !leaf.text.is_empty());
        let cut = strip.as_ref().map_or("", |(_, leaf)| leaf.text.as_str());
        let Some(rest) = prefix.text.strip_prefix(cut.trim_end_matches('/')) else {
            if let Some((path, _)) = strip {
                let why = "paths of this route need not begin with it; write two routes";
                self.sheet.tell(&path, Fate::Unsupported(why));
            }
            return;
        };
        if url.path.is_empty() {
            if let Some((path, leaf)) = strip {
                self.toml.text("strip_prefix", &leaf.text);
                self.sheet.tell(&path, Fate::Renamed("route.strip_prefix".to_owned()));
            }
            return;
        }
        self.toml.text("rewrite", &format!("{}{rest}", url.path));
        if let Some((path, _)) = strip {
            self.sheet.tell(&path, Fate::Renamed("route.rewrite".to_owned()));
        }
    }

    fn upstream(&mut self, name: &str, url: &Url, times: &[(&str, String)]) {
        self.toml.table(&format!("[upstreams.{name}]"));
        self.toml.texts("endpoints", [url.endpoint.as_str()]);
        self.toml.text("host", "endpoint");
        for (key, length) in times {
            self.toml.text(key, length);
        }
        if url.tls {
            self.toml.raw("tls.on", "true");
        }
    }

    /// What is said of connections to back ends, once for all of them.
    fn transport(&mut self) -> Vec<(&'static str, String)> {
        let mut times = Vec::new();
        for (key, to) in
            [("dial_timeout", "connect_timeout"), ("response_header_timeout", "first_byte_timeout")]
        {
            let keys = ["upstream", "transport", "server.transport"];
            let keys = keys.map(|table| format!("{table}.{key}"));
            if let Some((path, _, length)) = self.time(&keys.each_ref().map(String::as_str)) {
                times.push((to, read::written(length)));
                self.sheet.tell(&path, Fate::Renamed(format!("upstreams.*.{to}")));
            }
        }
        times
    }
}

/// A name that keys may have: `10-0-0-1-8081`.
fn upstream_name(url: &Url, number: usize) -> String {
    let name: String = url
        .endpoint
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(48)
        .collect();
    let name = name.trim_matches('-');
    let tls = if url.tls { "-tls" } else { "" };
    // Two hosts may differ in nothing but what no name can have.
    if number == 0 { format!("{name}{tls}") } else { format!("{name}{tls}-{}", number + 1) }
}
