//! From a token to who it is for: **parse → algorithm → key → signature → claims**.
//!
//! Nothing of a token is used before its signature is believed but the name of its algorithm,
//! which must be on the operator's list, and the name of its key, which must be among the
//! operator's. Keys and URLs that a token brings (`jwk`, `jku`, `x5u`, `x5c`) are not read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::base::time::UnixTime;
use crate::policy::identity::{Identity, Kind};
use crate::policy::people::iam::mint::Person;
use crate::policy::people::iam::permissions::{AdminRule, has_admin};

use super::algorithm::Algorithm;
use super::claims::{ClaimRules, Facts};
use super::jws::Jws;
use super::keys::{KeyBy, KeySet};
use super::object;
use super::propagate::{Propagated, is_field_value};

/// Why a token is not believed. Clients are told none of it; logs and metrics are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Denied {
    /// It is longer than any real one.
    TooLarge,
    /// It is not three texts of base64url with JSON in them.
    Malformed,
    /// Its header asks for what is not understood: `crit`, `b64`, `zip`, `enc`.
    Critical,
    /// Its algorithm is not on the list, is `none`, or is not that of its key.
    Algorithm,
    /// It does not name its key, and has to.
    KeyUnnamed,
    /// It names a key that we do not have.
    KeyUnknown,
    /// No key of ours has made its signature.
    Signature,
    /// A claim is missing or is not what it has to be.
    Claims,
    /// It was good.
    Expired,
    /// It will be good.
    NotYet,
    /// It is by somebody else.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It does not say whom it is for.
    Subject,
}

impl Denied {
    /// For logs: one word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Denied::TooLarge => "token_too_large",
            Denied::Malformed => "token_malformed",
            Denied::Critical => "token_extension",
            Denied::Algorithm => "token_algorithm",
            Denied::KeyUnnamed => "token_key_unnamed",
            Denied::KeyUnknown => "token_key_unknown",
            Denied::Signature => "token_signature",
            Denied::Claims => "token_claims",
            Denied::Expired => "token_expired",
            Denied::NotYet => "token_not_yet",
            Denied::Issuer => "token_issuer",
            Denied::Audience => "token_audience",
            Denied::Subject => "token_subject",
        }
    }
}

/// What tokens are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRules {
    /// The algorithms that may have been used.
    pub algorithms: Vec<Algorithm>,
    /// How tokens name their key.
    pub key_by: KeyBy,
    /// Whether they have to.
    pub key_name_needed: bool,
    /// What their claims must say.
    pub claims: ClaimRules,
    /// Which claims endpoints are told.
    pub propagated: Vec<Propagated>,
    /// Whether endpoints are told who it is in the fields of [`iam`](crate::policy::people::iam).
    pub iam: Option<AdminRule>,
}

/// A token that is believed.
#[derive(Clone, PartialEq, Debug)]
pub struct Verified {
    /// Who it is for.
    pub identity: Arc<Identity>,
    /// The first second, since 1970, at which it is believed no more.
    pub until: u64,
    /// Whether its roles and scopes are enough.
    pub is_allowed: bool,
    /// All its claims.
    pub claims: Map<String, Value>,
    /// Fields for endpoints: names in lower case, and values.
    pub fields: Vec<(String, String)>,
}

impl Verified {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let of_texts = |texts: &[String]| texts.iter().map(|text| text.len() + 24).sum::<usize>();
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + 48);
        let claims =
            self.claims.iter().map(|(name, value)| 48 + name.len() + object::weight(value));
        size_of::<Self>()
            + size_of::<Identity>()
            + of_texts(&self.identity.roles)
            + of_texts(&self.identity.scopes)
            + fields.sum::<usize>()
            + claims.sum::<usize>()
    }
}

/// Verifies a token with these keys at this second since 1970.
pub fn verify(
    token: &[u8],
    rules: &TokenRules,
    keys: &KeySet,
    now: u64,
) -> Result<Verified, Denied> {
    let jws = Jws::parse(token)?;
    if !rules.algorithms.contains(&jws.algorithm) {
        return Err(Denied::Algorithm);
    }
    keys.verify(&jws, rules.key_by, rules.key_name_needed)?;
    let claims = object::parse(&jws.content()?).ok_or(Denied::Malformed)?;
    let facts = rules.claims.check(&claims, now)?;
    let field = |told: &Propagated| Some((told.field.clone(), told.value(&claims)?));
    let mut fields: Vec<_> = rules.propagated.iter().filter_map(field).collect();
    let person = match rules.iam {
        Some(rule) => Person::read(&facts.subject, &claims, rule).map_err(|_| Denied::Subject)?,
        None => Person::default(),
    };
    if rules.iam.is_some() {
        fields.extend(person.fields());
    }
    let expires = Some(UnixTime(Duration::from_secs(facts.until)));
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| claims.get(*name)?.as_str());
        found.filter(|text| is_field_value(text)).unwrap_or_default().to_owned()
    };
    let identity = Arc::new(Identity {
        kind: Kind::Jwt,
        org: text(&["owner", "org"]),
        email: text(&["email"]),
        phone: text(&["phone_number", "phone"]),
        subject: facts.subject,
        roles: facts.roles,
        scopes: facts.scopes,
        expires,
        permissions: person.permissions,
        is_admin: has_admin(person.permissions),
        ..Identity::default()
    });
    let Facts { until, is_allowed, .. } = facts;
    Ok(Verified { identity, until, is_allowed, claims, fields })
}
