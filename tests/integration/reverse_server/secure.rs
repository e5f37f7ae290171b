//! The same over TLS, as operators write it; with certificates in mode `mtls`.

use std::sync::Arc;

use otus::proto::reverse::{Request, Response};
use prost::Message;

use super::{failure, own, request, value};
use crate::support::gateway::on_both_drivers;
use crate::support::h2::{Client, framed, status};
use crate::support::proxy;
use crate::support::service::Service;
use crate::support::tls::{Authority, Files, Offer};

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

fn ask(client: &Client, request: &Request) -> Response {
    let reply = client.send("POST", "/Reverse/Do", &CALL, &framed(&request.encode_to_vec()));
    assert_eq!(status(&reply), "0");
    Response::decode(&reply.body[5..]).unwrap()
}

/// Settings of a gateway that is called over TLS, with a module `echo`.
fn settings(files: &Files, service: &Service, more: &str) -> String {
    format!(
        "server.grpc_port = 0\nserver.grpc_ip = \"127.0.0.1\"\nserver.grpc_tls_enabled = true\n\
         security.cert_path = \"{}\"\nsecurity.key_path = \"{}\"\n{more}\n\
         gufo.strict_legacy_status = false\n\
         [microservices.echo]\nhost = \"127.0.0.1\"\nport = {}\n",
        files.cert.display(),
        files.key.display(),
        service.address.port()
    )
}

#[test]
fn services_call_over_tls_where_it_is_asked_for() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = proxy::start(io, &settings(&files, &service, ""));
        let offer = Offer { alpn: &["h2"], ..Offer::default() };
        let client = Client::secure(own(&gateway), &Arc::new(authority.config(&offer)));
        let response = ask(&client, &request("echo", "hello"));
        assert_eq!(value(&response, "id"), "9007199254740993");
        // HTTP/1.1 is not even offered.
        let offer = Offer { alpn: &["http/1.1"], ..Offer::default() };
        let refused = authority
            .client_of(own(&gateway), "localhost", &offer)
            .and_then(|mut client| client.try_get("/api/v3/echo/hello"));
        assert!(refused.is_err());
        gateway.is_clean();
    });
}

#[test]
fn in_mode_mtls_the_certificate_is_the_proof() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = authority.leaf("main", &["localhost"]);
    let own_files = authority.leaf("client", &["service"]);
    let strange = other.leaf("client", &["service"]);
    on_both_drivers(|io| {
        let service = Service::start();
        let more = format!(
            "server.grpc_mtls_enabled = true\nsecurity.ca_path = \"{}\"\n",
            authority.file().display()
        );
        let mut snapshot = proxy::snapshot(io, &settings(&files, &service, &more));
        snapshot.gufo.trust.mode = otus::snapshot::gufo::SecurityMode::Mtls;
        let gateway = crate::support::gateway::Gateway::start(io, |own| *own = snapshot);
        let offer = |certificate| Offer { alpn: &["h2"], certificate, ..Offer::default() };
        let config = authority.config(&offer(Some(&own_files)));
        let client = Client::secure(own(&gateway), &Arc::new(config));
        let unsigned = Request { sign: None, ..request("echo", "hello") };
        assert_eq!(value(&ask(&client, &unsigned), "id"), "9007199254740993");
        assert_eq!(failure(&ask(&client, &request("nobody", "x"))).0, "404");
        for certificate in [None, Some(&strange)] {
            let offer = Offer { alpn: &["h2"], certificate, ..Offer::default() };
            let refused = authority
                .client_of(own(&gateway), "localhost", &offer)
                .and_then(|mut client| client.try_get("/"));
            assert!(refused.is_err());
        }
        gateway.is_clean();
    });
}
