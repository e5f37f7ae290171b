//! Whether a client can pay (SPEC 10.6): what is asked, and what the answer says.

use serde_json::Value;

use super::iam::bypass::is_below;

/// What happens to a request while nobody can say whether its client can pay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnError {
    /// It goes on.
    #[default]
    Open,
    /// It is refused.
    Closed,
}

/// Which requests are asked about, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The path of the question.
    pub path: String,
    /// In which currency.
    pub currency: String,
    /// Only paths below these are asked about; none: all are.
    pub paths: Vec<String>,
    /// Paths that are never asked about: people must be able to pay.
    pub exempt: Vec<String>,
    /// What happens without an answer.
    pub on_error: OnError,
}

impl Rule {
    /// The original's path.
    pub const PATH: &str = "/v1/billing/balance";
    /// What the original never asks about.
    pub const EXEMPT: &str = "/v1/commerce";

    /// Whether a request to `path`, which is in normal form, is asked about.
    #[must_use]
    pub fn applies_to(&self, path: &[u8]) -> bool {
        (self.paths.is_empty() || is_below(&self.paths, path)) && !is_below(&self.exempt, path)
    }

    /// The query that asks about an account.
    #[must_use]
    pub fn query(&self, account: &Account) -> Vec<u8> {
        let mut out = Vec::with_capacity(account.0.len() + 32);
        out.extend_from_slice(b"user=");
        escape(account.0.as_bytes(), &mut out);
        out.extend_from_slice(b"&currency=");
        escape(self.currency.as_bytes(), &mut out);
        out
    }
}

/// Who pays: `<organisation>/<user>`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Account(String);

impl Account {
    /// `None`: there is no organisation, or its name would read as another's account.
    #[must_use]
    pub fn of(org: Option<&str>, user: &str) -> Option<Self> {
        let org = org.filter(|org| !org.is_empty() && !org.contains('/'))?;
        Some(Account(format!("{org}/{user}")))
    }

    /// As it is told.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads an answer: whether anything is left to spend. `None`: it does not say.
#[must_use]
pub fn answer(status: u16, body: &[u8]) -> Option<bool> {
    if status != 200 {
        return None;
    }
    let answer: Value = serde_json::from_slice(body).ok()?;
    let available = answer.get("available")?;
    match (available.as_i64(), available.as_f64()) {
        (Some(cents), _) => Some(cents > 0),
        (None, Some(cents)) => Some(cents > 0.0),
        (None, None) => None,
    }
}

/// Everything but unreserved characters (RFC 3986 §2.3) is escaped.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule {
            path: Rule::PATH.to_owned(),
            currency: "usd".to_owned(),
            paths: Vec::new(),
            exempt: vec![Rule::EXEMPT.to_owned()],
            on_error: OnError::Open,
        }
    }

    #[test]
    fn accounts_are_escaped() {
        let account = Account::of(Some("acme"), "a b&currency=x#ü").unwrap();
        assert_eq!(account.as_str(), "acme/a b&currency=x#ü");
        let want = "user=acme%2Fa%20b%26currency%3Dx%23%C3%BC&currency=usd";
        assert_eq!(String::from_utf8(rule().query(&account)).unwrap(), want);
    }

    #[test]
    fn an_organisation_cannot_be_named_like_the_account_of_another() {
        assert_eq!(Account::of(Some("a/b"), "c"), None);
        assert!(Account::of(Some("a"), "b/c").is_some());
        assert_eq!(Account::of(None, "c"), None);
        assert_eq!(Account::of(Some(""), "c"), None);
    }

    #[test]
    fn who_wants_to_pay_is_never_asked_for_money() {
        let mut rule = rule();
        assert!(rule.applies_to(b"/v1/chat"));
        assert!(!rule.applies_to(b"/v1/commerce") && !rule.applies_to(b"/v1/commerce/top-up"));
        rule.paths = vec!["/v1/".to_owned()];
        assert!(rule.applies_to(b"/v1/chat") && !rule.applies_to(b"/v2/chat"));
        assert!(!rule.applies_to(b"/v1/commerce/top-up"));
    }

    #[test]
    fn answers_say_whether_anything_is_left() {
        for (status, body, want) in [
            (200, r#"{"user":"a/b","currency":"usd","balance":5,"available":5}"#, Some(true)),
            (200, r#"{"available":0}"#, Some(false)),
            (200, r#"{"available":-3}"#, Some(false)),
            (200, r#"{"available":0.5}"#, Some(true)),
            (200, r#"{"available":"5"}"#, None),
            (200, r#"{"balance":5}"#, None),
            (200, "", None),
            (200, "[]", None),
            (500, r#"{"available":5}"#, None),
            (404, r#"{"available":0}"#, None),
        ] {
            assert_eq!(answer(status, body.as_bytes()), want, "{status} {body}");
        }
    }
}
