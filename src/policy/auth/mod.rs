//! Authentication: who it must be.

/// What a route asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct AuthRule {}
