//! What a master is told by its configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::rules::Rules;

/// What a master is told.
#[derive(Clone, PartialEq, Debug)]
pub struct MasterSettings {
    /// Where it listens if it runs alone; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Where it keeps what it knows.
    pub store: StoreKind,
    /// By which rules.
    pub rules: Rules,
}

/// Where a master keeps what it knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// Nowhere.
    Memory,
    /// In this file.
    Redb(PathBuf),
    /// In etcd: its members, and what all keys begin with.
    Etcd(Vec<String>, String),
}
