//! The bridge to a module that speaks MCP.

use otus::gufo::dialect::Dialect;
use otus::snapshot::gufo::{Mcp, RestMode};
use otus::snapshot::server::IoDriver;

use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::SOON;

use super::service::{Streams, Told};

fn start(io: IoDriver, rest: RestMode) -> (Gateway, Streams) {
    let streams = Streams::start();
    let gateway = streams.gateway(io, Dialect::C, |snapshot| {
        snapshot.gufo.mcp = Some(Mcp { path: "/mcp".to_owned(), module: "streams".to_owned() });
        snapshot.gufo.trust.rest = rest;
    });
    (gateway, streams)
}

#[test]
fn a_message_goes_to_the_module_and_its_answer_back_as_they_are() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, RestMode::None);
        let mut client = gateway.client();
        let body = br#"{"jsonrpc":"2.0", "id":9007199254740993,"method":"tools/list"}"#;
        let reply = client.ask("POST", "/mcp", &["X-API-Token: t0"], body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = str::from_utf8(body).unwrap();
        assert_eq!(reply.text(), format!("{{\"jsonrpc\":\"2.0\", \"result\":{body}}}"));
        assert_eq!(reply.field("content-type"), Some("application/json"));
        let Told::Packaged(request) = streams.told.recv_timeout(SOON).unwrap() else { panic!() };
        let (auth, context) = (request.auth.unwrap(), request.context.unwrap());
        assert_eq!((&*context.meta["mcp"], &*context.meta["x_api_token"]), ("true", "t0"));
        assert_eq!((&*auth.token, &*auth.token_type, &*auth.sign), ("t0", "ApiToken", SIGN));
        assert_eq!((&*context.api_version, request.method), ("v1", 2));
        gateway.is_clean();
    });
}

#[test]
fn what_is_no_message_or_fails_is_told_in_its_words() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, RestMode::None);
        let mut client = gateway.client();
        let reply = client.get("/mcp");
        assert_eq!((reply.status, reply.field("allow")), (405, Some("POST")));
        for body in [&b""[..], b"{", b"{\"a\":\"\xff\"}"] {
            assert_eq!(client.ask("POST", "/mcp", &[], body).status, 400);
        }
        let reply = client.ask("POST", "/mcp", &[], br#"{"id":"x","method":"fail"}"#);
        assert_eq!(reply.status, 502);
        let json = reply.json();
        assert_eq!((&json["id"], &json["error"]["code"]), (&"x".into(), &(-32603).into()));
        assert!(!reply.text().contains("as asked"), "what is behind us is not told");
        let reply = client.ask("POST", "/mcp", &[], br#"{"method":"notifications/x"}"#);
        assert_eq!((reply.status, reply.body.len()), (202, 0));
        gateway.is_clean();
    });
}

#[test]
fn the_bridge_asks_for_what_the_surface_asks_for() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, RestMode::Sign);
        let body = br#"{"id":1}"#;
        // The body of what is refused is not read: its connection ends.
        assert_eq!(gateway.client().ask("POST", "/mcp", &[], body).status, 401);
        let sign = format!("X-Sign: {SIGN}");
        assert_eq!(gateway.client().ask("POST", "/mcp", &[&sign], body).status, 200);
    });
}
