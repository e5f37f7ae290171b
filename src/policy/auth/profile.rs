//! One way of proving who one is, as an operator has named it.

use std::time::Duration;

use super::credential::{Places, is_token};
use super::fixed::FixedToken;
use super::verify::TokenRules;
use crate::policy::names::Names;
use crate::policy::people::iam::bypass::Public;

/// A profile of authentication.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// Its name in the configuration.
    pub name: String,
    /// What proves who one is.
    pub proof: Proof,
    /// What of a request holds it.
    pub places: Places,
    /// Tokens that begin so are for the endpoint to judge: the request passes without an identity.
    pub passed: Vec<String>,
    /// Requests that need none.
    pub public: Public,
}

/// What proves who one is.
#[derive(Clone, PartialEq, Debug)]
pub enum Proof {
    /// A signed token.
    Token {
        /// What is asked of it.
        rules: Box<TokenRules>,
        /// The keys, by their place among all sources.
        source: usize,
        /// How long a request may wait for keys that are asked for because of it.
        patience: Duration,
    },
    /// One of the tokens that the operator has written down.
    Fixed(Vec<FixedToken>),
    /// The certificate that the client has shown to the listener.
    Certificate,
    /// A key that a service knows, by the place of that among all.
    Key(usize),
}

impl Profile {
    /// Fields that endpoints are told claims in, also as careless readers may know them.
    #[must_use]
    pub fn told(&self) -> Names {
        let Proof::Token { rules, .. } = &self.proof else { return Names::default() };
        let fields = rules.propagated.iter().map(|told| told.field.as_str());
        let careless: Vec<_> = fields.clone().map(|field| field.replace('-', "_")).collect();
        Names::new(fields.chain(careless.iter().map(String::as_str)))
    }

    /// Whether a token is passed through to the endpoint.
    #[must_use]
    pub fn passes(&self, token: &[u8]) -> bool {
        self.passed.iter().any(|prefix| token.starts_with(prefix.as_bytes())) && is_token(token)
    }
}
