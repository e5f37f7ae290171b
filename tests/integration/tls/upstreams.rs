//! TLS towards endpoints: the endpoint is a gateway too.

use otus::snapshot::server::IoDriver;

use super::telling;
use crate::support::gateway::on_both_drivers;
use crate::support::proxy::{self, ALL, upstream};
use crate::support::tls::{Authority, Files};

/// Keys for TLS towards endpoints.
pub(super) fn tls(authority: &Authority, files: Option<&Files>, more: &str) -> String {
    let own = files.map_or_else(String::new, |files| {
        format!("tls.cert = \"{}\"\ntls.key = \"{}\"\n", files.cert.display(), files.key.display())
    });
    format!("tls.on = true\ntls.ca = \"{}\"\n{own}{more}\n", authority.file().display())
}

#[test]
fn requests_go_on_over_tls_and_connections_are_used_again() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["127.0.0.1"]);
    on_both_drivers(|io| {
        let far = super::before(io, &files, "", telling());
        let check = "health = { kind = \"http\", path = \"/up\", interval = \"100ms\" }\n";
        let more = tls(&authority, None, check);
        let near = proxy::start(io, &format!("{}{ALL}", upstream(&[far.address], &more)));
        let mut client = near.client();
        for round in 0..5 {
            assert_eq!(client.get(&format!("/{round}")).text(), format!("/{round} https true"));
        }
        near.wait_metric("otus_endpoint_healthy", 1);
        assert_eq!(near.metric("otus_upstream_connections_opened_total"), 1);
        near.is_clean();
        near.finish();
        far.finish();
    });
}

#[test]
fn an_endpoint_that_is_somebody_else_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = authority.leaf("main", &["127.0.0.1"]);
    let far = super::before(IoDriver::Auto, &files, "", telling());
    for (more, good) in [
        (tls(&authority, None, ""), true),
        (tls(&stranger, None, ""), false),
        (tls(&authority, None, "tls.name = \"other.test\""), false),
    ] {
        let more = format!("{more}retry.attempts = 1\n");
        let near =
            proxy::start(IoDriver::Auto, &format!("{}{ALL}", upstream(&[far.address], &more)));
        let reply = near.client().get("/x");
        assert_eq!(reply.status == 200, good, "{more}");
        assert_eq!(reply.status >= 500, !good, "{more}");
        near.is_clean();
        near.finish();
    }
    far.finish();
}

#[test]
fn our_own_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["127.0.0.1"]);
    let own = authority.leaf("client", &["c"]);
    let ca = format!("client_ca = \"{}\"\n", authority.file().display());
    let far = super::before(IoDriver::Auto, &files, &ca, telling());
    for (own, good) in [(Some(&own), true), (None, false)] {
        let more = format!("{}retry.attempts = 1\n", tls(&authority, own, ""));
        let near =
            proxy::start(IoDriver::Auto, &format!("{}{ALL}", upstream(&[far.address], &more)));
        let reply = near.client().get("/x");
        assert_eq!(reply.status, if good { 200 } else { 502 });
        if !good {
            // It says so only after the handshake, which is over for us.
            assert_eq!(reply.json()["code"], "tls_alert");
            assert_eq!(reply.field("proxy-status"), Some("otus; error=tls_alert_received"));
        }
        near.finish();
    }
    far.finish();
}
