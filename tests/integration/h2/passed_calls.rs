//! Calls of gRPC that are passed through to a service.

use otus::proto::reverse::{Request, Response};
use otus::snapshot::server::IoDriver;
use prost::Message;

use crate::support::backend::nobody;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::{Call, Client, framed, status};
use crate::support::proxy::{ALL, start, upstream};
use crate::support::service::Service;

pub(super) const CALL: [(&str, &str); 2] =
    [("content-type", "application/grpc"), ("te", "trailers")];

fn before(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let upstream = upstream(&[service.address], "protocol = \"grpc\"");
    (start(io, &format!("{upstream}{ALL}")), service)
}

pub(super) fn asked(param: &str) -> Request {
    Request { param: Some(param.to_owned()), ..Request::default() }
}

fn begin<'a>(client: &'a Client, message: &Request) -> Call<'a> {
    let mut call = client.begin("POST", "/Reverse/Do", &CALL, false);
    // One that is refused may be answered before all was sent.
    let _ = call.send(&framed(&message.encode_to_vec()), true);
    call
}

#[test]
fn a_call_and_its_answer_pass_as_they_are() {
    on_both_drivers(|io| {
        let (gateway, service) = before(io);
        let client = Client::connect(gateway.address);
        for _ in 0..3 {
            let mark = service.journal.mark();
            let message = asked("x");
            let reply = begin(&client, &message).reply();
            assert_eq!((reply.status, status(&reply)), (200, "0"));
            assert_eq!(reply.field("content-type"), Some("application/grpc"));
            Response::decode(&reply.body[5..]).unwrap();
            assert_eq!(service.journal.called(mark), message);
        }
        gateway.is_clean();
    });
}

#[test]
fn a_client_that_resets_its_call_cancels_it() {
    on_both_drivers(|io| {
        let (gateway, service) = before(io);
        let client = Client::connect(gateway.address);
        let mark = service.journal.mark();
        let mut call = client.begin("POST", "/Reverse/Stream", &CALL, false);
        call.send(&framed(&asked("x").encode_to_vec()), false).unwrap();
        service.journal.begun(mark);
        call.body.send_reset(h2::Reason::CANCEL);
        service.journal.left(mark);
        gateway.is_clean();
    });
}

#[test]
fn refusals_are_told_as_a_status() {
    on_both_drivers(|io| {
        let down = upstream(&[nobody()], "protocol = \"grpc\"\nretry.attempts = 1");
        let gateway = start(
            io,
            &format!("{down}{}", ALL.replace("id =", "match = { prefix = \"/Reverse\" }\nid =")),
        );
        let client = Client::connect(gateway.address);
        let reply = begin(&client, &asked("x")).reply();
        assert_eq!((reply.status, status(&reply)), (200, "14"));
        assert!(reply.body.is_empty() && reply.fields.contains_key("grpc-message"));
        let mut call = client.begin("POST", "/unknown.Service/Do", &CALL, true);
        assert_eq!(status(&call.reply()), "12");
        // Who speaks HTTP/1 could not be told how a call ended.
        assert_eq!(gateway.client().ask("POST", "/Reverse/Do", &[], b"").status, 505);
        gateway.is_clean();
    });
}
