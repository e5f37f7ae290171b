//! From `[identity]`, `[bots]`, `[widgets]`, `[billing]`, `[revocation]` and the API keys of
//! `[auth]` to what routes share, with what is wrong about them.

use std::sync::Arc;

use super::fault::{Code, Finding};
use super::values::Config;
use crate::policy::people::abuse::bots::{BadPattern, BotRule};
use crate::policy::people::abuse::sliding_log::SlidingLog;
use crate::policy::people::abuse::widget::Widget;
use crate::policy::people::billing::{OnError, Rule};
use crate::policy::people::revocation::bloom::{Scheme, Shape};
use crate::policy::people::revocation::rotation::{RevocationRule, Revocations};
use crate::policy::verdicts::Keep;
use crate::snapshot::people::{Billing, KeyService, People};
use crate::snapshot::upstream::{Protocol, Upstream, UpstreamId};

impl Config {
    /// What routes share. What is wrong was told when the configuration was checked.
    pub(super) fn people(&self, upstreams: &[Upstream]) -> People {
        let id = |name: Option<String>, protocol: Protocol| {
            let name = name?;
            let is_it = |spec: &Upstream| spec.name == name && spec.protocol == protocol;
            upstreams.iter().position(is_it).map(UpstreamId::at)
        };
        let services = self.key_profiles().into_iter().filter_map(|name| {
            let key = |key: &str| format!("auth.{name}.{key}");
            Some(KeyService {
                upstream: id(self.text(&key("upstream")), Protocol::Grpc)?,
                method: self.text(&key("method")).unwrap_or_default(),
                timeout: self.duration(&key("timeout")),
                keep: self.keep(&format!("auth.{name}")),
                name,
            })
        });
        People {
            strip: self.boolean("identity.strip") != Some(false),
            bots: self.names("bots").iter().map(|name| self.bot_rule(name)).collect(),
            widgets: self.names("widgets").iter().map(|name| self.widget(name)).collect(),
            billing: id(self.text("billing.upstream"), Protocol::Http1).map(|id| self.billing(id)),
            key_services: services.collect(),
            revocations: self.revocations(),
        }
    }

    /// The names of profiles whose keys a service knows, in the order of their places.
    pub(super) fn key_profiles(&self) -> Vec<String> {
        let is_key =
            |name: &String| self.text(&format!("auth.{name}.kind")).as_deref() == Some("api_key");
        self.names("auth").into_iter().filter(is_key).collect()
    }

    /// What is wrong about them.
    pub(super) fn check_people(&self, whole: bool, findings: &mut Vec<Finding>) {
        for name in self.names("bots") {
            if let Err(BadPattern { index, why }) = self.bots(&name) {
                let which = index.map_or_else(|| "all".to_owned(), |index| (index + 1).to_string());
                let why = why.lines().last().unwrap_or_default();
                let message = format!("`patterns`: {which}: {why}");
                let way_out = "write regular expressions without look-around and back-references";
                let path = format!("bots.{name}.patterns");
                findings.push(self.finding(Code::Malformed, &path, &message, way_out));
            }
        }
        self.check_asked("billing", "http", whole, findings);
        for name in self.key_profiles() {
            self.check_asked(&format!("auth.{name}"), "grpc", whole, findings);
        }
        self.check_told(findings);
        let public = self.names("auth").into_iter().map(|name| format!("auth.{name}.public_paths"));
        let others = ["billing.paths", "billing.exempt"].map(str::to_owned);
        for key in &others.into_iter().chain(public).collect::<Vec<_>>() {
            if let Some(path) = self.texts(key).iter().find(|path| !path.starts_with('/')) {
                let message = format!("\"{path}\" is no beginning of a path");
                let way_out = "write paths such as \"/v1/\"";
                findings.push(self.finding(Code::Malformed, key, &message, way_out));
            }
        }
        if self.has_below("revocation") && self.shape().is_none() {
            let message = "the filters of revocations would have more than 128 MiB each";
            let way_out = "write fewer elements, or a larger probability of false positives";
            let path = self.first_below("revocation");
            findings.push(self.finding(Code::OutOfRange, &path, message, way_out));
        }
        let nothing = |key: &str| self.texts(key).is_empty();
        let is_idle = nothing("revocation.token_keys") && nothing("revocation.headers");
        if whole && self.has_below("revocation") && is_idle {
            let path = self.first_below("revocation");
            let way_out = "write token_keys = [\"jti\"]";
            let message = "nothing can be revoked: there are no `token_keys`";
            findings.push(self.finding(Code::Missing, &path, message, way_out));
        }
    }

