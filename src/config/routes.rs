//! From `[[route]]` tables to rules and routes, with what is wrong about them.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Code, Finding};
use super::place::{Origin, Place};
use super::policies;
use super::values::Config;
use crate::base::limits::ROUTES_MAX;
use crate::route::host::{HostError, HostPattern};
use crate::route::pattern::PathPattern;
use crate::route::rewrite::Rewrite;
use crate::route::rule::{HeaderRule, Methods, Rule};
use crate::snapshot::route::{Action, Redirect, Route, RouteTimeouts, path_policy};
use crate::snapshot::upgrades::Upgrades;
use crate::snapshot::upstream::{Upstream, UpstreamId};

/// Reads all `[[route]]` tables that are not uploads.
pub(super) struct Reader<'a> {
    pub(super) config: &'a Config,
    /// Keys that have been complained about.
    pub(super) broken: &'a BTreeSet<String>,
    /// Whether the file could be read in full, so that what is missing can be told.
    pub(super) whole: bool,
    pub(super) findings: &'a mut Vec<Finding>,
    /// Where each line of the settings file begins.
    lines: Vec<usize>,
    /// What each rule asks for, with the name of its route and its priority.
    questions: BTreeMap<String, (String, i32)>,
}

/// Whether a table of `[[route]]` is an upload to a microservice: the older form.
pub(super) fn is_upload(config: &Config, broken: &BTreeSet<String>, number: &str) -> bool {
    let written = |key: &str| {
        let path = format!("route.{number}.{key}");
        config.is_given(&path) || broken.contains(&path)
    };
    let http = ["upstream", "redirect.to", "redirect.status", "reply"];
    let is_http =
        http.into_iter().any(written) || config.has_below(&format!("route.{number}.match"));
    written("module") || !is_http
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        config: &'a Config,
        broken: &'a BTreeSet<String>,
        whole: bool,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        let text = config.files.settings.text.as_bytes();
        let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Reader { config, broken, whole, findings, lines, questions: BTreeMap::new() }
    }

    /// All routes, each as often as it has hosts. `upstreams` tells where a name leads.
    pub(super) fn routes(
        &mut self,
        numbers: &[String],
        upstreams: &BTreeMap<String, (UpstreamId, Option<&Upstream>)>,
    ) -> Vec<(Rule, Route)> {
        let mut routes = Vec::new();
        for number in numbers {
            if is_upload(self.config, self.broken, number) {
                continue;
            }
            let count = self.findings.len();
            let rules = self.rules(number);
            let route = self.route(number, rules.first(), upstreams);
            if let Some(route) = route.filter(|_| self.findings.len() == count) {
                for rule in &rules {
                    self.ask(number, rule, &route.id);
                }
                routes.extend(rules.into_iter().map(|rule| (rule, route.clone())));
            }
        }
        if routes.len() > ROUTES_MAX {
            let message = format!("there are more than {ROUTES_MAX} routes");
            self.find(Code::OutOfRange, "", &message, "write fewer");
        }
        routes
    }

    /// Complains of an upload that another route keeps everything from.
    pub(super) fn check_upload(&mut self, number: &str) {
        let path = format!("route.{number}.path");
        let prefix = self.config.text(&path).unwrap_or_default();
        let Ok(pattern) = PathPattern::prefix(&prefix) else { return };
        if let Some((other, _)) = self.questions.get(&Rule::of_path(pattern).question()) {
            let message = format!("this route can never match: \"{other}\" asks for the same");
            let way_out = "leave one of them out, or let them ask for different things";
            let path = self.config.first_below(&format!("route.{number}"));
            self.find(Code::Contradiction, &path, &message, way_out);
        }
    }

    pub(super) fn find(&mut self, code: Code, path: &str, message: &str, way_out: &str) {
        self.findings.push(self.config.finding(code, path, message, way_out));
    }

    /// The same, but not again for the next route that it concerns.
    pub(super) fn find_once(&mut self, code: Code, path: &str, message: &str, way_out: &str) {
        let finding = self.config.finding(code, path, message, way_out);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Something about the value of a key of a route, which the message begins with.
    fn blame(&mut self, number: &str, key: &str, what: &str, way_out: &str) {
        let path = format!("route.{number}.{key}");
        let message = match self.config.text(&path) {
            Some(text) => format!("`{key} = \"{text}\"` {what}"),
            None => format!("`{key}` {what}"),
        };
        self.find(Code::Malformed, &path, &message, way_out);
    }

    pub(super) fn given(&self, number: &str, key: &str) -> bool {
        self.config.is_given(&format!("route.{number}.{key}"))
    }

    /// The text of a key that somebody wrote.
    pub(super) fn text(&self, number: &str, key: &str) -> Option<String> {
        let path = format!("route.{number}.{key}");
        if self.config.is_given(&path) { self.config.text(&path) } else { None }
    }

    /// What a route asks for: a rule for each of its hosts. Empty if anything about it is wrong.
    fn rules(&mut self, number: &str) -> Vec<Rule> {
        let Some(path) = self.path(number) else { return Vec::new() };
        let mut rule = Rule::of_path(path);
        rule.methods = self.methods(number);
        rule.headers = self.headers(number);
        if self.given(number, "priority") {
            rule.priority = self.config.small(&format!("route.{number}.priority"));
        }
        let policy = self.text(number, "path_policy");
        rule.path_policy = path_policy(&policy.unwrap_or_default());
        let hosts = self.hosts(number);
        hosts.into_iter().map(|host| Rule { host, ..rule.clone() }).collect()
    }

    fn path(&mut self, number: &str) -> Option<PathPattern> {
        let path = self.text(number, "match.path");
        let prefix = self.text(number, "match.prefix");
        let string = self.text(number, "match.kind").as_deref() == Some("string");
        let (key, text) = match (path, prefix) {
            (Some(_), Some(_)) => {
                let path = format!("route.{number}.match.prefix");
                let message = "a route has a `path` and a `prefix`";
                self.find(Code::Contradiction, &path, message, "leave one of them out");
                return None;
            }
            (Some(path), None) => ("match.path", path),
            (None, Some(prefix)) => ("match.prefix", prefix),
            (None, None) => ("match.prefix", "/".to_owned()),
        };
        let pattern = match (string, key) {
            (true, _) => PathPattern::string(&text),
            (false, "match.path") => PathPattern::path(&text),
            (false, _) => PathPattern::prefix(&text),
        };
        match pattern {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let way_out = "write a path such as \"/api/users/{id}\" or \"/api/{*rest}\"";
                self.blame(number, key, error.text(), way_out);
                None
            }
        }
    }

    fn hosts(&mut self, number: &str) -> Vec<HostPattern> {
        let key = format!("route.{number}.match.host");
        let texts = self.config.texts(&key);
        if texts.is_empty() {
            return vec![HostPattern::Any];
        }
        let mut hosts = Vec::new();
        for text in texts {
            match HostPattern::parse(&text) {
                Ok(host) => hosts.push(host),
                Err(error) => {
                    let what = match error {
                        HostError::Malformed => "is no host",
                        HostError::Port => "has a port; routes are for all ports",
                    };
                    let way_out = "write hosts such as \"example.com\" or \"*.example.com\"";
                    let message = format!("`host`: \"{text}\" {what}");
                    self.find(Code::Malformed, &key, &message, way_out);
                }
            }
        }
        hosts.sort();
        hosts.dedup();
        hosts
    }

    fn methods(&mut self, number: &str) -> Methods {
        let key = format!("route.{number}.match.methods");
        let names = self.config.texts(&key);
        for name in &names {
            let proper = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
            if name.is_empty() || !name.bytes().all(proper) {
                let message = format!("`methods`: \"{name}\" is no method");
                self.find(Code::Malformed, &key, &message, "write methods such as \"GET\"");
            }
        }
        Methods::of(names.iter().map(String::as_str))
    }

    fn headers(&mut self, number: &str) -> Vec<HeaderRule> {
        let table = format!("route.{number}.match.headers.");
        let keys = self.config.values.range(table.clone()..);
        let keys = keys.map_while(|(key, _)| key.strip_prefix(&table));
        let rule = |name: &str| HeaderRule {
            name: name.to_ascii_lowercase(),
            value: self.config.text(&format!("{table}{name}")).filter(|value| value != "*"),
        };
        keys.map(rule).collect()
    }

    /// What is done with requests; `None` if anything about it is wrong or missing.
    fn route(
        &mut self,
        number: &str,
        rule: Option<&Rule>,
        upstreams: &BTreeMap<String, (UpstreamId, Option<&Upstream>)>,
    ) -> Option<Route> {
        for key in ["path", "param"] {
            if self.given(number, key) {
                let path = format!("route.{number}.{key}");
                let message = format!("`{key}` goes with `module`");
                let way_out = "write match = { path = \"...\" }, or `module`";
                self.find(Code::Contradiction, &path, &message, way_out);
            }
        }
        let id = self.text(number, "id");
        let action = self.action(number, upstreams);
        let rewrite = rule.map_or(Rewrite::Keep, |rule| self.rewrite(number, &rule.path));
        let upstream = match action {
            Some(Action::Proxy(id)) => {
                upstreams.values().find(|(own, _)| *own == id).and_then(|(_, spec)| *spec)
            }
            _ => None,
        };
        let timeouts = self.timeouts(number, upstream);
        let place = self.place(&format!("route.{number}.id"));
        let upgrades = self.upgrades(number);
        let policies =
            policies::of_route(self, number, id.as_deref().unwrap_or_default(), &rewrite);
        Some(Route { id: id?, place, action: action?, rewrite, timeouts, upgrades, policies })
    }

    fn upgrades(&mut self, number: &str) -> Upgrades {
        let key = format!("route.{number}.upgrade");
        if !self.config.is_given(&key) {
            return Upgrades::default();
        }
        Upgrades::new(self.config.texts(&key)).unwrap_or_else(|what| {
            let way_out = "write protocols such as \"websocket\" or \"spdy/3.1\"";
            self.find(Code::Malformed, &key, &format!("`upgrade`: {what}"), way_out);
            Upgrades::none()
        })
    }

    fn action(
        &mut self,
        number: &str,
        upstreams: &BTreeMap<String, (UpstreamId, Option<&Upstream>)>,
    ) -> Option<Action> {
        let keys = ["upstream", "redirect.to", "reply"];
        let written: Vec<_> = keys.into_iter().filter(|key| self.given(number, key)).collect();
        match written.as_slice() {
            ["upstream"] => {
                let name = self.text(number, "upstream")?;
                if let Some((id, _)) = upstreams.get(&name) {
                    return Some(Action::Proxy(*id));
                }
                if self.whole {
                    let path = format!("route.{number}.upstream");
                    let message = format!("there is no upstream \"{name}\"");
                    let way_out = format!("write [upstreams.{name}] with its endpoints");
                    self.find(Code::Dangling, &path, &message, &way_out);
                }
                None
            }
            ["redirect.to"] => self.redirect(number).map(Action::Redirect),
            [_] => Some(Action::Reply(self.config.small(&format!("route.{number}.reply")))),
            [] => {
                let broken =
                    keys.iter().any(|key| self.broken.contains(&format!("route.{number}.{key}")));
                if self.whole && !broken {
                    let path = self.config.first_below(&format!("route.{number}"));
                    let message = "a route does not say what becomes of its requests";
                    let way_out =
                        "write upstream = \"...\", redirect = { to = \"...\" } or reply = 403";
                    self.find(Code::Missing, &path, message, way_out);
                }
                None
            }
            [_, second, ..] => {
                let message = format!("a route has {}", written.join(" and "));
                let path = format!("route.{number}.{second}");
                self.find(Code::Contradiction, &path, &message, "leave all but one of them out");
                None
            }
        }
    }

    fn redirect(&mut self, number: &str) -> Option<Redirect> {
        let to = self.text(number, "redirect.to")?;
        let to = to.trim_end_matches('/');
        if !is_redirect_target(to) {
            let way_out = "write \"https://example.com\", or \"\" for the same host; path and \
                           query follow by themselves";
            self.blame(number, "redirect.to", "is not where a client can be sent", way_out);
            return None;
        }
        let status = self.config.small(&format!("route.{number}.redirect.status"));
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            let way_out = "write 301, 302, 303, 307 or 308";
            let path = format!("route.{number}.redirect.status");
            let message = "`redirect.status` is not a status of a redirect";
            self.find(Code::Malformed, &path, message, way_out);
            return None;
        }
        Some(Redirect { to: to.to_owned(), status })
    }

    fn rewrite(&mut self, number: &str, pattern: &PathPattern) -> Rewrite {
        let strip = self.text(number, "strip_prefix");
        let replace = self.text(number, "rewrite");
        let (key, rewrite) = match (strip, replace) {
            (None, None) => return Rewrite::Keep,
            (Some(_), Some(_)) => {
                let path = format!("route.{number}.rewrite");
                let message = "a route has `strip_prefix` and `rewrite`";
                self.find(Code::Contradiction, &path, message, "leave one of them out");
                return Rewrite::Keep;
            }
            (Some(text), None) => ("strip_prefix", Rewrite::strip(&text, pattern)),
            (None, Some(text)) => ("rewrite", Rewrite::replace(&text, pattern)),
        };
        rewrite.unwrap_or_else(|error| {
            let way_out = "write a path such as \"/api\"; in `rewrite`, with names that the \
                           route's path has, and claims such as {JWT.sub} as whole segments";
            self.blame(number, key, error.text(), way_out);
            Rewrite::Keep
        })
    }

    fn timeouts(&self, number: &str, upstream: Option<&Upstream>) -> RouteTimeouts {
        let general = upstream.map_or_else(RouteTimeouts::default, RouteTimeouts::of);
        let key = |key: &str| format!("route.{number}.timeouts.{key}");
        let length = |name: &str, general| {
            if self.config.is_given(&key(name)) {
                self.config.duration(&key(name))
            } else {
                general
            }
        };
        RouteTimeouts {
            connect: length("connect", general.connect),
            first_byte: length("first_byte", general.first_byte),
            idle: length("idle", general.idle),
            total: if self.config.is_given(&key("total")) {
                self.config.optional_duration(&key("total"))
            } else {
                general.total
            },
        }
    }

    /// Complains about a rule that can never win.
    fn ask(&mut self, number: &str, rule: &Rule, id: &str) {
        let entry = (id.to_owned(), rule.priority);
        let Some((other, priority)) = self.questions.insert(rule.question(), entry) else { return };
        let (loser, winner) =
            if priority < rule.priority { (other.as_str(), id) } else { (id, other.as_str()) };
        let message =
            format!("the route \"{loser}\" can never match: \"{winner}\" asks for the same");
        let way_out = "leave one of them out, or let them ask for different things";
        let path = format!("route.{number}.id");
        self.find(Code::Contradiction, &path, &message, way_out);
    }

    /// `settings.toml:41`
    fn place(&self, path: &str) -> String {
        let name = self.config.file();
        match self.config.origin(path) {
            Origin::Settings(span) => {
                format!("{name}:{}", self.lines.partition_point(|start| *start <= span.start))
            }
            Origin::Hosts(span) => match self.config.files.hosts.place(&span) {
                Place::Line(at) => format!("{}:{}", at.file, at.line),
                Place::File(_) | Place::Variable(_) => name.to_owned(),
            },
            _ => name.to_owned(),
        }
    }
}

/// Whether a text is a scheme, an authority and perhaps a path, or nothing at all.
pub(super) fn is_redirect_target(text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest else { return text.is_empty() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse::<u16>().is_ok()),
        _ => (authority, true),
    };
    let is_host = matches!(HostPattern::parse(name), Ok(HostPattern::Exact(_)));
    let is_path = path.is_empty() || PathPattern::string(path).is_ok() && path.is_ascii();
    is_host && port && is_path && !path.contains(['{', '}', '"', '<', '>'])
}

#[cfg(test)]
mod tests;
