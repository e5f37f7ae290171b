//! What is asked of an identity and told of it: identity headers, billing, bots, widgets,
//! revocation.

/// What a route asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct PeopleRule {}
