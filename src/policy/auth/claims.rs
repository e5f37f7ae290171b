//! What a token must say of itself (RFC 7519 §4.1), once its signature is believed.

use std::time::Duration;

use serde_json::{Map, Value};

use super::path::{ClaimPath, words};
use super::verify::Denied;

/// Bytes of the name of who a token is for.
const SUBJECT_BYTES_MAX: usize = 1024;

/// What is asked of the claims of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimRules {
    /// Who may have issued it; none: anybody.
    pub issuers: Vec<String>,
    /// Whom it must be for; none: anybody.
    pub audiences: Vec<String>,
    /// Whether it must be for all of them.
    pub all_audiences: bool,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// The claims that say who it is; the first that there is.
    pub subject: Vec<ClaimPath>,
    /// One of these roles is needed; none: no role is.
    pub roles: Grants,
    /// The same of scopes.
    pub scopes: Grants,
}

/// Words that a claim must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grants {
    /// The claim.
    pub claim: ClaimPath,
    /// The words; none: nothing is asked for.
    pub wanted: Vec<String>,
    /// Whether all are needed, rather than one.
    pub all: bool,
}

impl Grants {
    /// What this claim says is not asked for.
    #[must_use]
    pub fn none(claim: &str) -> Self {
        Grants { claim: ClaimPath::new(claim), wanted: Vec::new(), all: false }
    }

    /// The words that there are, and whether they are enough.
    fn look(&self, claims: &Map<String, Value>) -> (Vec<String>, bool) {
        let held = self.claim.find(claims).map(words).unwrap_or_default();
        let has = |word: &String| held.contains(&word.as_str());
        let enough = match (self.wanted.is_empty(), self.all) {
            (true, _) => true,
            (false, true) => self.wanted.iter().all(has),
            (false, false) => self.wanted.iter().any(has),
        };
        (held.into_iter().map(str::to_owned).collect(), enough)
    }
}

impl Default for ClaimRules {
    fn default() -> Self {
        ClaimRules {
            issuers: Vec::new(),
            audiences: Vec::new(),
            all_audiences: false,
            leeway: Duration::from_secs(30),
            subject: vec![ClaimPath::new("sub")],
            roles: Grants::none("roles"),
            scopes: Grants::none("scope"),
        }
    }
}

/// What the claims have said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Who it is.
    pub subject: String,
    /// The first second, since 1970, at which the token is good no more, with the leeway.
    pub until: u64,
    /// What the claim of roles says.
    pub roles: Vec<String>,
    /// What the claim of scopes says.
    pub scopes: Vec<String>,
    /// Whether the roles and scopes are enough.
    pub is_allowed: bool,
}

impl ClaimRules {
    /// Checks the claims at this second since 1970.
    pub fn check(&self, claims: &Map<String, Value>, now: u64) -> Result<Facts, Denied> {
        let leeway = self.leeway.as_secs();
        let time = |name: &str, up: bool| match claims.get(name) {
            None => Ok(None),
            Some(value) => second(value, up).map(Some).ok_or(Denied::Claims),
        };
        let until = time("exp", false)?.ok_or(Denied::Claims)?.saturating_add(leeway);
        if now >= until {
            return Err(Denied::Expired);
        }
        for name in ["nbf", "iat"] {
            if time(name, true)?.is_some_and(|from| from > now.saturating_add(leeway)) {
                return Err(Denied::NotYet);
            }
        }
        match claims.get("iss") {
            None if self.issuers.is_empty() => {}
            Some(Value::String(iss)) if self.issuers.is_empty() || self.issuers.contains(iss) => {}
            _ => return Err(Denied::Issuer),
        }
        self.check_audience(claims.get("aud"))?;
        let subject = self.subject_of(claims)?;
        let (roles, has_role) = self.roles.look(claims);
        let (scopes, has_scope) = self.scopes.look(claims);
        Ok(Facts { subject, until, roles, scopes, is_allowed: has_role && has_scope })
    }

    fn check_audience(&self, aud: Option<&Value>) -> Result<(), Denied> {
        let held: Vec<&str> = match aud {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => {
                let all: Option<_> = list.iter().map(Value::as_str).collect();
                all.ok_or(Denied::Claims)?
            }
            Some(_) => return Err(Denied::Claims),
        };
        let has = |wanted: &String| held.contains(&wanted.as_str());
        let fits = match (self.audiences.is_empty(), self.all_audiences) {
            (true, _) => true,
            (false, true) => self.audiences.iter().all(has),
            (false, false) => self.audiences.iter().any(has),
        };
        if fits { Ok(()) } else { Err(Denied::Audience) }
    }

    fn subject_of(&self, claims: &Map<String, Value>) -> Result<String, Denied> {
        let found = self.subject.iter().filter_map(|claim| claim.find(claims));
        for value in found {
            match value {
                Value::String(text) if text.len() > SUBJECT_BYTES_MAX => {
                    return Err(Denied::Subject);
                }
                Value::String(text) if text.chars().any(char::is_control) => {
                    return Err(Denied::Subject);
                }
                Value::String(text) if !text.is_empty() => return Ok(text.clone()),
                _ => {}
            }
        }
        Err(Denied::Subject)
    }
}

/// A `NumericDate`, in whole seconds: those of a fraction count for whoever is cautious.
fn second(value: &Value, up: bool) -> Option<u64> {
    if let Some(second) = value.as_u64() {
        return Some(second);
    }
    let whole = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(whole.as_secs().saturating_add(u64::from(up && whole.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests;
