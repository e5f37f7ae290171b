//! What operators write: settings file, `.env` and environment, made into a `Snapshot`.
//!
//! Knows nothing of shards or sockets; names are resolved by a function that the caller passes.
//! Text → [`Config`](values::Config), every value with its origin → `Snapshot`. All faults are
//! found in one go. Start with [`load::load`]; the keys are in [`schema`].

pub mod compile;
pub mod default_file;
pub mod fault;
pub mod load;
pub mod migrate;
pub mod place;
pub mod reference;
mod registry;
pub mod schema;
pub mod source;
pub mod values;
pub mod vault;

mod auth;
mod check;
mod dns;
mod document;
mod dotenv;
mod effective;
mod hosts;
mod iam;
mod master;
mod observe;
mod people;
mod policies;
mod reverse;
mod routes;
mod suggest;
mod tls;
mod trust;
mod upstreams;
mod value;

#[cfg(test)]
mod tests;
