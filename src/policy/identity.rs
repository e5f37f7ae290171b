//! Who a request comes from, whatever proved it.

use crate::base::time::UnixTime;

/// Who a request comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// What proved it.
    pub kind: Kind,
    /// Whom it names: `sub` of a token, the principal of an API key, the subject of a certificate.
    pub subject: String,
    /// The organisation; empty: none.
    pub org: String,
    /// Roles, in the order of the proof.
    pub roles: Vec<String>,
    /// Scopes, likewise.
    pub scopes: Vec<String>,
    /// Bits of SPEC 10.4.
    pub permissions: u64,
    /// Empty: unknown.
    pub email: String,
    /// Empty: unknown.
    pub phone: String,
    /// May do everything.
    pub is_admin: bool,
    /// May change nothing.
    pub read_only: bool,
    /// When the proof ends to be one; `None`: never.
    pub expires: Option<UnixTime>,
}

/// What proved an identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Kind {
    /// Nothing did.
    #[default]
    Anonymous,
    /// A session of Gufo.
    Gufo,
    /// A signed token.
    Jwt,
    /// An API key.
    ApiKey,
    /// The static token of the operator.
    Admin,
    /// A certificate.
    Mtls,
}
