//! The embedded master: where it is, and by which rules it works.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{Code, Finding};
use super::place::Origin;
use super::value::Value;
use super::values::{Config, Entry};
use crate::master::rules::Rules;
use crate::master::settings::{MasterSettings, StoreKind};
use crate::snapshot::gufo::Trust;
use crate::snapshot::secret::Secret;

const SWITCH: &str = "server.masterservice";
const TABLE: &str = "microservices.masterservice";
/// Between two heartbeats if nothing is said (SPEC 8.4).
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Where Gufo keeps what it keeps (SPEC 16.1).
const SYSDIR: &str = "/var/gufo";
const FILE: &str = "master.redb";
/// The port of a masterservice (SPEC 8.1). It stands for the embedded one until that runs.
const PORT: u64 = 5300;

impl Config {
    /// Whether this process is to run a master of its own.
    #[must_use]
    pub fn has_embedded_master(&self) -> bool {
        self.is_word(SWITCH, "embedded")
    }

    /// What the master of this configuration is told.
    #[must_use]
    pub fn master(&self) -> MasterSettings {
        let heartbeat = if self.is_given("server.heartbeat") {
            self.duration("server.heartbeat")
        } else {
            HEARTBEAT
        };
        let ttl = if self.is_given("master.ttl") {
            self.duration("master.ttl")
        } else {
            heartbeat.saturating_mul(3).max(Duration::from_secs(1))
        };
        let text = |key: &str| self.text(key).unwrap_or_default();
        MasterSettings {
            listen: self.address("master.listen"),
            store: match text("master.store").as_str() {
                "memory" => StoreKind::Memory,
                "etcd" => StoreKind::Etcd(self.texts("master.etcd"), text("master.etcd_prefix")),
                _ => StoreKind::Redb(self.master_file()),
            },
            rules: Rules {
                ttl,
                forget: self.duration("master.forget"),
                lease_all: text("master.lease") != "heartbeat",
                rows_max: self.small("master.rows"),
                groups: self.texts("master.groups"),
            },
        }
    }

    fn master_file(&self) -> PathBuf {
        if let Some(path) = self.text("master.path").filter(|path| !path.is_empty()) {
            return PathBuf::from(path);
        }
        let sysdir = self.text("server.sysdir").filter(|path| !path.is_empty());
        Path::new(sysdir.as_deref().unwrap_or(SYSDIR)).join(FILE)
    }

    /// How the services of this configuration and their gateway know each other.
    #[must_use]
    pub fn service_trust(&self) -> (Secret, Trust) {
        (self.secret("server.sign").unwrap_or_default(), self.trust())
    }

    /// Whether calls carry nothing that a master could check.
    #[must_use]
    pub fn master_has_no_proof(&self) -> bool {
        self.text("security.mode").as_deref() == Some("mtls")
    }

    /// Says that what was changed of a running master waits for the next start.
    #[must_use]
    pub fn master_waits(&self) -> Finding {
        let message = "what changed of the embedded master takes effect at the next start";
        let path = self.first_below("master");
        self.finding(Code::NoEffect, &path, message, "restart the gateway when it suits")
    }

    /// Says where the embedded master listens, once it does.
    pub fn set_master_address(&mut self, address: SocketAddr) {
        self.fill("host", Value::Text(address.ip().to_string()));
        self.fill("port", Value::Integer(u64::from(address.port())));
    }

    /// Gives the embedded master a place among the microservices. Nobody reaches it from outside
    /// without the shared secret: who may check in may take over any name.
    pub(super) fn place_master(&mut self) {
        if !self.has_embedded_master() || self.master_is_elsewhere().is_some() {
            return;
        }
        self.fill("host", Value::Text("127.0.0.1".to_owned()));
        self.fill("port", Value::Integer(PORT));
        if !self.is_given(&format!("{TABLE}.type")) {
            self.fill("type", Value::Text("internal".to_owned()));
        }
    }

    fn fill(&mut self, key: &str, value: Value) {
        self.values.insert(format!("{TABLE}.{key}"), Entry { value, origin: Origin::Default });
    }

    /// The key that says that the master is somewhere else.
    fn master_is_elsewhere(&self) -> Option<String> {
        let keys = ["host", "port", "endpoints", "hosts"].map(|key| format!("{TABLE}.{key}"));
        keys.into_iter().find(|key| self.is_given(key) && self.origin(key) != Origin::Default)
    }

    /// What an embedded master cannot be.
    pub(super) fn check_master(&self, findings: &mut Vec<Finding>) {
        let mut find = |path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(Code::Contradiction, path, message, way_out));
        };
        let is_etcd = self.text("master.store").as_deref() == Some("etcd");
        if is_etcd && self.texts("master.etcd").is_empty() {
            let way_out = "write etcd = [\"http://127.0.0.1:2379\"] in [master]";
            find("master.store", "the store is etcd, and `master.etcd` names no member", way_out);
        }
        if !self.has_embedded_master() {
            return;
        }
        if let Some(key) = self.master_is_elsewhere() {
            let message = "the master is embedded, and is said to be somewhere else as well";
            find(&key, message, "leave this out, or write masterservice = true");
        }
        if self.master_has_no_proof() {
            let message = "the embedded master knows its callers by what they sign, not by `mtls`";
            find(SWITCH, message, "write mode = \"sign\" or \"hmac\", or run a master elsewhere");
        }
    }
}
