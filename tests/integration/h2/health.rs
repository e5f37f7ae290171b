//! `grpc.health.v1.Health` of the gateway itself.

use std::process::ExitCode;

use h2::RecvStream;
use otus::protocol::grpc::health::{CHECK, Request, WATCH, framed};

use super::passed_calls::CALL;
use crate::support::backend::{Backend, nobody};
use crate::support::gateway::on_both_drivers;
use crate::support::h2::{Call, Client, Reply};
use crate::support::journal::eventually;
use crate::support::plain::Plain;
use crate::support::proxy::{ALL, snapshot, start, start_to_reload, upstream};

/// A route that takes no call of health, and what is said of the upstream behind it.
fn some_route(more: &str, address: std::net::SocketAddr) -> String {
    let route = ALL.replace("id =", "match = { prefix = \"/else\" }\nid =");
    format!("{}{route}", upstream(&[address], more))
}

fn begin<'a>(client: &'a Client, path: &str, service: &str) -> Call<'a> {
    let mut call = client.begin("POST", path, &CALL, false);
    let _ = call.send(&framed(&Request { service: service.to_owned() }), true);
    call
}

/// The state that a service is in, and the status of the call.
#[track_caller]
fn check(client: &Client, service: &str) -> (Vec<u8>, String) {
    let reply = begin(client, CHECK, service).reply();
    (reply.body.clone(), status(&reply))
}

#[track_caller]
fn status(reply: &Reply) -> String {
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/grpc")));
    let trailers = reply.trailers.as_ref().unwrap_or(&reply.fields);
    trailers["grpc-status"].to_str().unwrap().to_owned()
}

/// An answer with this state.
fn says(state: u8) -> Vec<u8> {
    vec![0, 0, 0, 0, 2, 8, state]
}

/// The next state that a watch is told.
#[track_caller]
fn next(call: &Call<'_>, body: &mut RecvStream) -> u8 {
    let mut message = Vec::new();
    while message.len() < 7 {
        message.extend_from_slice(&call.data(body).unwrap().unwrap());
    }
    assert_eq!(message[..6], [0, 0, 0, 0, 2, 8]);
    message[6]
}

#[test]
fn the_gateway_and_what_is_behind_it_can_be_asked_for() {
    on_both_drivers(|io| {
        let gateway = start(io, &some_route("", nobody()));
        let client = Client::connect(gateway.address);
        let ok = (says(1), "0".to_owned());
        assert_eq!(check(&client, ""), ok);
        assert_eq!(check(&client, "a"), ok);
        assert_eq!(check(&client, "b"), (Vec::new(), "5".to_owned()));
        // What is no call of gRPC, and what is no such call.
        assert_eq!(client.send("POST", CHECK, &[], b"").status, 404);
        let reply = gateway.client().ask("POST", CHECK, &["content-type: application/grpc"], b"");
        assert_eq!(reply.status, 404);
        let mut call = client.begin("POST", "/grpc.health.v1.Health/List", &CALL, true);
        assert_eq!(call.reply().field("grpc-status"), Some("12"));
        gateway.is_clean();
    });
}

