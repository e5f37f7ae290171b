//! Who the client is, as back ends are told it, and who is turned away for what it is.

mod billing;
mod bots;
mod forged;
mod keys;
mod minted;
mod revoked;
mod widgets;

use otus::policy::auth::algorithm::Algorithm;
use serde_json::Value;

use crate::support::issuer::claims;
use crate::support::jwt::Signer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A profile named `main` that believes [`token`].
fn profile(more: &str) -> String {
    format!("[auth.main]\nkind = \"hs256\"\nsecret = \"{SECRET}\"\n{more}\n")
}

/// The field with a token that says this besides.
fn bearer(more: &Value) -> String {
    let mut all = claims(60);
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    let signer = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes());
    format!("Authorization: Bearer {}", signer.token(&all))
}
