//! All that a route asks of those who use it.

use super::auth::AuthRule;
use super::front::FrontRule;
use super::limit::LimitRule;
use super::people::PeopleRule;

/// What a route asks of those who use it, in the order in which it is asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policies {
    /// The name of the route, as refusals tell it.
    pub route: String,
    /// How refusals are told.
    pub errors: Errors,
    /// CORS, addresses, hosts, what browsers are told.
    pub front: Option<FrontRule>,
    /// Who it must be.
    pub auth: Option<AuthRule>,
    /// What the identity is checked for besides, and what is told of it.
    pub people: Option<PeopleRule>,
    /// How often, how many at a time, and whether at all now.
    pub limit: Option<LimitRule>,
}

/// How refusals are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Errors {
    /// RFC 9457.
    #[default]
    Problem,
    /// As 3xpluto/go-api-gateway does (SPEC 10.2, 11).
    ThreeX,
    /// As hanzoai/gateway does (SPEC 10.4, 11.6).
    Hanzo,
}

impl Errors {
    /// Names of them in a configuration.
    pub const NAMES: [&'static str; 3] = ["problem", "3x", "hanzo"];

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Errors> {
        Some(match name {
            "problem" => Errors::Problem,
            "3x" => Errors::ThreeX,
            "hanzo" => Errors::Hanzo,
            _ => return None,
        })
    }
}

impl Policies {
    /// What is asked, in its order, for people; `profile` is the name of one of authentication.
    #[must_use]
    pub fn steps(&self, profile: impl Fn(usize) -> String) -> Vec<String> {
        let Policies { errors: _, route: _, front, auth, people, limit } = self;
        let mut steps = Vec::new();
        steps.extend(front.iter().flat_map(FrontRule::steps));
        steps.extend(limit.iter().filter_map(LimitRule::first_step));
        steps.extend(people.iter().flat_map(PeopleRule::steps_before));
        if let Some(auth) = auth {
            let names = auth.profiles.iter().map(|number| profile(*number));
            let names = names.chain(auth.anonymous.then(|| "anonymous".to_owned()));
            steps.push(format!("auth ({})", names.collect::<Vec<_>>().join(", ")));
        }
        steps.extend(people.iter().flat_map(PeopleRule::steps_after));
        steps.extend(limit.iter().flat_map(LimitRule::steps));
        steps
    }

    /// Whether anything is asked at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Policies { errors, front, auth, people, limit, .. } = self;
        let told = *errors == Errors::Problem;
        told && front.is_none() && auth.is_none() && people.is_none() && limit.is_none()
    }
}
