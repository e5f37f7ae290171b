//! How often, how many at a time, and whether at all now.
//!
//! Start with [`rule::LimitRule`], what a route asks for, and [`book::Book`], which gives rules
//! their state. A [`limiter::Limiter`] is a rate with the buckets of all its keys: a key is hashed
//! with a secret ([`key`]), its bucket is one atomic word ([`bucket`]) in a table that never grows
//! ([`table`]), and at high rates a shard spends from a lease of its own ([`purse`]). [`remote`] is
//! how several machines share one, and [`fields`] what clients are told.

pub mod book;
pub mod bucket;
pub mod fields;
pub mod key;
pub mod limiter;
pub mod purse;
pub mod rate;
pub mod remote;
pub mod rule;
pub mod table;

pub use rule::LimitRule;

#[cfg(test)]
mod tests;
