//! The PROXY protocol: who the client is, from proxies before us and to endpoints behind us.

use otus::snapshot::server::IoDriver;

use crate::support::client::{Client, head};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::plain::{Plain, loader};

const HEADER: &str = "PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n";
const REQUIRED: &str = "proxy_protocol = \"required\"\ntrusted_peers = [\"127.0.0.0/8\"]";

/// A gateway before an endpoint that tells what header it got.
fn start(io: IoDriver, server: &str, plain: &Plain) -> Gateway {
    let upstream = format!(
        "[upstreams.u]\nendpoints = [\"{}\"]\nsend_proxy_protocol = \"v2\"\n\
         health = {{ kind = \"http\", path = \"/up\", interval = \"100ms\" }}\n",
        plain.address
    );
    Gateway::load(loader(io, server, &upstream))
}

fn request(path: &str) -> String {
    head("GET", path, &[])
}

#[test]
fn the_client_of_a_header_is_the_client_and_endpoints_are_told() {
    on_both_drivers(|io| {
        let plain = Plain::start("a");
        let gateway = start(io, REQUIRED, &plain);
        let mut client = gateway.client();
        // The header may come in pieces, and with the first request.
        let (front, rest) = HEADER.split_at(9);
        client.send(front);
        client.send(format!("{rest}{}", request("/1")));
        assert_eq!(client.reply().text(), "a for 192.0.2.7");
        assert_eq!(client.get("/2").text(), "a for 192.0.2.7");
        let mut other = gateway.client();
        other.send(HEADER.replace("192.0.2.7", "192.0.2.9"));
        assert_eq!(other.get("/3").text(), "a for 192.0.2.9");
        assert_eq!(plain.connections(), 3, "no connection to it is used twice");
        let mut local = gateway.client();
        local.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
        assert_eq!(local.get("/4").text(), "a for 127.0.0.1");
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_connection_without_its_header_is_closed_without_a_word() {
    on_both_drivers(|io| {
        let gateway = start(io, REQUIRED, &Plain::start("a"));
        for bytes in [request("/"), "PROXY TCP4 x\r\n".to_owned(), format!("P{}", "x".repeat(200))]
        {
            let mut client = gateway.client();
            client.send(bytes);
            refused(&mut client);
        }
        assert_eq!(gateway.metric("otus_proxy_headers_refused_total"), 3);
        gateway.finish();
    });
}

#[test]
fn a_stranger_cannot_claim_to_be_somebody() {
    let server = "proxy_protocol = \"required\"\ntrusted_peers = [\"192.0.2.0/24\"]";
    let gateway = start(IoDriver::Auto, server, &Plain::start("a"));
    let mut client = gateway.client();
    client.send(format!("{HEADER}{}", request("/")));
    refused(&mut client);
    gateway.finish();
}

#[test]
fn a_header_that_nobody_asked_for_is_no_request() {
    let gateway = start(IoDriver::Auto, "", &Plain::start("a"));
    let mut client = gateway.client();
    client.send(HEADER);
    assert_eq!(client.reply().status, 400);
    gateway.finish();
}

#[test]
fn a_header_that_does_not_come_ends_the_connection_in_time() {
    let rest = format!(
        "[timeouts]\nhead = \"100ms\"\n[upstreams.u]\nendpoints = [\"{}\"]\n",
        Plain::start("a").address
    );
    let gateway = Gateway::load(loader(IoDriver::Auto, REQUIRED, &rest));
    let mut client = gateway.client();
    client.send("PROXY");
    client.closed();
    gateway.client().closed();
    gateway.finish();
}

#[track_caller]
fn refused(client: &mut Client) {
    assert!(client.try_reply(false).is_err(), "nothing is answered");
}
