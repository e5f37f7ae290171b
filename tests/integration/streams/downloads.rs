//! A stream of a service as the content of an answer.

use std::time::Duration;

use otus::gufo::dialect::Dialect;
use otus::snapshot::gufo::Download;
use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2;
use crate::support::journal::{SOON, eventually};

use super::service::{CHUNK_BYTES, Streams, Told, content};

fn start(io: IoDriver, dialect: Dialect) -> (Gateway, Streams) {
    let streams = Streams::start();
    let gateway = streams.gateway(io, dialect, |snapshot| {
        snapshot.gufo.modules_mut()[0].download = Download::Stream;
        snapshot.server.http2.cleartext = true;
    });
    (gateway, streams)
}

fn whole(chunks: usize) -> Vec<u8> {
    (0..chunks).flat_map(content).collect()
}

#[test]
fn a_streamed_file_arrives_whole_as_its_service_describes_it() {
    on_both_drivers(|io| {
        for dialect in [Dialect::B, Dialect::C] {
            let (gateway, streams) = start(io, dialect);
            let mut client = gateway.client();
            let reply = client.get("/api/v3/streams/file/40?a=b");
            assert_eq!(reply.status, 200, "{:?}", reply.fields);
            assert_eq!(reply.field("content-type"), Some("video/mp4"));
            let disposition = "attachment; filename=\"a b.bin\"";
            assert_eq!(reply.field("content-disposition"), Some(disposition));
            assert_eq!(reply.field("content-length"), Some(&*(40 * CHUNK_BYTES).to_string()));
            assert!(reply.body == whole(40) && reply.keeps());
            match streams.told.recv_timeout(SOON).unwrap() {
                Told::First(first) => {
                    assert_eq!(first.path.as_deref(), Some("/api/v3/streams/file/40"));
                    assert!(first.args.contains_key("a") && first.sign.is_some());
                }
                Told::Packaged(first) => {
                    assert_eq!((&*first.query["a"], first.method), ("b", 1));
                }
                other => panic!("{other:?}"),
            }
            let reply = client.get("/api/v3/streams/chunked/3");
            assert_eq!(reply.field("transfer-encoding"), Some("chunked"));
            assert!(reply.body == whole(3) && reply.keeps());
            gateway.is_clean();
        }
    });
}

#[test]
fn a_call_may_say_that_a_stream_follows() {
    on_both_drivers(|io| {
        let streams = Streams::start();
        let gateway = streams.gateway(io, Dialect::B, |_| {});
        let mut client = gateway.client();
        let reply = client.ask("POST", "/api/v3/streams/chunked/2", &[], br#"{"x":1.10}"#);
        assert!(reply.status == 200 && reply.body == whole(2), "{:?}", reply.fields);
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Do));
        match streams.told.recv_timeout(SOON).unwrap() {
            Told::First(first) => assert!(first.args.contains_key("x")),
            other => panic!("{other:?}"),
        }
        // Inline files are as before, and no name of theirs makes a field.
        let reply = client.get("/api/v3/streams/inline");
        assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
        assert_eq!(reply.field("x"), None);
        assert!(reply.field("content-disposition").unwrap().starts_with("attachment; filename="));
        client.head("GET", "/api/v3/streams/none", &[]);
        assert_eq!(client.reply().status, 204);
        assert_eq!(client.get("/api/v3/streams/inline").status, 200, "nothing lay behind the 204");
        gateway.is_clean();
    });
}

#[test]
fn a_part_is_sent_to_those_who_ask_for_one() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, Dialect::B);
        let mut client = gateway.client();
        client.head("GET", "/api/v3/streams/part?range=x", &["Range: bytes=10-19"]);
        let reply = client.reply();
        assert_eq!((reply.status, reply.text().as_str()), (206, "0123456789"));
        assert_eq!(reply.field("content-range"), Some("bytes 10-19/500"));
        assert_eq!(reply.field("content-length"), Some("10"));
        assert_eq!(client.get("/api/v3/streams/part").status, 502);
        gateway.is_clean();
    });
}

#[test]
fn a_head_is_all_that_head_asks_for() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, Dialect::B);
        let mut client = gateway.client();
        client.head("HEAD", "/api/v3/streams/file/1000", &[]);
        let reply = client.reply_to_head();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.field("content-length"), Some(&*(1000 * CHUNK_BYTES).to_string()));
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::First(_)));
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Left));
        assert_eq!(client.get("/api/v3/streams/file/1").status, 200);
        gateway.is_clean();
    });
}

#[test]
fn what_is_not_whole_does_not_look_whole() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, Dialect::B);
        for path in ["cut", "short", "long"] {
            let mut client = gateway.client();
            client.head("GET", &format!("/api/v3/streams/{path}"), &[]);
            client.try_reply(false).expect_err(path);
            let client = h2::Client::connect(gateway.address);
            let reply =
                client.begin("GET", &format!("/api/v3/streams/{path}"), &[], true).try_reply();
            assert!(reply.is_err(), "{path}: {:?}", reply.map(|reply| reply.status));
        }
        gateway.is_clean();
    });
}

#[test]
fn a_refusal_before_the_content_is_an_answer_as_of_any_call() {
    on_both_drivers(|io| {
        let (gateway, _streams) = start(io, Dialect::B);
        let mut client = gateway.client();
        for (path, status) in [("refuse/404", 404), ("refuse/503", 503), ("status/5", 404)] {
            let reply = client.get(&format!("/api/v3/streams/{path}"));
            assert_eq!(reply.status, status, "{path}");
            assert!(reply.json()["data"].is_object() && reply.keeps(), "{path}");
        }
        gateway.is_clean();
    });
}

#[test]
fn a_client_that_does_not_read_stops_its_service_and_one_that_leaves_ends_the_stream() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, Dialect::B);
        let mut client = Client::connect_narrow(gateway.address, 16 * 1024);
        client.head("GET", "/api/v3/streams/endless", &[]);
        client.try_exactly(100).unwrap();
        let still = eventually("the service stops", || {
            let before = streams.sent();
            std::thread::sleep(Duration::from_millis(300));
            (before > 0 && streams.sent() == before).then_some(before)
        });
        // Windows and buffers of the kernel, not what the service could send.
        assert!(still < 400, "{still} chunks were taken");
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::First(_)));
        drop(client);
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Left));
        gateway.is_clean();
    });
}
