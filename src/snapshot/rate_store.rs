//! Where several machines tell each other what they have admitted.

use std::time::Duration;

use super::secret::Secret;
use crate::tls::client::ClientTls;

/// A server of Redis or Valkey.
#[derive(Clone, PartialEq, Debug)]
pub struct RateStore {
    /// `host:port`.
    pub address: String,
    /// How TLS is spoken with it, if it is.
    pub tls: Option<ClientTls>,
    /// Empty: the default user.
    pub username: String,
    /// Empty: nobody asks for one.
    pub password: Secret,
    /// The number of the database.
    pub database: u32,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a request may wait for it.
    pub timeout: Duration,
}
