//! The operator's listener: metrics, liveness, readiness, and what an operator asks and tells with
//! the admin key. Off the shards; one short-lived thread for each connection.
//!
//! Knows HTTP as far as one request and one answer go. Start with `listener`; which path is what
//! stands in `pages`, what is below `/-/` in `operator`.

mod json;
mod limits;
pub(super) mod listener;
mod operator;
mod pages;
mod registry;
mod report;
mod revoke;

pub(super) use listener::{Admin, start};