    /// Complains of profiles whose word endpoints could not tell from that of a client.
    fn check_told(&self, findings: &mut Vec<Finding>) {
        let keeps = self.boolean("identity.strip") == Some(false);
        let kind = |name: &String| self.text(&format!("auth.{name}.kind")).unwrap_or_default();
        let tells = |name: &String| matches!(kind(name).as_str(), "iam" | "api_key");
        if let Some(name) = self.names("auth").into_iter().find(tells).filter(|_| keeps) {
            let message = format!("clients could write what [auth.{name}] tells endpoints");
            let path = "identity.strip";
            findings.push(self.finding(Code::Contradiction, path, &message, "write strip = true"));
        }
    }

    /// Complains of a table whose `upstream` is none of this protocol.
    fn check_asked(&self, table: &str, protocol: &str, whole: bool, findings: &mut Vec<Finding>) {
        if !whole || !self.has_below(table) {
            return;
        }
        let path = format!("{table}.upstream");
        let Some(name) = self.text(&path) else {
            let path = self.first_below(table);
            let message = format!("[{table}] does not say who is asked");
            findings.push(self.finding(Code::Missing, &path, &message, "write upstream = \"...\""));
            return;
        };
        let spoken = self.text(&format!("upstreams.{name}.protocol"));
        let way_out = format!("write [upstreams.{name}] with protocol = \"{protocol}\"");
        if !self.has_below(&format!("upstreams.{name}")) {
            let message = format!("there is no upstream \"{name}\"");
            findings.push(self.finding(Code::Dangling, &path, &message, &way_out));
        } else if spoken.as_deref() != Some(protocol) {
            let message = format!("upstream \"{name}\" does not speak {protocol}");
            findings.push(self.finding(Code::Contradiction, &path, &message, &way_out));
        }
    }

    fn bots(&self, name: &str) -> Result<BotRule, BadPattern> {
        let key = |key: &str| format!("bots.{name}.{key}");
        let list = |name: &str| self.texts(&key(name));
        let empty_is_bot = self.boolean(&key("empty_is_bot")) == Some(true);
        let cached = self.small(&key("cache"));
        BotRule::new(empty_is_bot, &list("allow"), &list("deny"), &list("patterns"), cached)
    }

    fn bot_rule(&self, name: &str) -> Arc<BotRule> {
        Arc::new(self.bots(name).unwrap_or_default())
    }

    fn widget(&self, name: &str) -> Widget {
        let key = |key: &str| format!("widgets.{name}.{key}");
        let (per_client, total) = (self.small(&key("per_client")), self.small(&key("total")));
        Widget {
            name: name.to_owned(),
            prefix: self.text(&key("prefix")).unwrap_or_default(),
            origins: self.texts(&key("origins")),
            log: Arc::new(SlidingLog::new(per_client, total, self.duration(&key("window")))),
        }
    }

    fn billing(&self, upstream: UpstreamId) -> Billing {
        let exempt = if self.is_given("billing.exempt") {
            self.texts("billing.exempt")
        } else {
            vec![Rule::EXEMPT.to_owned()]
        };
        let is_closed = self.text("billing.on_error").as_deref() == Some("closed");
        Billing {
            upstream,
            token: self.secret("billing.token").unwrap_or_default(),
            rule: Rule {
                path: self.text("billing.path").unwrap_or_default(),
                currency: self.text("billing.currency").unwrap_or_default(),
                paths: self.texts("billing.paths"),
                exempt,
                on_error: if is_closed { OnError::Closed } else { OnError::Open },
            },
            timeout: self.duration("billing.timeout"),
            keep: self.keep("billing"),
        }
    }

    fn keep(&self, table: &str) -> Keep {
        let entries = self.small(&format!("{table}.entries"));
        Keep {
            allowed: entries,
            allowed_for: self.duration(&format!("{table}.allowed_for")),
            denied: entries,
            denied_for: self.duration(&format!("{table}.denied_for")),
        }
    }

    fn shape(&self) -> Option<Shape> {
        let scheme = match self.text("revocation.hash").as_deref() {
            Some("default") => Scheme::Default,
            _ => Scheme::Optimal,
        };
        let p = self.float("revocation.false_positives");
        Shape::new(self.small("revocation.elements"), p, scheme)
    }

    fn revocations(&self) -> Option<Arc<Revocations>> {
        if !self.has_below("revocation") {
            return None;
        }
        Some(Arc::new(Revocations::new(RevocationRule {
            shape: self.shape()?,
            ttl: self.duration("revocation.ttl"),
            token_keys: self.texts("revocation.token_keys"),
            headers: self.texts("revocation.headers"),
        })))
    }
}

#[cfg(test)]
mod tests;
