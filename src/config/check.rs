//! What must hold between values, so that a configuration can be compiled.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Code, Finding};
use super::routes::{Reader, is_upload};
use super::schema;
use super::schema::key::Reload;
use super::values::Config;
use crate::base::limits::UPLOAD_MEMORY_BESIDE;
use crate::gufo::registry::MASTER;
use crate::snapshot::upstream::UpstreamId;

/// Names of paths that the gateway answers itself (SPEC 5.1).
const RESERVED: [&str; 5] = ["health", "info", "heartbeat", "entrypoint", "exit"];
/// Below so many characters, a shared secret can be guessed.
const SIGN_CHARACTERS_MIN: usize = 16;

/// Adds what does not hold to `findings`. Keys in `broken` have been complained about; nothing is
/// said to be missing unless the file is `whole`.
pub(super) fn check(
    config: &Config,
    broken: &BTreeSet<String>,
    whole: bool,
    findings: &mut Vec<Finding>,
) {
    let mut checker = Checker { config, broken, whole, findings };
    checker.security();
    checker.server();
    checker.limits();
    checker.microservices();
    checker.routes();
    checker.proxying();
    checker.config.check_dns(checker.findings);
    checker.config.check_trust(checker.findings);
    checker.config.check_master(checker.findings);
    checker.config.check_observe(checker.findings);
    checker.config.check_mcp(checker.findings);
    checker.config.check_files(checker.findings);
    checker.config.check_tls(checker.findings);
    checker.config.check_reverse(checker.findings);
    checker.config.check_auth(checker.findings);
    checker.config.check_registry(whole, checker.findings);
    checker.config.check_people(whole, checker.findings);
    checker.not_built();
}

struct Checker<'a> {
    config: &'a Config,
    broken: &'a BTreeSet<String>,
    whole: bool,
    findings: &'a mut Vec<Finding>,
}

