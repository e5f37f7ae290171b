//! Tokens that are refused before they end (SPEC 10.5): three Bloom filters that follow each other.
//!
//! The control thread adds to [`Revocations`](rotation::Revocations) and turns them; shards look
//! into the same words, so that a revocation counts for the next request everywhere. Start with
//! [`rotation`].

pub mod bloom;
mod hash;
mod md5;
pub mod rotation;