#[test]
fn a_request_that_is_none_is_refused() {
    on_both_drivers(|io| {
        let gateway = start(io, &some_route("", nobody()));
        let client = Client::connect(gateway.address);
        let message = framed(&Request { service: "a".to_owned() });
        let long = framed(&Request { service: "a".repeat(5000) });
        let twice = [&message[..], &message].concat();
        for (body, status) in [
            (&b""[..], "3"),
            (&message[..7], "3"),
            (&twice, "3"),
            (b"\0\0\0\0\x01\x80", "3"),
            // Compressed, which nobody offered: gRPC has a status for it.
            (b"\x01\0\0\0\0", "12"),
            (&long, "8"),
        ] {
            let reply = client.send("POST", CHECK, &CALL, body);
            assert_eq!(reply.field("grpc-status"), Some(status), "{body:?}");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_route_takes_the_call_and_a_key_turns_it_off() {
    on_both_drivers(|io| {
        let gateway = start(io, &format!("{}{ALL}", upstream(&[nobody()], "protocol = \"grpc\"")));
        let client = Client::connect(gateway.address);
        assert_eq!(check(&client, "").1, "14");
        let off = "listener.http2.grpc_health = false\n";
        let gateway = start(io, &format!("{off}{}", some_route("", nobody())));
        let client = Client::connect(gateway.address);
        assert_eq!(check(&client, "").1, "12");
        gateway.is_clean();
    });
}

#[test]
fn a_watch_is_told_of_a_drain_and_does_not_hold_it_up() {
    on_both_drivers(|io| {
        let mut gateway = start(io, &some_route("", nobody()));
        let client = Client::connect(gateway.address);
        let mut call = begin(&client, WATCH, "");
        let mut head = call.head().unwrap();
        assert_eq!(next(&call, &mut head.body), 1);
        gateway.stopper.stop();
        assert_eq!(next(&call, &mut head.body), 2);
        assert_eq!(status(&call.rest(head).unwrap()), "14");
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn during_a_drain_nothing_is_serving() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let mut gateway = start(io, &some_route("", backend.address));
        let client = Client::connect(gateway.address);
        // It keeps the connection while the shard drains.
        let mut held = client.begin("GET", "/else", &[], true);
        let (mut visit, _) = backend.asked();
        let mut call = client.begin("POST", CHECK, &CALL, false);
        // Both have come by then.
        assert_eq!(client.get("/healthz").status, 200);
        gateway.stopper.stop();
        eventually("the gateway drains", || {
            std::net::TcpStream::connect(gateway.address).is_err().then_some(())
        });
        call.send(&framed(&Request::default()), true).unwrap();
        let reply = call.reply();
        assert_eq!((reply.body.clone(), status(&reply)), (says(2), "0".to_owned()));
        visit.answer("x");
        assert_eq!(held.reply().text(), "x");
        drop((call, held));
        drop(client);
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn a_watch_is_told_when_the_checks_find_an_endpoint_down() {
    on_both_drivers(|io| {
        let endpoint = Plain::start("x");
        let rule = "health.kind = \"http\"\nhealth.path = \"/up\"\nhealth.interval = \"100ms\"\n\
                    health.rise = 1\nhealth.fall = 1";
        let gateway = start(io, &some_route(rule, endpoint.address));
        let client = Client::connect(gateway.address);
        let mut call = begin(&client, WATCH, "a");
        let mut head = call.head().unwrap();
        for (status, state) in [(503, 1), (200, 2), (503, 1)] {
            assert_eq!(next(&call, &mut head.body), state);
            endpoint.set_up(status);
        }
        assert_eq!(next(&call, &mut head.body), 2);
        assert_eq!(check(&client, "a").0, says(2));
        assert_eq!(check(&client, "").0, says(1));
        call.body.send_reset(h2::Reason::CANCEL);
        gateway.wait_metric("otus_clients_left_total", 1);
        gateway.is_clean();
    });
}

#[test]
fn a_watch_of_what_is_not_known_is_told_when_it_is() {
    on_both_drivers(|io| {
        let text = some_route("", nobody());
        let (gateway, next_one) = start_to_reload(io, &text);
        let client = Client::connect(gateway.address);
        let mut call = begin(&client, WATCH, "b");
        let mut head = call.head().unwrap();
        assert_eq!(next(&call, &mut head.body), 3);
        let more = upstream(&[nobody()], "").replace(".a]", ".b]");
        *next_one.lock().unwrap() = snapshot(io, &format!("{more}{text}"));
        gateway.stopper.reload();
        assert_eq!(next(&call, &mut head.body), 1);
        gateway.is_clean();
    });
}

#[test]
fn only_so_many_watch_at_once() {
    on_both_drivers(|io| {
        let gateway =
            start(io, &format!("listener.http2.streams = 600\n{}", some_route("", nobody())));
        let clients = [Client::connect(gateway.address), Client::connect(gateway.address)];
        let mut watches = Vec::new();
        for client in &clients {
            for _ in 0..512 {
                let mut call = begin(client, WATCH, "");
                let mut head = call.head().unwrap();
                assert_eq!(next(&call, &mut head.body), 1);
                watches.push((call, head));
            }
        }
        let more = || begin(&clients[0], WATCH, "");
        assert_eq!(status(&more().reply()), "8");
        assert_eq!(check(&clients[1], "").1, "0", "a check is not one of them");
        watches.pop();
        eventually("there is room again", || {
            let mut call = more();
            let head = call.head().unwrap();
            let is_refused = head.fields.contains_key("grpc-status") || head.body.is_end_stream();
            (!is_refused).then_some(())
        });
        gateway.is_clean();
    });
}