impl Checker<'_> {
    fn find(&mut self, code: Code, path: &str, message: &str, way_out: &str) {
        self.findings.push(self.config.finding(code, path, message, way_out));
    }

    /// Whether there are microservices, or nothing else is served that could do without.
    fn serves_gufo(&self) -> bool {
        let proxies = self.config.has_below("upstreams") || self.config.has_below("route");
        self.config.has_below("microservices") || !proxies
    }

    /// Whether a value was left out, and not only written wrongly.
    fn lacks(&self, path: &str) -> bool {
        self.whole && !self.config.is_given(path) && !self.broken.contains(path)
    }

    fn security(&mut self) {
        let needed = self.serves_gufo();
        if needed && self.lacks("security.mode") {
            let way_out = "write mode = \"sign\" in [security], or set SECURITY_MODE";
            self.find(Code::Missing, "security.mode", "`security.mode` is not set", way_out);
        }
        if needed && self.lacks("server.sign") {
            let way_out = "write sign = \"...\" in [server], or set GUFO_SIGN; \
                           `openssl rand -hex 32` makes one";
            self.find(Code::Missing, "server.sign", "`server.sign` is not set", way_out);
        }
        let sign = self.config.secret("server.sign");
        if sign.is_some_and(|sign| sign.expose().chars().count() < SIGN_CHARACTERS_MIN) {
            let way_out = "write 16 characters or more; `openssl rand -hex 32` makes 64";
            self.find(Code::Risky, "server.sign", "`sign` is short enough to be guessed", way_out);
        }
        let key = self.config.secret("server.admin_key");
        if key.is_some_and(|key| key.expose().chars().count() < SIGN_CHARACTERS_MIN) {
            let way_out = "write 16 characters or more; `openssl rand -hex 32` makes 64";
            let message = "`admin_key` is short enough to be guessed";
            self.find(Code::Risky, "server.admin_key", message, way_out);
        }
        let token = self.config.secret("server.metrics_token");
        if token.is_some_and(|token| token.matches(b"gufo-metrics")) {
            let way_out = "write one of your own; `openssl rand -hex 32` makes one";
            let message = "`metrics_token` is the one of the published example";
            self.find(Code::Risky, "server.metrics_token", message, way_out);
        }
    }

    fn protocols(&mut self) {
        let path = "listener.protocols";
        let known = ["http/1.1", "h2c"];
        let spoken = self.config.texts(path);
        if let Some(odd) = spoken.iter().find(|name| !known.contains(&name.as_str())) {
            let message = format!("`{odd}` is no protocol that is spoken here");
            let way_out = "write \"http/1.1\", and \"h2c\" for HTTP/2 without TLS";
            self.find(Code::Malformed, path, &message, way_out);
        } else if !spoken.iter().any(|name| name == "http/1.1") {
            let message = "HTTP/1.1 is always spoken, and is not in `protocols`";
            self.find(Code::Malformed, path, message, "write \"http/1.1\" as well");
        }
    }

    fn server(&mut self) {
        self.protocols();
        let proxied = self.config.text("server.proxy_protocol").as_deref() == Some("required");
        if proxied && self.config.cidrs("server.trusted_peers").is_empty() {
            let message = "`proxy_protocol = \"required\"`, and nobody is in `trusted_peers`";
            let way_out = "write trusted_peers = [\"10.0.0.0/8\"]: those that send the header";
            self.find(Code::Contradiction, "server.proxy_protocol", message, way_out);
        }
        let bases = self.config.paths("server.api_bases");
        let unique: BTreeSet<_> = bases.iter().collect();
        if bases.is_empty() || unique.len() != bases.len() || bases.iter().any(|base| base == "/") {
            let message = "`api_bases` is empty, holds \"/\", or holds a path twice";
            let way_out = "write [\"/api/v3\", \"/api/v1\"]";
            self.find(Code::Contradiction, "server.api_bases", message, way_out);
        }
        if let (Some(admin), Some(ip)) =
            (self.config.address("server.admin"), self.config.ip("server.ip"))
        {
            let port = self.config.integer("server.port");
            let overlap = ip.is_unspecified() || admin.ip().is_unspecified() || ip == admin.ip();
            if overlap && admin.port() != 0 && port == Some(u64::from(admin.port())) {
                let way_out = "write another port";
                let message = "`server.admin` has the address of `server.port`";
                self.find(Code::Contradiction, "server.admin", message, way_out);
            }
            let open = !admin.ip().is_loopback();
            if open && self.lacks("server.metrics_token") {
                let message = "other hosts reach `server.admin`, and there is no `metrics_token`";
                let way_out =
                    "write metrics_token = \"...\", or an address such as \"127.0.0.1:9100\"";
                self.find(Code::Risky, "server.admin", message, way_out);
            }
        }
    }

    fn limits(&mut self) {
        let bytes = |path: &str| self.config.bytes(path);
        let (head, target) = (bytes("limits.head"), bytes("limits.target"));
        let (buffer, memory) = (bytes("limits.read_buffer"), bytes("limits.upload_memory"));
        if target >= head {
            let message = "`limits.target` leaves no room in `limits.head`";
            let way_out = "write less for the target, or more for the head";
            self.find(
                Code::Contradiction,
                self.given("limits.target", "limits.head"),
                message,
                way_out,
            );
        }
        if !buffer.is_power_of_two() {
            let way_out = "write \"64KiB\", \"128KiB\", \"256KiB\", \"512KiB\" or \"1MiB\"";
            let message = "`limits.read_buffer` is no power of two";
            self.find(Code::Contradiction, "limits.read_buffer", message, way_out);
        }
        if buffer.saturating_add(UPLOAD_MEMORY_BESIDE) > memory {
            let path = self.given("limits.upload_memory", "limits.read_buffer");
            let message = "`limits.read_buffer` and 64KiB do not fit into `limits.upload_memory`";
            self.find(Code::Contradiction, path, message, "write more memory, or a smaller buffer");
        }
    }

    /// The one of two keys that somebody wrote.
    fn given<'k>(&self, first: &'k str, second: &'k str) -> &'k str {
        if self.config.is_given(first) { first } else { second }
    }

    fn microservices(&mut self) {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for name in self.config.names("microservices") {
            let any = self.config.first_below(&format!("microservices.{name}"));
            if RESERVED.contains(&name.as_str()) {
                let message = format!("the gateway answers paths named \"{name}\" itself");
                self.find(
                    Code::Contradiction,
                    &any,
                    &message,
                    "give the microservice another name",
                );
            }
            if let Some(other) = seen.insert(name.replace('-', "_"), name.clone()) {
                let message = format!("\"{name}\" and \"{other}\" are the same name");
                self.find(
                    Code::Contradiction,
                    &any,
                    &message,
                    "- and _ are not told apart; rename one",
                );
            }
            self.service_place(&name, &any);
            self.config.check_group(&format!("microservices.{name}"), self.findings);
        }
    }

    /// Where a microservice is.
    fn service_place(&mut self, name: &str, any: &str) {
        let key = |key: &str| format!("microservices.{name}.{key}");
        let (host, port) = (key("host"), key("port"));
        let endpoints = key("endpoints");
        if !self.lacks(&endpoints) && self.whole {
            if let Some(other) = [&host, &port].into_iter().find(|key| self.config.is_given(key)) {
                let message = "a microservice has `endpoints`, and `host` or `port` as well";
                self.find(Code::Contradiction, other, message, "write either of them");
            }
            return;
        }
        match (self.lacks(&host), self.lacks(&port)) {
            (true, true) if self.config.finds_modules() || name == MASTER => {}
            (true, true) => {
                let message =
                    format!("microservice \"{name}\" has no host and port; it is not served");
                let way_out = "write both, or have it found: registry_mode = \"master\"";
                self.find(Code::NoEffect, any, &message, way_out);
            }
            (false, true) => {
                let message = format!("microservice \"{name}\" has a host and no port");
                self.find(Code::Missing, &host, &message, "write its gRPC port");
            }
            (true, false) => {
                let message = format!("microservice \"{name}\" has a port and no host");
                self.find(Code::Missing, &port, &message, "write its host");
            }
            (false, false) => {}
        }
    }

    fn routes(&mut self) {
        let (mut ids, mut paths) = (BTreeSet::new(), BTreeSet::new());
        let modules = self.config.names("microservices");
        let numbers = self.config.names("route");
        for number in &numbers {
            let key = |key: &str| format!("route.{number}.{key}");
            let (id, path, module) = (key("id"), key("path"), key("module"));
            let any = self.config.first_below(&format!("route.{number}"));
            let is_upload = is_upload(self.config, self.broken, number);
            for (path, name) in [(&id, "id"), (&module, "module")] {
                if self.lacks(path) && (is_upload || name == "id") {
                    let way_out = format!("write {name} = \"...\"");
                    self.find(Code::Missing, &any, &format!("a route has no `{name}`"), &way_out);
                }
            }
            if self.config.text(&id).is_some_and(|id| !ids.insert(id)) {
                let way_out = "give each route an id of its own";
                self.find(Code::Contradiction, &id, "two routes have this id", way_out);
            }
            if !is_upload {
                continue;
            }
            self.upload_alone(number);
            if self.config.text(&path).is_some_and(|path| !paths.insert(path)) {
                let way_out = "leave one of them out";
                self.find(
                    Code::Contradiction,
                    self.given(&path, &any),
                    "two routes have this path",
                    way_out,
                );
            }
            if let Some(name) = self.config.text(&module) {
                let lacks = |key: &str| self.lacks(&format!("microservices.{name}.{key}"));
                let is_nowhere = lacks("port") && lacks("endpoints") && self.whole;
                let is_found = self.config.finds_modules();
                if !is_found && (!modules.contains(&name) || is_nowhere) {
                    let message = format!("there is no microservice \"{name}\" with host and port");
                    self.find(
                        Code::Dangling,
                        &module,
                        &message,
                        &format!("write [microservices.{name}]"),
                    );
                }
            }
        }
    }

    /// Complains of keys of a route that do not go with `module`.
    fn upload_alone(&mut self, number: &str) {
        let table = format!("route.{number}");
        let keys = self.config.values.keys();
        let other = keys
            .filter_map(|path| path.strip_prefix(&table)?.strip_prefix('.'))
            .find(|key| !matches!(*key, "id" | "path" | "module" | "param"));
        if let Some(key) = other.map(str::to_owned) {
            let message = format!("`{key}` does not go with `module`");
            let way_out = "leave one of them out";
            self.find(Code::Contradiction, &format!("{table}.{key}"), &message, way_out);
        }
    }

    /// Upstreams, and the routes that lead to them.
    fn proxying(&mut self) {
        let names = self.config.names("upstreams");
        for name in &names {
            let any = self.config.first_below(&format!("upstreams.{name}"));
            if self.lacks(&format!("upstreams.{name}.endpoints")) {
                let message = format!("upstream \"{name}\" has no endpoints");
                let way_out = "write endpoints = [\"127.0.0.1:8080\"]";
                self.find(Code::Missing, &any, &message, way_out);
            }
            if self.config.has_below(&format!("microservices.{name}")) {
                let message = format!("there is a microservice \"{name}\" as well");
                self.find(Code::Contradiction, &any, &message, "give the upstream another name");
            }
            self.config.check_upstream(name, self.findings);
        }
        // An upstream that was written wrongly is there all the same.
        let broken = self.broken.iter().filter_map(|path| path.strip_prefix("upstreams."));
        let broken = broken.filter_map(|path| path.split('.').next()).map(str::to_owned);
        let known: BTreeMap<_, _> =
            names.into_iter().chain(broken).map(|name| (name, (UpstreamId(0), None))).collect();
        let mut reader = Reader::new(self.config, self.broken, self.whole, self.findings);
        let numbers = self.config.names("route");
        reader.routes(&numbers, &known);
        for number in numbers.iter().filter(|n| is_upload(self.config, self.broken, n)) {
            reader.check_upload(number);
        }
    }

    /// Says once what is accepted and not built, and apart from it what a reader might rely on.
    fn not_built(&mut self) {
        let open = self.config.boolean("server.session") != Some(false);
        let has_service =
            self.config.has_below("microservices.session") || self.config.finds_modules();
        if self.whole && open && self.serves_gufo() && !has_service {
            let message = "there is no session service: every call goes on without a user";
            let way_out = "write [microservices.session], or session = false in [server]";
            self.find(Code::NoEffect, "server.session", message, way_out);
        }
        for (one, other) in [("cert", "key"), ("key", "cert")] {
            let (one, other) = (format!("security.{one}"), format!("security.{other}"));
            if self.config.is_given(&one) && self.lacks(&other) {
                let message = format!("`{one}` has no `{other}`");
                self.find(Code::Missing, &one, &message, "write both, or none");
            }
        }
        self.kept();
        let told = ["server.session"];
        let is_idle = |path: &&String| {
            let idle = schema::find(path).is_some_and(|key| key.reload == Reload::NotYet);
            idle && !told.contains(&path.as_str()) && path.as_str() != "config_version"
        };
        let idle: Vec<&str> =
            self.config.values.keys().filter(is_idle).map(String::as_str).collect();
        if !idle.is_empty() {
            let message = format!("accepted, without effect yet: {}", idle.join(", "));
            let way_out = "nothing has to be done; docs/config.md says what comes later";
            self.find(Code::NoEffect, "", &message, way_out);
        }
    }

    /// Says once which keys are of services, each table as one.
    fn kept(&mut self) {
        let mut tables: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let kept = schema::keys().filter(|key| key.reload == Reload::Kept).map(|key| key.path);
        for path in kept.filter(|path| self.config.is_given(path)) {
            let (table, key) = path.split_once('.').unwrap_or(("", path));
            tables.entry(table).or_default().insert(key);
        }
        if tables.is_empty() {
            return;
        }
        let lists = tables.iter().map(|(table, keys)| {
            let list = keys.iter().copied().collect::<Vec<_>>().join(", ");
            if keys.len() == 1 { format!("{table}.{list}") } else { format!("{table}.{{{list}}}") }
        });
        let lists = lists.collect::<Vec<_>>().join(", ");
        let message = format!("kept for services, not used by Otus: {lists}");
        self.find(Code::Kept, "", &message, "nothing has to be done");
    }
}
