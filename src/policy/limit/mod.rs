//! How often, how many at a time, and whether at all now.

/// What a route asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct LimitRule {}
