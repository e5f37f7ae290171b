//! A stream of a service as events.

use std::time::Duration;

use otus::gufo::dialect::Dialect;
use otus::snapshot::gufo::Download;
use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::SOON;

use super::service::{Streams, Told};

const ACCEPT: &str = "Accept: text/html, Text/Event-Stream;q=0.9";

fn start(io: IoDriver, dialect: Dialect, download: Download) -> (Gateway, Streams) {
    let streams = Streams::start();
    let gateway = streams.gateway(io, dialect, |snapshot| {
        snapshot.gufo.modules_mut()[0].download = download;
    });
    (gateway, streams)
}

/// The head of an answer whose content comes in chunks.
#[track_caller]
fn head(client: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.try_exactly(1).unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[track_caller]
fn event(client: &mut Client) -> String {
    String::from_utf8(client.try_chunk().unwrap().unwrap()).unwrap()
}

#[test]
fn each_message_is_an_event_that_arrives_at_once() {
    on_both_drivers(|io| {
        for (dialect, download) in [(Dialect::B, Download::Stream), (Dialect::C, Download::Events)]
        {
            let (gateway, streams) = start(io, dialect, download);
            let mut client = gateway.client();
            let fields = if download == Download::Stream { &[ACCEPT][..] } else { &[] };
            client.head("GET", "/api/v3/streams/events", fields);
            streams.go();
            let head = head(&mut client);
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
            assert!(head.contains("cache-control: no-cache\r\n"), "{head}");
            assert_eq!(event(&mut client), "data: one\ndata: two\n\n");
            streams.go();
            let want = "event: tick\nid: 7\ndata: {\"n\":12345678901234567890}\n\n";
            assert_eq!(event(&mut client), want);
            streams.go();
            assert_eq!(event(&mut client), "data: ä\n\n");
            streams.go();
            assert_eq!(client.try_chunk().unwrap(), None);
            client.head("GET", "/api/v3/streams/refuse/403", fields);
            assert_eq!(client.reply().status, 403, "a refusal is no event");
            gateway.is_clean();
        }
    });
}

#[test]
fn a_quiet_service_is_begun_and_left_with_its_client() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, Dialect::B, Download::Events);
        let mut client = gateway.client();
        client.head("GET", "/api/v3/streams/quiet", &["Last-Event-ID: 9"]);
        assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
        match streams.told.recv_timeout(SOON).unwrap() {
            Told::First(first) => assert!(first.args.contains_key("last_event_id")),
            other => panic!("{other:?}"),
        }
        assert!(client.is_quiet_for(Duration::from_millis(100)));
        drop(client);
        assert!(matches!(streams.told.recv_timeout(SOON).unwrap(), Told::Left));
        gateway.is_clean();
    });
}

#[test]
fn events_that_fail_are_cut_and_those_of_a_drain_end() {
    on_both_drivers(|io| {
        let (gateway, streams) = start(io, Dialect::B, Download::Events);
        let mut client = gateway.client();
        client.head("GET", "/api/v3/streams/events/13", &[]);
        streams.go();
        head(&mut client);
        for _ in 0..3 {
            event(&mut client);
            streams.go();
        }
        client.try_chunk().unwrap_err();
        let mut client = gateway.client();
        client.head("GET", "/api/v3/streams/events", &[]);
        streams.go();
        head(&mut client);
        event(&mut client);
        gateway.stopper.stop();
        assert_eq!(client.try_chunk().unwrap(), None);
    });
}
