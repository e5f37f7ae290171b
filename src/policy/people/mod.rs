//! What is asked of an identity and told of it: identity headers, billing, bots, widgets,
//! revocation.
//!
//! Start with [`iam`], which keeps the fields that say who the client is.

pub mod abuse;
pub mod api_key;
pub mod billing;
pub mod iam;
pub mod revocation;

use super::auth::path::ClaimPath;

/// What a route asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeopleRule {
    /// Which bots are turned away: the place of the list among all.
    pub bots: Option<usize>,
    /// How keys in pages may be used, likewise.
    pub widget: Option<usize>,
    /// Whether clients have to be able to pay.
    pub billing: bool,
    /// Claims of the token that are in the path that is forwarded, in their order there.
    pub path_claims: Vec<ClaimPath>,
}

impl PeopleRule {
    /// What is asked before anybody has proved who he is, for people.
    pub fn steps_before(&self) -> impl Iterator<Item = String> + use<> {
        self.bots.map(|_| "bots".to_owned()).into_iter()
    }

    /// What is asked after that.
    pub fn steps_after(&self) -> impl Iterator<Item = String> + use<> {
        let names: Vec<_> = self.path_claims.iter().map(ClaimPath::as_str).collect();
        let claims = (!names.is_empty()).then(|| format!("claims ({})", names.join(", ")));
        let widget = self.widget.map(|_| "widget keys".to_owned());
        claims.into_iter().chain(widget).chain(self.billing.then(|| "balance".to_owned()))
    }
}
