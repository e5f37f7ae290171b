//! Authentication: who it must be, by what a request brings.
//!
//! Read [`verify`] first: it is all of a token's way. Keys come from operators, never from tokens.

pub mod algorithm;
pub mod cache;
pub mod claims;
pub mod credential;
pub mod fixed;
pub mod jwk;
pub mod jws;
pub mod keys;
pub mod object;
pub mod path;
pub mod profile;
pub mod propagate;
pub mod refused;
pub mod segment;
pub mod verify;

/// What a route asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct AuthRule {
    /// The profiles that are tried, in this order, by their place among all.
    pub profiles: Vec<usize>,
    /// Whether a request that brings nothing at all may pass.
    pub anonymous: bool,
    /// Whether the endpoint does not get the fields that tokens are looked for in.
    pub strips: bool,
}
