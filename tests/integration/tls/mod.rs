//! TLS towards clients.

mod calls;
mod certificates;
mod hostile;
mod http2;
mod reload;
mod requests;
mod services;
mod stapled;
mod uploads;
mod upstreams;

use std::net::SocketAddr;

use otus::snapshot::server::IoDriver;

use crate::support::backend::Backend;
use crate::support::gateway::Gateway;
use crate::support::proxy::{self, ALL, upstream};
use crate::support::tls::Files;

/// A gateway that speaks TLS on its only listener, before one back end.
fn before(io: IoDriver, files: &Files, more: &str, backend: SocketAddr) -> Gateway {
    let tls = format!("[tls]\n{}{more}\n", files.text());
    proxy::start(io, &format!("{tls}{}{ALL}", upstream(&[backend], "")))
}

/// A back end that says what it was told of the client's protocol.
fn telling() -> SocketAddr {
    let answer = |seen: &crate::support::backend::Seen, _: &[u8]| {
        let proto = seen.field("x-forwarded-proto").unwrap_or("none").to_owned();
        let forwarded = seen.field("forwarded").unwrap_or("none");
        let same = forwarded.ends_with(&format!(";proto={proto}"));
        crate::support::backend::ok(&format!("{} {proto} {same}", seen.target)).into_bytes()
    };
    Backend::listen().serve(answer).0
}
