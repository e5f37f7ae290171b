//! Who may call, and how often.

use super::super::report::Fate;
use super::super::sheet::Leaf;
use super::{Migration, PROFILE, read};

/// How clients are known. The original takes an empty mode for a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Keys,
    Secret,
}

impl Migration {
    /// `[auth.main]`, which routes name that need it.
    pub(super) fn auth(&mut self) {
        let found = self.take("auth.mode");
        let mode = match found.as_ref().map(|(_, leaf)| leaf.text.as_str()) {
            Some("jwks") => Mode::Keys,
            None | Some("" | "hmac") => Mode::Secret,
            Some(_) => {
                let line = found.map_or(0, |(_, leaf)| leaf.line);
                self.flaw(line, "unknown mode of auth; write `jwks` or `hmac`");
                return;
            }
        };
        if self.sheet.line("auth") == 0 {
            return;
        }
        let secret = self.take("auth.hmac_secret").filter(|(_, leaf)| !leaf.text.is_empty());
        if mode == Mode::Secret && secret.is_none() && !self.needs_auth() {
            if let Some((path, _)) = found {
                let why = "no route needs it, and there is no secret";
                self.sheet.tell(&path, Fate::Unsupported(why));
            }
            return;
        }
        self.toml.table(&format!("[auth.{PROFILE}]"));
        if let Some((path, _)) = found {
            self.sheet.tell(&path, Fate::Renamed(format!("auth.{PROFILE}.kind")));
        }
        self.has_auth = true;
        match mode {
            Mode::Keys => self.keys(),
            Mode::Secret => self.secret(),
        }
        for (key, to) in
            [("issuers", "issuers"), ("audiences", "audiences"), ("algs", "algorithms")]
        {
            self.texts(key, to, mode);
        }
        let leeway = self.time(&["auth.jwks.leeway", "auth.leeway"]);
        if let Some(leeway) = leeway {
            self.write_time("leeway", &format!("auth.{PROFILE}.leeway"), &leeway);
        }
    }

    /// Whether any route asks who its clients are.
    fn needs_auth(&self) -> bool {
        (0..self.sheet.items("routes")).any(|index| {
            let found = self.take(&format!("routes.{index:06}.auth_required"));
            found.is_some_and(|(_, leaf)| read::truth(&leaf.text) == Some(true))
        })
    }

    fn keys(&mut self) {
        self.toml.text("kind", "jwt");
        match self.take("auth.jwks.url") {
            Some((path, leaf)) if leaf.text.starts_with("https://") => {
                self.toml.text("url", &leaf.text);
                self.sheet.tell(&path, Fate::Renamed(format!("auth.{PROFILE}.url")));
            }
            Some((path, leaf)) if leaf.text.starts_with("http://") => {
                self.toml.text("url", &leaf.text);
                self.toml.raw("plain_http", "true");
                let why = "keys come over plain HTTP: whoever is on the way can forge tokens";
                self.sheet.tell(&path, Fate::Changed(format!("auth.{PROFILE}.url"), why));
            }
            Some((_, leaf)) => self.flaw(leaf.line, "`auth.jwks.url` is no URL"),
            None => self.flaw(self.sheet.line("auth"), "`auth.jwks.url` is missing"),
        }
        for (key, to) in [("http_timeout", "timeout"), ("cache_ttl", "refresh")] {
            let key = format!("auth.jwks.{key}");
            if let Some(length) = self.time(&[&key]) {
                self.write_time(to, &format!("auth.{PROFILE}.{to}"), &length);
            }
        }
        if let Some((path, _)) = self.take("auth.hmac_secret") {
            self.sheet.tell(&path, Fate::Unsupported("mode `jwks` does not read it"));
        }
    }

    fn secret(&mut self) {
        self.toml.text("kind", "hs256");
        match self.take("auth.hmac_secret").filter(|(_, leaf)| !leaf.text.is_empty()) {
            Some((path, leaf)) => {
                self.toml.text("secret", &leaf.text);
                let to = format!("auth.{PROFILE}.secret");
                // RFC 7518 §3.2 asks for as many bytes as the hash has.
                let fate = if leaf.text.len() < 32 {
                    self.toml.raw("short_secret", "true");
                    Fate::Changed(to, "it is shorter than 32 bytes, and may be guessed")
                } else {
                    Fate::Renamed(to)
                };
                self.sheet.tell(&path, fate);
            }
            None => self.flaw(self.sheet.line("auth"), "`auth.hmac_secret` is missing"),
        }
    }

    /// A list of texts, which the original reads in mode `jwks` alone.
    fn texts(&mut self, key: &str, to: &str, mode: Mode) {
        for table in ["auth.jwks", "auth"] {
            let found = self.list(&format!("{table}.{key}"));
            let list: Vec<&str> = found.iter().map(|(_, leaf)| leaf.text.as_str()).collect();
            if mode == Mode::Keys && !list.is_empty() {
                self.toml.texts(to, list);
            }
            for (path, _) in &found {
                let fate = match mode {
                    Mode::Keys => Fate::Renamed(format!("auth.{PROFILE}.{to}")),
                    Mode::Secret => Fate::Unsupported("mode `hmac` does not read it"),
                };
                self.sheet.tell(path, fate);
            }
        }
    }

    /// What a route asks of those who use it.
    pub(super) fn policies(&mut self, table: &str) {
        if self.switch(&format!("{table}.auth_required"), "route.auth") {
            if !self.has_auth {
                let line = self.sheet.line(table);
                self.flaw(line, "a route needs auth, and there is no `auth`");
            }
            self.toml.texts("auth", [PROFILE]);
        }
        self.rate(&format!("{table}.rate_limit"));
        self.concurrency(&format!("{table}.concurrency.max_in_flight"));
        self.breaker(&format!("{table}.circuit_breaker"));
    }

