//! What comes before all else: CORS, addresses, hosts, and what browsers are told.

/// What a route asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct FrontRule {}
