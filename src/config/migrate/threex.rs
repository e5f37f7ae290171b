//! 3xpluto/go-api-gateway (SPEC 2.1, 3.2, 10.2, 11.2, 11.4, 11.5, 16.3).
//!
//! Written from the description of its keys. A time may be a number of seconds, as its keys say, or
//! a length with a unit.

mod policies;
mod read;
mod routes;

use std::time::Duration;

use super::report::{Fate, Flaw, Report};
use super::sheet::{Leaf, Sheet};
use super::toml::Toml;
use crate::config::hosts;

/// What a file became.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Migrated {
    /// The settings.
    pub text: String,
    /// What became of each key.
    pub report: Report,
}

/// Writes a file of the other gateway as settings of this one. All that the other one would have
/// refused is told.
pub fn migrate(name: &str, text: &str) -> Result<Migrated, Vec<Flaw>> {
    let root = hosts::yaml::parse(text).map_err(|flaw| {
        let line = 1 + text.bytes().take(flaw.span.start).filter(|byte| *byte == b'\n').count();
        vec![Flaw { line, message: format!("{}; {}", flaw.message, flaw.way_out) }]
    })?;
    let mut migration = Migration {
        sheet: Sheet::new(&root, text),
        toml: Toml::default(),
        flaws: Vec::new(),
        body_max: BODY_MAX,
        has_auth: false,
        is_shared: false,
    };
    migration.toml.comment(&format!("Migrated from {name} by `otus migrate config --from 3x`."));
    migration.server();
    migration.timeouts();
    migration.auth();
    migration.rate_backend();
    migration.routes();
    let Migration { sheet, toml, flaws, .. } = migration;
    if flaws.is_empty() {
        Ok(Migrated { text: toml.finish(), report: sheet.finish() })
    } else {
        Err(flaws)
    }
}

/// What the original documents as its limit of a body.
const BODY_MAX: u64 = 1_048_576;
/// What a head of a request may have here at most.
const HEAD_MAX: u64 = 16_384;
/// The name of the one authentication profile, and of the table of its keys.
const PROFILE: &str = "main";

struct Migration {
    sheet: Sheet,
    toml: Toml,
    flaws: Vec<Flaw>,
    /// Of every route.
    body_max: u64,
    /// Whether there is a profile that routes may name.
    has_auth: bool,
    /// Whether limits are counted with other processes.
    is_shared: bool,
}

impl Migration {
    fn flaw(&mut self, line: usize, message: impl Into<String>) {
        self.flaws.push(Flaw { line, message: message.into() });
    }

    fn server(&mut self) {
        self.toml.table("[server]");
        match self.take("server.addr") {
            Some((path, leaf)) if !leaf.text.is_empty() => self.address(&path, &leaf),
            Some((_, leaf)) => self.flaw(leaf.line, "`server.addr` is empty"),
            None => self.flaw(0, "`server.addr` is missing"),
        }
        let trusted = self.list("server.trusted_proxies");
        let mut ranges = Vec::new();
        for (path, leaf) in trusted {
            if let Some(range) = read::range(&leaf.text) {
                ranges.push(range);
                let why = "the chain is read from its end, so that clients cannot prepend to it";
                self.sheet.tell(&path, Fate::Changed("server.trusted_peers".to_owned(), why));
            } else {
                self.flaw(leaf.line, "`server.trusted_proxies`: this is no range of addresses");
            }
        }
        if !ranges.is_empty() {
            self.toml.texts("trusted_peers", ranges.iter().map(String::as_str));
        }
        self.toml.comment("Admin paths and metrics have a listener of their own here.");
        self.toml.comment("Their key is APIGW_ADMIN_KEY, as before.");
        self.toml.text("admin", "127.0.0.1:9100");
        self.toml.comment("Ids of requests and refusals without a route look as before.");
        self.toml.text("request_id", "hex24");
        self.toml.text("errors", "3x");
        if let Some(grace) = self.time(&["server.shutdown_timeout", "server.shutdown_grace"]) {
            self.write_time("shutdown_grace", "server.shutdown_grace", &grace);
        }
        if let Some((path, leaf)) = self.take("server.max_body_bytes") {
            match leaf.text.parse::<u64>() {
                Ok(0) => {
                    self.body_max = u64::MAX;
                    let fate = Fate::Changed("route.max_body".to_owned(), "0 means no limit");
                    self.sheet.tell(&path, fate);
                }
                Ok(bytes) => {
                    self.body_max = bytes;
                    self.sheet.tell(&path, Fate::Renamed("route.max_body".to_owned()));
                }
                Err(_) => self.flaw(leaf.line, "`server.max_body_bytes` is no number of bytes"),
            }
        }
    }

