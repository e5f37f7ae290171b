//! Who may call, and how often: rules, and what follows from them. Nothing here waits or reads a
//! clock: each policy is a function of its rule, its state, the facts of a request and `now`.
//!
//! Start with [`Policies`](set::Policies); `proxy::policy` asks them in their order.

pub mod auth;
pub mod breaker;
pub mod concurrency;
pub mod embed;
pub mod front;
pub mod identity;
pub mod limit;
pub mod names;
pub mod people;
pub mod recent;
pub mod set;
pub mod shed;
pub mod verdicts;
