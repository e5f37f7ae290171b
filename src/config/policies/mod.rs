//! What routes ask of those who use them, as the file says it.
//!
//! Each part reads its own keys of a route: `None` if none of them is written.

use std::sync::Arc;

use super::routes::Reader;
use super::values::Config;
use crate::policy::set::{Errors, Policies};
use crate::route::rewrite::Rewrite;

mod auth;
mod front;
mod limit;
mod people;

pub(super) use limit::rate_store;

/// What a route asks for; `None`: nothing.
pub(super) fn of_route(
    reader: &mut Reader<'_>,
    number: &str,
    id: &str,
    rewrite: &Rewrite,
) -> Option<Arc<Policies>> {
    let errors = reader.text(number, "errors");
    let policies = Policies {
        route: id.to_owned(),
        errors: errors.and_then(|name| Errors::from_name(&name)).unwrap_or_default(),
        front: front::read(reader, number),
        auth: auth::read(reader, number),
        people: people::read(reader, number, rewrite.claims()),
        limit: limit::read(reader, number),
    };
    (!policies.is_empty()).then(|| Arc::new(policies))
}

/// What the surface of Gufo asks for; `None`: nothing.
pub(super) fn of_surface(config: &Config) -> Option<Arc<Policies>> {
    let policies = Policies { limit: limit::read_surface(config), ..Policies::default() };
    (!policies.is_empty()).then(|| Arc::new(policies))
}