    /// `:8080`, `127.0.0.1:8080`, `[::1]:8080`
    fn address(&mut self, path: &str, leaf: &Leaf) {
        let parsed = leaf.text.rsplit_once(':').and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some((host.to_owned(), port.parse::<u16>().ok()?))
        });
        let Some((host, port)) = parsed else {
            self.flaw(leaf.line, "`server.addr` is no address with a port, such as \":8080\"");
            return;
        };
        let to = "server.ip, server.port".to_owned();
        let fate = match host.as_str() {
            "" => {
                let why = "every address of IPv4; ip = \"::\" takes IPv6 as well";
                self.toml.text("ip", "0.0.0.0");
                Fate::Changed(to, why)
            }
            "localhost" => {
                self.toml.text("ip", "127.0.0.1");
                Fate::Renamed(to)
            }
            _ if host.parse::<std::net::IpAddr>().is_ok() => {
                self.toml.text("ip", &host);
                Fate::Renamed(to)
            }
            _ => {
                self.flaw(leaf.line, "`server.addr`: write an address in place of the name");
                return;
            }
        };
        self.toml.raw("port", &port.to_string());
        self.sheet.tell(path, fate);
    }

    fn timeouts(&mut self) {
        let head = self.time(&["server.read_header_timeout"]);
        let idle = self.time(&["server.idle_timeout"]);
        if head.is_some() || idle.is_some() {
            self.toml.table("[timeouts]");
        }
        if let Some(head) = head {
            self.write_time("head", "timeouts.head", &head);
        }
        if let Some(idle) = idle {
            self.write_time("idle", "timeouts.idle", &idle);
        }
        for key in ["server.read_timeout", "server.write_timeout"] {
            if let Some((path, ..)) = self.time(&[key]) {
                let why = "no time for a whole body, which ends uploads and streams: \
                           `timeouts.body_idle`, `body_rate` and `write` ask for progress";
                self.sheet.tell(&path, Fate::Unsupported(why));
            }
        }
        if let Some((path, leaf)) = self.take("server.max_header_bytes") {
            match leaf.text.parse::<u64>() {
                Ok(bytes) if (1024..=HEAD_MAX).contains(&bytes) => {
                    self.toml.table("[limits]");
                    self.toml.text("head", &format!("{bytes}B"));
                    self.sheet.tell(&path, Fate::Renamed("limits.head".to_owned()));
                }
                Ok(_) => {
                    let why = "heads are held in buffers of 16 KiB, which is the limit";
                    self.sheet.tell(&path, Fate::Unsupported(why));
                }
                Err(_) => self.flaw(leaf.line, "`server.max_header_bytes` is no number of bytes"),
            }
        }
    }

    fn rate_backend(&mut self) {
        let Some((path, leaf)) = self.first(&read::below_limiters("backend")) else { return };
        match leaf.text.as_str() {
            "" | "memory" => {
                self.sheet
                    .tell(&path, Fate::Renamed("limits in memory, exact across shards".to_owned()));
            }
            "redis" => self.redis(&path),
            _ => self.flaw(leaf.line, "unknown back end of rate limits; write `memory` or `redis`"),
        }
        for key in ["cleanup_seconds", "ttl_seconds"] {
            let paths = read::below_limiters(key).into_iter();
            let paths: Vec<_> =
                paths.chain(read::below_limiters(&format!("memory.{key}"))).collect();
            while let Some((path, _)) = self.first(&paths) {
                let why = "tables have a bound, and entries leave when they are full again";
                self.sheet.tell(&path, Fate::Unsupported(why));
            }
        }
    }

    // ---- words for reading -------------------------------------------------------------------

    fn take(&self, path: &str) -> Option<(String, Leaf)> {
        self.sheet.get(&[path.to_owned()])
    }

    fn first(&self, paths: &[String]) -> Option<(String, Leaf)> {
        self.sheet.get(paths)
    }

    /// The items of a list of texts, or the one text in its place.
    fn list(&self, path: &str) -> Vec<(String, Leaf)> {
        let items = (0..self.sheet.items(path)).map(|index| format!("{path}.{index:06}"));
        let items: Vec<_> = items.filter_map(|path| self.take(&path)).collect();
        if items.is_empty() { self.take(path).into_iter().collect() } else { items }
    }

    /// A length of time, as `<key>` or `<key>_seconds`.
    fn time(&mut self, keys: &[&str]) -> Option<(String, Leaf, Duration)> {
        let paths: Vec<String> =
            keys.iter().flat_map(|key| [(*key).to_owned(), format!("{key}_seconds")]).collect();
        let (path, leaf) = self.first(&paths)?;
        let Some(length) = read::time(&leaf.text) else {
            self.flaw(leaf.line, format!("`{path}` is no length of time"));
            return None;
        };
        Some((path, leaf, length))
    }

    fn write_time(&mut self, key: &str, to: &str, (path, _, length): &(String, Leaf, Duration)) {
        self.toml.text(key, &read::written(*length));
        self.sheet.tell(path, Fate::Renamed(to.to_owned()));
    }
}

#[cfg(test)]
mod tests;
