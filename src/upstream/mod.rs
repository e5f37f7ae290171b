//! Which endpoint of an upstream a request goes to, as one shard sees it.
//!
//! Knows no address and no connection: endpoints are numbers, and what happened to requests is
//! told to it. Start with [`group::Group`]: it holds what is known of all endpoints of one
//! upstream and asks [`balance`] for one of them. [`outlier`] sets endpoints aside that fail
//! requests; [`health`] is the state of active checks, which run once for the whole process.

pub mod balance;
pub mod group;
pub mod health;
pub mod outlier;
