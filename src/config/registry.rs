//! Modules that are found through a masterservice (SPEC 8.2, 8.6, 16.1): from keys to rules, with
//! what is wrong about them.

use std::path::PathBuf;
use std::sync::Arc;

use super::fault::{Code, Finding};
use super::upstreams::origin;
use super::values::Config;
use crate::gufo::registry::directory::Rules;
use crate::gufo::registry::{Home, MASTER, SESSION};
use crate::snapshot::dns::Origin;
use crate::snapshot::gufo::{Gufo, SecurityMode};
use crate::snapshot::registry::{Registry, Template};
use crate::snapshot::upstream::{Endpoint, Upstream, UpstreamId};
use crate::upstream::balance::Share;

/// Of the masterservice.
const TABLE: &str = "microservices.masterservice";
/// Several of them, in the order in which they are asked.
pub(super) const HOSTS: &str = "microservices.masterservice.hosts";
/// What is kept for the next start, in `server.sysdir`.
const FILE: &str = "registry.json";
/// A table that nobody can write: everything in it has its default.
const NO_TABLE: &str = "microservices.*";

impl Config {
    /// Whether modules are found that the settings do not place.
    pub(super) fn finds_modules(&self) -> bool {
        match self.text("server.registry_mode").as_deref() {
            Some("master") => true,
            Some(_) => false,
            None => self.has_master() && self.places_master(),
        }
    }

    /// Whether the masterservice is to be asked.
    fn has_master(&self) -> bool {
        self.boolean("server.masterservice") == Some(true)
    }

    /// Whether it is known where the masterservice is.
    fn places_master(&self) -> bool {
        let given = |key: &str| self.is_given(&format!("{TABLE}.{key}"));
        given("hosts") || given("endpoints") || (given("host") && given("port"))
    }

    /// The microservices that have a table and no place in it.
    pub(super) fn unplaced(&self) -> Vec<String> {
        let is_placed = |name: &String| {
            let given = |key: &str| self.is_given(&format!("microservices.{name}.{key}"));
            given("host") || given("endpoints") || (name == MASTER && given("hosts"))
        };
        let mut names = self.names("microservices");
        names.retain(|name| !is_placed(name));
        names
    }

    /// How modules are found; `None`: they are not.
    pub(super) fn registry(
        &self,
        gufo: &Gufo,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Registry>> {
        if !self.finds_modules() {
            return None;
        }
        let mut template = |name: &str, table: &str| {
            let nowhere = (Vec::new(), Vec::new());
            let upstream = self.upstream(name, table, nowhere, findings);
            Template { module: self.module(name, table, UpstreamId::at(0)), upstream }
        };
        let unplaced = self.unplaced();
        let named = unplaced.iter().filter(|name| *name != MASTER);
        let templates =
            named.map(|name| template(name, &format!("microservices.{name}"))).collect();
        let mut general = template("", NO_TABLE);
        if gufo.trust.mode == SecurityMode::Mtls {
            // Nothing but a certificate proves these calls.
            general.upstream.tls = self.client_tls(TABLE, findings);
        }
        let text = |key| self.text(key).unwrap_or_default();
        let sysdir = self.text("server.sysdir").filter(|dir| !dir.is_empty());
        Some(Arc::new(Registry {
            rules: Rules {
                ttl: self.duration("masterregistry.ttl"),
                refresh: self.duration("masterregistry.refresh_interval"),
                sweep: self.duration("masterregistry.sweeper_interval"),
                stale_max: self.duration("masterregistry.stale_max"),
            },
            home: Home { region: text("server.region"), group: text("server.group") },
            file: sysdir.map(|dir| PathBuf::from(dir).join(FILE)),
            templates,
            general,
            finds_session: gufo.session.is_some() && gufo.module(SESSION.as_bytes()).is_none(),
        }))
    }

    /// Has the masters of a list asked in its order.
    pub(super) fn in_order(&self, upstream: &mut Upstream) {
        let all: Vec<_> = self.texts(HOSTS).iter().filter_map(|text| origin(text)).collect();
        let share = |place: usize| Share {
            rank: u16::try_from(place).unwrap_or(u16::MAX),
            ..Share::default()
        };
        for endpoint in &mut upstream.endpoints {
            let place = all.iter().position(|origin| is_of(endpoint, origin));
            endpoint.share = share(place.unwrap_or(all.len()));
        }
        if !upstream.origins.is_empty() {
            upstream.shares = (0..all.len()).map(share).collect();
        }
    }

    /// What is wrong about how modules are found.
    pub(super) fn check_registry(&self, whole: bool, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let mode = self.text("server.registry_mode");
        let wanted = self.has_master() || mode.as_deref() == Some("master");
        if whole && wanted && !self.places_master() {
            let key = "server.masterservice";
            let path = if self.is_given(key) { key } else { "server.registry_mode" };
            let way_out = "write [microservices.masterservice], or masterservice = false";
            let message = "the masterservice is on, and has no host and port";
            find(Code::Missing, path, message, way_out);
        }
        for text in self.texts(HOSTS).iter().filter(|text| origin(text).is_none()) {
            let message = format!("`hosts`: \"{text}\" is no host with a port");
            find(Code::Malformed, HOSTS, &message, "write \"10.0.0.1:5300\" or \"name:5300\"");
        }
        let other = ["host", "port", "endpoints"].map(|key| format!("{TABLE}.{key}"));
        let other = other.iter().find(|key| self.is_given(key));
        if let Some(other) = other.filter(|_| self.is_given(HOSTS)) {
            let message = "the masterservice has `hosts`, and another address as well";
            find(Code::Contradiction, other, message, "write all of them in `hosts`");
        }
        if self.is_given(HOSTS) && self.texts(HOSTS).is_empty() {
            let way_out = "write hosts = [\"10.0.0.1:5300\"]";
            find(Code::Missing, HOSTS, "`hosts` is empty", way_out);
        }
        let (ttl, most) = ("masterregistry.ttl", "masterregistry.stale_max");
        if self.duration(ttl) > self.duration(most) {
            let path = if self.is_given(most) { most } else { ttl };
            let message = "`ttl` is longer than `stale_max`";
            find(Code::Contradiction, path, message, "write a shorter `ttl`");
        }
    }
}

fn is_of(endpoint: &Endpoint, origin: &Origin) -> bool {
    match origin {
        Origin::Address(address) => endpoint.address == *address,
        Origin::Host { name, port } => endpoint.host == *name && endpoint.address.port() == *port,
        Origin::Service(_) => false,
    }
}

#[cfg(test)]
mod tests;