    fn rate(&mut self, table: &str) {
        let is_on = self.switch(&format!("{table}.enabled"), "route.rate_limit");
        let rate = self.positive(&format!("{table}.rps"), is_on);
        if let Some((path, leaf)) = &rate {
            if is_on {
                self.toml.text("rate_limit.rate", &format!("{}/s", leaf.text));
                if self.is_shared {
                    self.toml.raw("rate_limit.shared", "true");
                }
            }
            self.sheet.tell(path, Fate::Renamed("route.rate_limit.rate".to_owned()));
        }
        if let Some((path, leaf)) = self.positive(&format!("{table}.burst"), is_on) {
            if is_on {
                self.toml.raw("rate_limit.burst", &leaf.text);
            }
            self.sheet.tell(&path, Fate::Renamed("route.rate_limit.burst".to_owned()));
        }
        let Some((path, leaf)) = self.take(&format!("{table}.scope")) else { return };
        let by = match leaf.text.as_str() {
            "ip" | "" => "address",
            "user" => "principal",
            _ => return self.flaw(leaf.line, "unknown scope of a limit; write `ip` or `user`"),
        };
        if is_on {
            self.toml.text("rate_limit.by", by);
        }
        self.sheet.tell(&path, Fate::Renamed("route.rate_limit.by".to_owned()));
    }

    fn concurrency(&mut self, path: &str) {
        let Some((path, leaf)) = self.take(path) else { return };
        match leaf.text.parse::<u32>() {
            Ok(max) => {
                if max > 0 {
                    self.toml.raw("concurrency.max_in_flight", &leaf.text);
                }
                let to = "route.concurrency.max_in_flight".to_owned();
                self.sheet.tell(&path, Fate::Renamed(to));
            }
            Err(_) => self.flaw(leaf.line, "`max_in_flight` is no number from 0"),
        }
    }

    fn breaker(&mut self, table: &str) {
        let is_on = self.switch(&format!("{table}.enabled"), "route.circuit_breaker");
        if is_on {
            self.toml.raw("circuit_breaker.enabled", "true");
        }
        for (key, to) in [
            ("failure_threshold", "circuit_breaker.failures"),
            ("open_seconds", "circuit_breaker.open"),
            ("half_open_max_in_flight", "circuit_breaker.probes"),
        ] {
            let path = format!("{table}.{key}");
            if self.take(&path).is_none() {
                continue; // Both have the same default.
            }
            let Some((path, leaf)) = self.positive(&path, is_on) else { continue };
            match (is_on, key) {
                (true, "open_seconds") => self.toml.text(to, &format!("{}s", leaf.text)),
                (true, _) => self.toml.raw(to, &leaf.text),
                (false, _) => {}
            }
            self.sheet.tell(&path, Fate::Renamed(format!("route.{to}")));
        }
    }

    /// Limits that several processes share: `[rate_store]`, which the limits of routes name.
    pub(super) fn redis(&mut self, path: &str) {
        let why = "while the store is away, limits hold for each process; before, there were none";
        self.sheet.tell(path, Fate::Changed("route.rate_limit.shared".to_owned(), why));
        self.is_shared = true;
        self.toml.table("[rate_store]");
        for (key, to) in [("addr", "address"), ("password", "password"), ("db", "database")] {
            let paths = read::below_limiters(&format!("redis.{key}")).into_iter();
            let paths = paths.chain(read::below_limiters(key));
            let paths: Vec<_> = paths.chain([format!("redis.{key}")]).collect();
            let Some((path, leaf)) = self.first(&paths) else {
                if key == "addr" {
                    self.flaw(0, "`redis.addr` is missing");
                }
                continue;
            };
            match key {
                "db" => self.toml.raw(to, &leaf.text),
                _ => self.toml.text(to, &leaf.text),
            }
            self.sheet.tell(&path, Fate::Renamed(format!("rate_store.{to}")));
        }
    }

    /// Whether something is on; what was not written is off.
    fn switch(&mut self, path: &str, to: &str) -> bool {
        let Some((path, leaf)) = self.take(path) else { return false };
        let Some(is_on) = read::truth(&leaf.text) else {
            self.flaw(leaf.line, format!("`{path}` is neither true nor false"));
            return false;
        };
        let fate = if is_on {
            Fate::Renamed(to.to_owned())
        } else {
            Fate::Changed(to.to_owned(), "off: it is left out")
        };
        self.sheet.tell(&path, fate);
        is_on
    }

    /// A number above zero, which must be there if it is `needed`.
    fn positive(&mut self, path: &str, needed: bool) -> Option<(String, Leaf)> {
        let name = path.rsplit('.').next().unwrap_or_default().to_owned();
        let Some((path, leaf)) = self.take(path) else {
            if needed {
                let table = path.rsplit_once('.').map_or("", |(table, _)| table);
                let line = self.sheet.line(table);
                self.flaw(line, format!("`{name}` is missing"));
            }
            return None;
        };
        let is_whole = name != "rps";
        let number = leaf.text.parse::<f64>().unwrap_or(0.0);
        let is_digits = leaf.text.bytes().all(|byte| byte.is_ascii_digit());
        if number > 0.0 && number.is_finite() && (is_digits || !is_whole) {
            return Some((path, leaf));
        }
        if needed {
            self.flaw(leaf.line, format!("`{name}` is no number above 0"));
        } else {
            self.sheet.tell(&path, Fate::Unsupported("it is off, and this is no number above 0"));
        }
        None
    }
}
