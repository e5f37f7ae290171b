//! The verifier of tokens against issuers of our own, forgers, and the vectors of Wycheproof.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it reports"
)]

#[path = "tokens/forgeries.rs"]
mod forgeries;
#[path = "support/jwt.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod jwt;
#[path = "tokens/key_sets.rs"]
mod key_sets;
#[path = "tokens/wycheproof.rs"]
mod wycheproof;

use otus::policy::auth::algorithm::Algorithm;
use otus::policy::auth::claims::ClaimRules;
use otus::policy::auth::keys::{KeyBy, KeySet};
use otus::policy::auth::verify::{Denied, TokenRules, Verified, verify};
use serde_json::{Value, json};

/// A second at which tests take place.
const NOW: u64 = 1_800_000_000;

/// Rules that ask for nothing but one of these algorithms.
fn rules(algorithms: &[Algorithm]) -> TokenRules {
    TokenRules {
        algorithms: algorithms.to_vec(),
        key_by: KeyBy::Kid,
        key_name_needed: true,
        claims: ClaimRules::default(),
        propagated: Vec::new(),
        iam: None,
    }
}

/// Claims that are enough.
fn claims() -> Value {
    json!({"sub": "alice", "exp": NOW + 60})
}

fn check(token: &str, algorithms: &[Algorithm], keys: &str) -> Result<Verified, Denied> {
    let (keys, _) = KeySet::parse(keys.as_bytes(), true).unwrap();
    verify(token.as_bytes(), &rules(algorithms), &keys, NOW)
}
