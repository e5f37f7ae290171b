//! What profiles of kind `iam` have that others have not: other defaults, and fields for endpoints.

use std::time::Duration;

use super::values::Config;
use crate::policy::auth::algorithm::Algorithm;
use crate::policy::people::iam::bypass::Public;
use crate::policy::people::iam::mint::Person;
use crate::policy::people::iam::permissions::AdminRule;

/// Fields, and then cookies, that tokens are looked for in (SPEC 10.4, step 3).
const HEADERS: &[&str] = &["authorization", "x-authorization"];
const COOKIES: &[&str] =
    &["casdoor_access_token", "iam_access_token", "access_token", "hanzo_token"];
/// How far clocks may be apart (step 5).
const LEEWAY: Duration = Duration::from_mins(2);

/// With what tokens may be signed (step 5).
pub(super) fn iam_algorithms() -> impl Iterator<Item = Algorithm> {
    let is_public = |name: &str| ["RS", "ES", "PS"].iter().any(|family| name.starts_with(family));
    Algorithm::ALL.into_iter().filter(move |algorithm| is_public(algorithm.name()))
}

impl Config {
    fn is_iam(&self, name: &str) -> bool {
        self.text(&format!("auth.{name}.kind")).as_deref() == Some("iam")
    }

    /// Whether nobody wrote a key of a profile of this kind, so that its own default counts.
    fn is_own(&self, name: &str, key: &str) -> bool {
        self.is_iam(name) && !self.is_given(&format!("auth.{name}.{key}"))
    }

    /// A list of a profile.
    pub(super) fn iam_texts(&self, name: &str, key: &str) -> Vec<String> {
        let own = match key {
            "headers" => HEADERS,
            "cookies" => COOKIES,
            "subject" => Person::NAMES,
            _ => &[],
        };
        if self.is_own(name, key) {
            return own.iter().map(|text| (*text).to_owned()).collect();
        }
        self.texts(&format!("auth.{name}.{key}"))
    }

    pub(super) fn is_basic(&self, name: &str) -> bool {
        self.is_own(name, "basic") || self.boolean(&format!("auth.{name}.basic")) == Some(true)
    }

    pub(super) fn is_key_optional(&self, name: &str) -> bool {
        let said = self.text(&format!("auth.{name}.key_name"));
        self.is_own(name, "key_name") || said.as_deref() == Some("optional")
    }

    pub(super) fn leeway(&self, name: &str) -> Duration {
        if self.is_own(name, "leeway") {
            return LEEWAY;
        }
        self.duration(&format!("auth.{name}.leeway"))
    }

    /// Who gets the bit of administrators; `None`: endpoints are not told of people.
    pub(super) fn admin_rule(&self, name: &str) -> Option<AdminRule> {
        let rule = match self.text(&format!("auth.{name}.admin_bit")).as_deref() {
            Some("any_admin") => AdminRule::AnyAdmin,
            _ => AdminRule::OwnerOnly,
        };
        self.is_iam(name).then_some(rule)
    }

    /// Requests that need no token.
    pub(super) fn public(&self, name: &str) -> Public {
        let texts = |key: &str| self.texts(&format!("auth.{name}.{key}"));
        Public { hosts: texts("public_hosts"), paths: texts("public_paths") }
    }
}
