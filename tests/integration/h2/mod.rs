//! HTTP/2 without TLS, with the `h2` crate as the client: what clients and back ends see of it.

mod exchanges;
mod health;
mod lifecycle;
mod limits;
mod link;
mod passed_calls;
mod streams;
mod tunnels;
mod uploads;
mod web_calls;

use otus::snapshot::server::IoDriver;

use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::proxy::{ALL, start, upstream};

/// Answered without the back end.
const HERE: &str = "[[route]]\nid = \"here\"\nmatch = { path = \"/here\" }\nreply = 204\n";

/// A gateway that sends everything but `/here` to one back end; with these keys.
#[track_caller]
fn before(io: IoDriver, keys: &str) -> (Gateway, Backend) {
    let backend = Backend::listen();
    let gateway = start(io, &format!("{keys}\n{}{HERE}{ALL}", upstream(&[backend.address], "")));
    (gateway, backend)
}
